"""Opening stacks: dispatch, frames, channels, regions, refusals."""

from __future__ import annotations

import gzip
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
import zarr
from astropy.io import fits

from blinddps_sci.errors import InputError
from blinddps_sci.io import open_stack, read_window
from blinddps_sci.io.handles import HANDLES

RNG = np.random.default_rng(5)


def frame_files(folder, count=3, shape=(16, 12), **header):
    paths, frames = [], []
    for n in range(count):
        data = RNG.normal(size=shape).astype("f4")
        hdu = fits.PrimaryHDU(data)
        hdu.header.update(BUNIT="adu", FRAME=n, **header)
        paths.append(folder / f"f{n}.fits")
        hdu.writeto(paths[-1])
        frames.append(data)
    return paths, np.stack(frames)


def test_files_are_frames(tmp_path):
    paths, frames = frame_files(tmp_path)
    stack = pickle.loads(pickle.dumps(open_stack([str(paths[0]), *paths[1:]], region="2:14,1:11")))
    assert stack["data"].dims == ("t", "y", "x")
    np.testing.assert_array_equal(stack["data"].values, frames[:, 2:14, 1:11])
    np.testing.assert_array_equal(
        stack["data"].isel(t=slice(None, None, -1), x=4).values, frames[::-1, 2:14, 5]
    )
    np.testing.assert_array_equal(stack["data"].isel(t=2, y=slice(3, 9)).values, frames[2, 5:11, 1:11])
    assert stack.attrs["source"] == ["f0.fits", "f1.fits", "f2.fits"]
    assert [f["name"] for f in stack.attrs["identity"]["files"]] == stack.attrs["source"]
    assert stack.attrs["unit"] == "adu"
    json.dumps(stack.attrs, allow_nan=False)


def test_one_file_in_a_list_is_that_file(tmp_path):
    paths, _ = frame_files(tmp_path, 1)
    assert open_stack(paths)["data"].dims == ("y", "x")


def test_cubes_follow_one_another_and_masks_come_along(tmp_path):
    paths, cubes = [], []
    for n, length in enumerate((2, 3)):
        cube = RNG.normal(size=(length, 9, 9)).astype("f4")
        dq = np.zeros(cube.shape, "i2")
        dq[:, n, n] = 1
        paths.append(tmp_path / f"{n}.fits")
        fits.HDUList([fits.PrimaryHDU(cube), fits.ImageHDU(dq, name="DQ")]).writeto(paths[-1])
        cubes.append(cube)
    stack = open_stack(paths)
    np.testing.assert_array_equal(stack["data"].values, np.concatenate(cubes))
    assert stack["mask"].dtype == bool
    assert np.argwhere(stack["mask"].values).tolist() == [[t, t > 1, t > 1] for t in range(5)]


def test_colour_frames_have_time_first(tmp_path):
    for n in range(2):
        tifffile.imwrite(
            tmp_path / f"{n}.tif", np.full((9, 12, 3), n, "u1"), photometric="rgb", compression="zlib"
        )
    stack = open_stack([tmp_path / "0.tif", tmp_path / "1.tif"], channel="B")
    assert stack["data"].dims == ("t", "y", "x")
    assert stack["data"].isel(y=0, x=0).values.tolist() == [0, 1]


def test_many_frames_hold_few_handles(tmp_path):
    for n in range(40):
        tifffile.imwrite(tmp_path / f"{n:02}.tif", np.full((9, 9), n, "u1"), compression="zlib")
    stack = open_stack(sorted(tmp_path.iterdir()))
    np.testing.assert_array_equal(stack["data"].isel(y=0, x=0).values, np.arange(40))
    assert len(HANDLES) <= 16


def test_frames_that_do_not_fit_are_refused(tmp_path):
    paths, _ = frame_files(tmp_path, 1)
    (other := tmp_path / "o").mkdir()
    bigger, _ = frame_files(other, 1, (16, 13))
    with pytest.raises(InputError, match="not frames of one scene"):
        open_stack([*paths, *bigger])
    hdu = fits.PrimaryHDU(np.zeros((16, 12), "f4"))
    hdu.header["BUNIT"] = "electron"
    hdu.writeto(tmp_path / "unit.fits")
    with pytest.raises(InputError, match="different units: 'adu' and 'electron'"):
        open_stack([*paths, tmp_path / "unit.fits"])
    hdu.header["BUNIT"] = "adu"
    fits.HDUList([hdu, fits.ImageHDU(np.ones((16, 12), "f4"), name="ERR")]).writeto(tmp_path / "err.fits")
    with pytest.raises(InputError, match="do not both have variance and mask"):
        open_stack([*paths, tmp_path / "err.fits"])


@pytest.mark.parametrize(
    "region",
    ["3:13,2:10", " 3:13 , 2:10 ", ((3, 13), (2, 10)), [[3, 13], [2, 10]], (slice(3, 13), slice(2, 10))],
)
def test_regions(region):
    data = np.arange(20.0 * 16).reshape(20, 16)
    stack = open_stack(data, region=region)
    np.testing.assert_array_equal(stack["data"].values, data[3:13, 2:10])
    assert stack.attrs["region"] == [[3, 13], [2, 10]]


def test_open_ends_of_a_region_are_the_image():
    stack = open_stack(np.zeros((20, 16)), region=":,4:")
    assert stack["data"].shape == (20, 12)
    assert stack.attrs["region"] == [[0, 20], [4, 16]]


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ("0:21,0:16", "does not lie in the image of 20 x 16"),
        ("-3:10,0:16", "does not lie in"),
        ("10:2,0:16", "does not lie in"),
        ("0:7,0:16", "smaller than 8 x 8"),
        ("0:20", "cannot be read"),
        ("0:20,0:16,0:3", "cannot be read"),
        ("a:b,0:16", "cannot be read"),
        ("0:1.5,0:16", "cannot be read"),
        (((0.5, 9), (0, 9)), "cannot be read"),
        (7, "cannot be read"),
    ],
)
def test_wrong_regions(region, words):
    with pytest.raises(InputError, match=words) as error:
        open_stack(np.zeros((20, 16)), region=region)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("channel", ["green", 3, -1, "3", ""])
def test_wrong_channels(tmp_path, channel):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 12, 3), "u1"), photometric="rgb")
    with pytest.raises(InputError, match=r"the input has 3 \(0 to 2\) named R, G, B"):
        open_stack(tmp_path / "a.tif", channel=channel)


def test_a_channel_of_an_image_without_channels():
    with pytest.raises(InputError, match="has the axes"):
        open_stack(np.zeros((9, 9)), channel=0)


def test_everything_about_a_path_that_can_be_wrong(tmp_path):
    cases = {
        "no.fits": None,
        "a.gif": b"x",
        "noext": b"x",
        "a.tif.gz": gzip.compress(b"x"),
        "a.gz": gzip.compress(b"x"),
    }
    for name, content in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(
            InputError, match="does not exist" if content is None else "unknown kind"
        ) as error:
            open_stack(tmp_path / name)
        assert name in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("source", [[], [np.zeros((9, 9))], 5, None, {"a": 1}])
def test_sources_of_an_unknown_type(source):
    with pytest.raises(InputError, match="cannot be opened"):
        open_stack(source)


def test_hdu_is_for_fits_only(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9), "u1"))
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(9, 9), dtype="u1")
    for source in (tmp_path / "a.tif", tmp_path / "a.zarr", np.zeros((9, 9))):
        with pytest.raises(InputError, match="applies to FITS files only"):
            open_stack(source, hdu=1)


def test_stacks_become_dask_arrays_with_the_files_chunks(tmp_path):
    array = zarr.create_array(str(tmp_path / "a.zarr"), shape=(40, 40), dtype="u2", chunks=(16, 16))
    array[...] = np.arange(1600, dtype="u2").reshape(40, 40)
    data = open_stack(tmp_path / "a.zarr")["data"]
    chunked = data.chunk(data.encoding["preferred_chunks"])
    assert chunked.chunks == ((16, 16, 8), (16, 16, 8))
    assert float(chunked.sum().compute(scheduler="synchronous")) == 1600 * 1599 / 2


def test_importing_the_readers_loads_neither_torch_nor_a_format():
    code = (
        "import sys, blinddps_sci.io as io, numpy as np; io.open_stack(np.zeros((9, 9)))['data'].values; "
        "print(*[m for m in ('torch', 'tifffile', 'napari', 'distributed') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


@pytest.mark.parametrize("kind", ["fits", "tif"])
def test_threads_share_a_compressed_file(tmp_path, kind):
    data = RNG.integers(0, 4000, size=(128, 128)).astype("i2")
    path = tmp_path / f"a.{kind}"
    if kind == "fits":
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, tile_shape=(16, 16))]).writeto(path)
    else:
        tifffile.imwrite(path, data, compression="zlib", tile=(16, 16))
    stack = open_stack(path)

    def read(n):
        y, x = 7 * (n % 11), 5 * (n % 13)
        window = read_window(stack, {}, slice(y, y + 40), slice(x, x + 40))
        return np.array_equal(window.data, data[y : y + 40, x : x + 40])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(60)))
