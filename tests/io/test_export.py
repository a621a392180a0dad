"""From a result to FITS, PSF, TIFF and CCDData: pixels, sky, header, and files that are whole or absent."""

from __future__ import annotations

import os
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray as xr
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.wcs import WCS, FITSFixedWarning

from blinddps_sci.errors import BlindDpsError, ConfigError, OutputError
from blinddps_sci.io import export, fits_export, open_stack, psf_export, tiff_export
from blinddps_sci.io.export import export_fits, export_psf, export_tiff, to_ccddata
from blinddps_sci.io.result import ResultStore, create_result

STAR = (187.7, 12.39)
REGION = "20:230,31:341"
PLATE = Path(__file__).parents[3] / "shared" / "data" / "test" / "astro" / "fits" / "HorseHead.fits"


def sky_header() -> fits.Header:
    """Return a rotated tangent plane with SIP terms, an alternate system and cards of all kinds."""
    header = fits.Header()
    header.update(
        CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", CUNIT1="deg", CUNIT2="deg", RADESYS="ICRS",
        CRVAL1=187.705, CRVAL2=12.391, CRPIX1=200.25, CRPIX2=120.5,
        CD1_1=-1.4e-4, CD1_2=2e-5, CD2_1=2.1e-5, CD2_2=1.39e-4,
        A_ORDER=2, A_2_0=1e-6, B_ORDER=2, B_1_1=-2e-6,
        CTYPE1P="X", CTYPE2P="Y", CRPIX1P=1.0, CRPIX2P=1.0, CRVAL1P=1000.0, CRVAL2P=2000.0,
        CDELT1P=1.0, CDELT2P=1.0, LTV1=0.0, LTV2=0.0, DATASEC="[1:400,1:300]", DATAMAX=9e9,
        BUNIT="adu", OBJECT="M 87", GAIN=1.5, LONGNAME="n" * 100,
    )  # fmt: skip
    header["HIERARCH ESO INS FILTER"] = ("r", "a keyword of more than eight letters")
    header.add_history("flat fielded")
    header.add_comment("a comment")
    return header


def write_input(path: Path, shape: tuple[int, ...] = (300, 400), header: fits.Header | None = None) -> Path:
    """Write an image of integers with scaling and checksums, which a copy must not keep."""
    counts = np.random.default_rng(0).integers(0, 60000, shape).astype(np.uint16)
    hdu = fits.PrimaryHDU(counts, sky_header() if header is None else header)
    hdu.writeto(path, checksum=True)
    return path


def gaussian(size: int, sy: float, sx: float) -> np.ndarray:
    """Return a PSF centred at ``size // 2``, sum one."""
    r = np.arange(size) - size // 2
    kernel = np.exp(-0.5 * np.add.outer(r**2 / sy**2, r**2 / sx**2))
    return kernel / kernel.sum()


def node_kernel(iy: int, ix: int, size: int = 16) -> np.ndarray:
    """Return a PSF that tells its node."""
    return gaussian(size, 1.2 + 0.3 * iy, 1.5 + 0.6 * ix)


def restore(path: Path, template: xr.Dataset, *, std: float = 2.0, **options: Any) -> ResultStore:
    """Make a finished result whose image is the template's plus one."""
    known: dict[str, Any] = {
        "node_y": [20.0, 100.0, 180.0],
        "node_x": [64.0, 200.0],
        "kernel_size": 16,
        "shard": 128,
        "chunk": 64,
        "attrs": {
            "fingerprint": "0123abcd",
            "config": {"seed": 42, "tile": 256},
            "weights": {"image": "ee" * 32},
            "channels": [{"noise": {"kind": "gaussian", "sigma": n}} for n in range(20)],
            "uncertainty": {"scale": 1.0, "edge": 0.0, "tail": 2.3, "interval_95": 3.0},
        },
    }
    known |= options
    store = create_result(path, template=template, **known)
    image = store.array("scale0/image")
    source = template["data"].values.reshape(image.shape)
    (rows, columns), (height, width) = image.shards[-2:], image.shape[-2:]
    for lead in np.ndindex(*image.shape[:-2]):
        index = dict(zip(store.dims, lead, strict=False))
        for y in range(0, height, rows):
            for x in range(0, width, columns):
                where = slice(y, min(y + rows, height)), slice(x, min(x + columns, width))
                block = source[(*lead, *where)]
                store.write_region("image", index, *where, block + 1)
                store.write_region("std", index, *where, np.full(block.shape, std))
                store.write_region("dq", index, *where, (block > 55000) * 2)
    frames, channels, rows, columns = store.array("quality/chi2").shape
    kernels = np.array(
        [[node_kernel(iy, ix, known["kernel_size"]) for ix in range(columns)] for iy in range(rows)]
    )
    chi2 = 1.0 + np.add.outer(np.arange(rows), np.arange(columns))
    for frame, channel in np.ndindex(frames, channels):
        store.write_psf(frame, channel, slice(None), slice(None), kernels, np.zeros_like(kernels))
        store.write_quality(frame, channel, slice(None), slice(None), chi2=chi2 + frame + channel)
    store.finish()
    return store


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ResultStore]:
    """Return an image of the sky and the result of a part of it."""
    folder = tmp_path_factory.mktemp("sky")
    path = write_input(folder / "in.fits")
    return path, restore(folder / "out.zarr", open_stack(path, region=REGION))


def test_extensions_pixels_and_types(sky: tuple[Path, ResultStore], tmp_path: Path) -> None:
    source, store = sky
    export_fits(store, tmp_path / "out.fits")
    expected = fits.getdata(source)[20:230, 31:341].astype(np.float32) + 1
    np.testing.assert_array_equal(fits.getdata(tmp_path / "out.fits"), expected)
    assert (tmp_path / "out.fits").stat().st_size % 2880 == 0
    with fits.open(tmp_path / "out.fits") as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "ERR", "DQ", "PSFGRID", "PSFPOS", "CHI2"]
        assert hdus["PRIMARY"].data is None
        assert hdus["SCI"].header["BITPIX"] == -32
        np.testing.assert_array_equal(hdus["SCI"].data, expected)
        assert (hdus["ERR"].data == 2.0).all()
        np.testing.assert_array_equal(hdus["DQ"].data, (expected - 1 > 55000) * 2)
        assert (hdus["SCI"].header["BUNIT"], hdus["ERR"].header["BUNIT"]) == ("adu", "adu")
        assert hdus["ERR"].header["CI95"] == 3.0
        np.testing.assert_array_equal(hdus["CHI2"].data, [[1, 2], [2, 3], [3, 4]])


def test_without_a_standard_deviation_there_is_no_uncertainty(tmp_path: Path) -> None:
    """Of a single draw: what reads the result then goes by the image, and does not take it for unknown."""
    store = restore(tmp_path / "out.zarr", open_stack(write_input(tmp_path / "in.fits")), std=np.nan)
    export_fits(store, tmp_path / "out.fits")
    with fits.open(tmp_path / "out.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "DQ", "PSFGRID", "PSFPOS", "CHI2"]
    assert "variance" not in open_stack(tmp_path / "out.fits")
    found = to_ccddata(store)
    assert found.uncertainty is None
    found.write(tmp_path / "ccd.fits")
    assert CCDData.read(tmp_path / "ccd.fits").uncertainty is None


def test_a_star_stays_where_it_was_after_crop_and_export(
    sky: tuple[Path, ResultStore], tmp_path: Path
) -> None:
    source, store = sky
    export_fits(store, tmp_path / "out.fits")
    whole = WCS(fits.getheader(source))
    x, y = whole.all_world2pix(*STAR, 0)
    assert 60 < x < 330
    assert 40 < y < 220
    for name in ("SCI", "ERR", "DQ"):
        part = WCS(fits.getheader(tmp_path / "out.fits", name))
        np.testing.assert_allclose(part.all_world2pix(*STAR, 0), (x - 31, y - 20), atol=1e-6)
        np.testing.assert_allclose(part.all_pix2world(x - 31, y - 20, 0), STAR, atol=1e-11)
    physical = WCS(fits.getheader(tmp_path / "out.fits", "SCI"), key="P")
    np.testing.assert_allclose(physical.wcs_pix2world(0.0, 0.0, 0), (1031.0, 2020.0))


def test_original_cards_are_kept_but_those_of_the_old_layout(
    sky: tuple[Path, ResultStore], tmp_path: Path
) -> None:
    source, store = sky
    export_fits(store, tmp_path / "out.fits")
    before, after = fits.getheader(source), fits.getheader(tmp_path / "out.fits", "SCI")
    for key in ("OBJECT", "GAIN", "LONGNAME", "ESO INS FILTER", "RADESYS", "A_2_0", "CD1_2", "CRVAL1"):
        assert after[key] == before[key]
    assert after.comments["ESO INS FILTER"] == before.comments["ESO INS FILTER"]
    assert "flat fielded" in list(after["HISTORY"])
    assert "a comment" in list(after["COMMENT"])
    assert {"BZERO", "BSCALE", "CHECKSUM", "DATASUM"} <= set(before)
    for key in ("BZERO", "BSCALE", "CHECKSUM", "DATASUM", "DATAMAX", "DATASEC", "SIMPLE", "EXTEND"):
        assert key not in after
    assert (after["LTV1"], after["LTV2"]) == (-31.0, -20.0)
    assert len(set(after)) == len(after) - (after.count("HISTORY") - 1) - (after.count("COMMENT") - 1)


def test_the_corner_of_a_plate_moves_with_a_crop(tmp_path: Path) -> None:
    header = sky_header()
    header.update(CNPIX1=12237, CNPIX2=19965)
    source = write_input(tmp_path / "plate.fits", header=header)
    export_fits(restore(tmp_path / "cut.zarr", open_stack(source, region=REGION)), tmp_path / "cut.fits")
    cut = fits.getheader(tmp_path / "cut.fits", "SCI")
    assert (cut["CNPIX1"], cut["CNPIX2"]) == (12237 + 31, 19965 + 20)


@pytest.mark.skipif(not PLATE.is_file(), reason="the shared images are not there")
def test_a_digitised_plate_keeps_its_sky_when_cropped(tmp_path: Path) -> None:
    """Of such a plate astropy takes the plate's own solution, not CRPIX."""
    export_fits(restore(tmp_path / "cut.zarr", open_stack(PLATE, region=REGION)), tmp_path / "cut.fits")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        before, after = WCS(fits.getheader(PLATE)), WCS(fits.getheader(tmp_path / "cut.fits", "SCI"))
    np.testing.assert_allclose(
        after.wcs_pix2world([[10, 20]], 0), before.wcs_pix2world([[41, 40]], 0), rtol=0, atol=1e-7
    )


def test_provenance(sky: tuple[Path, ResultStore], tmp_path: Path) -> None:
    export_fits(sky[1], tmp_path / "out.fits")
    for name in ("PRIMARY", "SCI"):
        header = fits.getheader(tmp_path / "out.fits", name)
        assert header["CREATOR"].startswith("blinddps-sci ")
        assert (header["BDFINGER"], header["BDSEED"], header["BDSTATUS"]) == ("0123abcd", 42, "complete")
        history = "".join(header["HISTORY"])
        lines = ("fingerprint = 0123abcd", "config.tile = 256", f"weights.image = {'ee' * 32}")
        for line in (*lines, "channels.0.noise.kind = gaussian", "channels.15.noise.sigma = 15"):
            assert line in history
        assert "channels.16" not in history
        assert "CRPIX1" not in history


def test_psf_grid_and_positions(sky: tuple[Path, ResultStore], tmp_path: Path) -> None:
    export_fits(sky[1], tmp_path / "out.fits")
    with fits.open(tmp_path / "out.fits") as hdus:
        grid, table = hdus["PSFGRID"].data, hdus["PSFPOS"].data
        assert hdus["PSFGRID"].header["PSFCENX"] == 8
    assert grid.shape == (6, 17, 17)
    assert grid.dtype == np.dtype(">f4")
    np.testing.assert_allclose(grid.sum(axis=(1, 2)), 1.0, atol=1e-6)
    assert [np.unravel_index(k.argmax(), k.shape) for k in grid] == [(8, 8)] * 6
    np.testing.assert_array_equal(grid[:, 16], 0.0)
    np.testing.assert_allclose(grid[3, :16, :16], node_kernel(1, 1), rtol=1e-5)
    assert table["x"].tolist() == [64.0, 200.0] * 3
    assert table["y"].tolist() == [20.0, 20.0, 100.0, 100.0, 180.0, 180.0]


def test_open_stack_reads_an_exported_result_back(sky: tuple[Path, ResultStore], tmp_path: Path) -> None:
    _, store = sky
    export_fits(store, tmp_path / "out.fits")
    again = open_stack(tmp_path / "out.fits")
    np.testing.assert_array_equal(again["data"], store.array("scale0/image")[...])
    assert (again["variance"] == 4.0).all()
    np.testing.assert_array_equal(again["mask"], store.array("scale0/dq")[...] != 0)
    assert again.attrs["unit"] == "adu"
    assert again.attrs["pixel_scale"] == pytest.approx(store.attrs["pixel_scale"])
    assert again.attrs["gain"] == 1.5


def test_a_unit_without_a_result_is_nan_and_flagged(tmp_path: Path) -> None:
    template = open_stack(np.zeros((64, 200), np.float32))
    store = create_result(
        tmp_path / "o.zarr",
        template=template,
        node_y=[30],
        node_x=[50, 150],
        kernel_size=5,
        shard=128,
        chunk=64,
    )
    store.write_region("image", {}, slice(0, 64), slice(0, 128), np.ones((64, 128)))
    store.write_region("dq", {}, slice(0, 64), slice(0, 128), np.zeros((64, 128)))
    store.write_psf(0, 0, 0, 0, gaussian(5, 1, 1))
    export_fits(store, tmp_path / "o.fits")
    with fits.open(tmp_path / "o.fits") as hdus:
        assert hdus["SCI"].header["BDSTATUS"] == "running"
        assert (hdus["SCI"].data[:, :128] == 1).all()
        assert np.isnan(hdus["SCI"].data[:, 128:]).all()
        assert (hdus["DQ"].data[:, :128] == 0).all()
        assert (hdus["DQ"].data[:, 128:] == 4).all()
        assert hdus["PSFGRID"].data.shape == (2, 5, 5)
        assert np.isnan(hdus["PSFGRID"].data[1]).all()
    assert to_ccddata(store).mask[:, 128:].all()


def test_axes_of_cubes(tmp_path: Path) -> None:
    header = sky_header()
    for key in ("A_ORDER", "A_2_0", "B_ORDER", "B_1_1"):
        del header[key]
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN")
    header.update(CTYPE3="WAVE", CRPIX3=1.0, CRVAL3=5e-7, CUNIT3="m", CD3_3=1e-9)
    path = write_input(tmp_path / "cube.fits", (3, 40, 50), header)
    cube = restore(tmp_path / "cube.zarr", open_stack(path), channels=3)
    assert cube.dims == ("c", "y", "x")
    export_fits(cube, tmp_path / "cube_out.fits")
    wave = WCS(fits.getheader(tmp_path / "cube_out.fits", "SCI"))
    np.testing.assert_allclose(wave.all_pix2world(9, 9, 2, 0)[2], 5.02e-7)
    assert open_stack(tmp_path / "cube_out.fits")["data"].dims == ("c", "y", "x")
    assert fits.getdata(tmp_path / "cube_out.fits", "PSFGRID").shape == (3, 6, 17, 17)
    assert fits.getdata(tmp_path / "cube_out.fits", "CHI2").shape == (3, 3, 2)

    plane = restore(tmp_path / "plane.zarr", open_stack(path, channel=1))
    export_fits(plane, tmp_path / "plane.fits")
    flat = fits.getheader(tmp_path / "plane.fits", "SCI")
    assert flat["NAXIS"] == 2
    assert [key for key in flat if key[-1:] == "3" and not key.startswith("BD")] == []
    assert WCS(flat).naxis == 2
    np.testing.assert_allclose(
        WCS(flat).all_world2pix(*STAR, 0),
        WCS(fits.getheader(path)).celestial.all_world2pix(*STAR, 0),
        atol=1e-6,
    )
    assert to_ccddata(plane).wcs.naxis == 2


def test_a_result_that_is_restored_again_keeps_its_place_on_the_sky(tmp_path: Path) -> None:
    header = sky_header()
    header["GAIN"], header["RDNOISE"] = 2.0, 5.0
    path = write_input(tmp_path / "in.fits", header=header)
    first = open_stack(path, region="20:280,40:300")
    store = restore(tmp_path / "one.zarr", first)
    again = open_stack(store.path)
    for fact in ("unit", "pixel_scale", "pixel_unit", "region", "wcs_header", "header"):
        assert again.attrs[fact] == first.attrs[fact]
    assert "gain" in first.attrs
    assert not {"gain", "read_noise", "saturation"} & set(again.attrs)
    second = restore(tmp_path / "two.zarr", open_stack(store.path, region="10:210,5:255"))
    export_fits(second, tmp_path / "two.fits")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        before, after = WCS(fits.getheader(path)), WCS(fits.getheader(tmp_path / "two.fits", "SCI"))
    np.testing.assert_allclose(after.all_pix2world(7, 9, 0), before.all_pix2world(52, 39, 0), rtol=1e-9)
    assert second.attrs["region"] == [[30, 230], [45, 295]]
    np.testing.assert_array_equal(
        second.array("scale0/image")[...], fits.getdata(path)[30:230, 45:295].astype(np.float32) + 2
    )


def test_a_burst_has_tilts_and_loses_the_axis_of_time(tmp_path: Path) -> None:
    path = write_input(tmp_path / "burst.fits", (4, 40, 50))
    template = open_stack(path)
    assert template["data"].dims == ("t", "y", "x")
    mean = template.mean("t", keep_attrs=True).expand_dims(c=1)
    options = {"frames": 4, "tilt_y": [10.0, 30.0], "tilt_x": [25.0]}
    store = restore(tmp_path / "burst.zarr", mean, **options)
    tilt = np.random.default_rng(4).normal(size=(4, 2, 1, 2)).astype(np.float32)
    for frame in range(4):
        store.write_tilt(frame, slice(None), slice(None), tilt[frame])
    export_fits(store, tmp_path / "out.fits")
    with fits.open(tmp_path / "out.fits") as hdus:
        hdus.verify("exception")
        assert hdus["SCI"].data.shape == (1, 40, 50)
        assert hdus["SCI"].header["CTYPE3"] == "CHANNEL"
        np.testing.assert_array_equal(hdus["TILT"].data, tilt)
        assert hdus["TILTPOS"].data["y"].tolist() == [10.0, 30.0]
        assert hdus["PSFGRID"].data.shape == (4, 6, 17, 17)
    assert open_stack(tmp_path / "out.fits")["data"].dims == ("c", "y", "x")
    expected = WCS(sky_header()).all_world2pix(*STAR, 0)
    # Astropy has SIP in two dimensions only.
    for world in (WCS(fits.getheader(tmp_path / "out.fits", "SCI"), naxis=2), to_ccddata(store).wcs):
        np.testing.assert_allclose(world.all_world2pix(*STAR, 0), expected, atol=1e-6)


def test_headers_that_are_hard_to_write(tmp_path: Path) -> None:
    template = open_stack(np.zeros((64, 64), np.float32))
    template.attrs["unit"] = "µJy/beam"
    template.attrs["header"] = [
        ["OBSERVER", "Ångström\nline", "naïve"],
        ["UNDEF", None, "no value"],
        ["FLAG", True, ""],
        ["a=b", 3, "not allowed"],
        ["D2IMDIS1", "Lookup", "a table that is not copied"],
        ["CPDIS1", "Lookup", ""],
        ["DP1.EXTVER", 1.0, ""],
        ["ZCMPTYPE", "RICE_1", ""],
        ["TFORM1", "1PB(12)", ""],
        ["NOTE", "z" * 300, "long"],
    ]
    store = restore(tmp_path / "o.zarr", template)
    export_fits(store, tmp_path / "o.fits")
    with fits.open(tmp_path / "o.fits") as hdus:
        hdus.verify("exception")
        header = hdus["SCI"].header
        WCS(header, hdus)
    assert header["OBSERVER"] == "?ngstr?m?line"
    assert header["FLAG"] is True
    assert header["NOTE"] == "z" * 300
    assert header["BUNIT"] == "uJy/beam"
    assert "a=b = 3" in str(header["COMMENT"])
    assert {"D2IMDIS1", "CPDIS1", "ZCMPTYPE", "TFORM1"}.isdisjoint(header)


Exporter = Callable[..., None]
EXPORTERS = [(export_fits, "out.fits"), (export_tiff, "out.tif"), (export_psf, "out.psf.fits")]


@pytest.mark.parametrize(("exporter", "name"), EXPORTERS)
def test_an_existing_file_is_kept_unless_told_otherwise(
    sky: tuple[Path, ResultStore], tmp_path: Path, exporter: Exporter, name: str
) -> None:
    target = tmp_path / name
    target.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        exporter(sky[1], target)
    assert target.read_text() == "precious"
    exporter(sky[1], target, overwrite=True)
    assert target.stat().st_size > 1000
    with pytest.raises(OutputError, match="does not exist"):
        exporter(sky[1], tmp_path / "missing" / name)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("error", [RuntimeError("in the middle"), OSError(28, "No space left on device")])
@pytest.mark.parametrize(
    ("exporter", "name", "module", "step"),
    [
        (export_fits, "out.fits", fits_export, "_write_figures"),
        (export_fits, "out.fits", fits_export, "odd_kernels"),
        (export_tiff, "out.tif", tiff_export, "strips"),
        (export_psf, "out.psf.fits", psf_export.fits.PrimaryHDU, "writeto"),
    ],
)
@pytest.mark.parametrize("old", [None, "precious"])
def test_a_failure_in_the_middle_leaves_the_old_file_or_none(
    sky: tuple[Path, ResultStore],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exporter: Exporter,
    name: str,
    module: Any,
    step: str,
    error: Exception,
    old: str | None,
) -> None:
    original = getattr(module, step)
    calls = []

    def fail(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if step == "strips" and len(calls) == 1:
            return original(*args, **options)
        if step == "writeto":
            Path(args[1]).write_bytes(b"half a file")
        raise error

    monkeypatch.setattr(module, step, fail)
    if old is not None:
        (tmp_path / name).write_text(old)
    with pytest.raises((RuntimeError, BlindDpsError), match=r"in the middle|cannot be written: No space"):
        exporter(sky[1], tmp_path / name, overwrite=True)
    assert calls
    assert os.listdir(tmp_path) == ([] if old is None else [name])
    if old is not None:
        assert (tmp_path / name).read_text() == old


@pytest.mark.parametrize(("exporter", "name"), EXPORTERS[:2])
def test_memory_of_an_export_does_not_grow_with_the_image(
    tmp_path: Path, exporter: Exporter, name: str
) -> None:
    block = np.random.default_rng(5).normal(size=(512, 512)).astype(np.float32)
    peaks = []
    for height in (1024, 4096):
        template = xr.Dataset({"data": (("y", "x"), np.broadcast_to(np.float32(0), (height, 512)))})
        store = create_result(
            tmp_path / f"{height}.zarr",
            template=template,
            node_y=[1],
            node_x=[1],
            kernel_size=4,
            shard=512,
            chunk=128,
        )
        for y in range(0, height, 512):
            store.write_region("image", {}, slice(y, y + 512), slice(0, 512), block + y)
        target = tmp_path / f"{height}_{name}"
        tracemalloc.start()
        exporter(store, target)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        seen = fits.getdata(target) if name.endswith("fits") else tifffile.imread(target)
        np.testing.assert_array_equal(seen[512:1024], block + 512)
    assert peaks[1] < 1.2 * peaks[0] + 1e6
    assert peaks[1] < 4 * 4096 * 512


def test_tiff_has_both_images_and_the_pixel_size(tmp_path: Path) -> None:
    data = np.random.default_rng(6).normal(size=(2, 300, 401)).astype(np.float32)
    template = xr.Dataset({"data": (("c", "y", "x"), data)})
    template.attrs.update(pixel_scale=[0.25, 0.125], pixel_unit="micrometer", channel_names=["DAPI", "GFP"])
    store = restore(tmp_path / "o.zarr", template, channels=2)
    export_tiff(store, tmp_path / "o.tif")
    with tifffile.TiffFile(tmp_path / "o.tif") as tiff:
        assert tiff.is_ome
        first, second = tiff.series
        assert (first.axes, first.shape, first.dtype) == ("CYX", (2, 300, 401), np.float32)
        np.testing.assert_array_equal(first.asarray(), store.array("scale0/image")[...])
        assert (second.asarray() == 2.0).all()
        assert "0123abcd" in str(tiff.ome_metadata)
    again = open_stack(tmp_path / "o.tif")
    np.testing.assert_array_equal(again["data"], data + 1)
    assert again["data"].dims == ("c", "y", "x")
    assert again.attrs["pixel_scale"] == [0.25, 0.125]
    assert again.attrs["pixel_unit"] == "micrometer"
    assert again.attrs["channel_names"] == ["DAPI", "GFP"]


def test_tiff_of_a_stack_keeps_the_order_of_its_axes(tmp_path: Path) -> None:
    data = np.random.default_rng(7).normal(size=(2, 3, 4, 20, 33)).astype(np.float32)
    template = xr.Dataset({"data": (("t", "c", "z", "y", "x"), data)})
    template.attrs.update(pixel_scale=[0.2, 0.2], pixel_unit="micrometer", z_scale=1.5)
    store = restore(tmp_path / "o.zarr", template, frames=8, channels=3)
    export_tiff(store, tmp_path / "o.tif")
    again = open_stack(tmp_path / "o.tif")
    assert again["data"].dims == ("t", "c", "z", "y", "x")
    np.testing.assert_array_equal(again["data"], data + 1)
    assert again.attrs["z_scale"] == 1.5
    export_fits(store, tmp_path / "o.fits")
    np.testing.assert_array_equal(fits.getdata(tmp_path / "o.fits"), data + 1)


def test_ccddata_goes_through_a_result_and_comes_back(tmp_path: Path) -> None:
    values = np.random.default_rng(8).normal(100, 5, (60, 70)).astype(np.float32)
    header = sky_header()
    given = CCDData(values, unit="adu", wcs=WCS(header), uncertainty=StdDevUncertainty(np.ones_like(values)))
    store = restore(tmp_path / "o.zarr", open_stack(given))
    made = to_ccddata(store)
    np.testing.assert_array_equal(made.data, values + 1)
    assert made.unit == given.unit
    assert (made.uncertainty.array == 2.0).all()
    assert made.mask.dtype == bool
    assert not made.mask.any()
    np.testing.assert_allclose(made.wcs.all_pix2world(3, 5, 0), given.wcs.all_pix2world(3, 5, 0))
    assert made.meta["BDFINGER"] == "0123abcd"
    made.write(tmp_path / "ccd.fits")
    np.testing.assert_array_equal(open_stack(made)["data"], values + 1)


@pytest.mark.parametrize(
    ("unit", "expected"), [("", ""), ("furlong/frown", "furlong/frown"), ("electron", "electron")]
)
def test_units_that_astropy_does_not_know(tmp_path: Path, unit: str, expected: str) -> None:
    template = open_stack(np.zeros((20, 20), np.float32))
    template.attrs["unit"] = unit
    assert str(to_ccddata(restore(tmp_path / "o.zarr", template)).unit) == expected


def test_the_samples_of_a_psf_file_are_its_kernels(sky: tuple[Path, ResultStore], tmp_path: Path) -> None:
    export_psf(sky[1], tmp_path / "out.psf.fits")
    with fits.open(tmp_path / "out.psf.fits") as hdus:
        hdus.verify("exception")
        header, cube = hdus[0].header, hdus[0].data
    assert (header["NXPSFS"], header["NYPSFS"], header["NAXIS3"]) == (2, 3, 6)
    assert [header[f"IPSFX{i:02d}"] for i in (1, 2)] == [65.0, 201.0]
    assert [header[f"JPSFY{i:02d}"] for i in (1, 2, 3)] == [21.0, 101.0, 181.0]
    assert cube.shape == (6, 65, 65)
    for number in range(6):
        np.testing.assert_allclose(
            cube[number, ::4, ::4][:16, :16], node_kernel(*divmod(number, 2)), atol=1e-6
        )
    fine = np.arange(65) / 4 - 8
    smooth = np.exp(-0.5 * np.add.outer(fine**2 / 1.5**2, fine**2 / 2.1**2))
    np.testing.assert_allclose(cube[3], smooth * cube[3].max(), atol=0.004 * cube[3].max())


def test_photutils_finds_the_right_psf_at_the_right_place(
    sky: tuple[Path, ResultStore], tmp_path: Path
) -> None:
    psf = pytest.importorskip("photutils.psf")
    export_psf(sky[1], tmp_path / "out.psf.fits")
    model = psf.GriddedPSFModel.read(tmp_path / "out.psf.fits")
    r = np.arange(16) - 8
    for number in range(6):
        iy, ix = divmod(number, 2)
        x0, y0 = [64.0, 200.0][ix], [20.0, 100.0, 180.0][iy]
        yy, xx = np.meshgrid(r + y0, r + x0, indexing="ij")
        np.testing.assert_allclose(
            model.evaluate(xx, yy, 1.0, x0, y0), node_kernel(iy, ix), atol=2e-6, err_msg=f"node {iy}, {ix}"
        )
    yy, xx = np.meshgrid(r + 60.0, r + 132.0, indexing="ij")
    middle = np.mean([node_kernel(iy, ix) for iy in (0, 1) for ix in (0, 1)], axis=0)
    np.testing.assert_allclose(model.evaluate(xx, yy, 1.0, 132.0, 60.0), middle, atol=2e-6)
    assert model.evaluate(xx, yy, 5.0, 132.0, 60.0).sum() == pytest.approx(5.0, rel=2e-3)


@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 1), (1, 4), (3, 1), (1, 2), (6, 6), (36, 1), (7, 8), (2, 28)]
)
def test_photutils_reads_grids_of_every_shape(tmp_path: Path, rows: int, columns: int) -> None:
    psf = pytest.importorskip("photutils.psf")
    y, x = 10.0 + 8 * np.arange(rows), 5.0 + 6 * np.arange(columns)
    template = xr.Dataset({"data": (("y", "x"), np.zeros((300, 200), np.float32))})
    store = create_result(
        tmp_path / "o.zarr", template=template, node_y=y, node_x=x, kernel_size=9, shard=512
    )
    kernels = np.zeros((rows, columns, 9, 9))
    kernels[:, :, 4, 4], kernels[:, :, 3, 4] = 100 + np.arange(rows)[:, None], 1 + np.arange(columns)
    store.write_psf(0, 0, slice(None), slice(None), kernels / kernels.sum((2, 3), keepdims=True))
    export_psf(store, tmp_path / "o.fits")
    model = psf.GriddedPSFModel.read(tmp_path / "o.fits")
    for iy, ix in np.ndindex(rows, columns):
        ratio = [
            model.evaluate(np.array([x[ix]]), np.array([y[iy] + dy]), 1.0, x[ix], y[iy])[0] for dy in (0, -1)
        ]
        assert ratio[0] / ratio[1] == pytest.approx((100 + iy) / (1 + ix), rel=1e-3)


def test_a_node_without_a_psf_gets_the_nearest_ones(tmp_path: Path) -> None:
    template = xr.Dataset({"data": (("y", "x"), np.zeros((64, 64), np.float32))})
    store = create_result(
        tmp_path / "o.zarr", template=template, node_y=[10, 50], node_x=[10, 30, 50], frames=2, kernel_size=8
    )
    with pytest.raises(OutputError, match="no PSF yet"):
        export_psf(store, tmp_path / "o.fits")
    kernels = np.full((2, 3, 8, 8), np.nan)
    kernels[1, 0], kernels[0, 2] = node_kernel(0, 0, 8), node_kernel(2, 1, 8)
    store.write_psf(1, 0, slice(None), slice(None), kernels)
    export_psf(store, tmp_path / "o.fits", frame=1)
    cube = fits.getdata(tmp_path / "o.fits")
    assert np.isfinite(cube).all()
    np.testing.assert_array_equal(cube[0], cube[3])
    np.testing.assert_array_equal(cube[5], cube[2])
    assert not np.array_equal(cube[2], cube[3])
    with pytest.raises(ConfigError, match="frame 2 does not exist; the result has 2"):
        export_psf(store, tmp_path / "o.fits", frame=2, overwrite=True)
    assert os.listdir(tmp_path).count("o.fits") == 1


@pytest.mark.parametrize("name", ["my_fine_psf.fits", "a_b_c_d.fits", "psf.npy", "psf.fits.gz"])
def test_names_that_photutils_cannot_read_are_refused(
    sky: tuple[Path, ResultStore], tmp_path: Path, name: str
) -> None:
    with pytest.raises(OutputError, match="photutils"):
        export_psf(sky[1], tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_the_paths_are_offered_here_too() -> None:
    assert export.store_path_for("a.fits") == Path("a.fits.zarr")
    assert export.output_path_for("a.fits.zarr") == Path("a.fits")
