"""Reading TIFF in its dialects: axes, pixel sizes, laziness, refusals."""

from __future__ import annotations

import json
import pickle
import struct
from importlib.util import find_spec

import numpy as np
import pytest
import tifffile

from blinddps_sci.errors import InputError
from blinddps_sci.io import open_stack

RNG = np.random.default_rng(2)


def pixels(*shape):
    return RNG.integers(0, 60_000, size=shape).astype("u2")


@pytest.mark.parametrize(
    ("shape", "options", "dims"),
    [
        ((20, 30), {}, "yx"),
        ((5, 20, 30), {}, "tyx"),
        ((2, 5, 20, 30), {}, "tcyx"),
        ((5, 20, 30), {"imagej": True, "metadata": {"axes": "ZYX"}}, "zyx"),
        ((3, 2, 20, 30), {"imagej": True, "metadata": {"axes": "TCYX"}}, "tcyx"),
        ((2, 3, 2, 20, 30), {"imagej": True, "metadata": {"axes": "TZCYX"}}, "tczyx"),
        ((2, 3, 4, 20, 30), {"metadata": {"axes": "TCZYX"}, "ome": True}, "tczyx"),
        ((20, 30, 3), {"photometric": "rgb"}, "cyx"),
        ((4, 20, 30, 3), {"photometric": "rgb"}, "tcyx"),
        ((3, 20, 30), {"photometric": "rgb", "planarconfig": "separate"}, "cyx"),
    ],
)
@pytest.mark.parametrize(
    "storage", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"bigtiff": True}, {"byteorder": ">"}]
)
def test_axes_and_values(tmp_path, shape, options, dims, storage):
    if options.get("imagej") and storage:
        storage = {"byteorder": ">"} if "byteorder" in storage else {}
    data = pixels(*shape)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, **options, **storage)
    stack = pickle.loads(pickle.dumps(open_stack(path)))
    assert "".join(stack["data"].dims) == dims
    assert stack["data"].dtype == np.dtype("=f4")
    expected = data
    if options.get("photometric") and options.get("planarconfig") is None:
        expected = np.moveaxis(data, -1, -3)
    if options.get("imagej") and len(shape) == 5:
        expected = np.moveaxis(data, 2, 1)
    np.testing.assert_array_equal(stack["data"].values, expected)
    np.testing.assert_array_equal(
        stack["data"].isel(y=slice(3, 17), x=slice(11, 29)).values, expected[..., 3:17, 11:29]
    )
    json.dumps(stack.attrs, allow_nan=False)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f2", "f4", "f8"])
def test_types(tmp_path, dtype):
    data = (RNG.normal(size=(16, 16)) * 50).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", data)
    stack = open_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal(stack["data"].values, data.astype("f4"))
    assert np.dtype(stack.attrs["dtype_on_disk"]) == np.dtype(dtype)


def test_ome_pixel_size_and_channels(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.ome.tif", pixels(2, 3, 16, 16),
        metadata={
            "axes": "CZYX", "PhysicalSizeX": 65.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.066,
            "PhysicalSizeYUnit": "µm", "PhysicalSizeZ": 0.3, "Channel": {"Name": ["DAPI", "GFP"]},
        },
    )  # fmt: skip
    stack = open_stack(tmp_path / "a.ome.tif", channel="GFP")
    assert stack["data"].dims == ("z", "y", "x")
    np.testing.assert_allclose(stack.attrs["pixel_scale"], [0.066, 0.065])
    assert (stack.attrs["pixel_unit"], stack.attrs["z_scale"]) == ("micrometer", 0.3)
    assert (stack.attrs["format"], stack.attrs["channel"]) == ("ome-tiff", "GFP")


@pytest.mark.parametrize(
    ("unit", "factor"), [("micron", 1.0), ("um", 1.0), ("\\u00B5m", 1.0), ("nm", 1e-3), ("mm", 1e3)]
)
def test_imagej_pixel_size(tmp_path, unit, factor):
    tifffile.imwrite(
        tmp_path / "a.tif", pixels(3, 16, 16), imagej=True, resolution=(5.0, 4.0),
        metadata={"axes": "ZYX", "unit": unit, "spacing": 2.0},
    )  # fmt: skip
    attrs = open_stack(tmp_path / "a.tif").attrs
    np.testing.assert_allclose(attrs["pixel_scale"], [0.25 * factor, 0.2 * factor])
    assert (attrs["pixel_unit"], attrs["z_scale"]) == ("micrometer", 2.0 * factor)
    assert attrs["format"] == "imagej-tiff"


@pytest.mark.parametrize(
    ("options", "scale", "unit"),
    [
        ({"resolution": (1e5, 5e4), "resolutionunit": "CENTIMETER"}, [0.2, 0.1], "micrometer"),
        ({"resolution": (25400.0, 25400.0), "resolutionunit": "INCH"}, [1.0, 1.0], "micrometer"),
        ({"resolution": (72.0, 72.0), "resolutionunit": "INCH"}, [1.0, 1.0], "pixel"),
        ({"resolution": (300.0, 300.0), "resolutionunit": "INCH"}, [1.0, 1.0], "pixel"),
        ({}, [1.0, 1.0], "pixel"),
    ],
)
def test_resolution_tags_are_a_pixel_size_unless_they_are_for_printing(tmp_path, options, scale, unit):
    tifffile.imwrite(tmp_path / "a.tif", pixels(16, 16), **options)
    attrs = open_stack(tmp_path / "a.tif").attrs
    np.testing.assert_allclose(attrs["pixel_scale"], scale)
    assert attrs["pixel_unit"] == unit


def test_colour_names_and_palettes(tmp_path):
    data = pixels(16, 16, 3)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb")
    np.testing.assert_array_equal(open_stack(tmp_path / "a.tif", channel="G")["data"].values, data[..., 1])
    grey = data[..., 0].astype("u1")
    tifffile.imwrite(tmp_path / "b.tif", grey, colormap=np.zeros((3, 256), "u2"), photometric="palette")
    np.testing.assert_array_equal(open_stack(tmp_path / "b.tif")["data"].values, grey)


@pytest.mark.parametrize(
    "options", [{"compression": "zlib", "rowsperstrip": 8}, {"compression": "zlib", "tile": (16, 16)}]
)
def test_only_touched_segments_are_decoded(tmp_path, options):
    data = pixels(64, 64)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, **options)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        offset, size = page.dataoffsets[-1], page.databytecounts[-1]
    content = bytearray(path.read_bytes())
    content[offset : offset + size] = b"\xff" * size
    path.write_bytes(content)
    stack = open_stack(path)
    np.testing.assert_array_equal(stack["data"].isel(y=slice(0, 48)).values, data[:48])
    with pytest.raises(InputError, match="cannot be read at"):
        stack["data"].isel(y=slice(60, 64), x=slice(60, 64)).values  # noqa: B018


def test_a_contiguous_stack_is_mapped(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, shape=(50, 2000, 2000), dtype="u2", bigtiff=True, metadata={"axes": "TYX"})
    stack = open_stack(path)
    assert stack["data"].shape == (50, 2000, 2000)
    assert len(pickle.dumps(stack)) < 20_000
    assert stack["data"].isel(t=49, y=slice(1990, 2000), x=slice(0, 9)).values.sum() == 0


def test_several_files_of_one_ome_series(tmp_path):
    data = pixels(2, 3, 16, 16)
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata={"axes": "TZYX"}, compression="zlib")
    stack = open_stack([tmp_path / "a.ome.tif", tmp_path / "a.ome.tif"])
    assert stack["data"].sizes == {"t": 4, "z": 3, "y": 16, "x": 16}
    np.testing.assert_array_equal(stack["data"].isel(t=slice(1, 3)).values, data[[1, 0]])


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="every codec is installed")
def test_a_missing_codec_is_named_at_once(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels(16, 16), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags["Compression"].valueoffset
    content = bytearray(path.read_bytes())
    content[at : at + 2] = struct.pack("<H", 5)  # LZW
    path.write_bytes(content)
    with pytest.raises(InputError, match="pip install imagecodecs"):
        open_stack(path)


@pytest.mark.parametrize("content", [b"", b"II*\0\0\0\0\0", b"II*\0" + b"\xff" * 100, RNG.bytes(3000)])
def test_bytes_that_are_not_tiff_are_refused(tmp_path, content, caplog):
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.tif") as error:
        open_stack(path)
    assert "\n" not in str(error.value)
    assert not caplog.records


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}])
@pytest.mark.parametrize("keep", [0.2, 0.6, 0.97])
def test_truncated_files_are_refused(tmp_path, options, keep, caplog):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels(6, 100, 100), **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match=r"truncated|damaged"):
        open_stack(path)
    assert not caplog.records


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (np.zeros((20, 20), "c8"), {}, "complex"),
        (np.zeros((20, 5), "u2"), {}, "20 x 5 pixels"),
        (np.zeros((2, 2, 2, 20, 20), "u2"), {}, "at most one each|without names"),
    ],
)
def test_no_usable_image(tmp_path, data, options, words):
    tifffile.imwrite(tmp_path / "a.tif", data, **options)
    with pytest.raises(InputError, match=words):
        open_stack(tmp_path / "a.tif")


@pytest.mark.parametrize(("dtype", "level"), [("u1", 255), ("u2", 65535), ("f4", None)])
def test_integers_saturate_where_their_type_ends(tmp_path, dtype, level):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((16, 16), dtype))
    assert open_stack(tmp_path / "a.tif").attrs.get("saturation") == level
