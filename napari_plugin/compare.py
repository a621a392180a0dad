"""Before and after: a line across the view, left of it one image and right of it another.

napari's clipping planes do nothing to images in two dimensions, so a layer of its own shows what lies
right of the line: the other image, transparent left of it. It reads what the view needs, at the view's level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    import napari
    from qtpy.QtGui import QHideEvent, QShowEvent

__all__ = ["ComparePanel", "RightOf"]

_STEPS = 1000
_LINE = 1.0 / 300.0
_BLINK_MS = 700
_NAME = "right of the line"
_LOOK = ("contrast_limits", "gamma", "colormap")


class RightOf:
    """An image that is transparent left of a column, as an array that napari slices.

    Parameters
    ----------
    level : array_like, (..., y, x)
        One level of an image; lazy ones stay so.

    Attributes
    ----------
    column, width : float
        Where the line is and how wide. What is left of it is NaN, which napari does not draw.
    edge : float
        Value of the line.
    """

    def __init__(self, level: Any) -> None:
        import numpy as np

        self._level = level
        self.column, self.width, self.edge = 0.0, 1.0, float("nan")
        self.shape: tuple[int, ...] = tuple(level.shape)
        self.ndim, self.size = len(self.shape), math.prod(self.shape)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: Any) -> Any:
        """Return a part, by integers and slices."""
        import numpy as np

        whole = key if isinstance(key, tuple) else (key,)
        whole += (slice(None),) * (self.ndim - len(whole))
        part = np.array(self._level[whole], np.float32)
        columns = np.arange(self.shape[-1])[whole[-1]]
        part[..., columns < self.column + max(self.width, 1.0)] = self.edge
        part[..., columns < self.column] = np.nan
        return part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return all of it."""
        import numpy as np

        return np.asarray(self[()], dtype)


class ComparePanel(QWidget):
    """Compare two images by a line between them, or by turns.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        While the panel is shown, `before` is the only image that is visible, and `after` is shown by a
        layer of the panel's own, right of the line. Then all are as they were.

    Notes
    -----
    napari gives plugins its layers behind proxies: they are equal to what they stand for, not the same.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._visible: dict[Any, bool] = {}
        self._levels: list[RightOf] = []
        self._compared: tuple[Any, Any] | None = None
        self._after: Any = None
        self.before, self.after = QComboBox(), QComboBox()
        self.line = QSlider(Qt.Orientation.Horizontal)
        self.line.setRange(0, _STEPS)
        self.line.setValue(_STEPS // 2)
        self.blink = QCheckBox("blink")
        self.same = QCheckBox("same contrast")
        self.same.setToolTip("Show the right image between the values of the left one")
        self._blinking = QTimer(self)
        self._blinking.setInterval(_BLINK_MS)
        self._blinking.timeout.connect(self._turn)
        form = QFormLayout()
        form.addRow("left", self.before)
        form.addRow("right", self.after)
        form.addRow("line", self.line)
        boxes = QHBoxLayout()
        for box in (self.blink, self.same):
            boxes.addWidget(box)
        boxes.addStretch(1)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(boxes)
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        layout.addWidget(self.hint)
        layout.addStretch(1)
        for choice in (self.before, self.after):
            choice.activated.connect(self._compare)
        self.line.valueChanged.connect(self._move)
        self.blink.toggled.connect(self._on_blink)
        self.same.toggled.connect(self._match)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Begin to compare."""
        super().showEvent(event)
        events = self._viewer.layers.events
        events.inserted.connect(self._on_layers)
        events.removed.connect(self._on_layers)
        self._list()
        self._compare()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Leave the layers as they were."""
        super().hideEvent(event)
        self._viewer.layers.events.inserted.disconnect(self._on_layers)
        self._viewer.layers.events.removed.disconnect(self._on_layers)
        self.blink.setChecked(False)
        self._restore()

    def _on_layers(self, event: Any) -> None:
        """List the images again; begin again if others are to be compared."""
        if self._after is not None and event.value == self._after:
            if event.type == "removed":
                self._after = None
            return
        self._list()
        if self._chosen() != self._compared:
            self._compare()

    def _images(self) -> list[Any]:
        from napari.layers import Image

        return [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Image) and layer.name != _NAME and not layer.rgb
        ]

    def _list(self) -> None:
        """Offer the images; if not two are chosen, choose the first one and the last that is restored."""
        keep = self._chosen() is not None
        names = [layer.name for layer in self._images()]
        restored = [name for name in names if name.endswith("restored")]
        others = [name for name in names if name not in restored[-1:]]
        defaults = (others[:1], restored[-1:] or others[1:2])
        for choice, default in zip((self.before, self.after), defaults, strict=True):
            kept = choice.currentText()
            choice.clear()
            choice.addItems(names)
            choice.setCurrentText(kept if keep and kept in names else (default or names or [""])[0])

    def _chosen(self) -> tuple[Any, Any] | None:
        """Return both layers, if they are two."""
        names = (self.before.currentText(), self.after.currentText())
        if names[0] == names[1] or any(name not in self._viewer.layers for name in names):
            return None
        return self._viewer.layers[names[0]], self._viewer.layers[names[1]]

    def _compare(self) -> None:
        """Put the layer that ends at the line over the two that were chosen."""
        self._restore()
        chosen = self._compared = self._chosen()
        self.hint.setText("" if chosen else "Choose two images.")
        if chosen is None:
            return
        before, after = chosen
        self._visible = {layer: layer.visible for layer in self._images()}
        for layer in self._visible:
            layer.visible = layer == before
        levels: Sequence[Any] = list(after.data) if after.multiscale else [after.data]
        self._levels = [RightOf(level) for level in levels]
        selected = self._viewer.layers.selection.active
        place = {name: getattr(after, name) for name in ("scale", "translate", "units", "axis_labels")}
        look = {name: getattr(after, name) for name in (*_LOOK, "interpolation2d")}
        self._after = self._new_layer({**place, **look})
        above = max(self._viewer.layers.index(layer) for layer in (before, after)) + 1
        self._viewer.layers.move(len(self._viewer.layers) - 1, above)
        self._viewer.layers.selection.active = selected
        self._match()
        self._move()

    def _new_layer(self, options: dict[str, Any]) -> Any:
        """Add the layer; its own insertion is not one to react to."""
        from napari.layers import Image

        data = self._levels if len(self._levels) > 1 else self._levels[0]
        self._after = Image(data, name=_NAME, multiscale=len(self._levels) > 1, **options)
        return self._viewer.add_layer(self._after)

    def _restore(self) -> None:
        """Take the layer away, and show what was shown."""
        if self._after is not None and self._after in self._viewer.layers:
            self._viewer.layers.remove(self._after)
        self._after = self._compared = None
        for image, visible in self._visible.items():
            if image in self._viewer.layers:
                image.visible = visible
        self._visible = {}

    def _move(self) -> None:
        """Draw the line where the slider is, between the edges of the view."""
        if self._after is None:
            return
        left, right = self._seen()
        column = left + (right - left) * self.line.value() / _STEPS
        for level in self._levels:
            size = level.shape[-1] / self._levels[0].shape[-1]
            level.column, level.width = column * size, (right - left) * size * _LINE
            level.edge = self._after.contrast_limits[1]
        self._after.refresh(extent=False, thumbnail=False, highlight=False)

    def _seen(self) -> tuple[float, float]:
        """Return the first and the last column that the view shows, in pixels of the image."""
        shown = self._levels[self._after.data_level if self._after.multiscale else 0]
        first, last = self._after.corner_pixels[:, -1]
        whole = self._levels[0].shape[-1]
        if last <= first:  # nothing has been drawn yet
            return 0.0, float(whole)
        return first * whole / shown.shape[-1], last * whole / shown.shape[-1]

    def _match(self) -> None:
        """Give the right image its own contrast, or that of the left one."""
        chosen = self._chosen()
        if self._after is not None and chosen is not None:
            before, after = chosen
            self._after.contrast_limits = (before if self.same.isChecked() else after).contrast_limits
            self._move()

    def _on_blink(self, on: bool) -> None:
        """Show both by turns, over the whole view; or the line again."""
        self.line.setEnabled(not on)
        if on:
            self._blinking.start()
        else:
            self._blinking.stop()
            self._move()
            if self._after is not None:
                self._after.visible = True

    def _turn(self) -> None:
        """Show the other one of the two."""
        if self._after is None:
            return
        for level in self._levels:
            level.column = -math.inf
        self._after.visible = not self._after.visible
        self._after.refresh(extent=False, thumbnail=False, highlight=False)
