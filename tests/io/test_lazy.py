"""Rearranged readers and lazy arrays against numpy's own indexing."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices

from blinddps_sci.io.arrays import VariableReader
from blinddps_sci.io.lazy import Joined, LazyArray, Repeated, View, to_dataset
from blinddps_sci.io.values import Scaled

RNG = np.random.default_rng(7)
DATA = RNG.normal(size=(4, 3, 5, 6)).astype("f4")


def reader(data):
    return VariableReader(xr.Variable([f"d{n}" for n in range(data.ndim)], data))


CASES = {
    "plain": (reader(DATA), DATA),
    "transposed": (View(reader(DATA), (2, 0, 3, 1)), DATA.transpose(2, 0, 3, 1)),
    "fixed": (View(reader(DATA), (3, 2, 0), ((1, 2),)), DATA[:, 2].transpose(2, 1, 0)),
    "joined": (Joined((reader(DATA[:1]), reader(DATA[1:3]), reader(DATA[3:]))), DATA),
    "repeated": (Repeated(reader(DATA[0, 0]), (3, 2)), np.broadcast_to(DATA[0, 0], (3, 2, 5, 6))),
    "frames": (Joined(tuple(Repeated(reader(DATA[0, n]), (1,)) for n in range(3))), DATA[0]),
}


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=40, deadline=None)
@given(draw=st.data())
def test_every_basic_index_reads_what_numpy_reads(case, draw):
    source, expected = CASES[case]
    stack = to_dataset(
        {"data": LazyArray(source, np.dtype("f4"))}, [f"a{n}" for n in range(expected.ndim)], {}
    )
    assert stack["data"].shape == expected.shape
    index = draw.draw(basic_indices(expected.shape, allow_newaxis=False, allow_ellipsis=False, min_dims=1))
    index = index if isinstance(index, tuple) else (index,)
    # xarray itself fails on an empty slice with a negative step.
    assume(all(isinstance(k, int) or (k.step or 1) > 0 for k in index) or expected[index].size)
    where = {f"a{n}": k for n, k in enumerate(index)}
    np.testing.assert_array_equal(stack["data"].isel(where).values, expected[index])


@pytest.mark.parametrize("case", CASES)
def test_lists_of_positions_and_pickles(case):
    source, expected = CASES[case]
    stack = to_dataset(
        {"data": LazyArray(source, np.dtype("f4"))}, [f"a{n}" for n in range(expected.ndim)], {}
    )
    again = pickle.loads(pickle.dumps(stack))
    np.testing.assert_array_equal(
        again["data"].isel(a0=[2, 0], a1=[1, 1, 0]).values, expected[[2, 0]][:, [1, 1, 0]]
    )
    np.testing.assert_array_equal(again["data"].transpose(..., "a0").values, np.moveaxis(expected, 0, -1))


@pytest.mark.parametrize("dtype", ["i1", "u2", ">i2", ">i4", "i8", "f2", ">f4", "f8"])
def test_values_are_native_float32(dtype):
    raw = (RNG.normal(size=(4, 5)) * 50).astype(dtype)
    values = LazyArray(reader(raw), np.dtype("f4"), (Scaled(),)).read((slice(0, 4), 2))
    assert values.dtype.isnative
    assert values.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(values, raw[:, 2].astype("f4"))
