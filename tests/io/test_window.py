"""Windows, overviews and the search for a usable pixel."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from blinddps_sci.errors import InputError
from blinddps_sci.io import check_finite, open_stack, overview, read_window
from blinddps_sci.io import window as module

RNG = np.random.default_rng(6)
ALL = slice(0, 10)


def dataset(data, **others):
    dims = ("t", "y", "x")[-data.ndim :]
    return xr.Dataset({name: (dims, values) for name, values in {"data": data, **others}.items()})


def test_bad_pixels_are_masked_and_finite():
    data = RNG.normal(size=(10, 10)).astype("f4")
    variance = np.ones((10, 10), "f4")
    mask = np.zeros((10, 10), bool)
    data[0, 0], data[0, 1], data[0, 2] = np.nan, np.inf, -np.inf
    variance[1, 0], variance[1, 1], variance[1, 2], variance[1, 3] = 0, -1, np.nan, np.inf
    mask[2, 0] = True
    window = read_window(open_stack(dataset(data, variance=variance, mask=mask)), {}, ALL, ALL)
    expected = {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0)}
    assert {tuple(p) for p in np.argwhere(window.mask)} == expected
    assert np.isfinite(window.data).all()
    assert window.data[0, :3].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(window.data[1:], data[1:])
    assert window.variance is not None
    assert (window.variance > 0).all()
    assert (window.data.dtype, window.variance.dtype, window.mask.dtype) == (np.float32, np.float32, bool)


def test_without_variance_and_mask():
    data = np.ones((10, 10), "f4")
    data[3, 3] = np.nan
    window = read_window(open_stack(data), {}, slice(2, 5), slice(3, 9))
    assert window.variance is None
    assert window.data.shape == window.mask.shape == (3, 6)
    assert np.argwhere(window.mask).tolist() == [[1, 0]]


def test_axes_left_out_of_the_index_are_whole():
    data = RNG.normal(size=(2, 3, 9, 12)).astype("f4")
    stack = open_stack(data)
    y, x = slice(1, 4), slice(5, 11)
    np.testing.assert_array_equal(read_window(stack, {"t": 1, "c": 2}, y, x).data, data[1, 2, 1:4, 5:11])
    np.testing.assert_array_equal(read_window(stack, {"c": 2}, y, x).data, data[:, 2, 1:4, 5:11])
    assert read_window(stack, {}, y, x).data.shape == (2, 3, 3, 6)


@pytest.mark.parametrize(
    ("index", "y", "x"),
    [
        ({}, slice(0, 11), ALL), ({}, slice(-1, 5), ALL), ({}, slice(5, 5), ALL), ({}, ALL, slice(None, 4)),
        ({}, ALL, slice(0, 8, 2)), ({"t": 2}, ALL, ALL), ({"t": -1}, ALL, ALL),
        ({"z": 0}, ALL, ALL), ({"y": 0}, ALL, ALL),
    ],
)  # fmt: skip
def test_windows_outside_the_image_are_refused(index, y, x):
    with pytest.raises(InputError):
        read_window(open_stack(np.zeros((2, 10, 10))), index, y, x)


@pytest.mark.parametrize("grid", [(1,), (5,), (3, 4, 7), (2, 13, 13), (1, 1, 64)])
def test_blocks_cover_the_stack_once(grid):
    shape = tuple(4 * n for n in grid) if len(grid) == 1 else (grid[0], 4 * grid[1] - 1, 4 * grid[2] - 3)
    data = np.zeros((8, *shape) if len(shape) == 1 else shape)
    seen = np.zeros(data.shape, int)
    for index, y, x in module._blocks(dataset(data), 4, 4):
        seen[(index["t"], y, x) if index else (y, x)] += 1
    assert (seen == 1).all()


def test_the_overview_of_a_small_stack_is_all_of_it():
    data = RNG.normal(size=(3, 20, 30)).astype("f4")
    data[0, 0, :7] = np.nan
    mask = np.zeros(data.shape, bool)
    mask[1, 1, 1] = True
    (values,) = overview(open_stack(dataset(data, mask=mask)))
    np.testing.assert_array_equal(np.sort(values), np.sort(data[np.isfinite(data) & ~mask]))


def test_the_overview_of_a_large_stack_is_a_fair_bounded_sample():
    y, x = np.mgrid[0:900, 0:1100]
    data = np.stack([x + 0.1 * y, 2000 + x + 0.1 * y, 4000 + x + 0.1 * y]).astype("f4")
    stack = open_stack(data)
    (values,) = overview(stack, max_pixels=50_000)
    assert 40_000 <= values.size <= 50_000
    np.testing.assert_array_equal(values, overview(stack, max_pixels=50_000)[0])
    quantiles = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
    np.testing.assert_allclose(
        np.quantile(values, quantiles), np.quantile(data, quantiles), atol=0.03 * np.ptp(data)
    )


def test_the_overview_of_channels_is_of_each(monkeypatch: pytest.MonkeyPatch):
    """Each block is read once, with all channels; one that is masked has no values."""
    data = RNG.normal(size=(2, 3, 20, 30)).astype("f4")
    mask = np.zeros(data.shape, bool)
    mask[:, 1] = True
    stack = xr.Dataset({"data": (("t", "c", "y", "x"), data), "mask": (("t", "c", "y", "x"), mask)})
    read = []
    original = module._usable
    monkeypatch.setattr(module, "_usable", lambda *block: read.append(block) or original(*block))
    values = overview(stack)
    assert len(read) == 2
    for c in (0, 2):
        np.testing.assert_array_equal(np.sort(values[c]), np.sort(data[:, c].ravel()))
    assert values[1].size == 0


def test_the_overview_takes_at_least_one_pixel():
    assert overview(open_stack(np.ones((50, 50))), max_pixels=1)[0].tolist() == [1.0]
    with pytest.raises(InputError, match="max_pixels"):
        overview(open_stack(np.ones((50, 50))), max_pixels=0)


def test_one_finite_pixel_is_enough_and_none_is_refused():
    data = np.full((2, 1500, 1300), np.nan, "f4")
    with pytest.raises(InputError, match="no usable pixel"):
        check_finite(open_stack(data))
    data[1, 1499, 1299] = 0.0
    check_finite(open_stack(data))
    mask = np.zeros(data.shape, bool)
    mask[1, 1499, 1299] = True
    with pytest.raises(InputError, match="no usable pixel"):
        check_finite(open_stack(dataset(data, mask=mask)))


def test_a_good_image_is_not_read_to_its_end(monkeypatch):
    read = []
    usable = module._usable
    monkeypatch.setattr(module, "_usable", lambda *a: read.append(a[2:]) or usable(*a))
    check_finite(open_stack(np.zeros((4000, 4000), "u1")))
    assert len(read) == 1
