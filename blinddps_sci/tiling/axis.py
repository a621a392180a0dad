"""The plan along one axis: units on an absolute lattice, each cut into cells.

Two axes multiply to the plan of a plane. Everything follows from a unit's number, and the
cells of a unit depend on nothing but its length, so a plan of any size costs nothing to hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from blinddps_sci.tiling.window import window

__all__ = ["Axis", "Span"]

Interval = tuple[int, int]


@dataclass(frozen=True, eq=False, slots=True)
class Span:
    """One tile along one axis.

    Parameters
    ----------
    node : int
        Number of its cell, counted over the whole axis.
    start, stop : int
        Its pixels, absolute.
    window : ndarray, (stop - start,), float32, not writable
        Its weight in the unit.
    """

    node: int
    start: int
    stop: int
    window: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a `Plan`; see there for the meaning of the lengths, all in pixels."""

    length: int
    tile: int
    overlap: int
    unit: int
    halo: int

    @property
    def n_units(self) -> int:
        """Number of units."""
        return -(-self.length // self.unit)

    @property
    def n_nodes(self) -> int:
        """Number of cells of all units."""
        last = self.n_units - 1
        return self.first_node(last) + self.n_cells(self.core_length(last))

    def n_cells(self, core_length: int) -> int:
        """Return the number of cells of a unit: its length over the tiles' pitch, rounded."""
        pitch = self.tile - self.overlap
        return max(1, (2 * core_length + pitch) // (2 * pitch))

    def first_node(self, unit: int) -> int:
        """Return the number of the first cell of a unit."""
        return unit * self.n_cells(self.unit)

    def core_length(self, unit: int) -> int:
        """Return the length of a unit's core; the last one may be short."""
        return min(self.unit, self.length - unit * self.unit)

    def core(self, unit: int) -> Interval:
        """Return the pixels that only this unit writes."""
        return unit * self.unit, unit * self.unit + self.core_length(unit)

    def data(self, unit: int) -> Interval:
        """Return the pixels that a unit looks at: its core, the blend, and at least one tile."""
        start, stop = self.core(unit)
        start, stop = max(start - self.overlap // 2, 0), min(stop + self.overlap // 2, self.length)
        return min(start, stop - min(self.tile, self.length)), stop

    def canvas(self, unit: int) -> Interval:
        """Return the pixels on which a unit's scene is unknown; may begin below zero."""
        start, stop = self.data(unit)
        return start - self.halo, stop + self.halo

    def cells(self, unit: int) -> tuple[int, ...]:
        """Return the boundaries of a unit's cells, its core's ends among them."""
        start, stop = self.core(unit)
        n = self.n_cells(stop - start)
        return tuple(start + (2 * i * (stop - start) + n) // (2 * n) for i in range(n + 1))

    def spans(self, unit: int) -> tuple[Span, ...]:
        """Return a unit's tiles along this axis, in order."""
        return _spans(self, unit)

    def blend(self, unit: int) -> NDArray[np.float32]:
        """Return the weight of a unit over its data; those of all units sum to one."""
        return _blend(self, unit)

    def blend_reach(self, unit: int) -> int:
        """Return half of the ramp between a unit and the next; no more than the next one has."""
        return min(self.overlap // 2, self.core_length(unit + 1))

    def centres(self) -> NDArray[np.float64]:
        """Return the middle of every cell, (n_nodes,), 0-based pixel centres."""
        parts = []
        for unit in range(self.n_units):
            bounds = np.array(self.cells(unit), dtype=np.float64)
            parts.append((bounds[1:] + bounds[:-1] - 1) / 2)
        return np.concatenate(parts)


@lru_cache(maxsize=1024)
def _spans(axis: Axis, unit: int) -> tuple[Span, ...]:
    bounds = axis.cells(unit)
    low, high = axis.canvas(unit)
    last = len(bounds) - 2
    smallest = min(b - a for a, b in pairwise(bounds))
    half = min(axis.overlap, smallest) // 2
    spans = []
    for i, (left, right) in enumerate(pairwise(bounds)):
        start = low if i == 0 else left - half
        stop = high if i == last else right + half
        weight = window(
            start, stop, rise=None if i == 0 else (left, half), fall=None if i == last else (right, half)
        )
        spans.append(Span(axis.first_node(unit) + i, start, stop, weight))
    return tuple(spans)


@lru_cache(maxsize=1024)
def _blend(axis: Axis, unit: int) -> NDArray[np.float32]:
    start, stop = axis.data(unit)
    left, right = axis.core(unit)
    first, last = unit == 0, unit == axis.n_units - 1
    return window(
        start,
        stop,
        rise=None if first else (left, axis.blend_reach(unit - 1)),
        fall=None if last else (right, axis.blend_reach(unit)),
    )
