"""Boxes: half-open, absolute, negative where a canvas exceeds the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blinddps_sci.errors import InputError
from blinddps_sci.tiling import Box


@st.composite
def boxes(draw, low: int = -20) -> Box:
    y = sorted(draw(st.tuples(st.integers(low, 20), st.integers(low, 20))))
    x = sorted(draw(st.tuples(st.integers(low, 20), st.integers(low, 20))))
    return Box(*y, *x)


def pixels(box: Box) -> set[tuple[int, int]]:
    return {(y, x) for y in range(box.y0, box.y1) for x in range(box.x0, box.x1)}


@settings(deadline=None, max_examples=40)
@given(boxes(), boxes())
def test_intersection_is_that_of_the_sets_of_pixels(a: Box, b: Box) -> None:
    assert pixels(a.intersect(b)) == pixels(a) & pixels(b)
    assert a.intersect(b).area == len(pixels(a) & pixels(b))


@settings(deadline=None, max_examples=40)
@given(boxes(low=0))
def test_slices_index_the_same_pixels(box: Box) -> None:
    grid = np.zeros((20, 20), bool)
    grid[box.slices] = True
    assert set(zip(*map(list, np.nonzero(grid)), strict=True)) == pixels(box)
    assert grid[box.slices].shape == box.shape == (box.height, box.width)


def test_expand_shift_and_within() -> None:
    box = Box(2, 5, 3, 7)
    assert box.expand(4) == Box(-2, 9, -1, 11)
    assert box.shifted(-3, 2) == Box(-1, 2, 5, 9)
    assert box.within(Box(1, 9, -2, 9)) == Box(1, 4, 5, 9)
    assert box.expand(4).within(box.expand(4)).slices == (slice(0, 11), slice(0, 12))


def test_a_negative_corner_does_not_index_from_the_end() -> None:
    with pytest.raises(InputError, match="begins before the array"):
        _ = Box(-1, 3, 0, 3).slices


def test_a_negative_side_is_refused() -> None:
    with pytest.raises(InputError, match="negative side"):
        Box(3, 2, 0, 1)
