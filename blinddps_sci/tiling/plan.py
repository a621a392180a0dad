"""The plan of a run: units of work, their tiles, and the nodes of the point-spread function.

Pure arithmetic on five lengths. The engine asks for a unit by its number, so a plan of ten
thousand units is never held in memory, and any worker finds the same one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blinddps_sci.errors import ConfigError
from blinddps_sci.tiling.axis import Axis
from blinddps_sci.tiling.box import Box

__all__ = ["Plan", "Tile", "Unit"]


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of work: what becomes one shard of the output.

    Parameters
    ----------
    index : int
        Its number in the plan.
    plane, iy, ix : int
        Which plane, and which row and column of its units.
    core : Box
        The pixels that this unit alone writes.
    data : Box
        The pixels that it looks at, inside the image: the core and the blend around it.
    canvas : Box
        The pixels on which its scene is unknown: the data and a halo of half a kernel, which
        reaches beyond the image at its borders.
    """

    index: int
    plane: int
    iy: int
    ix: int
    core: Box
    data: Box
    canvas: Box


@dataclass(frozen=True, eq=False, slots=True)
class Tile:
    """What a network sees at once, and the domain of one point-spread function.

    Parameters
    ----------
    index : (int, int)
        Row and column of its node in the plane's grid of nodes.
    box : Box
        Its pixels, absolute; part of its unit's canvas.
    window_y, window_x : ndarray, (height,) and (width,), float32, not writable
        Factors of its weight. Over a unit's canvas the weights of its tiles sum to one.
    """

    index: tuple[int, int]
    box: Box
    window_y: NDArray[np.float32]
    window_x: NDArray[np.float32]

    def cropped(self, box: Box) -> Tile:
        """Return the part of the tile inside a box, with its part of the window."""
        part = self.box.intersect(box)
        y, x = part.within(self.box).slices
        return Tile(self.index, part, self.window_y[y], self.window_x[x])


@dataclass(frozen=True)
class Plan:
    """How an image is cut into units, tiles and nodes.

    Parameters
    ----------
    shape : (int, int)
        Height and width of each plane in pixels.
    planes : int
        Number of planes (frames, channels, slices) of this shape.
    tile : int
        Side in pixels of what a network sees at once. It is aimed at, not met: a unit is
        cut into equal cells, about tile - overlap long, and a tile is a cell plus the overlap.
    overlap : int
        Width in pixels of the ramps between tiles and between units.
    unit : int
        Side in pixels of a unit of work, equal to that of the output's shards.
    kernel_size : int
        Side K in pixels of the point-spread functions.
    reach : int
        Pixels by which the light of a scene may be displaced, beyond what the kernels spread it.

    Raises
    ------
    ConfigError
        If a length is not a whole number in its range, the overlap leaves too little of a
        tile, or a unit is smaller than a tile.

    Notes
    -----
    Units lie on the absolute lattice of the unit's side. Cells and nodes never cross a unit's
    border, so they depend on the lengths above and on nothing else. At the image's edge, where
    a unit may be short, ramps shrink to what there is; such a unit still looks at one full tile.
    """

    shape: tuple[int, int]
    planes: int
    tile: int
    overlap: int
    unit: int
    kernel_size: int
    reach: int = 0

    def __post_init__(self) -> None:
        if len(self.shape) != 2:
            raise ConfigError(f"shape {self.shape!r}: give (height, width) of one plane")
        names = ("height", "width", "planes", "tile", "unit", "kernel_size", "overlap", "reach")
        lengths = (*self.shape, self.planes, self.tile, self.unit, self.kernel_size, self.overlap, self.reach)
        for name, value in zip(names, lengths, strict=True):
            least = 0 if name in ("overlap", "reach") else 1
            if not isinstance(value, int | np.integer) or value < least:
                raise ConfigError(f"{name} {value!r}: give a whole number of at least {least}")
        if self.overlap >= self.tile:
            raise ConfigError(
                f"overlap {self.overlap} leaves nothing of tile {self.tile}: lower the overlap to "
                f"{self.tile // 4}, for instance, or raise the tile"
            )
        if self.unit < self.tile:
            raise ConfigError(
                f"unit {self.unit} is smaller than tile {self.tile}: raise the unit to a multiple of the "
                "tile, or lower the tile"
            )
        cell = _smallest_cell(self.tile, self.overlap, self.unit)
        if self.overlap > cell:
            allowed = next(
                o for o in range(self.overlap, -1, -1) if o <= _smallest_cell(self.tile, o, self.unit)
            )
            raise ConfigError(
                f"tile {self.tile} with overlap {self.overlap} cuts a unit of {self.unit} into cells of "
                f"{cell} pixels, less than the overlap: lower the overlap to {allowed} or raise the tile"
            )

    @property
    def halo(self) -> int:
        """Pixels by which a canvas exceeds its data on each side: half a kernel and the reach."""
        return self.margin + self.reach

    @property
    def margin(self) -> int:
        """Pixels by which kernels reach beyond the data on each side: half a kernel, rounded up."""
        return (self.kernel_size + 1) // 2

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """The plan along y and along x."""
        common = (self.tile, self.overlap, self.unit, self.halo)
        return Axis(self.shape[0], *common), Axis(self.shape[1], *common)

    @property
    def unit_grid(self) -> tuple[int, int]:
        """Units of one plane along y and along x."""
        y, x = self.axes
        return y.n_units, x.n_units

    @property
    def n_units(self) -> int:
        """Units of all planes."""
        rows, columns = self.unit_grid
        return self.planes * rows * columns

    @property
    def node_grid(self) -> tuple[int, int]:
        """Nodes, and so tiles, of one plane along y and along x."""
        y, x = self.axes
        return y.n_nodes, x.n_nodes

    @property
    def n_tiles(self) -> int:
        """Tiles of all planes."""
        rows, columns = self.node_grid
        return self.planes * rows * columns

    def unit_at(self, index: int) -> Unit:
        """Return a unit by its number; planes come first, then rows.

        Raises
        ------
        ConfigError
            If there is no such unit.
        """
        if not 0 <= index < self.n_units:
            raise ConfigError(f"unit {index}: the plan has units 0 to {self.n_units - 1}")
        rows, columns = self.unit_grid
        plane, rest = divmod(index, rows * columns)
        iy, ix = divmod(rest, columns)
        y, x = self.axes
        return Unit(
            index,
            plane,
            iy,
            ix,
            core=Box(*y.core(iy), *x.core(ix)),
            data=Box(*y.data(iy), *x.data(ix)),
            canvas=Box(*y.canvas(iy), *x.canvas(ix)),
        )

    def units(self) -> Iterator[Unit]:
        """Yield all units in the order of their numbers."""
        return (self.unit_at(index) for index in range(self.n_units))

    def tiles(self, unit: Unit) -> tuple[Tile, ...]:
        """Return the tiles of a unit, row by row.

        Their boxes lie on the unit's canvas, which the outermost reach the edges of; their
        windows sum to one on all of it.
        """
        y, x = self.axes
        return tuple(
            Tile(
                (row.node, column.node),
                Box(row.start, row.stop, column.start, column.stop),
                row.window,
                column.window,
            )
            for row in y.spans(unit.iy)
            for column in x.spans(unit.ix)
        )

    def nodes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the y and the x of a plane's nodes, the middles of its cells.

        Returns
        -------
        tuple of ndarray, (node_y,) and (node_x,), float64
            0-based pixel positions; the nodes are all pairs of the two.
        """
        y, x = self.axes
        return y.centres(), x.centres()

    def blend_window(self, unit: Unit) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the factors of a unit's weight in the result.

        Returns
        -------
        tuple of ndarray, (data height,) and (data width,), float32, not writable
            Over the unit's data box. Ramps as wide as the overlap lie on the borders between
            units; over the image the weights of all units sum to one.
        """
        y, x = self.axes
        return y.blend(unit.iy), x.blend(unit.ix)

    def neighbours(self, unit: Unit) -> tuple[int, ...]:
        """Return the numbers of the other units whose weight reaches into this one's core."""
        y, x = self.axes
        columns = x.n_units
        first = unit.index - unit.iy * columns - unit.ix
        near = (first + iy * columns + ix for iy in _reaching(y, unit.iy) for ix in _reaching(x, unit.ix))
        return tuple(index for index in near if index != unit.index)

    def adjacent(self, unit: Unit) -> tuple[int, ...]:
        """Return the numbers of the up to eight units of its plane that touch this one."""
        rows, columns = self.unit_grid
        first = unit.index - unit.iy * columns - unit.ix
        near = (
            first + iy * columns + ix
            for iy in range(max(unit.iy - 1, 0), min(unit.iy + 2, rows))
            for ix in range(max(unit.ix - 1, 0), min(unit.ix + 2, columns))
        )
        return tuple(index for index in near if index != unit.index)

    def largest_tile(self) -> tuple[int, int]:
        """Return the largest height and the largest width of the tiles."""
        y, x = (
            max(span.stop - span.start for unit in _kinds(axis) for span in axis.spans(unit))
            for axis in self.axes
        )
        return y, x

    def largest_canvas(self) -> tuple[int, int]:
        """Return the largest height and the largest width of the units' canvases."""
        y, x = (max(stop - start for start, stop in map(axis.canvas, _kinds(axis))) for axis in self.axes)
        return y, x


def _smallest_cell(tile: int, overlap: int, unit: int) -> int:
    """Return the smallest cell of a whole unit."""
    return unit // Axis(unit, tile, overlap, unit, 0).n_cells(unit)


def _reaching(axis: Axis, unit: int) -> Iterator[int]:
    """Yield the units whose weight is not zero in this one's core, itself among them."""
    if unit > 0 and axis.blend_reach(unit - 1) > 0:
        yield unit - 1
    yield unit
    if unit < axis.n_units - 1 and axis.blend_reach(unit) > 0:
        yield unit + 1


def _kinds(axis: Axis) -> set[int]:
    """Return units of every length that occurs: the first two and the last two."""
    n = axis.n_units
    return {0, min(1, n - 1), max(n - 2, 0), n - 1}
