"""The PSF panel: a click on a restored image shows the point-spread function of the tile that was hit.

It reads the store that the selected layer was made from, so that any layer of a result will do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from blinddps_sci.errors import BlindDpsError
from napari_plugin.psf_picture import STRETCHES, NodePsf, describe, draw, read_node
from napari_plugin.reader import get_reader, read_result
from napari_plugin.result_space import ResultSpace, space_of

if TYPE_CHECKING:
    import napari
    from qtpy.QtGui import QHideEvent, QShowEvent

__all__ = ["PsfPanel"]

_HINT = "Select a layer of a result\nand click on the image."
_MARK = "#ffb000"
_DRAG = 4.0
_UNREADABLE = (BlindDpsError, OSError, ValueError, LookupError)
_AXES = {"t": "frame", "c": "channel", "z": "slice"}
_FEATURES = {"FWHM": "fwhm", "ellipticity": "ellipticity", "chi-squared": "chi2"}


class PsfPanel(QWidget):
    """Show the PSF of a tile.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Whose layers are looked at. The panel listens to it while it is shown.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        super().__init__()
        self._viewer = napari_viewer
        self._layer: Any = None
        self._store: Any = None
        self._space: ResultSpace | None = None
        self._mark: Any = None
        self.psf: NodePsf | None = None
        self.row, self.column = QSpinBox(), QSpinBox()
        self.stretch = QComboBox()
        self.stretch.addItems(STRETCHES)
        self.feature = QComboBox()
        self.feature.addItems(_FEATURES)
        self.feature.setToolTip("What the points of the PSF nodes are coloured by, from dark to light")
        self.limits = QLabel()
        self.text = QLabel(_HINT)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)  # never cut off
        self.sliders: dict[str, QSlider] = {}
        self._planes = QFormLayout()
        canvas_of: Any = FigureCanvasQTAgg
        self.canvas: Any = canvas_of(Figure(figsize=(3.4, 6)))
        self.canvas.setMinimumSize(300, 400)
        self.canvas.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        # Several changes at once, or many from a slider that is dragged, are drawn once.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(20)
        self._later.timeout.connect(self._show_psf)
        self._lay_out()
        for box in (self.row, self.column):
            box.valueChanged.connect(self._later.start)
        self.stretch.currentTextChanged.connect(self._later.start)
        self.feature.currentTextChanged.connect(self._colour_nodes)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        for label, box in (("row", self.row), ("column", self.column)):
            top.addWidget(QLabel(label))
            top.addWidget(box, stretch=1)
        scale = QFormLayout()
        scale.addRow("scale", self.stretch)
        colours = QHBoxLayout()
        colours.addWidget(self.feature)
        colours.addWidget(self.limits, stretch=1)
        scale.addRow("nodes by", colours)
        layout = QVBoxLayout(self)
        for part in (top, self._planes, scale):
            layout.addLayout(part)
        layout.addWidget(self.text)
        layout.addWidget(self.canvas, stretch=1)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Begin to listen to the viewer."""
        super().showEvent(event)
        if self._on_press not in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.append(self._on_press)
            self._viewer.layers.selection.events.active.connect(self._on_layers)
            self._viewer.layers.events.inserted.connect(self._on_layers)
            self._viewer.dims.events.current_step.connect(self._on_dims)
        self._on_layers()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Stop listening, and take the mark away: closed, or behind another panel."""
        super().hideEvent(event)
        if self._on_press in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_press)
            self._viewer.layers.selection.events.active.disconnect(self._on_layers)
            self._viewer.layers.events.inserted.disconnect(self._on_layers)
            self._viewer.dims.events.current_step.disconnect(self._on_dims)
        self._later.stop()
        if self._mark is not None and self._mark in self._viewer.layers:
            self._viewer.layers.remove(self._mark)
        self._mark = None

    def select(self, row: int, column: int) -> None:
        """Choose a tile by its row and column in the grid of nodes."""
        self.row.setValue(row)
        self.column.setValue(column)
        self._later.start()

    def _on_layers(self, event: Any = None) -> None:
        """Turn to the selected layer's result; if it has none, keep the one there is, or take any."""
        active = self._viewer.layers.selection.active
        if _is_of_a_result(active):
            self._open(active)
        elif self._layer is None or self._layer not in self._viewer.layers:
            found = [layer for layer in self._viewer.layers if _is_of_a_result(layer)]
            if found:
                self._open(found[0])

    def _open(self, layer: Any) -> None:
        """Read where the parts of a layer's result lie."""
        from blinddps_sci import open_result

        path = layer.metadata["path"]
        if self._space is not None and all(
            self._space.metadata[key] == layer.metadata.get(key) for key in ("path", "fingerprint")
        ):
            self._layer = layer
            self._colour_nodes()
            return
        try:
            store = open_result(path)
            self._space = self._placed(space_of(store))
        except _UNREADABLE as error:
            _complain(path, error)
            return
        self._layer, self._store = layer, store
        for box, count in zip((self.row, self.column), self._space.grid, strict=True):
            box.setMaximum(count - 1)
            box.setValue((count - 1) // 2)
        while self._planes.rowCount():
            self._planes.removeRow(0)
        self.sliders = {}
        for dim in self._space.plane_dims:
            if self._space.sizes[dim] > 1:
                slider = QSlider(Qt.Orientation.Horizontal)
                slider.setMaximum(self._space.sizes[dim] - 1)
                slider.valueChanged.connect(self._on_slider)
                self.sliders[dim] = slider
                self._planes.addRow(_AXES[dim], slider)
        self._on_dims()
        self._colour_nodes()
        self._later.start()

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        """Tell a click from a drag, and leave those to layers that are being edited."""
        active = viewer.layers.selection.active
        start = [float(value) for value in event.pos]
        yield
        far = False
        while event.type == "mouse_move":
            far = far or max(abs(a - b) for a, b in zip(event.pos, start, strict=True)) > _DRAG
            yield
        if not far and viewer.dims.ndisplay == 2 and getattr(active, "mode", "pan_zoom") == "pan_zoom":
            self._on_click(event.position)

    def _on_click(self, position: Any) -> None:
        """Choose the tile at a point of the world."""
        if self._space is None or self._layer is None:
            return
        y, x = self._layer.world_to_data(position)[-2:]
        node = self._space.node_at(float(y), float(x))
        if node is not None:
            self.select(*node)

    def _on_dims(self, event: Any = None) -> None:
        """Follow the frame, channel and slice that the viewer shows."""
        if self._space is None:
            return
        plane = self._space.plane_at(self._viewer.dims.point)
        for dim, index in zip(self._space.plane_dims, plane, strict=True):
            if dim in self.sliders:
                self.sliders[dim].blockSignals(True)
                self.sliders[dim].setValue(index)
                self.sliders[dim].blockSignals(False)
        self._later.start()

    def _on_slider(self, index: int) -> None:
        """Show in the viewer what is chosen in the panel, if it has the axis."""
        if self._space is not None:
            dim = next(name for name, slider in self.sliders.items() if slider is self.sender())
            axis = self._viewer.dims.ndim - len(self._space.sizes) + list(self._space.sizes).index(dim)
            if axis >= 0:
                point = self._space.origin[dim] + index * self._space.scale[dim]
                self._viewer.dims.set_point(axis, point)
        self._later.start()

    def _own_layers(self, space: ResultSpace) -> list[Any]:
        """Return the viewer's layers of a result."""
        return [layer for layer in self._viewer.layers if layer.metadata.get("path") == space.path]

    def _placed(self, space: ResultSpace) -> ResultSpace:
        """Return a result's space with planes where the viewer has them; a store knows no steps in time."""
        for layer in self._own_layers(space):
            if layer.ndim == len(space.sizes):
                scale, origin = (
                    {dim: float(value) for dim, value in zip(space.plane_dims, values, strict=False)}
                    for values in (layer.scale, layer.translate)
                )
                return replace(space, scale={**space.scale, **scale}, origin={**space.origin, **origin})
        return space

    def _colour_nodes(self, text: str = "") -> None:
        """Colour the points at the nodes by what is chosen, and say from which value to which."""
        import numpy as np

        if self._space is None:
            return
        name = _FEATURES[self.feature.currentText()]
        for layer in self._own_layers(self._space):
            if layer._type_string == "points" and name in layer.features:
                values = layer.features[name].to_numpy()
                known = values[np.isfinite(values)]
                low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
                layer.face_color = name
                layer.face_contrast_limits = (low, high if high > low else low + 1.0)
                layer.refresh_colors(update_color_mapping=False)
                self.limits.setText(f"{low:.2f} to {high:.2f}")

    def _show_psf(self) -> None:
        """Read, describe, draw and mark the chosen tile."""
        if self._space is None or not self.isVisible():
            return
        node = (self.row.value(), self.column.value())
        plane = tuple(
            self.sliders[dim].value() if dim in self.sliders else 0 for dim in self._space.plane_dims
        )
        try:
            self.psf = read_node(self._store, self._space, node, plane)
        except _UNREADABLE as error:
            _complain(self._space.path, error)
            return
        words = describe(self.psf, [_AXES[dim] for dim in self._space.plane_dims])
        rows = "".join(
            f"<tr><td>{what}&nbsp;&nbsp;</td><td><b>{value}</b></td></tr>" for what, value in words
        )
        self.text.setText(f"<table>{rows}</table>")
        draw(self.canvas.figure, self.psf, self.stretch.currentText(), self._colours())
        self.canvas.draw_idle()
        self._mark_tile(node)

    def _mark_tile(self, node: tuple[int, int]) -> None:
        """Draw a frame around the tile."""
        if self._space is None or self._layer is None:
            return
        corners = self._space.cell(*node)
        if self._mark is not None and self._mark in self._viewer.layers:
            self._mark.data = [corners]
            return
        selected = self._viewer.layers.selection.active
        height, width = self._space.sizes["y"], self._space.sizes["x"]
        self._mark = self._viewer.add_shapes(
            [corners],
            shape_type="polygon",
            name="PSF tile",
            scale=self._layer.scale[-2:],
            translate=self._layer.translate[-2:],
            units=self._layer.units[-2:],
            axis_labels=("y", "x"),
            edge_color=_MARK,
            face_color="transparent",
            edge_width=max(height, width) / 150.0,
        )
        self._viewer.layers.selection.active = selected

    def _colours(self) -> dict[str, str]:
        """Colours of the viewer's theme."""
        from napari.utils.theme import get_theme

        theme = get_theme(self._viewer.theme)
        return {"background": theme.background.as_hex(), "text": theme.text.as_hex(), "mark": _MARK}


def _complain(path: str, error: Exception) -> None:
    """Tell the user."""
    from napari.utils.notifications import show_error

    show_error(f"the PSFs of {path} cannot be read: {error}")


def _is_of_a_result(layer: Any) -> bool:
    """Whether a layer was made from a result that is still there."""
    path = getattr(layer, "metadata", {}).get("path")
    return isinstance(path, str) and get_reader(path) is read_result
