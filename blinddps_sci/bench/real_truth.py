"""`blinddps bench real`: data that were measured, and judged by what else was measured of the same thing.

Nothing is tuned on them: a restoration is called as a user would call it, and what comes out is reported.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from blinddps_sci.bench import REAL_CASES
from blinddps_sci.bench.methods import engine_settings
from blinddps_sci.bench.real_case import Image, Outcome, RealCase
from blinddps_sci.bench.real_lines import CASE as LINES
from blinddps_sci.bench.real_pair import CASE as PAIR
from blinddps_sci.bench.real_psf import CASE as PSF
from blinddps_sci.bench.real_shakes import CASE as SHAKES
from blinddps_sci.bench.real_stars import CASE as STARS
from blinddps_sci.bench.row_file import Row, earlier_rows, keep_rows
from blinddps_sci.errors import BlindDpsError, ConfigError, InputError, OutputError

__all__ = ["run_real"]

_CASES: dict[str, RealCase] = dict(zip(REAL_CASES, (LINES, PAIR, PSF, STARS, SHAKES), strict=True))

Runs = Mapping[tuple[str, str], Callable[[], Outcome]]

_NEEDED = ("case", "item", "method")
"""What rows to go on from have."""


def run_real(
    *,
    data: Path | None,
    cases: Sequence[str] = REAL_CASES,
    quality: str = "default",
    seed: int = 0,
    items: int | None = None,
    json: Path | None = None,
    resume: bool = False,
    pictures: Path | None = None,
) -> str:
    """Restore what was measured, and return a table for each case.

    Parameters
    ----------
    data : Path
        Folder of the files that the cases read; a case without its files is left out, and named.
    cases : sequence of str
        Of `REAL_CASES`.
    quality, seed
        Of `restore`, for all of them.
    items : int, optional
        Only the first so many images of a case that has several.
    json : Path, optional
        File for the rows, written anew after every one.
    resume : bool
        Go on from the rows in ``json``.
    pictures : Path, optional
        Folder for what is found (npz) and a picture of each case (PNG).

    Raises
    ------
    ConfigError
        If there is no folder, or a case is not known.
    InputError, OutputError
        If no case has its files, the file to go on from is of another run, or a file cannot be written.
    """
    if items is not None and items < 1:
        raise ConfigError(f"items {items}: give 1 or more")
    if not cases or not set(cases) <= set(_CASES):
        raise ConfigError(f"cases {', '.join(cases) or '(none)'}: give some of {', '.join(_CASES)}")
    if data is None:
        needed = "; ".join(f"{name} reads {_CASES[name].files[0]} and others" for name in cases)
        raise ConfigError(f"real data are not part of the package: give --data FOLDER ({needed})")
    missing = {name: lost[0] for name in cases if (lost := _CASES[name].missing(data))}
    present = [name for name in cases if name not in missing]
    if not present:
        raise InputError(f"{data} lacks {', '.join(missing.values())}; give the folder that has them")
    options = {"quality": quality, "seed": seed}
    settings = {**options, **engine_settings()}
    rows = earlier_rows(json, resume, settings, _NEEDED)
    runs = {name: _first(items, _CASES[name].runs(data, options)) for name in present}
    for name in present:
        done = {(row["item"], row["method"]) for row in rows if row["case"] == name}
        for row, outcome in _rows(name, runs[name], done):
            rows.append(row)
            keep_rows(json, settings, rows)
            if pictures is not None and outcome is not None:
                _keep(pictures, row, outcome.images)
    parts = []
    for name in present:
        mine = {(row["item"], row["method"]): row for row in rows if row["case"] == name}
        own = [mine[run] for run in runs[name] if run in mine]
        parts.append("\n\n".join([f"{name}: {_CASES[name].title}", _CASES[name].table(own), *_failures(own)]))
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            _CASES[name].draw(own, _kept(pictures, own), pictures / f"{name}.png")
    parts += [f"{name}: left out, {lost} is not in {data}" for name, lost in missing.items()]
    return "\n\n".join(parts)


def _first(items: int | None, runs: Runs) -> Runs:
    """Return the runs on the first so many items."""
    chosen = list(dict.fromkeys(item for item, _ in runs))[:items]
    return {(item, method): run for (item, method), run in runs.items() if item in chosen}


def _rows(name: str, runs: Runs, done: set[tuple[str, str]]) -> Iterator[tuple[Row, Outcome | None]]:
    """Do what is not done, show on stderr which is at work, and yield its row and what it found."""
    with tqdm(total=len(runs), desc=name, unit="run", file=sys.stderr, dynamic_ncols=True) as bar:
        for (item, method), run in runs.items():
            bar.set_postfix_str(_label(item, method))
            if (item, method) not in done:
                row: Row = {"case": name, "item": item, "method": method}
                try:
                    outcome = run()
                except ConfigError:  # holds for every run
                    raise
                except BlindDpsError as error:
                    yield row | {"error": str(error)}, None
                else:
                    yield row | outcome.numbers, outcome
            bar.update()


def _label(item: str, method: str) -> str:
    return ", ".join(filter(None, (item, method)))


def _failures(rows: Sequence[Row]) -> list[str]:
    """Return a line for every run that has failed."""
    return [f"- {_label(row['item'], row['method'])}: {row['error']}" for row in rows if "error" in row]


def _file(folder: Path, row: Row) -> Path:
    slug = re.sub(r"[^a-z0-9]+", "-", _label(row["item"], row["method"]).lower())
    return folder / f"{row['case']}-{slug}.npz"


def _keep(folder: Path, row: Row, images: Mapping[str, Image]) -> None:
    """Write what was found.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {name: image.astype(np.float32) for name, image in images.items()}
        np.savez_compressed(_file(folder, row), **arrays)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror}") from None


def _kept(folder: Path, rows: Sequence[Row]) -> dict[str, dict[str, Image]]:
    """Return what was found, by the label of the run, as far as it is there."""
    found = {}
    for row in rows:
        path = _file(folder, row)
        if path.is_file():
            with np.load(path) as arrays:
                found[_label(row["item"], row["method"])] = dict(arrays)
    return found
