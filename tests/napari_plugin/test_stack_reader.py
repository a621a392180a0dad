"""Stacks in napari: which paths are taken, what the layers say, and how little is read."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from astropy.io import fits

from blinddps_sci import Axis, save_image
from blinddps_sci.errors import InputError
from blinddps_sci.io import open_stack
from blinddps_sci.io.result import create_result
from napari_plugin.stack_reader import get_reader, read_stack

UM = (Axis("y", 0.1, "micrometer", 5.0), Axis("x", 0.2, "micrometer", -2.0))


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, shape).astype(np.uint16)


def read(path: Path) -> list[tuple[Any, dict[str, Any], str]]:
    """Read through the function that napari is given."""
    reader = get_reader(str(path))
    assert reader is not None
    return reader(str(path))


def ome(path: Path, data: np.ndarray, axes: list[dict[str, str]], **more: Any) -> Path:
    """Write an OME-Zarr 0.4 of one level, in steps of 2 along every axis that has a unit."""
    scale = [2.0 if "unit" in axis else 1.0 for axis in axes]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    image = {"version": "0.4", "axes": axes, "datasets": [level], **more.pop("image", {})}
    root = zarr.create_group(str(path), zarr_format=2, attributes={"multiscales": [image], **more})
    root.create_array("0", data=data)
    return path


def test_only_stacks_are_taken(tmp_path: Path) -> None:
    for name in ("a.txt", "a.png", "a.py", "fits"):
        (tmp_path / name).write_bytes(b"x")
        assert get_reader(tmp_path / name) is None
    (tmp_path / "folder.zarr").mkdir()
    assert get_reader(str(tmp_path / "folder.zarr")) is None
    assert get_reader(str(tmp_path / "missing.fits")) is None
    assert get_reader([]) is None
    save_image(pixels(16, 16), tmp_path / "a.zarr", UM)
    save_image(pixels(16, 16), tmp_path / "A.FITS", UM)
    assert get_reader(tmp_path / "a.zarr") is read_stack
    assert get_reader([str(tmp_path / "A.FITS")]) is read_stack


def test_results_are_left_to_their_own_reader(tmp_path: Path) -> None:
    create_result(tmp_path / "r.zarr", template=open_stack(pixels(64, 64)), node_y=[32], node_x=[32])
    assert get_reader(str(tmp_path / "r.zarr")) is None


def test_ome_zarr_has_its_pyramid_scale_unit_and_place(tmp_path: Path) -> None:
    values = pixels(1100, 900)
    save_image(values, tmp_path / "cells.ome.zarr", UM, unit="counts")
    ((levels, options, kind),) = read(tmp_path / "cells.ome.zarr")
    assert (kind, options["name"], options["multiscale"]) == ("image", "cells", True)
    assert [level.shape for level in levels] == [(1100, 900), (550, 450), (275, 225)]
    assert all(isinstance(level, da.Array) for level in levels)
    np.testing.assert_array_equal(levels[0].compute(scheduler="sync"), values)
    assert (options["scale"], options["translate"]) == (pytest.approx([0.1, 0.2]), pytest.approx([5.0, -2.0]))
    assert (options["units"], options["axis_labels"]) == (["micrometer"] * 2, ["y", "x"])
    path = str(tmp_path / "cells.ome.zarr")
    assert options["metadata"] == {"path": path, "unit": "counts"}


def test_every_channel_is_a_layer_with_the_colours_of_the_file(tmp_path: Path) -> None:
    space = {"type": "space", "unit": "nanometer"}
    axes = [
        {"name": "t", "type": "time", "unit": "minute"},
        {"name": "c", "type": "channel"},
        *({"name": name, **space} for name in "zyx"),
    ]
    channels = [
        {"label": "DAPI", "color": "0000FF", "window": {"start": 5, "end": 500}, "active": True},
        {"label": "GFP", "color": "00FF00", "window": {"start": 0, "end": 100}, "active": False},
    ]
    shift = {"coordinateTransformations": [{"type": "translation", "translation": [0, 0, 30, 50, 70]}]}
    values = pixels(2, 2, 3, 16, 20)
    path = ome(tmp_path / "a.zarr", values, axes, omero={"channels": channels}, image=shift)
    dapi, gfp = read(path)
    assert [layer[1]["name"] for layer in (dapi, gfp)] == ["a DAPI", "a GFP"]
    assert [layer[1]["colormap"] for layer in (dapi, gfp)] == ["#0000FF", "#00FF00"]
    assert (dapi[1]["contrast_limits"], gfp[1]["visible"]) == ((5.0, 500.0), False)
    assert [layer[1]["metadata"]["channel"] for layer in (dapi, gfp)] == [0, 1]
    np.testing.assert_array_equal(gfp[0].compute(scheduler="sync"), values[:, 1])
    assert gfp[1]["axis_labels"] == ["t", "z", "y", "x"]
    assert gfp[1]["scale"] == pytest.approx([2.0, 0.002, 0.002, 0.002])
    assert gfp[1]["translate"] == pytest.approx([0.0, 0.03, 0.05, 0.07])
    assert gfp[1]["units"] == ["minute", *["micrometer"] * 3]


@pytest.mark.parametrize("damage", [{"omero": 3}, {"omero": {"channels": [3]}}, {"omero": None}])
def test_damaged_display_settings_do_not_keep_an_image_closed(tmp_path: Path, damage: dict[str, Any]) -> None:
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    ((data, options, _),) = read(ome(tmp_path / "a.zarr", pixels(16, 16), axes, **damage))
    assert options["scale"] == [2.0, 2.0]
    assert data.shape == (16, 16)


def test_fits_has_the_pixel_scale_of_its_wcs(tmp_path: Path) -> None:
    header = fits.Header()
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=10.0, CRVAL2=20.0, CRPIX1=8.0, CRPIX2=8.0)
    header.update(CDELT1=-0.5 / 3600, CDELT2=0.25 / 3600, BUNIT="electron")
    values = pixels(3, 16, 20).astype(np.float32)
    values[0, 0, 0] = np.nan
    fits.writeto(tmp_path / "m31.fits.gz", values, header)
    ((data, options, _),) = read(tmp_path / "m31.fits.gz")
    np.testing.assert_array_equal(np.asarray(data), values)
    assert options["name"] == "m31"
    assert options["scale"] == pytest.approx([1.0, 0.25, 0.5])
    assert options["units"] == ["pixel", "arcsecond", "arcsecond"]
    assert options["axis_labels"] == ["t", "y", "x"]
    assert options["metadata"]["unit"] == "electron"
    assert "RA---TAN" in options["metadata"]["wcs_header"]
    # What the panel gives to the library opens the same image.
    again = open_stack(options["metadata"]["path"], hdu=options["metadata"]["hdu"])
    np.testing.assert_array_equal(again["data"].values, values)


def test_ser_and_tiff(tmp_path: Path) -> None:
    frames = pixels(4, 16, 20)
    names = b"".join(name.ljust(40) for name in (b"observer", b"camera", b"telescope"))
    head = struct.pack("<14s7i", b"LUCAM-RECORDER", 0, 0, 0, 20, 16, 16, 4)
    (tmp_path / "moon.ser").write_bytes(head + names + struct.pack("<2q", 0, 0) + frames.tobytes())
    ((data, options, _),) = read(tmp_path / "moon.ser")
    np.testing.assert_array_equal(np.asarray(data), frames)
    assert (options["axis_labels"], data.chunks[0]) == (["t", "y", "x"], (1, 1, 1, 1))
    tifffile.imwrite(
        tmp_path / "a.tif", frames, imagej=True, resolution=(4.0, 4.0),
        metadata={"axes": "ZYX", "unit": "um", "spacing": 0.5},
    )  # fmt: skip
    ((data, options, _),) = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.asarray(data), frames)
    assert options["scale"] == pytest.approx([0.5, 0.25, 0.25])
    assert options["units"] == ["micrometer"] * 3


def test_a_colour_picture_is_three_grey_ones(tmp_path: Path) -> None:
    values = pixels(16, 20, 3).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    layers = read(tmp_path / "a.tif")
    assert [layer[1]["colormap"] for layer in layers] == ["red", "green", "blue"]
    assert {layer[1]["blending"] for layer in layers} == {"additive"}
    np.testing.assert_array_equal(np.asarray(layers[2][0]), values[..., 2])


def test_several_files_are_frames(tmp_path: Path) -> None:
    paths = []
    for number in range(3):
        paths.append(str(tmp_path / f"f{number}.fits"))
        fits.writeto(paths[-1], np.full((16, 16), number, np.float32))
    reader = get_reader(paths)
    assert reader is not None
    ((data, options, _),) = reader(paths)
    assert data[:, 3, 4].compute(scheduler="sync").tolist() == [0.0, 1.0, 2.0]
    assert options["metadata"]["paths"] == paths
    assert "path" not in options["metadata"]


@pytest.mark.parametrize("name", ["a.fits", "a.ser", "a.tif"])
def test_a_damaged_file_is_one_readable_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no image at all")
    with pytest.raises(InputError, match=name):
        read(tmp_path / name)


def test_a_zarr_group_without_an_image_is_one_readable_error(tmp_path: Path) -> None:
    zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=3)
    with pytest.raises(InputError, match="image arrays are: none"):
        read(tmp_path / "a.zarr")


_OPENING = """
import json, sys
import dask.array, xarray, zarr
import blinddps_sci.io.ome_zarr
from napari.layers import Layer
from napari_plugin.stack_reader import get_reader
def memory(key):
    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith(key))
Layer.create(dask.array.zeros((64, 64)), {}, 'image')
before = memory('VmRSS')
layer = Layer.create(*get_reader(sys.argv[1])(sys.argv[1])[0])
print(json.dumps({'peak': memory('VmHWM') - before, 'shape': layer.data[0].shape,
                  'units': list(map(str, layer.units)), 'torch': 'torch' in sys.modules}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_large_ome_zarr_opens_without_being_read(tmp_path: Path) -> None:
    pytest.importorskip("napari")
    rows = da.arange(4096, chunks=512, dtype=np.float32)
    save_image(rows[:, None] * da.ones((1, 4096)), tmp_path / "a.zarr", UM)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _OPENING, str(tmp_path / "a.zarr")],
        cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert report["shape"] == [4096, 4096]
    assert report["units"] == ["micrometer", "micrometer"]
    assert not report["torch"]
    assert report["peak"] < 100_000  # kB; the image alone has 131 072
