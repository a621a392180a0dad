"""What happens between a click and its result: the run's news become layers, progress and a last word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_plugin.live_layers import LiveLayers
from napari_plugin.restore_controls import Controls
from napari_plugin.running import (
    Advanced,
    Began,
    Failed,
    Finished,
    News,
    Running,
    UnitDone,
    UnitSeen,
    line_of,
)
from napari_plugin.words import duration_text
from napari_plugin.workers import notify_error, start_run

if TYPE_CHECKING:
    import napari

    from napari_plugin.placement import Placement
    from napari_plugin.region import Region

__all__ = ["Session", "Target"]


@dataclass(frozen=True)
class Target:
    """Where results are shown, and how.

    Parameters
    ----------
    name : str
        What the layers' names begin with.
    placement : Placement, optional
        Of the layer that is restored; without it a result lies where its store says.
    region : Region, optional
        Of that layer.
    contrast : (float, float), optional
        Of that layer.
    """

    name: str
    placement: Placement | None = None
    region: Region | None = None
    contrast: tuple[float, float] | None = None

    def place(self, dims: tuple[str, ...]) -> Mapping[str, Any]:
        """Return how napari is told where a layer with some axes lies."""
        return {} if self.placement is None else self.placement.options(dims, self.region)


class Session(QObject):
    """One restoration after the other in a viewer, each heard of from its begin to its end.

    Parameters
    ----------
    viewer : napari.Viewer
        Where results are shown.
    controls : Controls
        Where it is said how far it is.
    ended : callable
        Called after the end of each.
    parent : QObject
        Without it nothing is heard any more.
    """

    def __init__(
        self, viewer: napari.Viewer, controls: Controls, ended: Callable[[], None], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer, self._controls, self._ended = viewer, controls, ended
        self._running: Running | None = None
        self._live: LiveLayers | None = None
        self._kept: LiveLayers | None = None
        self._preview: Any = None
        self._target = Target("")
        self._output: Path | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being restored."""
        return self._running is not None

    def start(self, work: Callable[..., Any], target: Target, output: Path | None = None) -> None:
        """Start a preview, or with an output a run.

        Parameters
        ----------
        work : callable
            Called in a thread with ``on_start`` and ``callback`` of `blinddps_sci.restore`.
        target : Target
            How the result is shown.
        output : Path, optional
            The store that is filled.
        """
        if output is not None and self._kept is not None:
            self._kept.remove()
            self._kept = None
        self._target, self._output, self._live, self._preview = target, output, None, None
        self._running = Running(work, output)
        self._controls.show_progress(None)
        self._controls.say("Preparing…")
        start_run(self._running, self._hear)

    def cancel(self) -> None:
        """End it within one step; a run can go on later."""
        if self._running is not None:
            self._running.cancel()
            self._controls.say("Stopping…")

    def _hear(self, news: News) -> None:
        if isinstance(news, Advanced):
            self._controls.show_progress(news)
        elif isinstance(news, Began):
            if news.store is not None:
                self._begin(news.store)
        elif isinstance(news, UnitDone | UnitSeen):
            if self._live is not None:
                self._live.hear(news)
            elif isinstance(news, UnitSeen):
                self._show_preview(news.values, ("y", "x"))
        else:
            self._end(news)

    def _begin(self, path: Path) -> None:
        """Show what a store becomes, in place of what it was."""
        for layer in [layer for layer in self._viewer.layers if layer.metadata.get("path") == str(path)]:
            self._viewer.layers.remove(layer)
        place = self._target.place
        if self._target.placement is None:
            from blinddps_sci import open_result
            from napari_plugin.result_space import space_of

            place = space_of(open_result(path)).options
        self._live = LiveLayers(self._viewer, path, place, self._target.contrast, self)

    def _end(self, news: News) -> None:
        self._running = None
        self._controls.show_progress(None)
        if isinstance(news, Finished):
            try:
                self._controls.say(self._show(news))
            except Exception as error:  # the run is done; what cannot be shown must not lock the panel
                self._controls.say("Done, but it cannot be shown.")
                notify_error(line_of(error))
        elif isinstance(news, Failed):
            self._controls.say("Failed.")
            notify_error(news.message)
        else:
            kept = "" if self._output is None else " What is done is kept; Resume goes on with it."
            self._controls.say(f"Stopped.{kept}")
        if not isinstance(news, Finished):
            self._leave()
        self._ended()

    def _leave(self) -> None:
        """Keep what is done of a run, and nothing of a preview, whose estimate was on its way."""
        if self._live is not None:
            self._live.settle()
            self._kept = self._live
        if self._preview is not None and self._preview in self._viewer.layers:
            self._viewer.layers.remove(self._preview)

    def _show(self, news: Finished) -> str:
        """Make layers of a result and return what is said of it."""
        took = duration_text(news.seconds)
        if self._output is None:
            image = news.result["image"]
            # Without the axes of which it has one position.
            image = image.squeeze([dim for dim in image.dims[:-2] if image.sizes[dim] == 1], drop=True)
            self._show_preview(image.values, tuple(map(str, image.dims)), image.attrs.get("units", ""))
            return f"Preview in {news.seconds:.1f} s"
        if self._live is not None:
            self._live.remove()
            self._live = None
        self._show_result(self._output)
        lost = f" {len(news.lost)} units were given up." if news.lost else ""
        return f"Done in {took}.{lost} {self._output.name}"

    def _show_preview(self, values: Any, dims: tuple[str, ...], unit: str = "") -> None:
        """Show the image of a preview, or what the sampler thinks of it: a preview is one unit."""
        name = f"{self._target.name} preview"
        if name in self._viewer.layers:
            layer = self._viewer.layers[name]
            if layer.data.shape == values.shape and layer is self._preview:
                layer.data, layer.metadata = values, {"unit": unit}
                return
            self._viewer.layers.remove(name)
        self._preview = self._viewer.add_image(
            values,
            name=name,
            colormap="gray",
            contrast_limits=self._target.contrast,
            metadata={"unit": unit},
            **self._target.place(dims),
        )

    def _show_result(self, path: Path) -> None:
        """Open the result as anybody would, but where its input lies."""
        from napari.layers import Layer

        from napari_plugin.reader import read_result

        for data, options, kind in read_result(path):
            labels = tuple(options.get("axis_labels", ()))
            placement = self._target.placement
            if placement is not None and labels and set(labels) <= set(placement.dims):
                options = {**options, **self._target.place(labels)}
            if kind == "image" and self._target.contrast and options["name"].endswith("restored"):
                options = {**options, "contrast_limits": self._target.contrast}
            self._viewer.add_layer(Layer.create(data, options, kind))
