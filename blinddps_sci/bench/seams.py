"""`blinddps bench scale seams`: whether a result shows where its tiles and units meet.

On a plain field everything must come back as it was; on restored pictures the lines of the grid must be
lines like any other, in the image and in the variance of its draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blinddps_sci.bench.fields import make_fields
from blinddps_sci.bench.row_file import earlier_rows, keep_rows
from blinddps_sci.bench.table import markdown
from blinddps_sci.engine.blend import blend
from blinddps_sci.engine.job import ALGORITHM
from blinddps_sci.engine.restore import prepare_restore, restore
from blinddps_sci.priors.fused import FusedPrior, TileWindow
from blinddps_sci.tiling.plan import Plan

__all__ = [
    "PICTURES",
    "mean_ratio",
    "plain_error",
    "run_seams",
    "seam_contrasts",
    "seam_lines",
    "squared_steps",
    "variances",
]

PICTURES = ("camera", "retina", "brick", "gravel", "hubble_deep_field")
"""Names in `skimage.data` of what is restored: none with places where neighbours have the same value."""

_BESIDE = range(6, 13)
"""Pixels from a seam, on both sides, at which is elsewhere: near enough to be the same scene."""

_STRETCH = 32
"""Pixels of a seam that count as one."""

_COLUMNS = {
    "restored": "squared steps of the restored picture",
    "scene": "of the scene itself",
    "restored_over_scene": "of the first over the second",
    "error": "of the error",
    "variance": "variance of the draws",
}

Plane = NDArray[Any]
Values = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def seam_lines(plan: Plan) -> tuple[list[int], list[int]]:
    """Return the rows and columns of a plane at which a tile begins or ends, or a unit's core begins."""
    rows, columns = set[int](), set[int]()
    for unit in plan.units():
        for box in (unit.core, unit.data, *(tile.box for tile in plan.tiles(unit))):
            rows |= {box.y0, box.y1}
            columns |= {box.x0, box.x1}
    height, width = plan.shape
    return sorted(rows & set(range(1, height))), sorted(columns & set(range(1, width)))


def plain_error(plan: Plan, field: Values) -> float:
    """Return the largest error, relative to the largest value, of a field that every tile leaves as it is.

    Parameters
    ----------
    plan : Plan
        Of one plane.
    field : callable
        Values at (y, x), also outside of the plane. Tiles are fused over the canvas of each unit, and
        units are blended, as in a restoration.
    """

    def draws(number: int) -> NDArray[np.float32]:
        unit = plan.unit_at(number)
        canvas = unit.canvas
        y, x = np.mgrid[canvas.y0 : canvas.y1, canvas.x0 : canvas.x1].astype(np.float64)
        fused = FusedPrior(
            _unchanged,
            [
                TileWindow(
                    *tile.box.within(canvas).slices, torch.from_numpy(np.outer(tile.window_y, tile.window_x))
                )
                for tile in plan.tiles(unit)
            ],
        )
        values = torch.from_numpy(field(y, x).astype(np.float32))[None, None]
        found: Tensor = fused(values, torch.ones(1))
        return found[0].numpy()[(slice(None), *unit.data.within(canvas).slices)]

    y, x = np.mgrid[: plan.shape[0], : plan.shape[1]].astype(np.float64)
    truth = field(y, x)
    errors = [np.abs(blend(plan, unit, draws).mean - truth[unit.core.slices]).max() for unit in plan.units()]
    return float(max(errors) / np.abs(truth).max())


def _unchanged(x: Tensor, sigma: Tensor) -> Tensor:
    return x


def seam_contrasts(
    image: Plane, rows: list[int], columns: list[int], of: Callable[[Plane], Plane]
) -> NDArray[np.float64]:
    """Return logarithms of a quantity at seams over that of the lines beside them, one for each stretch.

    Parameters
    ----------
    image : ndarray, (h, w)
        From which the quantity follows.
    rows, columns : list of int
        The seams, from `seam_lines`.
    of : callable
        Makes of an image (h, w) the quantity (h - 1, w) of the lines between its rows.

    Returns
    -------
    ndarray, (n,)
        Of stretches of 32 pixels along all seams, relative to the mean logarithm of the lines beside:
        scenes have strong edges, of which a mean would be a mean of few. Not finite where all is constant.
    """
    contrasts = list[float]()
    for lines, values in ((rows, of(image)), (columns, of(image.T))):
        for line in lines:
            # Line i lies between rows i - 1 and i.
            near = {line + sign * far for far in _BESIDE for sign in (-1, 1)} - set(lines)
            beside = [i - 1 for i in near if 0 < i <= len(values)]
            for start in range(0, values.shape[1] - _STRETCH + 1, _STRETCH):
                with np.errstate(divide="ignore", invalid="ignore"):
                    logs = np.log(values[:, start : start + _STRETCH].mean(axis=1))
                    contrasts.append(float(logs[line - 1] - logs[beside].mean()))
    return np.array(contrasts)


def mean_ratio(contrasts: NDArray[np.float64]) -> tuple[float, float]:
    """Return the geometric mean of ratios whose logarithms are given, and its standard error; NaN of none."""
    found = contrasts[np.isfinite(contrasts)]
    if len(found) < 2:
        return math.nan, math.nan
    mean = float(np.exp(found.mean()))
    return mean, mean * float(found.std(ddof=1)) / len(found) ** 0.5


def squared_steps(image: Plane) -> Plane:
    """Return the squared difference across the lines between the rows of an image."""
    return np.asarray(np.diff(image.astype(np.float64), axis=0) ** 2)


def variances(std: Plane) -> Plane:
    """Return the mean variance of the two rows at each line between the rows."""
    variance = std.astype(np.float64) ** 2
    return np.asarray((variance[1:] + variance[:-1]) / 2)


def run_seams(
    *,
    pictures: Sequence[str] = PICTURES,
    size: int = 512,
    tile: int = 192,
    overlap: int = 64,
    unit: int = 256,
    quality: str = "fast",
    seed: int = 0,
    json: Path | None = None,
    resume: bool = False,
) -> tuple[list[dict[str, Any]], str]:
    """Measure the seams of plain fields and of restored pictures.

    Parameters
    ----------
    pictures : sequence of str
        Names in `skimage.data`.
    size : int
        Side of the pictures, pixels.
    tile, overlap, unit, quality, seed
        As of `restore`. The blur is one for all of a picture and is not known.
    json : Path, optional
        File for the numbers, written after each picture.
    resume : bool
        Go on from that file.

    Returns
    -------
    (list of dict, str)
        For each picture ratios with their standard errors, and a table of them.
    """
    options: dict[str, Any] = {
        "prior": "generic", "tile": tile, "overlap": overlap, "unit": unit, "quality": quality, "seed": seed
    }  # fmt: skip
    settings = {"size": size, **options, "algorithm": ALGORITHM}
    earlier = earlier_rows(json, resume, settings, ["picture", *_COLUMNS])
    done = {row["picture"]: row for row in earlier}
    plan = prepare_restore(np.zeros((size, size), np.float32), {**options, "noise": "gaussian:1"}).plan
    lines = seam_lines(plan)
    plain = {
        "constant": plain_error(plan, lambda y, x: np.full_like(y, 7.0)),
        "ramp": plain_error(plan, lambda y, x: 3.0 * y - 2.0 * x + 1.0),
    }
    for name in pictures:
        if name in done:
            continue
        blurred = make_fields(size, 2, seed, name)[0]
        result = restore(blurred.data, **options)
        image, std = result["image"].values, result["std"].values
        restored, scene, error = (
            seam_contrasts(plane, *lines, squared_steps)
            for plane in (image, blurred.truth, image - blurred.truth)
        )
        contrasts = (restored, scene, restored - scene, error, seam_contrasts(std, *lines, variances))
        done[name] = {"picture": name, **dict(zip(_COLUMNS, map(mean_ratio, contrasts), strict=True))}
        keep_rows(json, settings, list(done.values()), plain=plain)
    count = sum(map(len, lines))
    title = (
        f"{size} x {size} pixels, {plan.n_units} units, {plan.n_tiles} tiles of {tile}, {count} seams\n\n"
        f"A constant comes back to {plain['constant']:.1e} of its value, a ramp to {plain['ramp']:.1e} of "
        "its largest.\n\nAt seams over beside them, 1 is as elsewhere:"
    )
    rows = [done[name] for name in pictures]
    return rows, f"{title}\n\n{_table(rows)}"


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the ratios of each picture and their geometric means."""
    mean: dict[str, Any] = {"picture": f"mean of {len(rows)}"}
    for column in _COLUMNS:
        ratios, errors = np.array([row[column] for row in rows]).T
        found = float(np.exp(np.log(ratios).mean()))
        mean[column] = (found, found * float(np.hypot.reduce(errors / ratios)) / len(rows))
    shown = [
        {key: value if key == "picture" else "{:.3f} +- {:.3f}".format(*value) for key, value in row.items()}
        for row in (*rows, mean)
    ]
    return markdown(shown, {"picture": "picture", **_COLUMNS})
