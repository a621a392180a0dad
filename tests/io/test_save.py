"""Images saved with their scale: read back by this package and by others, whole or not at all."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from astropy.io import fits
from astropy.wcs import WCS

from blinddps_sci.errors import BlindDpsError, InputError, OutputError
from blinddps_sci.io import open_stack
from blinddps_sci.io.ome_zarr import open_levels
from blinddps_sci.io.save import Axis, save_image

SUFFIXES = (".zarr", ".tif", ".ome.tif", ".fits")
UM = [Axis("y", 0.1, "micrometer"), Axis("x", 0.2, "micrometer")]


def image(dtype: str, shape: tuple[int, ...] = (40, 50)) -> np.ndarray:
    """Return values over the middle of a type's range."""
    low = -100 if np.dtype(dtype).kind in "if" else 0
    return np.random.default_rng(0).uniform(low, 120, shape).astype(dtype)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]
)
def test_values_and_scale_come_back(tmp_path: Path, suffix: str, dtype: str) -> None:
    values, path = image(dtype), tmp_path / f"a{suffix}"
    save_image(values, path, UM)
    stack = open_stack(path)
    np.testing.assert_array_equal(stack["data"].values, values.astype(np.float32))
    np.testing.assert_allclose(stack.attrs["pixel_scale"], [0.1, 0.2], rtol=1e-6)
    assert stack.attrs["pixel_unit"] == "micrometer"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("unit", ["micrometer", "arcsec"])
@pytest.mark.parametrize("names", ["zyx", "tyx", "cyx", "tzyx", "tczyx"], ids=lambda names: "axes_" + names)
def test_axes_keep_their_names(tmp_path: Path, suffix: str, unit: str, names: str) -> None:
    lengths = {"t": 3, "c": 2, "z": 4, "y": 10, "x": 12}
    steps = {"z": 0.5, "y": 0.1, "x": 0.1}
    axes = [Axis(n, steps.get(n, 1.0), unit if n in steps else "pixel") for n in names]
    values = image("uint16", tuple(lengths[name] for name in names))
    path = tmp_path / f"a{suffix}"
    if suffix == ".ome.tif" and unit == "arcsec":
        with pytest.raises(OutputError, match=r"OME-TIFF has no arcsec.*\.zarr"):
            save_image(values, path, axes)
        assert not path.exists()
        return
    save_image(values, path, axes)
    stack = open_stack(path)
    assert "".join(map(str, stack["data"].dims)) == names
    np.testing.assert_array_equal(stack["data"].values, values)
    np.testing.assert_allclose(stack.attrs["pixel_scale"], [0.1, 0.1], rtol=1e-6)
    assert stack.attrs["pixel_unit"] == unit
    if "z" in names:
        assert stack.attrs["z_scale"] == pytest.approx(0.5)


def test_ome_zarr_is_valid_and_has_a_pyramid_placed_right(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        # It declares its fields as pydantic 1 did.
        warnings.simplefilter("ignore", DeprecationWarning)
        from ome_zarr_models.v05 import Image
    values = image("uint16", (2, 1500, 700))
    axes = [Axis("t", 2.5, "second"), Axis("y", 0.1, "micrometer", 5.0), Axis("x", 0.2, "micrometer", -3.0)]
    save_image(da.from_array(values, chunks=(1, 300, 700)), tmp_path / "a.zarr", axes, unit="counts")
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
    (multiscale,) = Image.from_zarr(root).attributes.ome.multiscales
    assert [(a.name, a.unit) for a in multiscale.axes] == [
        ("t", "second"), ("y", "micrometer"), ("x", "micrometer"),
    ]  # fmt: skip
    scale, shift = multiscale.datasets[1].coordinateTransformations
    assert scale.scale == pytest.approx([2.5, 0.2, 0.4])
    assert shift.translation == pytest.approx([0.0, 5.05, -2.9])
    levels = open_levels(tmp_path / "a.zarr")
    assert [level["data"].shape[-2:] for level in levels] == [(1500, 700), (750, 350), (375, 175)]
    means = values.reshape(2, 750, 2, 350, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(levels[1]["data"].values, np.rint(means.astype(np.float32)))
    assert root["1"].dtype == np.uint16
    assert levels[0].attrs["unit"] == "counts"


def test_means_do_not_leave_the_range_of_their_type(tmp_path: Path) -> None:
    values = np.full((600, 600), np.iinfo(np.uint32).max, np.uint32)
    save_image(values, tmp_path / "a.zarr", UM)
    smaller = zarr.open_array(str(tmp_path / "a.zarr/1"), mode="r")[:]
    assert smaller.min() >= np.iinfo(np.uint32).max - 255


def test_other_programs_read_the_size_of_a_pixel(tmp_path: Path) -> None:
    values = image("uint16", (3, 40, 50))
    axes = [Axis("z", 0.5, "micrometer"), *UM]
    save_image(values, tmp_path / "a.tif", axes)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.is_imagej
        assert (tiff.imagej_metadata["unit"], tiff.imagej_metadata["spacing"]) == ("um", 0.5)
        assert tiff.pages.first.resolution == pytest.approx((5.0, 10.0))
        np.testing.assert_array_equal(tiff.asarray(), values)
    save_image(values, tmp_path / "a.ome.tif", axes)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        assert tiff.is_ome
        assert 'PhysicalSizeX="0.2" PhysicalSizeXUnit="µm"' in tiff.ome_metadata
        np.testing.assert_array_equal(tiff.asarray(), values)
    save_image(values, tmp_path / "a.fits", axes, unit="adu")
    with fits.open(tmp_path / "a.fits") as hdus:
        hdus.verify("exception")
        wcs = WCS(hdus["SCI"].header)
        assert [str(unit) for unit in wcs.wcs.cunit] == ["um", "um", "um"]
        assert list(wcs.wcs.cdelt) == [0.2, 0.1, 0.5]
        assert hdus["SCI"].header["BUNIT"] == "adu"
        np.testing.assert_array_equal(hdus["SCI"].data, values)


def test_fits_keeps_a_wcs_that_is_given(tmp_path: Path) -> None:
    header = fits.Header()
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=150.0, CRVAL2=2.0, CRPIX1=20.0, CRPIX2=30.0)
    header.update(CD1_1=-1e-4, CD1_2=2e-5, CD2_1=2e-5, CD2_2=1e-4)
    text = header.tostring(sep="\n", endcard=False, padding=False)
    axes = [Axis("t"), Axis("y", 0.36, "arcsec"), Axis("x", 0.36, "arcsec")]
    save_image(image("float32", (3, 40, 50)), tmp_path / "a.fits", axes, wcs=text)
    kept = WCS(fits.getheader(tmp_path / "a.fits", "SCI")).celestial
    assert kept.pixel_to_world(7.0, 9.0).separation(WCS(header).pixel_to_world(7.0, 9.0)).arcsec < 1e-6
    assert open_stack(tmp_path / "a.fits")["data"].dims == ("t", "y", "x")


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".fits"])
def test_a_file_is_replaced_only_if_it_may_be(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        save_image(image("uint8"), path, UM)
    assert path.read_bytes() == b"mine"
    save_image(image("uint8"), path, UM, overwrite=True)
    np.testing.assert_array_equal(open_stack(path)["data"].values, image("uint8"))


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    save_image(image("uint8"), tmp_path / "a.zarr", UM)
    with pytest.raises(OutputError, match=r"exists.*not replaced"):
        save_image(image("uint8") * 0, tmp_path / "a.zarr", UM, overwrite=True)
    np.testing.assert_array_equal(open_stack(tmp_path / "a.zarr")["data"].values, image("uint8"))


class Torn:
    """An image whose lower half cannot be read."""

    shape, dtype, ndim = (1200, 60), np.dtype(np.float32), 2

    def __getitem__(self, key: Any) -> np.ndarray:
        rows = range(*key[0].indices(1200)) if isinstance(key, tuple) and key else range(1200)
        if rows[-1] > 600:
            raise OSError("the disk is gone")
        return np.zeros((len(rows), 60), np.float32)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_is_left_of_an_image_that_cannot_be_read(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(BlindDpsError, match="disk is gone"):
        save_image(Torn(), tmp_path / f"a{suffix}", UM)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "name", "axes", "words"),
    [
        (np.zeros((8, 8), complex), "a.zarr", UM, "complex128"),
        (np.zeros((8, 8)), "a.jpg", UM, "suffix"),
        (np.zeros((8, 8, 8)), "a.zarr", UM, "shape"),
        (np.zeros((8, 8)), "a.zarr", UM[::-1], "order"),
        (np.zeros((8, 8)), "a.zarr", [UM[0], Axis("x", -1.0)], "positive"),
        (np.zeros((8, 8)), "a.zarr", [UM[0], Axis("x", 1.0, "parsec")], "parsec"),
        (np.zeros((8, 8)), "no/a.fits", UM, "does not exist"),
        (np.zeros((8, 8)), "no/a.zarr", UM, "does not exist"),
        (np.zeros((8, 8), np.uint64), "a.fits", UM, "uint64"),
        (np.zeros((8, 8), np.int64), "a.tif", UM, "int64"),
        (np.zeros((8, 8), np.uint8), "a.tif", [UM[0], Axis("x", 1.0, "arcsec")], "one unit"),
    ],
)
def test_what_cannot_be_saved_is_refused(
    tmp_path: Path, values: np.ndarray, name: str, axes: list[Axis], words: str
) -> None:
    with pytest.raises((InputError, OutputError), match=words):
        save_image(values, tmp_path / name, axes)
    assert list(tmp_path.iterdir()) == []
