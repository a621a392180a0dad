"""The layers of a run at work: made when it begins, refreshed now and then, given up when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_plugin.live_result import LiveImage
from napari_plugin.running import UnitDone, UnitSeen

if TYPE_CHECKING:
    import napari

__all__ = ["LiveLayers"]

_REFRESH = 250
"""Milliseconds between two refreshes."""

Place = Callable[[tuple[str, ...]], Mapping[str, Any]]
"""From axes to where napari puts a layer with them."""


class LiveLayers(QObject):
    """Restored image and standard deviation of a running store in a viewer.

    Parameters
    ----------
    viewer : napari.Viewer
        Where.
    path : Path
        The store.
    place : callable
        Returns scale, units... of a layer with some axes.
    contrast : (float, float), optional
        What is shown black and white in the image.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        path: Path,
        place: Place,
        contrast: tuple[float, float] | None,
        parent: QObject | None = None,
    ) -> None:
        from blinddps_sci import open_result

        super().__init__(parent)
        store = open_result(path)
        self._viewer, self._contrast = viewer, contrast
        self._images = {name: LiveImage(store, name) for name in ("image", "std")}
        self._seen: dict[tuple[Any, ...], UnitSeen] = {}
        self._stale = False
        shared = {**place(store.dims), "metadata": {"unit": store.attrs.get("unit", "")}, "colormap": "gray"}
        titles = {"image": "restored (running)", "std": "standard deviation (running)"}
        self.layers = {
            name: viewer.add_image(
                live.data,
                name=f"{path.stem} {titles[name]}",
                multiscale=len(live.levels) > 1,
                contrast_limits=contrast if name == "image" and contrast else (0.0, 1.0),
                visible=name == "image",
                **shared,
            )
            for name, live in self._images.items()
        }
        viewer.layers.selection.active = self.layers["image"]
        self._unknown = {"std"} if contrast else {"image", "std"}
        self._timer = QTimer(self)
        self._timer.setInterval(_REFRESH)
        self._timer.timeout.connect(self._refresh)
        self._timer.start()

    def hear(self, news: UnitDone | UnitSeen) -> None:
        """Show a unit: what it is, or what it may become."""
        key = (*news.index.items(), news.y.start, news.x.start)
        if isinstance(news, UnitSeen):
            self._seen[key] = news
            self._images["image"].show(news.index, news.y, news.x, news.values)
            self._adapt("image", news.values)
        else:
            self._seen.pop(key, None)
            for name, live in self._images.items():
                self._adapt(name, live.read(news.index, news.y, news.x))
        self._stale = True

    def settle(self) -> None:
        """Keep what is in the store and nothing else: the run has ended before it was complete."""
        self._timer.stop()
        for seen in self._seen.values():
            self._images["image"].read(seen.index, seen.y, seen.x)
        self._seen.clear()
        self._stale = True
        self._refresh()

    def remove(self) -> None:
        """Take the layers away."""
        self._timer.stop()
        for layer in self.layers.values():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def _refresh(self) -> None:
        if not self._stale:
            return
        self._stale = False
        for layer in self.layers.values():
            if layer.visible and layer in self._viewer.layers:
                # Extent and thumbnail would look at all of the image.
                layer.refresh(extent=False, thumbnail=False, highlight=False)

    def _adapt(self, name: str, values: Any) -> None:
        """Choose a contrast by the first values that are there."""
        import numpy as np

        there = values[np.isfinite(values)]
        if name in self._unknown and there.size:
            self._unknown.discard(name)
            low, high = (float(value) for value in np.percentile(there, (0.5, 99.5)))
            self.layers[name].contrast_limits = (low, high if high > low else low + 1.0)
