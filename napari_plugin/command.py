"""A restoration as it is asked for: its options, and the command line that does the same."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_plugin.region import region_text

if TYPE_CHECKING:
    from napari_plugin.layer_source import LayerSource
    from napari_plugin.region import Region

__all__ = ["Request", "changed_options", "free_output", "preview_options"]

_PRESET = ("model", "sampler", "quality")
_PREVIEW = {"steps": 7, "chains": 1, "samples": 2}
"""Of a preview, instead of those of `fast`: it shows the mean of draws only; three tenths of the work."""

_OF_A_RUN = ("workers", "scheduler", "steps", "chains", "samples", "memory_limit", "unit")

_UNIT = 512
"""A preview is one unit: the borders of smaller ones would be restored twice."""


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be restored, how, and where to.

    Parameters
    ----------
    layer : LayerSource
        What.
    options : mapping
        How: fields of `RestoreConfig` that differ from their defaults.
    output : Path
        Where to, ``.zarr``.
    region : Region, optional
        Which part.
    overwrite : bool
        Whether an output that exists may be replaced.
    """

    layer: LayerSource
    options: Mapping[str, Any]
    output: Path
    region: Region | None = None
    overwrite: bool = False

    @property
    def input(self) -> Path:
        """The file that is restored; of an array the one that is written for it."""
        return self.layer.path or self.output.with_name(f"{self.output.stem}.input.zarr")

    @property
    def keywords(self) -> dict[str, Any]:
        """All options of `blinddps_sci.restore` for the `input`."""
        part = {} if self.region is None else {"region": region_text(self.region)}
        return {**self.layer.options, **part, **self.options}

    @property
    def command(self) -> str:
        """The equivalent line for a shell."""
        words = ["blinddps", "restore", str(self.input), "-o", str(self.output)]
        for name, value in self.keywords.items():
            option = f"--{name.replace('_', '-')}"
            # With = a value may begin with a dash.
            words.append(option if value is True else f"{option}={value}")
        return shlex.join([*words, *(["--overwrite"] if self.overwrite else [])])


def changed_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of many options that differ from what they would be without being given.

    Parameters
    ----------
    values : mapping
        Fields of `RestoreConfig`, all or some.

    Raises
    ------
    ConfigError
        If a value, or their combination, is not allowed.
    """
    from blinddps_sci.engine.config import make_config

    plain = make_config({})
    chosen = {k: v for k, v in values.items() if k in _PRESET and v != getattr(plain, k)}
    preset = make_config(chosen)  # what else these three mean
    others = {k: v for k, v in values.items() if k not in _PRESET and v != getattr(preset, k)}
    make_config({**chosen, **others})
    return {**chosen, **others}


def preview_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a preview: the same problem, in this process, and faster than fast.

    A burst has few levels and one chain already.
    """
    kept = {name: value for name, value in options.items() if name not in _OF_A_RUN}
    split = kept.get("sampler", "split") == "split"
    few = _PREVIEW if split and kept.get("model") != "turbulence" else {}
    return {**kept, **few, "quality": "fast", "unit": max(_UNIT, kept.get("tile", 0))}


def free_output(name: str, path: Path | None) -> Path:
    """Return a name for the result of a layer that is not taken: beside its file, or in the home folder."""
    folder = Path.home() / "blinddps" if path is None else path.parent
    stem = name if path is None else path.name.split(".")[0]
    plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in stem).strip("-.") or "layer"
    for number in count(1):
        output = folder / f"{plain}-restored{'' if number == 1 else f'-{number}'}.zarr"
        if not output.exists():
            return output
    raise AssertionError("numbers do not end")
