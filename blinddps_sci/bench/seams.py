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
from blinddps_sci.metrics.seams import seam_energy
from blinddps_sci.priors.fused import FusedPrior, TileWindow
from blinddps_sci.tiling.plan import Plan

__all__ = ["plain_error", "run_seams", "seam_lines", "variance_ratio"]

_BESIDE = range(6, 13)
"""Pixels from a seam, on both sides, at which is elsewhere: near enough to be the same scene."""

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


def variance_ratio(std: NDArray[np.float32], rows: list[int], columns: list[int]) -> tuple[float, float]:
    """Return the variance of the draws at seams over that beside them, and its standard error.

    Parameters
    ----------
    std : ndarray, (h, w)
        Standard deviation of the draws.
    rows, columns : list of int
        The seams, from `seam_lines`.

    Notes
    -----
    Each stretch of 32 pixels of a seam counts as one; the error is that of their mean.
    """
    variance = std.astype(np.float64) ** 2
    taboo = (set(rows), set(columns))
    ratios = list[float]()
    for lines, others, values in ((rows, taboo[0], variance), (columns, taboo[1], variance.T)):
        for line in lines:
            beside = [
                line + sign * far
                for far in _BESIDE
                for sign in (-1, 1)
                if 0 <= line + sign * far < len(values)
                and not others & {line + sign * far, line + sign * far + 1}
            ]
            on, off = values[line - 1 : line + 1].mean(axis=0), values[beside].mean(axis=0)
            stretches = range(0, values.shape[1] - 31, 32)
            ratios += [float(on[i : i + 32].mean() / off[i : i + 32].mean()) for i in stretches]
    found = np.array(ratios)
    return float(found.mean()), float(found.std(ddof=1) / len(found) ** 0.5)


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
    variance, error = variance_ratio(std, rows, columns)
    found = {
        "a constant: largest relative error": plain_error(plan, lambda y, x: np.full_like(y, 7.0)),
        "a ramp: largest relative error": plain_error(plan, lambda y, x: 3.0 * y - 2.0 * x + 1.0),
        f"{IMAGE}, restored: gradient energy at seams": seam_energy(image, rows, columns),
        f"{IMAGE}, the truth: gradient energy at the same lines": seam_energy(blurred.truth, rows, columns),
        "its error: gradient energy at seams": seam_energy(image - blurred.truth, rows, columns),
        "variance of its draws at seams": variance,
        "standard error of this": error,
    }
    table = [
        {"what": what, "value": value if value > 1e-3 else f"{value:.1e}"} for what, value in found.items()
    ]
    title = (
        f"{size} x {size} pixels, {plan.n_units} units, {plan.n_tiles} tiles of {tile}, "
        f"{len(rows)} + {len(columns)} seams; 1 is as elsewhere"
    )
    return [found], f"{title}\n\n{markdown(table, {'what': 'what', 'value': 'value'})}"
