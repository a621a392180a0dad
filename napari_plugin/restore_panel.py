"""The restore panel: choose what, see what it would do, run it, watch it arrive, stop it, go on.

The panel reads what is filled in and says who does it: `napari_plugin.controller`, in threads of its own,
told about by `napari_plugin.restore_session`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QApplication, QFrame, QScrollArea, QVBoxLayout, QWidget

from blinddps_sci.errors import BlindDpsError, ConfigError
from napari_plugin.command import Request, changed_options, free_output
from napari_plugin.controller import Controller, Estimate, is_resumable
from napari_plugin.layer_source import CALIBRATION, likely_path, source_of
from napari_plugin.placement import Placement
from napari_plugin.region import Region, sides
from napari_plugin.restore_controls import Controls, Output
from napari_plugin.restore_form import RestoreForm
from napari_plugin.restore_input import InputChoice
from napari_plugin.restore_session import Session, Target
from napari_plugin.workers import Task, notify_error

if TYPE_CHECKING:
    import napari

__all__ = ["RestorePanel"]

_PATIENCE = 400
"""Milliseconds without a change after which an estimate is made."""

_NARROWEST = 310
"""Pixels in which all fields, and a bar to scroll them, have room."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is filled in, read in the window's thread; `request` takes its time, and is for others."""

    layer: Any
    chosen: Mapping[str, int]
    shown: Mapping[str, int]
    region: Region | None
    preview: Region
    values: Mapping[str, Any]
    output: Path
    overwrite: bool

    def request(self) -> Request:
        """Return it as the library takes it.

        Raises
        ------
        BlindDpsError
            If it makes no sense; the message says why.
        """
        if self.output.suffix != ".zarr":
            raise ConfigError(
                f"{self.output.name} is no NAME.zarr: a run fills a store; save its layers afterwards"
            )
        options = changed_options(self.values)
        calibration = {name: options.pop(name) for name in CALIBRATION if name in options}
        source = source_of(self.layer, self.chosen, calibration)
        return Request(source, options, self.output, self.region, self.overwrite)

    def target(self, region: Region | None) -> Target:
        """Return where and how a result of a region is shown."""
        low, high = self.layer.contrast_limits
        return Target(self.layer.name, Placement.of(self.layer), region, (float(low), float(high)))


class RestorePanel(QWidget):
    """Restores an image layer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose layers are restored, and which shows the results.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self._controller = Controller()
        self._complete = self._estimating = self._outdated = self._docked = False
        self._suggested: Path | None = None
        self._targets: dict[Path, Target] = {}
        self._estimate_soon = QTimer(self)
        self._estimate_soon.setSingleShot(True)
        self._estimate_soon.setInterval(_PATIENCE)
        self._estimate_soon.timeout.connect(self._estimate)
        self.input = InputChoice(napari_viewer, self._changed)
        self.form, self.output = RestoreForm(self._changed), Output(self._changed)
        self.controls = Controls()
        self.session = Session(napari_viewer, self.controls, self._ended, self)
        self._complete = True
        self._lay_out()
        self.form.estimate_noise.clicked.connect(self._measure_noise)
        for button, act in (
            (self.controls.preview, self._preview),
            (self.controls.run, self._run),
            (self.controls.cancel, self._cancel),
            (self.controls.resume, self._resume),
            (self.controls.copy, self._copy),
        ):
            button.clicked.connect(act)
        self._changed()

    def event(self, event: QEvent | None) -> bool:
        """Stop and be quiet when the panel is closed: it is taken out of its dock then."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self._docked and self.parent() is None:
                self._complete = False
                self._estimate_soon.stop()
                self.input.stop_listening()
                self.session.cancel()
                self._controller.stop_measuring()
            elif not self._docked and not self._complete:  # it is shown again
                self._complete = True
                self.input.listen()
            self._docked = self.parent() is not None
        return bool(super().event(event))

    def _lay_out(self) -> None:
        """Put what is filled in above what is done, in a part that scrolls where there is no room."""
        inside = QWidget()
        above = QVBoxLayout(inside)
        above.setContentsMargins(0, 0, 4, 0)
        above.setSpacing(4)
        for part in (self.input, self.form, self.output):
            above.addWidget(part)
        above.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(scroll, 1)
        layout.addWidget(self.controls)
        self.setMinimumWidth(_NARROWEST)

    # --- what is filled in ---

    def _ask(self) -> _Asked:
        """Read the fields.

        Raises
        ------
        BlindDpsError
            If there is no layer that can be restored, or the region covers too little of it.
        """
        layer = self.input.layer()
        shown = self.input.shown()  # refuses what is no image
        return _Asked(
            layer=layer,
            chosen=self.input.chosen(),
            shown=shown,
            region=self.input.region(),
            preview=self.input.preview_region(),
            values=self.form.values(),
            output=self.output.path or free_output(layer.name, likely_path(layer)),
            overwrite=self.output.replace.isChecked(),
        )

    def _ask_or_say(self) -> _Asked | None:
        try:
            return self._ask()
        except BlindDpsError as error:
            notify_error(str(error))
            return None

    def _changed(self) -> None:
        """Suggest an output, enable what can be done, and make a new estimate soon."""
        if not self._complete:
            return
        try:
            layer = self.input.layer()
            self.output.suggest(free_output(layer.name, likely_path(layer)))
        except BlindDpsError:
            self.output.suggest(None)
        self._allow()
        self._estimate_soon.start()

    def _allow(self) -> None:
        path, busy = self.output.path, self.session.busy
        self.controls.allow(
            ready=bool(self.input.layer_box.currentText()),
            busy=busy,
            # To look into a store loads the library: not for a name that is only suggested.
            resumable=path is not None and self.output.chosen and path.is_dir() and is_resumable(path),
        )
        for part in (self.input, self.form, self.output):
            part.setEnabled(not busy)

    # --- estimates, in threads ---

    def _estimate(self) -> None:
        """Find out what a run would take."""
        if self.session.busy or not self._complete:
            return
        if self._estimating:
            self._outdated = True
            return
        try:
            asked = self._ask()
        except BlindDpsError as error:
            self.controls.show_estimate(str(error), None)
            return
        self._estimating, self._outdated = True, False
        self.controls.show_estimate_begun()
        self._controller.start_measuring()

        def work() -> tuple[Estimate, tuple[int, int]]:
            found = self._controller.estimate(asked.request(), asked.shown, asked.preview)
            return found, sides(asked.preview)

        Task(
            work,
            lambda found: self._estimated(*found),
            lambda why: self._estimated(why, None),
            self,
            self._controller.stop_measuring,
        )

    def _estimated(self, found: Estimate | str, preview: tuple[int, int] | None) -> None:
        self._estimating = False
        self.controls.show_estimate(found, preview)
        if self._outdated:
            self._estimate()

    def _measure_noise(self) -> None:
        """Measure the noise of the data and write it down as if it were given."""
        self.form.set_value("noise", "auto")
        asked = self._ask_or_say()
        if asked is not None:
            Task(
                lambda: self._controller.noise(asked.request()),
                lambda noise: self.form.set_value("noise", noise),
                notify_error,
                self,
            )

    # --- buttons ---

    def _preview(self) -> None:
        asked = self._ask_or_say()
        if asked is None:
            return

        def work(**watch: Any) -> Any:
            return self._controller.preview(asked.request(), asked.shown, asked.preview, **watch)

        self._start(work, asked.target(asked.preview))

    def _run(self) -> None:
        asked = self._ask_or_say()
        if asked is None:
            return

        def work(**watch: Any) -> Any:
            return self._controller.run(asked.request(), **watch)

        self._targets[asked.output] = asked.target(asked.region)
        self._start(work, self._targets[asked.output], asked.output)

    def _resume(self) -> None:
        output, values = self.output.path, self.form.values()
        if output is None:
            return

        def work(**watch: Any) -> Any:
            return self._controller.resume(output, changed_options(values), **watch)

        # A run of an earlier session lies where its store says.
        self._start(work, self._targets.get(output, Target(output.stem)), output)

    def _start(self, work: Any, target: Target, output: Path | None = None) -> None:
        if output is not None:
            if not self.output.chosen:
                self._suggested = output
            self.output.line.setText(str(output))  # what is suggested would be another one next time
        self._estimate_soon.stop()
        self.session.start(work, target, output)
        self._allow()

    def _ended(self) -> None:
        """Suggest a name again for another run, if the last one took what was suggested and is complete."""
        path = self.output.path
        if path is not None and path == self._suggested and path.is_dir() and not is_resumable(path):
            self._suggested = None
            self.output.line.clear()
        self._changed()

    def _cancel(self) -> None:
        self.session.cancel()
        self.controls.cancel.setEnabled(False)

    def _copy(self) -> None:
        """Put the command into the clipboard, and its input where it will look for it."""
        asked = self._ask_or_say()
        if asked is None:
            return

        def work() -> str:
            request = asked.request()
            self._controller.write_input(request)
            return request.command

        Task(work, self._copied, notify_error, self)

    def _copied(self, command: str) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(command)
        self.controls.say(f"Copied: {command}")
