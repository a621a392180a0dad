"""The lower part of the restore panel: where the result goes, what it costs, the buttons, the progress."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_plugin.controller import Estimate
from napari_plugin.restore_form import tool_button
from napari_plugin.running import Advanced
from napari_plugin.words import bytes_text, duration_text

__all__ = ["Controls", "Output"]

_PHASES = {"estimate": "estimating PSFs", "restore": "restoring", "blend": "blending"}
_PARTS = 1000


class Output(QWidget):
    """Where the result goes; what is suggested is shown in grey.

    Parameters
    ----------
    changed : callable
        Called after every change.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setToolTip("Result store, a folder NAME.zarr (--output); empty: the name in grey")
        self.replace = QCheckBox("Replace an existing result")
        self.replace.setToolTip("Whether a result of that name may be replaced (--overwrite)")
        browse = tool_button("…")
        browse.setToolTip("Choose where the result goes")
        browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.line, 1)
        row.addWidget(browse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.replace)
        self.line.textChanged.connect(lambda _: changed())
        self.replace.toggled.connect(lambda _: changed())

    @property
    def path(self) -> Path | None:
        """What was written, or suggested; None if there is neither."""
        text = self.line.text().strip() or self.line.placeholderText()
        return Path(text).expanduser().absolute() if text else None

    @property
    def chosen(self) -> bool:
        """Whether it was written, and not only suggested."""
        return bool(self.line.text().strip())

    def suggest(self, path: Path | None) -> None:
        """Show a name that is taken if none is written."""
        self.line.setPlaceholderText("" if path is None else str(path))

    def _browse(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Result", str(self.path or ""), "Zarr (*.zarr)")
        if path:
            self.line.setText(path if path.endswith(".zarr") else f"{path}.zarr")


class Controls(QWidget):
    """Estimate, buttons and progress."""

    def __init__(self) -> None:
        super().__init__()
        self.estimate, self.status = _lines("estimate"), _lines("status")
        self.preview = _button("Preview", "Restore what is seen, fast and at most 192 pixels wide")
        self.run = _button("Run", "Restore all of it into the result store")
        self.cancel = _button("Cancel", "Stop within one step; what is done is kept")
        self.resume = _button("Resume", "Go on with the run in the result store")
        self.copy = _button("Copy command", "Copy the command line that does the same")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        # Never of unknown length: drawn without a graphics card, what moves takes half a core from the run.
        self.bar.setRange(0, _PARTS)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.estimate, 0, 0, 1, 2)
        for number, button in enumerate((self.preview, self.run, self.cancel, self.resume)):
            layout.addWidget(button, 1 + number // 2, number % 2)
        layout.addWidget(self.bar, 3, 0, 1, 2)
        layout.addWidget(self.status, 4, 0, 1, 2)
        layout.addWidget(self.copy, 5, 0, 1, 2)

    def allow(self, *, ready: bool, busy: bool, resumable: bool) -> None:
        """Enable what can be done now."""
        for button in (self.preview, self.run, self.copy):
            button.setEnabled(ready and not busy)
        self.cancel.setEnabled(busy)
        self.resume.setEnabled(resumable and not busy)

    def say(self, text: str) -> None:
        """Show one line about what is going on."""
        self.status.setText(text)

    def show_progress(self, news: Advanced | None) -> None:
        """Show how far it is, and when it will be done; None as long as nothing is known."""
        self.bar.setValue(0 if news is None else round(_PARTS * news.part))
        if news is None:
            return
        unit = f", unit {news.unit + 1} of {news.units}" if news.units > 1 else ""
        step = f", step {news.step} of {news.steps}" if news.steps else ""
        left = "" if news.left is None else f", {duration_text(news.left)} left"
        self.say(f"{round(100 * news.part)} % · {_PHASES[news.phase]}{unit}{step}{left}")

    def show_estimate_begun(self) -> None:
        """Say that an estimate is made, unless an earlier one is shown."""
        if "<b>" not in self.estimate.text():
            self.estimate.setText("Estimating…")

    def show_estimate(self, found: Estimate | str, preview: tuple[int, int] | None) -> None:
        """Show what a run and a preview would take, or why there would be none."""
        if isinstance(found, str):
            self.estimate.setText(found)
            return

        def time(seconds: float | None) -> str:
            return "time unknown" if seconds is None else f"≈ {duration_text(max(seconds, 1.0))}"

        counts = ((found.units, "unit"), (found.tiles, "tile"))
        parts = ", ".join(f"{n} {word}{'s' if n > 1 else ''}" for n, word in counts)
        lines = [
            f"<b>Run</b>: {time(found.seconds)}",
            f"{parts}; {bytes_text(found.memory)} memory",
            f"Noise: {found.noise}",
        ]
        if preview is not None:
            lines.insert(0, f"<b>Preview</b>, {preview[0]} × {preview[1]} px: {time(found.preview)}")
        self.estimate.setText("<br>".join(lines))


def _lines(name: str) -> QLabel:
    """Return a label that breaks its lines and does not widen the panel."""
    label = QLabel()
    label.setObjectName(name)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    label.setMinimumHeight(2 * label.fontMetrics().lineSpacing())  # so that buttons stay where they are
    return label


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
