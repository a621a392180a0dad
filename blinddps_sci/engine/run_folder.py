"""The folder of a run, beside its store: spec, draws, markers of what is done, journal.

A marker appears by rename once the data of its task are on disk; which markers are there is all that
is known of a run's progress, whoever ran it and however it ended.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

__all__ = ["PHASES", "Phase", "RunFolder", "folders_of"]

Phase = Literal["estimate", "restore", "blend"]

PHASES: tuple[Phase, ...] = ("estimate", "restore", "blend")
"""What is done with every unit, in order; a known PSF is not estimated."""

_QUARANTINE = "quarantine"

_FAN = 256
"""Markers and draws are spread over so many folders: file systems slow down with 100 000 in one."""


@dataclass(frozen=True)
class RunFolder:
    """One run of one store.

    Parameters
    ----------
    path : Path
        ``OUT.zarr.run/FINGERPRINT``.
    """

    path: Path

    @classmethod
    def beside(cls, store: Path, fingerprint: str) -> RunFolder:
        """Return the folder of a run with a store, wherever a worker that is told of it may stand."""
        return cls(folders_of(store.absolute()) / fingerprint)

    @property
    def spec(self) -> Path:
        """The file of the `Spec`."""
        return self.path / "spec.json"

    @property
    def input(self) -> Path:
        """The copy of an input that is no file, a Zarr store."""
        return self.path / "input.zarr"

    @property
    def store(self) -> Path:
        """The store that the run fills."""
        return self.path.parent.with_name(self.path.parent.name.removesuffix(".run"))

    @property
    def stop_file(self) -> Path:
        """A file that ends the run after the units at work, once it is there."""
        return self.path / "STOP"

    def create(self) -> None:
        """Make the folder, empty of markers of another run."""
        self.path.mkdir(parents=True, exist_ok=True)
        for phase in PHASES:
            for number in range(_FAN):
                (self.path / phase / f"{number:02x}").mkdir(parents=True, exist_ok=True)
        (self.path / _QUARANTINE).mkdir(exist_ok=True)

    def compact(self) -> None:
        """Join the markers of a finished run in one file; remove them, draws and the copy of the input."""
        lines = (f"{json.dumps(record)}\n" for record in self.records())
        partial = self.path / "units.partial"
        with partial.open("w") as file:
            file.writelines(lines)
        partial.replace(self.path / "units.jsonl")
        for phase in PHASES:
            shutil.rmtree(self.path / phase)
        shutil.rmtree(self.input, ignore_errors=True)

    def expand(self) -> None:
        """Make the markers of a finished run again, so that it can go on; the reverse of `compact`."""
        file = self.path / "units.jsonl"
        if not file.exists():
            return
        self.create()
        for record in self.records():
            self.mark(record.pop("phase"), record["unit"], record)
        file.unlink()

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield what all markers say, with their ``phase``, whether the run is finished or not."""
        file = self.path / "units.jsonl"
        if file.exists():
            with file.open() as lines:
                yield from (json.loads(line) for line in lines)
            return
        for phase in PHASES:
            for unit in sorted(self.marked(phase)):
                yield {"phase": phase, **self.record(phase, unit)}

    def remove(self) -> None:
        """Remove the folder, and the one of all runs if it was the last."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.parent.is_dir() and not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()

    # --- markers ---

    def begin(self, phase: Phase, unit: int) -> None:
        """Say that a worker is at work on a phase of a unit."""
        self._begun(phase, unit).touch()

    def await_begin(self, phase: Phase, unit: int) -> None:
        """Forget who has been at work on a phase of a unit, now or in a run before."""
        self._begun(phase, unit).unlink(missing_ok=True)

    def has_begun(self, phase: Phase, unit: int) -> bool:
        """Return whether a worker is at work on a phase of a unit, or died of it."""
        return self._begun(phase, unit).exists()

    def seconds_at_work(self, phase: Phase, unit: int) -> float:
        """Return for how long a worker has been at work on a phase of a unit; zero if none is."""
        try:
            return time.time() - self._begun(phase, unit).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def mark(self, phase: Phase, unit: int, record: dict[str, Any]) -> None:
        """Say that a phase of a unit is done, with what is known of it."""
        self._replace(self._marker(phase, unit), json.dumps(record))
        self._begun(phase, unit).unlink(missing_ok=True)

    def unmark(self, phase: Phase, unit: int) -> None:
        """Forget that a phase of a unit is done."""
        self._marker(phase, unit).unlink(missing_ok=True)

    def is_marked(self, phase: Phase, unit: int) -> bool:
        """Return whether a phase of a unit is done."""
        return self._marker(phase, unit).exists()

    def is_done(self, phase: Phase, unit: int) -> bool:
        """Return whether what a phase of a unit makes is there, besides its marker."""
        return self.is_marked(phase, unit) and (phase == "blend" or self._array(phase, unit).exists())

    def record(self, phase: Phase, unit: int) -> dict[str, Any]:
        """Return what a marker says."""
        found: dict[str, Any] = json.loads(self._marker(phase, unit).read_text())
        return found

    def marked(self, phase: Phase) -> Iterator[int]:
        """Yield the units of which a phase is done, in no order."""
        return (int(path.stem) for path in (self.path / phase).glob("*/*.json"))

    # --- what phases leave for the next ---

    def save(self, phase: Phase, unit: int, values: np.ndarray) -> None:
        """Keep what a phase of a unit found: chains' kernels (C, N, K, K), draws of the image (S, h, w)."""
        partial = self._array(phase, unit).with_suffix(".npy.partial")
        with partial.open("wb") as file:
            np.save(file, values)
        partial.replace(self._array(phase, unit))

    def load(self, phase: Phase, unit: int) -> np.ndarray | None:
        """Return what a phase of a unit found, mapped into memory; None if it is not there."""
        try:
            values: np.ndarray = np.load(self._array(phase, unit), mmap_mode="r")
        except FileNotFoundError:
            return None
        return values

    def drop(self, phase: Phase, unit: int) -> None:
        """Remove what a phase of a unit found."""
        self._array(phase, unit).unlink(missing_ok=True)

    # --- journal ---

    def log(self, event: str, **facts: Any) -> None:
        """Append a line to the journal, which the driver alone writes."""
        with (self.path / "journal.jsonl").open("a") as file:
            file.write(json.dumps({"time": round(time.time(), 3), "event": event, **facts}) + "\n")

    def journal(self) -> list[dict[str, Any]]:
        """Return the journal's lines, without the last if it is being written."""
        file = self.path / "journal.jsonl"
        return [json.loads(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []

    # --- quarantine ---

    @property
    def quarantine(self) -> dict[int, str]:
        """Units that were given up, and why."""
        files = sorted((self.path / _QUARANTINE).glob("*.json"))
        return {int(file.stem): json.loads(file.read_text())["why"] for file in files}

    def give_up(self, unit: int, why: str) -> None:
        """Put a unit into quarantine."""
        self._replace(self._lost(unit), json.dumps({"why": why}))

    def take_back(self, unit: int) -> None:
        """Let a unit out of quarantine."""
        self._lost(unit).unlink(missing_ok=True)

    def _lost(self, unit: int) -> Path:
        return self.path / _QUARANTINE / f"{unit:09d}.json"

    def _marker(self, phase: Phase, unit: int) -> Path:
        return self.path / phase / f"{unit % _FAN:02x}" / f"{unit:09d}.json"

    def _begun(self, phase: Phase, unit: int) -> Path:
        return self._marker(phase, unit).with_suffix(".begun")

    def _array(self, phase: Phase, unit: int) -> Path:
        return self.path / phase / f"{unit % _FAN:02x}" / f"{unit:09d}.npy"

    @staticmethod
    def _replace(path: Path, text: str) -> None:
        partial = path.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(path)


def folders_of(store: Path) -> Path:
    """Return where the folders of a store's runs are."""
    return store.with_name(f"{store.name}.run")
