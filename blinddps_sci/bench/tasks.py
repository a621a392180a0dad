"""`blinddps bench tasks`: every task of the framework on the same images, beside classical methods.

Rows are written as soon as they are there, so that a run that is stopped can go on from its file.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from blinddps_sci.bench import TASK_NAMES
from blinddps_sci.bench.cases import case_settings, sharp_crops
from blinddps_sci.bench.methods import Outcome, engine_settings
from blinddps_sci.bench.row_file import Row, earlier_rows, keep_rows
from blinddps_sci.bench.score import score_image, score_kernel
from blinddps_sci.bench.tasks_list import TASKS, Task
from blinddps_sci.bench.tasks_methods import Classical, Method
from blinddps_sci.bench.tasks_pictures import Evolution
from blinddps_sci.bench.tasks_problems import POSES, Problem
from blinddps_sci.errors import BlindDpsError, ConfigError
from blinddps_sci.metrics import align, psnr, ssim
from blinddps_sci.metrics.image import psnr_from_mse

__all__ = ["parse_tasks", "run_tasks", "score_task"]

SAMPLERS = ("split", "dps")
"""What methods that sample begin their names with."""

_NEEDED = ("task", "case", "method", "psnr")
_MOVED = 8
"""Pixels by which phase retrieval may have moved an image."""

_SCORES = ("psnr", "ssim", "mnc", "chi2")


def parse_tasks(text: str) -> tuple[str, ...]:
    """Return the tasks in a comma-separated list, each once and in the order of the table.

    Raises
    ------
    ConfigError
        If one is not known, or there is none.
    """
    named = {part.strip() for part in text.split(",") if part.strip()}
    unknown = sorted(named - set(TASK_NAMES))
    if unknown or not named:
        raise ConfigError(
            f"tasks {', '.join(unknown) or repr(text)}: give some of {', '.join(TASK_NAMES)}, or all of them"
        )
    return tuple(name for name in TASK_NAMES if name in named)


def _methods(tasks: Iterable[str], samplers: str) -> dict[str, dict[str, Method]]:
    """Return the methods of each task, without those of samplers that are not asked for."""
    named = {part.strip() for part in samplers.split(",") if part.strip()}
    if not named or named - set(SAMPLERS):
        raise ConfigError(f"samplers {samplers!r}: give {' or '.join(SAMPLERS)}, or both with a comma")
    return {
        task: {
            name: method
            for name, method in TASKS[task].methods.items()
            if isinstance(method, Classical) or name.split(",")[0] in named
        }
        for task in tasks
    }


@dataclass(frozen=True)
class _Cases:
    """Which images a task is posed on; see `run_tasks`."""

    folder: Path | None
    held_out: Sequence[tuple[str, np.ndarray]] | None
    count: int
    size: int
    seed: int

    def posed(self, task: str) -> Iterable[tuple[str, Problem]]:
        """Yield the name of an image and its problem; the same for the same arguments."""
        margin, pose = POSES[task]
        side = self.size + 2 * margin
        crops = sharp_crops(self.folder, self.count, side, self.seed, held_out=self.held_out)
        for number, (name, label, crop) in enumerate(crops):
            rng = np.random.default_rng([self.seed, number, TASK_NAMES.index(task)])
            yield name, replace(pose(crop, rng), label=label)


def run_tasks(
    *,
    tasks: str = ",".join(TASK_NAMES),
    samplers: str = ",".join(SAMPLERS),
    data: Path | None = None,
    held_out: Iterable[tuple[str, np.ndarray]] | None = None,
    count: int = 6,
    size: int = 64,
    seed: int = 0,
    json: Path | None = None,
    resume: bool = False,
    pictures: Path | None = None,
) -> list[Row]:
    """Solve the tasks by all of their methods and return one row for each.

    Parameters
    ----------
    tasks : str
        Comma-separated names.
    samplers : str
        Comma-separated, ``split`` and ``dps``: methods that sample by another are left out.
    data : Path, optional
        Folder of sharp images; scikit-image's own by default.
    held_out : iterable of (str, ndarray (H, W)), optional
        Domain and image of those below ``data`` that training leaves out, see `run_quality`.
    count, size, seed : int
        How many images, their side in pixels, a multiple of 8 from 56 to 512, and the seed of everything.
    json : Path, optional
        File for settings and rows, written anew after every row.
    resume : bool
        Go on from the rows in ``json``.
    pictures : Path, optional
        Folder for a picture strip and an animation of how the first image of each task is sampled.

    Returns
    -------
    list of dict
        In order of tasks, images and methods. A method that cannot be run on an image has a row with the
        ``error`` and without numbers.

    Raises
    ------
    ConfigError, InputError
        If an option is out of its range, there is no image, or the file to go on from is of other settings.
    OutputError
        If a file cannot be written, or would be replaced.
    """
    methods = _methods(parse_tasks(tasks), samplers)
    if count < 1 or not 56 <= size <= 512 or size % 8 or seed < 0:
        raise ConfigError(
            f"images {count}, size {size}, seed {seed}: images is at least 1, size a multiple of 8 "
            "from 56 to 512, seed not negative"
        )
    settings = {
        **case_settings(data, held_out, size, seed),
        **engine_settings(),
    }
    cases = _Cases(data, None if held_out is None else list(held_out), count, size, seed)
    rows = earlier_rows(json, resume, settings, _NEEDED)
    done = {(row["task"], row["case"], row["method"]) for row in rows}
    for place, problem in _todo(cases, methods):
        name, number, method = place["task"], place["case"], place["method"]
        if (name, number, method) not in done:
            solve = methods[name][method]
            evolution = Evolution.of(pictures if number == 0 else None, problem, solve)
            rows.append(place | _row(TASKS[name], problem, solve, seed, evolution))
            evolution.write(f"{name}-{method}")
            keep_rows(json, settings, rows)
    keep_rows(json, settings, rows)
    return sorted(rows, key=lambda row: (TASK_NAMES.index(row["task"]), row["case"]))


def _todo(cases: _Cases, methods: Mapping[str, Mapping[str, Method]]) -> Iterator[tuple[Row, Problem]]:
    """Yield every task on every image for every method, and show on stderr which is at work."""
    with tqdm(total=cases.count * sum(map(len, methods.values())), file=sys.stderr) as bar:
        for name, own in methods.items():
            for number, (image, problem) in enumerate(cases.posed(name)):
                for method in own:
                    bar.set_postfix_str(f"{name}, image {number}, {method}")
                    yield {"task": name, "case": number, "image": image, "method": method}, problem
                    bar.update()


def _row(task: Task, problem: Problem, solve: Method, seed: int, evolution: Evolution) -> Row:
    """Run a method on a problem and score it."""
    row: Row = {"classical": isinstance(solve, Classical), **dict.fromkeys(_SCORES)}
    begin = time.process_time()  # a shared machine's clock says little
    try:
        found = solve(problem, seed, evolution.callback)
        row["seconds"] = round(time.process_time() - begin, 3)
        row |= score_task(task, problem, found)
    except ConfigError:  # holds for every image
        raise
    except BlindDpsError as error:
        row |= {"error": str(error), "seconds": round(time.process_time() - begin, 3)}
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }


def score_task(task: Task, problem: Problem, found: Outcome) -> Row:
    """Return ``psnr`` (dB), ``ssim`` and ``chi2`` of what was found, and ``mnc`` of its kernel.

    Images are clipped to [0, 1] and compared over the whole truth. Blind methods may have moved image and
    kernel against each other: as everywhere, the best small shift is taken out (`score_image`). Magnitudes of
    Fourier transforms tell neither a turn by 180 degrees nor, about dark surroundings, a shift: the better
    turn counts, up to the best shift of at most 8 pixels.
    """
    row: Row = {"chi2": found.chi2}
    if problem.kernel is not None and found.kernel is not None:
        row["mnc"] = score_kernel(found.kernel, problem.kernel)["mnc"]
    if task.shifted:
        return row | score_image(found.image, problem.truth)
    image = np.clip(found.image, 0, 1)
    if not task.turned:
        return row | {"psnr": psnr(image, problem.truth, 1.0), "ssim": ssim(image, problem.truth, 1.0)}
    placed = [align(turn, problem.truth, _MOVED) for turn in (image, image[::-1, ::-1])]
    best = min(placed, key=lambda each: each.mse)
    return row | {"psnr": psnr_from_mse(best.mse, 1.0), "ssim": ssim(best.estimate, best.truth, 1.0)}
