"""One axis: cells, ramps at its short last unit, and what a unit looks at."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from blinddps_sci.tiling.axis import Axis


def test_cells_are_equal_to_a_pixel_and_about_one_pitch_long() -> None:
    axis = Axis(length=1024, tile=256, overlap=64, unit=1024, halo=16)
    bounds = axis.cells(0)
    assert bounds[0] == 0
    assert bounds[-1] == 1024
    assert len(bounds) == 6
    assert {b - a for a, b in pairwise(bounds)} == {204, 205}


def test_a_tile_is_its_cell_and_half_an_overlap_on_each_inner_side() -> None:
    axis = Axis(length=300, tile=60, overlap=20, unit=120, halo=4)
    first, inner, last = axis.spans(1)
    assert (first.start, first.stop) == (axis.canvas(1)[0], 170)
    assert (inner.start, inner.stop) == (150, 210)
    assert (last.start, last.stop) == (190, axis.canvas(1)[1])
    assert [span.node for span in axis.spans(1)] == [3, 4, 5]
    assert inner.window[0] < 0.01
    assert inner.window[30] == 1


def test_outer_tiles_weigh_one_up_to_the_edge_of_the_canvas() -> None:
    axis = Axis(length=300, tile=60, overlap=20, unit=120, halo=4)
    spans = axis.spans(1)
    assert np.all(spans[0].window[:20] == 1)
    assert np.all(spans[-1].window[-20:] == 1)


@pytest.mark.parametrize("rest", [1, 2, 3, 9, 10, 11, 59])
def test_a_short_last_unit_shrinks_its_ramps_and_looks_at_a_whole_tile(rest: int) -> None:
    axis = Axis(length=240 + rest, tile=60, overlap=20, unit=120, halo=4)
    assert axis.n_units == 3
    assert axis.core(2) == (240, 240 + rest)
    start, stop = axis.data(2)
    assert stop == 240 + rest
    assert stop - start == max(60, rest + 10)
    assert axis.blend_reach(1) == min(10, rest)
    before = axis.blend(1)
    assert len(before) == axis.data(1)[1] - axis.data(1)[0]


def test_a_short_unit_of_several_cells_shrinks_the_ramps_between_them() -> None:
    # the last unit has 45 pixels in two cells of 22 and 23, less than the overlap of 24
    axis = Axis(length=192 + 45, tile=54, overlap=24, unit=192, halo=4)
    left, right = axis.spans(1)
    assert left.stop - right.start == 22
    overlap = left.window[-22:] + right.window[:22]
    np.testing.assert_allclose(overlap, 1, atol=1e-6)


def test_centres_are_the_middle_pixels_of_the_cells() -> None:
    axis = Axis(length=9, tile=3, overlap=0, unit=6, halo=2)
    np.testing.assert_array_equal(axis.centres(), [1, 4, 7])
    np.testing.assert_array_equal(Axis(4, 2, 0, 4, 1).centres(), [0.5, 2.5])


def test_windows_of_a_unit_are_made_once() -> None:
    axis = Axis(length=300, tile=60, overlap=20, unit=120, halo=4)
    same = Axis(length=300, tile=60, overlap=20, unit=120, halo=4)
    assert axis.spans(1)[0].window is same.spans(1)[0].window
    assert axis.blend(1) is same.blend(1)
