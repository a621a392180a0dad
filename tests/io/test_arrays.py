"""Arrays in memory, in dask and in xarray as stacks."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

from blinddps_sci.errors import InputError, MisfitWarning
from blinddps_sci.io import open_stack, read_window

RNG = np.random.default_rng(3)


@pytest.mark.parametrize(("shape", "dims"), [((9, 12), "yx"), ((3, 9, 12), "tyx"), ((2, 3, 9, 12), "tcyx")])
@pytest.mark.parametrize("dtype", ["<f8", ">f4", ">i2", "u1"])
def test_numpy(shape, dims, dtype):
    data = (RNG.normal(size=shape) * 50).astype(dtype)
    stack = open_stack(data)
    assert "".join(stack["data"].dims) == dims
    assert stack["data"].dtype == np.dtype("=f4")
    np.testing.assert_array_equal(stack["data"].values, data.astype("f4"))
    assert stack.attrs["dtype_on_disk"] == np.dtype(dtype).str
    json.dumps(stack.attrs, allow_nan=False)


def test_values_beyond_float32_are_infinite_without_a_warning():
    stack = open_stack(np.full((8, 8), 1e300))
    assert np.isinf(stack["data"].values).all()


def test_masked_arrays_keep_their_mask():
    data = np.ma.masked_greater(np.arange(100.0).reshape(10, 10), 97)
    stack = open_stack(data)
    np.testing.assert_array_equal(stack["mask"].values, data.mask)


def test_dask_is_computed_by_window_only():
    import dask.array as da

    computed = []

    def block(block_info=None):
        computed.append(block_info[None]["chunk-location"])
        return np.ones((16, 16), "f4")

    lazy = da.map_blocks(block, chunks=((16,) * 4, (16,) * 4), dtype="f4", meta=np.empty((0, 0), "f4"))
    stack = open_stack(lazy)
    assert not computed
    window = stack["data"].isel(y=slice(20, 30), x=slice(0, 16)).values
    assert window.shape == (10, 16)
    assert computed == [(1, 0)]
    assert open_stack(lazy).attrs["identity"] == stack.attrs["identity"]


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        (("x", "y", "t"), "tyx"),
        (("Time", "Y", "X"), "tyx"),
        (("row", "column", "channel"), "cyx"),
        (("z", "y", "x"), "zyx"),
    ],
)
def test_named_axes_are_put_in_order(dims, expected):
    data = RNG.normal(size=(9, 10, 11)).astype("f4")
    source = xr.DataArray(data, dims=dims)
    stack = open_stack(source)
    assert "".join(stack["data"].dims) == expected
    short = {"Time": "t", "Y": "y", "X": "x", "row": "y", "column": "x", "channel": "c"}
    renamed = source.rename({d: short[d] for d in dims if d in short}).transpose(*expected)
    np.testing.assert_array_equal(stack["data"].values, renamed.values)
    np.testing.assert_array_equal(
        stack["data"].isel(y=3, x=slice(2, 8)).values, renamed.isel(y=3, x=slice(2, 8)).values
    )


def test_attributes_coordinates_and_channel_names():
    source = xr.DataArray(
        np.zeros((2, 9, 12), "f4"), dims=("c", "y", "x"),
        coords={
            "c": ["red", "blue"], "y": ("y", np.arange(9) * 0.2, {"units": "um"}),
            "x": ("x", np.arange(12) * 100.0, {"units": "nm"}),
        },
        attrs={"units": "photon", "gain": np.float32(1.5), "thing": object()},
    )  # fmt: skip
    stack = open_stack(source, channel="blue")
    assert stack.attrs["channel"] == "blue"
    np.testing.assert_allclose(stack.attrs["pixel_scale"], [0.2, 0.1])
    assert (stack.attrs["pixel_unit"], stack.attrs["unit"], stack.attrs["gain"]) == (
        "micrometer",
        "photon",
        1.5,
    )
    json.dumps(stack.attrs, allow_nan=False)


def test_datasets_bring_variance_and_mask():
    data, variance = RNG.normal(size=(9, 12)), RNG.random((12, 9)) + 0.1
    source = xr.Dataset(
        {"data": (("y", "x"), data), "variance": (("x", "y"), variance), "mask": (("y", "x"), data > 1)}
    )
    stack = open_stack(source)
    np.testing.assert_allclose(stack["variance"].values, variance.T, rtol=1e-6)
    np.testing.assert_array_equal(stack["mask"].values, data > 1)
    wrong = source.drop_vars("variance").assign(variance=(("y",), np.ones(9)))
    with pytest.raises(InputError, match="they must be the same"):
        open_stack(wrong)


def test_a_dataset_needs_one_image():
    two = xr.Dataset({"a": (("y", "x"), np.zeros((9, 9))), "b": (("y", "x"), np.zeros((9, 9)))})
    with pytest.raises(InputError, match="name the image 'data'"):
        open_stack(two)
    assert open_stack(two[["a"]])["data"].shape == (9, 9)
    assert open_stack(two.rename(a="image"))["data"].shape == (9, 9)


def test_opening_a_stack_again_changes_nothing(tmp_path):
    data = RNG.integers(0, 9, size=(16, 12)).astype("i2")
    dq = np.zeros((16, 12), "i2")
    dq[0, 0] = 1
    fits.HDUList([fits.PrimaryHDU(data), fits.ImageHDU(dq, name="DQ")]).writeto(tmp_path / "a.fits")
    first = open_stack(tmp_path / "a.fits")
    again = pickle.loads(pickle.dumps(open_stack(first)))
    assert again.attrs == first.attrs
    xr.testing.assert_equal(again, first)
    assert len(pickle.dumps(again)) < 20_000


def test_identity_is_that_of_all_pixels():
    data = RNG.normal(size=(3, 40, 40))
    identity = open_stack(data).attrs["identity"]
    assert open_stack(data.copy()).attrs["identity"] == identity
    data[1, 20, 20] += 1e-9
    assert open_stack(data).attrs["identity"] != identity


def test_windows_of_arrays_are_copies():
    data = np.ones((9, 9), "f4")
    window = read_window(open_stack(data), {}, slice(0, 9), slice(0, 9))
    window.data[...] = 5
    assert (data == 1).all()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((1, 2, 3, 9, 9)), "5 axes without names"),
        (np.zeros(90), "1 axes without names"),
        (np.zeros((9, 9), complex), "complex128"),
        (np.zeros((9, 9), bool), "bool"),
        (np.full((9, 9), "a"), "dtype"),
        (np.zeros((9, 7)), "9 x 7 pixels"),
        (np.zeros((0, 9, 9)), "no pixels"),
        (xr.DataArray(np.zeros((9, 9)), dims=("lat", "lon")), "a stack has y and x"),
        (xr.DataArray(np.zeros((2, 9, 9)), dims=("angle", "y", "x")), "at most one each"),
    ],
)
def test_refusals(source, words):
    with pytest.raises(InputError, match=words):
        open_stack(source)


def test_a_spare_axis_of_length_one_is_left_out():
    stack = open_stack(xr.DataArray(np.zeros((1, 9, 9)), dims=("angle", "y", "x")))
    assert stack["data"].dims == ("y", "x")


def test_a_stack_that_was_cut_does_not_keep_a_wrong_place_on_the_sky(tmp_path):
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 16.0, "CRPIX2": 32.0})
    fits.writeto(tmp_path / "a.fits", np.ones((64, 32), "f4"), header)
    stack = open_stack(tmp_path / "a.fits")
    assert open_stack(stack).attrs["wcs_header"] == stack.attrs["wcs_header"]
    assert "wcs_header" in open_stack(open_stack(stack, region="10:40,:")).attrs
    with pytest.warns(MisfitWarning, match="its world coordinates are left out"):
        cut = open_stack(stack.isel(y=slice(10, 40)))
    assert "wcs_header" not in cut.attrs


def test_coordinates_say_where_an_array_begins():
    y, x = 3.0 + 0.5 * np.arange(16), 0.25 * np.arange(12)
    units = {"units": "micrometer"}
    array = xr.DataArray(
        np.ones((16, 12)), coords={"y": ("y", y, units), "x": ("x", x, units)}, dims=("y", "x")
    )
    assert open_stack(array).attrs["origin"] == {"y": 3.0, "x": 0.0}
