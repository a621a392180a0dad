"""Layers saved from napari: scale and units come back through this package's reader, results keep theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from astropy.io import fits
from astropy.wcs import WCS

from blinddps_sci import open_result
from blinddps_sci.errors import InputError, OutputError
from blinddps_sci.io import open_stack
from blinddps_sci.io.result import ResultStore, create_result
from napari_plugin.reader import read_result
from napari_plugin.saved_layer import is_restored_image, placement_of, turned
from napari_plugin.stack_reader import read_stack
from napari_plugin.writer import write_fits, write_tiff, write_zarr

WRITERS = {".ome.zarr": write_zarr, ".tif": write_tiff, ".fits": write_fits}


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, shape).astype(np.uint16)


def attributes(labels: str, scale: list[float], unit: str, **more: Any) -> dict[str, Any]:
    """Return what napari hands to a writer, with its units as texts."""
    units = [unit if label in "zyx" else "pixel" for label in labels]
    return {"axis_labels": tuple(labels), "scale": scale, "units": units, "metadata": {}, **more}


@pytest.fixture
def result(tmp_path: Path) -> ResultStore:
    """Make a finished result of an image with a WCS."""
    header = fits.Header()
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=10.0, CRVAL2=20.0, CRPIX1=8.0, CRPIX2=8.0)
    header.update(CDELT1=-0.5 / 3600, CDELT2=0.5 / 3600, OBSERVER="me")
    fits.writeto(tmp_path / "in.fits", pixels(40, 600).astype(np.float32), header)
    store = create_result(
        tmp_path / "out.zarr", template=open_stack(tmp_path / "in.fits"), node_y=[20], node_x=[100, 300, 500],
        attrs={"fingerprint": "beef"},
    )  # fmt: skip
    for name in ("image", "std"):
        store.write_region(name, {}, slice(0, 40), slice(0, 600), pixels(40, 600) / 7.0)
    store.build_pyramid()
    store.finish()
    return store


def layer(store: ResultStore, number: int = 0) -> tuple[Any, dict[str, Any]]:
    """Return one layer of a result."""
    data, options, _ = read_result(store.path)[number]
    return data, options


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize(
    ("unit", "size", "kept"),
    [
        ("micrometer", 0.1, (0.1, "micrometer")),
        ("nanometer", 65.0, (0.065, "micrometer")),
        ("arcsecond", 0.25, (0.25, "arcsecond")),
    ],
)
def test_scale_and_unit_come_back(
    tmp_path: Path, suffix: str, unit: str, size: float, kept: tuple[float, str]
) -> None:
    values = pixels(3, 40, 50)
    target = str(tmp_path / f"a{suffix}")
    options = attributes("zyx", [3 * size, size, 2 * size], unit, translate=[0.0, 5 * size, 7 * size])
    assert WRITERS[suffix](target, values, options) == [target]
    ((data, back, _),) = read_stack(target)
    np.testing.assert_array_equal(np.asarray(data), values)
    assert back["scale"] == pytest.approx([3 * kept[0], kept[0], 2 * kept[0]], rel=1e-6)
    assert (back["units"], back["axis_labels"]) == ([kept[1]] * 3, list("zyx"))
    if suffix == ".ome.zarr":
        assert back["translate"] == pytest.approx([0.0, 5 * kept[0], 7 * kept[0]])


def test_what_a_file_says_of_its_values_and_world_survives(result: ResultStore, tmp_path: Path) -> None:
    ((data, options, _),) = read_stack(tmp_path / "in.fits")
    options["metadata"]["unit"] = "electron"
    write_fits(str(tmp_path / "again.fits"), data + 1.0, options)
    header = fits.getheader(tmp_path / "again.fits", "SCI")
    assert header["BUNIT"] == "electron"
    before = WCS(fits.getheader(tmp_path / "in.fits")).pixel_to_world(3.0, 5.0)
    assert WCS(header).pixel_to_world(3.0, 5.0).separation(before).arcsec < 1e-6


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_pyramid_is_saved_at_full_resolution(tmp_path: Path, suffix: str) -> None:
    values = pixels(64, 64)
    options = attributes("yx", [1.0, 1.0], "pixel", multiscale=True)
    WRITERS[suffix](
        str(tmp_path / f"a{suffix}"), [da.from_array(values), da.from_array(values[::2, ::2])], options
    )
    np.testing.assert_array_equal(open_stack(tmp_path / f"a{suffix}")["data"].values, values)


def test_colours_are_channels(tmp_path: Path) -> None:
    values = pixels(40, 50, 3).astype(np.uint8)
    write_zarr(str(tmp_path / "a.zarr"), values, attributes("yx", [0.5, 0.5], "micrometer", rgb=True))
    stack = open_stack(tmp_path / "a.zarr")
    assert stack["data"].dims == ("c", "y", "x")
    np.testing.assert_array_equal(stack["data"].values, np.moveaxis(values, -1, 0))


@pytest.mark.parametrize(
    ("labels", "units", "names"),
    [
        (("-2", "-1"), ("pixel",) * 2, "yx"),
        (("-3", "-2", "-1"), ("pixel",) * 3, "tyx"),
        (("-3", "-2", "-1"), ("micrometer",) * 3, "zyx"),
        (("a", "b", "c", "d"), ("pixel", "pixel", "pixel", "pixel"), "tcyx"),
        (("a", "b", "c", "d"), ("second", "micrometer", "micrometer", "micrometer"), "tzyx"),
        (("T", "C", "Z", "Y", "X"), ("pixel",) * 5, "tczyx"),
        (("x", "c", "y"), ("pixel",) * 3, "cyx"),
    ],
)
def test_axes_are_named_by_their_labels_or_their_units(
    labels: tuple[str, ...], units: tuple[str, ...], names: str
) -> None:
    image = np.arange(2 ** len(labels)).reshape((2,) * len(labels))
    moved, axes = placement_of(image, {"axis_labels": labels, "units": units})
    assert "".join(axis.name for axis in axes) == names
    if labels[0] == "x":
        np.testing.assert_array_equal(moved, np.moveaxis(image, 0, 2))


def test_a_zarr_array_is_turned_without_being_read(tmp_path: Path) -> None:
    stored = zarr.create_array(str(tmp_path / "x"), data=pixels(4, 8, 9), chunks=(1, 8, 9))
    moved, _ = placement_of(stored, {"axis_labels": ("y", "z", "x")})
    assert isinstance(moved, da.Array)
    np.testing.assert_array_equal(np.asarray(moved), pixels(4, 8, 9).transpose(1, 0, 2))


def test_what_has_no_place_in_a_file_is_refused(tmp_path: Path) -> None:
    for image, options, words in (
        (pixels(*[2] * 6), {}, "6 axes"),
        (pixels(8, 8), {"units": ("furlong", "furlong")}, "'furlong'"),
        (pixels(2, 8, 8, 3), {"axis_labels": "cyx", "rgb": True}, "split"),
        (pixels(8, 8), {"scale": [-1.0, 1.0]}, "positive"),
    ):
        with pytest.raises(InputError, match=words):
            write_zarr(str(tmp_path / "a.zarr"), image, options)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_but_not_under_a_name_that_nobody_has_seen(tmp_path: Path) -> None:
    options = attributes("yx", [1.0, 1.0], "pixel")
    assert write_fits(str(tmp_path / "a"), pixels(16, 16), options) == [str(tmp_path / "a.fits")]
    with pytest.raises(OutputError, match=r"a\.fits exists"):
        write_fits(str(tmp_path / "a"), pixels(16, 16) * 0, options)
    assert fits.getdata(tmp_path / "a.fits").any()
    write_fits(str(tmp_path / "a.fits"), pixels(16, 16) * 0, options)
    assert not fits.getdata(tmp_path / "a.fits").any()
    write_zarr(str(tmp_path / "a.zarr"), pixels(16, 16), options)
    with pytest.raises(OutputError, match="not replaced"):
        write_zarr(str(tmp_path / "a.zarr"), pixels(16, 16) * 0, options)


def test_a_layer_is_not_saved_over_the_file_it_is_read_from(tmp_path: Path) -> None:
    fits.writeto(tmp_path / "a.fits", pixels(16, 16).astype(np.float32))
    ((data, options, _),) = read_stack(tmp_path / "a.fits")
    with pytest.raises(OutputError, match="read from"):
        write_fits(str(tmp_path / "a.fits"), data, options)
    np.testing.assert_array_equal(np.asarray(data), pixels(16, 16))


def test_a_restored_image_is_exported_with_its_provenance(result: ResultStore, tmp_path: Path) -> None:
    data, options = layer(result)
    write_fits(str(tmp_path / "r.fits"), data, options)
    with fits.open(tmp_path / "r.fits") as hdus:
        assert {"SCI", "ERR", "DQ", "PSFGRID", "CHI2"} <= {hdu.name for hdu in hdus}
        assert hdus["SCI"].header["OBSERVER"] == "me"
        assert hdus["SCI"].header["BDFINGER"] == "beef"
    write_tiff(str(tmp_path / "r.tif"), data, options)
    assert open_stack(tmp_path / "r.tif").attrs["format"] == "ome-tiff"
    write_zarr(str(tmp_path / "r.zarr"), data, options)
    copy = open_result(tmp_path / "r.zarr")
    assert (copy.status, copy.attrs["fingerprint"]) == ("complete", "beef")
    np.testing.assert_array_equal(copy.array("scale0/std")[:], result.array("scale0/std")[:])
    with pytest.raises(OutputError, match="not replaced"):
        write_zarr(str(tmp_path / "r.zarr"), data, options)
    with pytest.raises(OutputError, match=r"not replaced|read from"):
        write_zarr(str(result.path), data, options)


def test_what_is_no_longer_the_restored_image_is_saved_as_it_is(result: ResultStore, tmp_path: Path) -> None:
    data, options = layer(result)
    full = data[0]
    assert is_restored_image(full, options)
    assert is_restored_image(np.asarray(full), options)
    changed = np.asarray(full).copy()
    changed[7, 9] += 1.0
    assert not is_restored_image(changed, options)
    assert not is_restored_image(full[:20], options)
    assert not is_restored_image(full, {**options, "scale": [1.0, 2.0]})
    assert not is_restored_image(
        full, {**options, "metadata": {**options["metadata"], "fingerprint": "f00d"}}
    )
    assert not is_restored_image(
        full, {**options, "metadata": {"path": str(tmp_path), "fingerprint": "beef"}}
    )
    write_fits(str(tmp_path / "a.fits"), changed, {**options, "multiscale": False})
    with fits.open(tmp_path / "a.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI"]
        np.testing.assert_array_equal(hdus["SCI"].data, changed)


def test_the_standard_deviation_is_not_taken_for_the_image(result: ResultStore, tmp_path: Path) -> None:
    writable = open_result(result.path, "r+")
    writable.write_region("std", {}, slice(0, 40), slice(0, 600), np.ones((40, 600)))
    data, options = layer(result, 1)
    write_fits(str(tmp_path / "std.fits"), data, options)
    assert (fits.getdata(tmp_path / "std.fits") == 1.0).all()
    assert open_stack(tmp_path / "std.fits").attrs["pixel_scale"] == pytest.approx([0.5, 0.5])


def test_an_unfinished_result_is_saved_as_an_image(result: ResultStore, tmp_path: Path) -> None:
    group = zarr.open_group(str(result.path), mode="r+", use_consolidated=False)
    group.attrs["status"] = "running"
    data, options = layer(result)
    write_zarr(str(tmp_path / "a.zarr"), data, options)
    ((_, back, _),) = read_stack(tmp_path / "a.zarr")
    assert back["scale"] == pytest.approx([0.5, 0.5])
    assert "blinddps" not in zarr.open_group(str(tmp_path / "a.zarr"), mode="r").attrs


def test_a_rotation_is_lost_with_a_word(tmp_path: Path) -> None:
    notifications = pytest.importorskip("napari.utils.notifications")
    turn = [[0.0, -1.0], [1.0, 0.0]]
    options = attributes("yx", [1.0, 1.0], "pixel", rotate=turn, shear=[0.0], affine=np.eye(3))
    assert turned(options)
    assert not turned({**options, "rotate": np.eye(2)})
    with notifications.notification_manager:
        write_tiff(str(tmp_path / "a.tif"), pixels(16, 16), options)
        assert "rotated" in notifications.notification_manager.records[-1].message
