"""The upper part of the restore panel: which layer, which of its planes, and which part of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from blinddps_sci.errors import BlindDpsError, InputError
from napari_plugin.controller import PREVIEW_LARGEST, PREVIEW_SIDE
from napari_plugin.placement import axes_of, full_resolution
from napari_plugin.region import Region, middle_of, region_of_rectangle, region_of_view, sides
from napari_plugin.restore_form import add_row, choice_box, narrow_form

if TYPE_CHECKING:
    import napari

__all__ = ["InputChoice"]

_WHOLE, _VIEW = "whole image", "current view"
_LEADING = {"t": "frame", "c": "channel", "z": "slice"}


class InputChoice(QWidget):
    """Chooses an image layer of a viewer, planes and a region; follows the viewer's layers.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    changed : callable
        Called after every change.
    """

    def __init__(self, viewer: napari.Viewer, changed: Callable[[], None]) -> None:
        super().__init__()
        self._viewer, self._changed = viewer, changed
        self._picked: Any = None
        self._shapes: Any = None
        self._seen: tuple[int, int] | None = None
        self.layer_box = choice_box(changed, "Image layer to restore")
        self.region_box = choice_box(
            self._on_region, "All of it, what the window shows, or a rectangle in a Shapes layer (--region)"
        )
        self.plane_boxes: dict[str, QComboBox] = {}
        self._form = narrow_form()
        add_row(self._form, "Layer", self.layer_box)
        for dim, word in _LEADING.items():
            box = choice_box(changed, f"Every {word}, or only the one that is shown")
            box.addItems([f"all {word}s", "the one shown"])
            self.plane_boxes[dim] = box
            add_row(self._form, f"{word.capitalize()}s", box)
        add_row(self._form, "Region", self.region_box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._form)
        self.layer_box.currentTextChanged.connect(lambda _: self._on_layer())
        self.listen()

    def layer(self) -> Any:
        """Return the chosen layer.

        Raises
        ------
        InputError
            If there is none.
        """
        name = self.layer_box.currentText()
        if name not in self._viewer.layers:
            raise InputError("there is no image layer to restore; open an image first")
        return self._viewer.layers[name]

    def shown(self) -> dict[str, int]:
        """Return which position of every axis before (y, x) the viewer shows."""
        layer = self.layer()
        dims, step = axes_of(layer), self._viewer.dims.current_step[-layer.ndim :]
        sizes = dict(zip(dims, full_resolution(layer).shape, strict=True))
        # Of the step of a viewer whose layers have other extents, the layer may not have so many.
        return {d: min(int(at), sizes[d] - 1) for d, at in zip(dims, step, strict=True) if d in _LEADING}

    def chosen(self) -> dict[str, int]:
        """Return the positions of the axes of which only the one that is shown is to be restored."""
        return {dim: at for dim, at in self.shown().items() if self.plane_boxes[dim].currentIndex() == 1}

    def region(self) -> Region | None:
        """Return the chosen region; None for the whole image.

        Raises
        ------
        InputError
            If the rectangle or the view shows too little of it.
        """
        layer, text = self.layer(), self.region_box.currentText()
        if text == _WHOLE:
            return None
        if text == _VIEW:
            return region_of_view(layer)
        return region_of_rectangle(layer, self._viewer.layers[text])

    def preview_region(self) -> Region:
        """Return what a preview restores: the rectangle, or the middle of what is seen.

        Raises
        ------
        InputError
            As `region`.
        """
        drawn = self.region_box.currentText() not in (_WHOLE, _VIEW)
        region = self.region() if drawn else None
        if region is not None:
            return middle_of(region, PREVIEW_LARGEST)
        return middle_of(region_of_view(self.layer()), PREVIEW_SIDE)

    def listen(self) -> None:
        """Follow the viewer's layers, the chosen rectangle and the view."""
        for event, heard in self._signals():
            event.connect(heard)
        self._list_layers()

    def stop_listening(self) -> None:
        """Hear no more of the viewer."""
        for event, heard in self._signals():
            event.disconnect(heard)
        self._follow_shapes(None)

    def _signals(self) -> list[tuple[Any, Callable[..., None]]]:
        """Return what is listened to, and who hears it."""
        layers, camera = self._viewer.layers.events, self._viewer.scene.camera.events
        listed = [(event, self._list_layers) for event in (layers.inserted, layers.removed, layers.renamed)]
        return [*listed, *((event, self._on_view) for event in (camera.zoom, camera.center))]

    def _on_region(self) -> None:
        """Follow the layer of the rectangle that is chosen."""
        text = self.region_box.currentText()
        drawn = text not in (_WHOLE, _VIEW) and text in self._viewer.layers
        self._follow_shapes(self._viewer.layers[text] if drawn else None)
        self._changed()

    def _follow_shapes(self, layer: Any) -> None:
        if layer is self._shapes:
            return
        if self._shapes is not None:
            self._shapes.events.data.disconnect(self._on_shape)
        if layer is not None:
            layer.events.data.connect(self._on_shape)
        self._shapes = layer

    def _on_shape(self, event: Any = None) -> None:
        self._changed()

    def _on_view(self, event: Any = None) -> None:
        """Tell of a view that is restored, or in which a preview has another size."""
        try:
            seen = sides(self.preview_region())
        except BlindDpsError:
            seen = None
        if seen != self._seen or self.region_box.currentText() == _VIEW:
            self._seen = seen
            self._changed()

    def _list_layers(self, event: Any = None) -> None:
        kinds = {layer.name: layer._type_string for layer in self._viewer.layers}
        images = [name for name, kind in kinds.items() if kind == "image"]
        shapes = [name for name, kind in kinds.items() if kind == "shapes"]
        _refill(self.layer_box, images, self._picked)
        _refill(self.region_box, [_WHOLE, _VIEW, *shapes], self._shapes)
        self._on_layer()
        self._on_region()

    def _on_layer(self) -> None:
        """Remember the layer itself, whose name may change."""
        name = self.layer_box.currentText()
        self._picked = next((layer for layer in self._viewer.layers if layer.name == name), None)
        self._show_planes()

    def _show_planes(self) -> None:
        """Show a choice for each axis that the layer has."""
        try:
            layer = self.layer()
            sizes = dict(zip(axes_of(layer), full_resolution(layer).shape, strict=True))
        except BlindDpsError:
            sizes = {}
        for dim, box in self.plane_boxes.items():
            self._form.setRowVisible(box, sizes.get(dim, 1) > 1)


def _refill(box: QComboBox, names: list[str], chosen: Any) -> None:
    """List other names and keep the choice, whatever its layer is called now, if it is still there."""
    before = box.currentText() if chosen is None else chosen.name
    box.blockSignals(True)
    box.clear()
    box.addItems(names)
    if before in names:
        box.setCurrentText(before)
    box.blockSignals(False)
