"""The options of a restoration as fields to fill in; what is left alone is left to the library.

Names, choices, limits and explanations are those of `RestoreConfig`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

__all__ = ["RestoreForm", "add_row", "choice_box", "narrow_form", "tool_button"]

_MAIN = ("model", "prior", "psf", "noise", "quality")
_TURBULENCE = ("frames", "keep", "tilt_prior", "reach")
_FILES = ("psf_file", "dark", "flat", "bad_pixels")
_ADVANCED = (
    *_TURBULENCE, "sampler", "steps", "chains", "samples", "kernel_prior", "psf_size", *_FILES,
    "tile", "overlap", "unit", "device", "precision", "seed", "workers", "scheduler", "memory_limit",
)  # fmt: skip
_NAMES = {
    "model": "Model", "prior": "Prior", "psf": "PSF varies", "noise": "Noise", "quality": "Quality",
    "frames": "Frames", "keep": "Keep", "tilt_prior": "Tilt prior", "reach": "Reach",
    "sampler": "Sampler", "steps": "Steps", "chains": "Chains", "samples": "Samples", "psf_size": "PSF size",
    "kernel_prior": "PSF prior", "psf_file": "PSF file", "dark": "Dark", "flat": "Flat",
    "bad_pixels": "Bad pixels", "tile": "Tile", "overlap": "Overlap", "unit": "Unit", "device": "Device",
    "precision": "Precision", "seed": "Seed", "workers": "Workers", "scheduler": "Scheduler",
    "memory_limit": "Memory, GiB",
}  # fmt: skip
_SUGGESTED = {
    "prior": ("generic", "astro", "micro", "unlabelled", "gaussian"),
    "kernel_prior": ("shipped", "uniform", "gaussian"),
    "tilt_prior": ("physical", "shipped", "published", "uniform"),
    "noise": ("auto", "poisson"),
}
_HINTS = {"scheduler": "tcp://address:port", "keep": "1.0", "memory_limit": "all there is"}
_NOT_WITH_TURBULENCE = ("psf", "psf_file")
_LABEL = 76
"""Pixels of the names of fields, so that the fields of all forms begin in one line."""

_UNSET = -1
"""What a number shows that is left to the library; none of the options may be negative."""


Field = QComboBox | QSpinBox | QLineEdit


class RestoreForm(QWidget):
    """Fields for the options of a restoration, the less common ones folded away.

    Parameters
    ----------
    changed : callable
        Called after every change.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__()
        self._changed, self._complete = changed, False
        self.fields: dict[str, Field] = {}
        self.estimate_noise = tool_button("Estimate")
        self.estimate_noise.setToolTip("Measure the noise of the data and write it down")
        self._more = tool_button("Advanced")
        self._more.setCheckable(True)
        self._more.setObjectName("advanced")
        self._more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._more.setAutoRaise(True)
        self._advanced = QWidget()
        main = narrow_form()
        for name in _MAIN:
            add_row(main, _NAMES[name], self._add(name))
        advanced = narrow_form(self._advanced)
        for name in _ADVANCED:
            add_row(advanced, _NAMES[name], self._add(name))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (main, self._more, self._advanced):
            layout.addLayout(part) if isinstance(part, QFormLayout) else layout.addWidget(part)
        self._more.toggled.connect(self._fold)
        self._fold(False)
        self._complete = True
        self._refresh()

    def values(self) -> dict[str, Any]:
        """Return the options that were filled in, by the names of `RestoreConfig`."""
        found = {}
        for name, field in self.fields.items():
            value: Any = _value_of(field)
            if field.isEnabled() and value not in ("", _UNSET):
                found[name] = value
        return found

    def set_value(self, name: str, value: Any) -> None:
        """Fill in one option."""
        field = self.fields[name]
        if isinstance(field, QSpinBox):
            field.setValue(int(value))
        elif isinstance(field, QComboBox):
            field.setCurrentText(str(value))
        else:
            field.setText(str(value))

    def _add(self, name: str) -> QWidget:
        """Make the field of an option and return what stands in its row."""
        from blinddps_sci.engine.config import RestoreConfig

        option = RestoreConfig.model_fields[name]
        choices = [value for value in get_args(option.annotation) if isinstance(value, str)]
        if choices:
            field: Field = choice_box(self._refresh)
        elif name in _SUGGESTED:
            choices = list(_SUGGESTED[name])
            field = choice_box(self._refresh)
            field.setEditable(True)
            field.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        elif option.annotation is int or int in get_args(option.annotation):
            field = _Number(self._refresh)
        else:
            field = QLineEdit()
            field.setPlaceholderText(_HINTS.get(name, ""))
            field.textChanged.connect(lambda _: self._refresh())
        if isinstance(field, QComboBox):
            field.addItems(choices)
            field.setCurrentText(str(option.default))
        description = str(option.description)
        field.setToolTip(f"{description[0].upper()}{description[1:]} (--{name.replace('_', '-')})")
        self.fields[name] = field
        beside = self.estimate_noise if name == "noise" else None
        if name in _FILES:
            beside = self._browse_button(name)
        return field if beside is None else _row(field, beside)

    def _browse_button(self, name: str) -> QToolButton:
        button = tool_button("…")
        button.setToolTip("Choose a file")
        button.clicked.connect(lambda: self._browse(name))
        return button

    def _browse(self, name: str) -> None:
        kinds = "*.fits *.fit *.fits.gz *.tif *.tiff" + (" *.npy" if name == "psf_file" else "")
        path, _ = QFileDialog.getOpenFileName(self, _NAMES[name], "", f"{_NAMES[name]} ({kinds})")
        if path:
            self.set_value(name, path)

    def _fold(self, shown: bool) -> None:
        self._advanced.setVisible(shown)
        self._more.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)

    def _refresh(self) -> None:
        """Show what is left to the library, and put out what does not go together."""
        from blinddps_sci.engine.config import make_config
        from blinddps_sci.errors import ConfigError

        if not self._complete:
            return
        values = self.values()
        chosen = {name: value for name, value in values.items() if name in ("model", "sampler", "quality")}
        turbulent = chosen.get("model") == "turbulence"
        for name in _NOT_WITH_TURBULENCE:
            self.fields[name].setEnabled(not turbulent)
        for name in _TURBULENCE:
            self.fields[name].setEnabled(turbulent)
        self.fields["kernel_prior"].setEnabled("psf_file" not in values)
        self.fields["workers"].setEnabled("scheduler" not in values)
        try:
            preset: Mapping[str, Any] = make_config(chosen).model_dump()
        except ConfigError:
            preset = {}
        for name, field in self.fields.items():
            if isinstance(field, _Number):
                field.set_usual(preset.get(name))
        self._changed()


def narrow_form(parent: QWidget | None = None) -> QFormLayout:
    """Return an empty form whose fields use all the width there is."""
    form = QFormLayout() if parent is None else QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setSpacing(4)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return form


def add_row(form: QFormLayout, name: str, field: QWidget) -> None:
    """Add a field with its name."""
    label = QLabel(name)
    label.setFixedWidth(_LABEL)
    form.addRow(label, field)


def choice_box(tell: Callable[[], None], tip: str = "") -> QComboBox:
    """Return a box of choices that does not widen the panel, whatever its choices are."""
    box = QComboBox()
    box.setToolTip(tip)
    box.setMinimumContentsLength(4)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.currentTextChanged.connect(lambda _: tell())
    return box


class _Number(QSpinBox):
    """A whole number that may be left to the library, whose own it shows then."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self.setRange(_UNSET, 2**31 - 1)
        self._usual: int | None = None
        self.setValue(_UNSET)
        self.valueChanged.connect(lambda _: tell())

    def set_usual(self, usual: int | None) -> None:
        """Say which number it is if it is left alone."""
        self._usual = usual
        self.setSpecialValueText("this process" if usual is None else str(usual))

    def stepBy(self, steps: int) -> None:
        """Begin with what is shown."""
        if self.value() == _UNSET:
            self.setValue((self._usual or 0) + steps)
        else:
            super().stepBy(steps)


def tool_button(text: str) -> QToolButton:
    """Return a small button."""
    button = QToolButton()
    button.setText(text)
    return button


def _value_of(field: Field) -> Any:
    if isinstance(field, QSpinBox):
        return field.value()
    return field.currentText().strip() if isinstance(field, QComboBox) else field.text().strip()


def _row(*parts: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    layout.addWidget(parts[0], 1)
    for part in parts[1:]:
        layout.addWidget(part)
    return row
