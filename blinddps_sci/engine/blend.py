"""From the units' draws to the image: one partition of unity across units.

Draws of neighbouring units share their noise, so that they may be averaged; mean and standard
deviation are taken of the blended draws, never blended themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blinddps_sci.engine.uncertainty import REACH, Uncertainty
from blinddps_sci.tiling.box import Box
from blinddps_sci.tiling.plan import Plan, Unit

__all__ = ["Blended", "blend"]


@dataclass(frozen=True)
class Blended:
    """The core of a unit, ready to be written.

    Parameters
    ----------
    mean, std : ndarray of float32, (h, w)
        Mean of the draws and standard deviation of the truth about it, in data units; NaN for a single draw.
    """

    mean: np.ndarray
    std: np.ndarray


def blend(
    plan: Plan,
    unit: Unit,
    draws_of: Callable[[int], np.ndarray | None],
    uncertainty: Uncertainty | None = None,
) -> Blended:
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
    uncertainty : Uncertainty, optional
        What the spread of the draws lacks; by default it is taken as it is, each pixel by itself.
    """
    core = unit.core
    own = draws_of(unit.index)
    if own is None or not len(own):
        nothing = np.full(core.shape, np.nan, dtype=np.float32)
        return Blended(nothing, nothing)
    # Deviations depend on the draws around, which the neighbours' share as well.
    around = core if uncertainty is None else core.expand(REACH).intersect(unit.data)
    draws = _blended(plan, unit, around, own, draws_of)
    if uncertainty is not None:
        std = uncertainty.std(draws)
    else:
        std = draws.std(axis=0, ddof=1) if len(draws) > 1 else np.full(around.shape, np.nan)
    inside = core.within(around).slices
    return Blended(draws.mean(axis=0)[inside].astype(np.float32), std[inside].astype(np.float32))


def _blended(
    plan: Plan, unit: Unit, around: Box, own: np.ndarray, draws_of: Callable[[int], np.ndarray | None]
) -> np.ndarray:
    """Return the draws of a unit and its neighbours over a box within its data, (S, h, w)."""
    total = np.zeros((len(own), *around.shape), dtype=np.float64)
    told = np.zeros(around.shape)
    # In the order of their numbers: a sum of floats depends on its order.
    for number in sorted((unit.index, *plan.neighbours(unit))):
        other = plan.unit_at(number)
        draws = own if number == unit.index else draws_of(number)
        if draws is None or not len(draws):
            continue
        common = around.intersect(other.data)
        wy, wx = plan.blend_window(other)
        inside = common.within(other.data).slices
        weight = np.outer(wy, wx)[inside].astype(np.float64)
        place = common.within(around).slices
        total[(slice(None), *place)] += weight * draws[(slice(None), *inside)]
        told[place] += weight
    # At its own edge a unit has no weight; what a lost neighbour would have said there, it says itself.
    alone = told == 0
    total[:, alone] = own[(slice(None), *around.within(unit.data).slices)][:, alone]
    told[alone] = 1.0
    found: np.ndarray = total / told
    return found
