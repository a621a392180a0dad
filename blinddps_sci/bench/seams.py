"""`blinddps bench scale seams`: whether a result shows where its tiles and units meet.

On a plain field everything must come back as it was; on a restored picture the lines of the grid must
be lines like any other, in the image and in the variance of its draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blinddps_sci.bench.fields import IMAGE, make_fields
from blinddps_sci.bench.table import markdown
from blinddps_sci.engine.blend import blend
from blinddps_sci.engine.restore import prepare_restore, restore
from blinddps_sci.priors.fused import FusedPrior, TileWindow
from blinddps_sci.tiling.plan import Plan

__all__ = ["plain_error", "run_seams", "seam_lines", "seam_ratio", "squared_steps", "variances"]

_BESIDE = range(6, 13)
"""Pixels from a seam, on both sides, at which is elsewhere: near enough to be the same scene."""

_STRETCH = 32
"""Pixels of a seam that count as one."""

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


def seam_ratio(
    image: Plane, rows: list[int], columns: list[int], of: Callable[[Plane], Plane]
) -> tuple[float, float]:
    """Return a quantity at seams over that of the lines beside them, and its standard error.

    Parameters
    ----------
    image : ndarray, (h, w)
        From which the quantity follows.
    rows, columns : list of int
        The seams, from `seam_lines`.
    of : callable
        Makes of an image (h, w) the quantity (h - 1, w) of the lines between its rows.

    Notes
    -----
    The geometric mean over stretches of 32 pixels along all seams, relative to that over the lines beside:
    scenes have strong edges, of which a mean would be a mean of few.
    """
    ratios = list[float]()
    for lines, values in ((rows, of(image)), (columns, of(image.T))):
        for line in lines:
            # Line i lies between rows i - 1 and i.
            near = {line + sign * far for far in _BESIDE for sign in (-1, 1)} - set(lines)
            beside = [i - 1 for i in near if 0 < i <= len(values)]
            for start in range(0, values.shape[1] - _STRETCH + 1, _STRETCH):
                with np.errstate(divide="ignore", invalid="ignore"):
                    logs = np.log(values[:, start : start + _STRETCH].mean(axis=1))
                    ratios.append(float(logs[line - 1] - logs[beside].mean()))
    found = np.array(ratios)
    found = found[np.isfinite(found)]  # where all is constant, there is nothing to compare
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
    size: int = 512,
    tile: int = 192,
    overlap: int = 64,
    unit: int = 256,
    quality: str = "fast",
    seed: int = 0,
) -> tuple[list[dict[str, Any]], str]:
    """Measure the seams of plain fields and of a restored picture.

    Parameters
    ----------
    size : int
        Side of the picture, pixels.
    tile, overlap, unit, quality, seed
        As of `restore`. The blur is one for all the picture and is not known.
    """
    blurred = make_fields(size, 2, seed)[0]
    options: dict[str, Any] = {
        "prior": "generic", "tile": tile, "overlap": overlap, "unit": unit, "quality": quality, "seed": seed
    }  # fmt: skip
    plan = prepare_restore(blurred.data, options).plan
    rows, columns = seam_lines(plan)
    result = restore(blurred.data, **options)
    image, std = result["image"].values, result["std"].values
    compared = {
        f"{IMAGE}, restored: squared steps": seam_ratio(image, rows, columns, squared_steps),
        f"{IMAGE}, the truth: squared steps at the same lines": seam_ratio(
            blurred.truth, rows, columns, squared_steps
        ),
        "the error: squared steps": seam_ratio(image - blurred.truth, rows, columns, squared_steps),
        "variance of the draws": seam_ratio(std, rows, columns, variances),
    }
    exact = {
        "a constant: largest relative error": plain_error(plan, lambda y, x: np.full_like(y, 7.0)),
        "a ramp: largest relative error": plain_error(plan, lambda y, x: 3.0 * y - 2.0 * x + 1.0),
    }
    table = [{"what": what, "value": f"{value:.1e}"} for what, value in exact.items()]
    table += [
        {"what": f"{what}, at seams over beside them", "value": f"{ratio:.3f} +- {error:.3f}"}
        for what, (ratio, error) in compared.items()
    ]
    title = (
        f"{size} x {size} pixels, {plan.n_units} units, {plan.n_tiles} tiles of {tile}, "
        f"{len(rows)} + {len(columns)} seams; 1 is as elsewhere"
    )
    return [exact | compared], f"{title}\n\n{markdown(table, {'what': 'what', 'value': 'value'})}"
