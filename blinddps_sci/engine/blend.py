"""From the units' draws to the image: one partition of unity across units.

Draws of neighbouring units share their noise, so that they may be averaged; mean and standard
deviation are taken of the blended draws, never blended themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blinddps_sci.tiling.plan import Plan, Unit

__all__ = ["Blended", "blend"]


@dataclass(frozen=True)
class Blended:
    """The core of a unit, ready to be written.

    Parameters
    ----------
    mean, std : ndarray of float32, (h, w)
        Of the draws, in data units; the deviation is NaN for a single draw.
    """

    mean: np.ndarray
    std: np.ndarray


def blend(plan: Plan, unit: Unit, draws_of: Callable[[int], np.ndarray | None]) -> Blended:
    """Blend a unit with its neighbours over its core.

    Parameters
    ----------
    plan : Plan
        The plan.
    unit : Unit
        The unit to finish.
    draws_of : callable
        Returns the draws (S, h, w) over the data box of the unit of a number; None for a neighbour that
        has none, whose weight the others take over. A unit of which nothing was measured has zero draws,
        and its core none but NaN.
    """
    core = unit.core
    total: np.ndarray | None = None
    missing = np.zeros(core.shape)
    own = draws_of(unit.index)
    if own is None or not len(own):
        nothing = np.full(core.shape, np.nan, dtype=np.float32)
        return Blended(nothing, nothing)
    # In the order of their numbers: a sum of floats depends on its order.
    for number in sorted((unit.index, *plan.neighbours(unit))):
        other = plan.unit_at(number)
        draws = own if number == unit.index else draws_of(number)
        common = core.intersect(other.data)
        wy, wx = plan.blend_window(other)
        inside = common.within(other.data).slices
        weight = np.outer(wy, wx)[inside].astype(np.float64)
        if draws is None or not len(draws):
            missing[common.within(core).slices] += weight
            continue
        if total is None:
            total = np.zeros((len(draws), *core.shape), dtype=np.float64)
        total[(slice(None), *common.within(core).slices)] += weight * draws[(slice(None), *inside)]
    if total is None:
        raise AssertionError("a unit is always among those that are blended")
    if missing.any():
        total /= 1 - missing
    many = len(total) > 1
    std = total.std(axis=0, ddof=1) if many else np.full(core.shape, np.nan)
    return Blended(total.mean(axis=0).astype(np.float32), std.astype(np.float32))
