"""Where the parts of a result lie: tiles of a plan, planes, units; no Qt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from blinddps_sci.io import open_stack
from blinddps_sci.io.result import create_result
from blinddps_sci.tiling import Plan
from napari_plugin.result_space import ResultSpace, cell_edges, space_of


@pytest.fixture
def space(tmp_path: Path) -> ResultSpace:
    """Make that of a time series of two channels and four slices, cut out of a larger image."""
    template = open_stack(xr.DataArray(np.zeros((3, 2, 4, 40, 600), np.float32), dims=list("tczyx")))
    template.attrs.update(pixel_scale=[0.1, 0.2], pixel_unit="micrometer", z_scale=0.5)
    template.attrs.update(region=[[10, 50], [20, 620]], origin={"y": 1.0, "x": 4.0})
    store = create_result(
        tmp_path / "cells.zarr", template=template, node_y=[9.5, 29.5], node_x=[99.5, 299.5, 499.5], frames=12
    )
    return space_of(store)


@pytest.mark.parametrize(("length", "unit"), [(600, 256), (601, 256), (1000, 320), (64, 64), (130, 128)])
def test_tiles_are_those_of_the_plan(length: int, unit: int) -> None:
    plan = Plan((length, length), 1, 64, 16, unit, 8)
    axis = plan.axes[0]
    cells = [np.array(axis.cells(number)) for number in range(axis.n_units)]
    edges = np.concatenate([cells[0][:1], *(bounds[1:] for bounds in cells)]) - 0.5
    np.testing.assert_array_equal(cell_edges(plan.nodes()[0], length), edges)


def test_tiles_of_other_nodes_meet_half_way() -> None:
    np.testing.assert_array_equal(cell_edges(np.array([10.0, 31.0]), 40), [-0.5, 20.5, 39.5])


def test_a_region_lies_where_it_was_cut_out(space: ResultSpace) -> None:
    assert space.plane_dims == ("t", "c", "z")
    options = space.options(("z", "y", "x"))
    assert options["scale"] == [0.5, 0.1, 0.2]
    assert options["translate"] == [0.0, 1.0, 4.0]
    assert options["units"] == ("micrometer",) * 3
    assert space.options(("t", "y"))["units"] == ("pixel", "micrometer")
    options["metadata"]["path"] = "elsewhere"
    assert space.metadata["path"] != "elsewhere"


def test_planes_are_found_by_a_point_of_the_world(space: ResultSpace) -> None:
    assert space.plane_at([2.0, 1.0, 1.5, 7.0, 7.0]) == (2, 1, 3)
    assert space.plane_at([9.0, 5.0, -3.0, 0.0, 0.0]) == (2, 1, 0)
    assert space.plane_at([1.0, 1.5, 7.0, 7.0]) == (0, 1, 3)
    assert space.plane_at([8.0, 2.0, 1.0, 1.5, 7.0, 7.0]) == (2, 1, 3)
    assert space.keys((2, 1, 3)) == (11, 1)


def test_planes_of_a_single_image(tmp_path: Path) -> None:
    template = open_stack(np.zeros((20, 30), np.float32))
    single = space_of(create_result(tmp_path / "one.zarr", template=template, node_y=[9.5], node_x=[14.5]))
    assert single.plane_at([3.0, 4.0]) == ()
    assert single.plane_at([5.0, 3.0, 4.0]) == ()
    assert single.keys(()) == (0, 0)
    assert single.unit == "pixel"


@pytest.mark.parametrize(
    ("y", "x", "node"),
    [
        (0, 0, (0, 0)),
        (-0.5, 599.5, (0, 2)),
        (19.4, 199.6, (0, 1)),
        (19.6, 399.4, (1, 1)),
        (39.6, 1, None),
        (1, -0.6, None),
    ],
)
def test_a_click_finds_its_tile(space: ResultSpace, y: float, x: float, node: Any) -> None:
    assert space.node_at(y, x) == node
    if node is not None:
        low, high = space.cell(*node)[0], space.cell(*node)[2]
        assert (low <= [y, x]).all()
        assert (high >= [y, x]).all()
