"""`blinddps bench quality`: every method on the same simulated cases, against the truth.

Rows are written as soon as they are there, so that a run that is stopped can go on from its file.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from blinddps_sci.bench import NOISES, QUALITY_METHODS
from blinddps_sci.bench.cases import Case, case_settings, cases
from blinddps_sci.bench.methods import Outcome, Overrides, engine_settings, parse_methods, run_method
from blinddps_sci.bench.row_file import Row, check_written, earlier_rows, keep_rows
from blinddps_sci.bench.score import score_image, score_kernel, score_std
from blinddps_sci.bench.table import draw_costs, mark_headroom, summarise
from blinddps_sci.errors import BlindDpsError, ConfigError, InputError

__all__ = ["compare", "run_quality"]

_NEEDED = ("case", "method", "psnr", "input_psnr")
"""What rows to go on from have."""

_SCORES = ("psnr", "ssim", "mnc", "width_error", "otf_error", "chi2", "std_correlation", "coverage")


def run_quality(
    *,
    methods: str = QUALITY_METHODS,
    data: Path | None = None,
    held_out: Iterable[tuple[str, np.ndarray]] | None = None,
    count: int = 24,
    size: int = 128,
    seed: int = 0,
    noises: Sequence[float] = NOISES,
    steps: int | None = None,
    chains: int | None = None,
    samples: int | None = None,
    json: Path | None = None,
    resume: bool = False,
    plot: Path | None = None,
) -> list[Row]:
    """Run the methods on the cases and return one row for each pair.

    Parameters
    ----------
    methods : str
        Comma-separated names, see `blinddps_sci.bench.methods`.
    data : Path, optional
        Folder of sharp images; scikit-image's own by default.
    held_out : iterable of (str, ndarray (H, W)), optional
        Domain and image, on [0, 1], of those below ``data`` that training leaves out
        (`blinddps_sci.training.images.held_out_planes`), which then make the cases: what is tuned on
        them has seen neither a test image nor a training image.
    count, size, seed, noises : int, int, int, sequence of float
        How many cases, their side in pixels, the seed of everything, and the noise, see `cases`.
    steps, chains, samples : int, optional
        Replace those of the presets of `split`.
    json : Path, optional
        File for settings, rows and summary, written anew after every row.
    resume : bool
        Go on from the rows in ``json``.
    plot : Path, optional
        PNG file for quality against cost.

    Returns
    -------
    list of dict
        In order of cases and methods. A method that cannot be run on a case has a row with the
        ``error`` and without numbers.

    Raises
    ------
    ConfigError, InputError
        As `cases` and `parse_methods`, or if the file to go on from is of another comparison.
    OutputError
        If a file cannot be written, or would be replaced.
    """
    names, overrides = parse_methods(methods), Overrides(steps, chains, samples)
    made = cases(data, count, size, seed, noises, held_out=held_out)
    check_written(plot)
    settings = {
        **case_settings(data, held_out, size, seed),
        "noises": list(noises),
        **asdict(overrides),
        **engine_settings(),
    }

    def run(name: str, case: Case) -> Outcome:
        return run_method(name, case, overrides, seed)

    rows = compare(made, names, count, run, settings, json, resume)
    if plot is not None:
        draw_costs(summarise(rows), plot)
    return rows


def compare(
    made: Iterable[Case],
    names: Sequence[str],
    count: int,
    run: Callable[[str, Case], Outcome],
    settings: dict[str, Any],
    json: Path | None,
    resume: bool,
) -> list[Row]:
    """Run methods on cases and return one row for each pair, as `run_quality` does.

    Parameters
    ----------
    made : iterable of Case
    names : sequence of str
        Of the methods.
    count : int
        How many cases there are at most.
    run : callable
        From a method's name and a case to what it finds.
    settings : dict
        What a file to go on from has to have been made with.
    json, resume
        As of `run_quality`.
    """
    rows = earlier_rows(json, resume, settings, _NEEDED)
    done = {(row["case"], row["method"]) for row in rows}
    for case, name in _pairs(made, names, count):
        if (case.number, name) not in done:
            rows.append(_row(case, name, run))
            _keep(json, settings, rows)
    if not rows:
        raise InputError("no image gives an input of 18 to 30 dB; give other images or another --size")
    order = {name: place for place, name in enumerate(dict.fromkeys([*names, *(r["method"] for r in rows)]))}
    rows.sort(key=lambda row: (row["case"], order[row["method"]]))
    _keep(json, settings, rows)
    return rows


def _pairs(made: Iterable[Case], names: Sequence[str], count: int) -> Iterator[tuple[Case, str]]:
    """Yield every case with every method, and show on stderr which is at work."""
    with tqdm(total=count * len(names), unit="run", file=sys.stderr, dynamic_ncols=True) as bar:
        for case in made:
            for name in names:
                bar.set_postfix_str(f"case {case.number}, {name}")
                yield case, name
                bar.update()


def _row(case: Case, name: str, run: Callable[[str, Case], Outcome]) -> Row:
    """Run a method on a case and score it."""
    row: Row = {
        "case": case.number,
        "image": case.name,
        "domain": case.label,
        "psf": case.family,
        "noise": case.noise,
        "method": name,
        "input_psnr": score_image(case.data, case.truth)["psnr"],
        **dict.fromkeys(_SCORES),
    }
    begin = time.perf_counter()
    try:
        found = run(name, case)
        row["seconds"] = round(time.perf_counter() - begin, 3)
        row |= score_image(found.image, case.truth) | {"chi2": found.chi2}
        if found.kernel is not None:
            row |= score_kernel(found.kernel, case.kernel)
        if found.std is not None:
            row |= score_std(found.image, found.std, case.truth)
    except ConfigError:  # holds for every case
        raise
    except BlindDpsError as error:
        row |= {"error": str(error), "seconds": round(time.perf_counter() - begin, 3)}
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }


def _keep(path: Path | None, settings: Row, rows: list[Row]) -> None:
    mark_headroom(rows)
    keep_rows(path, settings, rows, summary=summarise(rows))
