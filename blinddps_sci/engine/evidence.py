"""Which units' estimates of the kernels a unit is restored with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from blinddps_sci.engine.config import RestoreConfig
from blinddps_sci.tiling.plan import Plan

__all__ = ["Evidence"]


@dataclass(frozen=True)
class Evidence:
    """What has to be estimated, and for whom.

    Parameters
    ----------
    plan : Plan
        The units.
    psf : {"per-tile", "smooth", "shared"}, optional
        How kernels hang together: not at all, with those of units that touch, or with those of all units
        of a plane. None if nothing is estimated.
    units : int
        So many units of a plane, spread evenly, estimate a shared kernel.
    """

    plan: Plan
    psf: Literal["per-tile", "smooth", "shared"] | None
    units: int

    @classmethod
    def by(cls, config: RestoreConfig, plan: Plan) -> Evidence:
        """Return what options ask for."""
        return cls(plan, config.psf if config.estimates else None, config.psf_units)

    def estimates(self, unit: int) -> bool:
        """Return whether a unit's kernels are estimated."""
        if self.psf != "shared":
            return self.psf is not None
        first, count = self._plane(unit)
        # The unit is one of the evenly spaced ones if a multiple of the spacing falls on it.
        place, chosen = unit - first, min(self.units, count)
        return (place * chosen) // count != ((place - 1) * chosen) // count

    def of(self, unit: int) -> Iterable[int]:
        """Return the units whose estimates a unit is restored with, itself first if it is one of them."""
        if self.psf is None:
            return ()
        if self.psf == "shared":
            first, count = self._plane(unit)
            return (other for other in range(first, first + count) if self.estimates(other))
        near = self.plan.adjacent(self.plan.unit_at(unit)) if self.psf == "smooth" else ()
        return (unit, *near)

    def serves(self, unit: int) -> Iterable[int]:
        """Return the units that are restored with the estimate of a unit."""
        if self.psf == "shared":
            first, count = self._plane(unit)
            return range(first, first + count)
        return self.of(unit)

    def _plane(self, unit: int) -> tuple[int, int]:
        """Return the first unit of a unit's plane, and how many it has."""
        rows, columns = self.plan.unit_grid
        count = rows * columns
        return unit // count * count, count
