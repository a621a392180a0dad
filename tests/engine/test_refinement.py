"""The grids on which the kernels of a burst are resolved: partitions at every size."""

from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.engine.refinement import grids, grouped, members
from blinddps_sci.operators import NodeWindow


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [(1, 1, [(1, 1)]), (4, 3, [(1, 1), (2, 2), (4, 3)]), (1, 5, [(1, 1), (1, 2), (1, 4), (1, 5)])],
)
def test_grids_double_until_every_node_has_its_own(rows: int, columns: int, expected: list) -> None:
    assert grids(rows, columns) == expected


@pytest.mark.parametrize(("rows", "columns"), [(4, 3), (5, 5), (1, 2)])
def test_every_node_has_one_of_the_kernels_and_all_have_a_node(rows: int, columns: int) -> None:
    for grid in grids(rows, columns):
        found = members(rows, columns, grid)
        assert found.shape == (rows * columns,)
        assert set(found) == set(range(grid[0] * grid[1]))
    assert members(rows, columns, (rows, columns)).tolist() == list(range(rows * columns))


def test_windows_of_groups_are_the_sums_of_their_nodes() -> None:
    def hats(length: int, centres: list[int]) -> list[tuple[int, np.ndarray]]:
        dense = np.stack([np.interp(np.arange(length), centres, row) for row in np.eye(len(centres))])
        return [(int(np.flatnonzero(row)[0]), row[row > 0].astype(np.float32)) for row in dense]

    rows, columns = hats(40, [4, 14, 24, 35]), hats(30, [5, 15, 25])
    windows = [NodeWindow(y0, x0, wy, wx) for y0, wy in rows for x0, wx in columns]

    def dense(window: NodeWindow) -> np.ndarray:
        full = np.zeros((40, 30))
        full[window.y0 : window.y0 + len(window.wy), window.x0 : window.x0 + len(window.wx)] = np.outer(
            window.wy, window.wx
        )
        return full

    for grid in grids(4, 3):
        own = members(4, 3, grid)
        for number, group in enumerate(grouped(windows, 4, 3, grid)):
            expected = sum(dense(w) for w, member in zip(windows, own, strict=True) if member == number)
            np.testing.assert_allclose(dense(group), expected, atol=1e-6)
