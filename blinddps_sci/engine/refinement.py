"""From one kernel for a whole unit to one for every tile: how the kernels of a burst are resolved.

One kernel for each frame is found where many would not be; each then stands for ever smaller parts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blinddps_sci.engine.config import RestoreConfig
from blinddps_sci.operators.blur import NodeWindow
from blinddps_sci.tiling.plan import Plan

__all__ = ["RESTART", "burst_steps", "grids", "grouped", "members", "representatives"]

RESTART = 6
"""Steps of every refinement, and from one draw of a burst to the next."""


def grids(rows: int, columns: int) -> list[tuple[int, int]]:
    """Return the grids of kernels of a unit with so many rows and columns of nodes, coarse to fine.

    Examples
    --------
    >>> grids(4, 3)
    [(1, 1), (2, 2), (4, 3)]
    """
    found = [(1, 1)]
    while found[-1] != (rows, columns):
        found.append((min(2 * found[-1][0], rows), min(2 * found[-1][1], columns)))
    return found


def members(rows: int, columns: int, grid: tuple[int, int]) -> NDArray[np.intp]:
    """Return which of a grid's kernels each node has, (rows * columns,)."""
    row, column = _groups(rows, columns, grid)
    return np.add.outer(row * grid[1], column).ravel()


def grouped(windows: list[NodeWindow], rows: int, columns: int, grid: tuple[int, int]) -> list[NodeWindow]:
    """Return the windows of a grid's kernels: the sums of those of the nodes, which are given row by row."""
    row, column = _groups(rows, columns, grid)
    y = [_joined([(w.y0, w.wy) for w in _picked(windows[::columns], row, i)]) for i in range(grid[0])]
    x = [_joined([(w.x0, w.wx) for w in _picked(windows[:columns], column, j)]) for j in range(grid[1])]
    return [NodeWindow(y0, x0, wy, wx) for y0, wy in y for x0, wx in x]


def representatives(rows: int, columns: int, grid: tuple[int, int]) -> NDArray[np.intp]:
    """Return the first node of each of a grid's kernels, (grid[0] * grid[1],)."""
    return np.asarray(np.unique(members(rows, columns, grid), return_index=True)[1])


def _groups(rows: int, columns: int, grid: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which row and which column of a grid each row and column of nodes belongs to."""
    return np.arange(rows) * grid[0] // rows, np.arange(columns) * grid[1] // columns


def _picked(windows: list[NodeWindow], groups: NDArray[np.intp], group: int) -> list[NodeWindow]:
    return [window for window, own in zip(windows, groups, strict=True) if own == group]


def _joined(parts: list[tuple[int, NDArray[np.float32]]]) -> tuple[int, NDArray[np.float32]]:
    """Return the sum of weights along an axis, each given with its first place."""
    first = min(start for start, _ in parts)
    total = np.zeros(max(start + len(weight) for start, weight in parts) - first, dtype=np.float32)
    for start, weight in parts:
        total[start - first : start - first + len(weight)] += weight
    return first, total


def burst_steps(config: RestoreConfig, plan: Plan) -> int:
    """Return the steps of the largest unit of a burst, all its draws together."""
    if config.sampler == "dps":
        return config.steps
    y, x = (max(len(axis.spans(unit)) for unit in range(min(axis.n_units, 2))) for axis in plan.axes)
    return config.steps + RESTART * (len(grids(y, x)) - 1 + config.samples - 1)
