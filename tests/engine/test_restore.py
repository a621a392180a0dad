"""`restore`: every kind of input to every kind of output, and nothing left behind by a failure."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr
from astropy import units
from astropy.io import fits
from astropy.nddata import CCDData, NDData, StdDevUncertainty
from astropy.wcs import WCS

from blinddps_sci.engine.driver import Event
from blinddps_sci.engine.restore import check_output, exporter_for, prepare_restore, restore, resume
from blinddps_sci.errors import BlindDpsError, BudgetError, ConfigError, InputError, OutputError
from blinddps_sci.io.result import open_result


@pytest.fixture
def run(small: dict[str, Any]) -> Callable[..., Any]:
    """`restore` with the options of a small problem."""
    return lambda source, output=None, **options: restore(source, output, **{**small, **options})


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sky(shape: tuple[int, int]) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = 150.0, 2.0
    wcs.wcs.crpix = shape[1] / 2, shape[0] / 2
    wcs.wcs.cdelt = -1e-4, 1e-4
    return wcs


def write_fits(path: Path, data: np.ndarray, **cards: Any) -> Path:
    header = sky(data.shape[-2:]).to_header()
    header.update({"OBJECT": "M 31", "BUNIT": "adu", **cards})
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data, header, name="SCI")]).writeto(path)
    return path


# --- objects in memory ---


def test_an_array_gives_a_dataset_in_memory(run, scene, tmp_path) -> None:
    data = scene(40, 48)
    data[2, 3] = np.nan
    result = run(data)
    assert {"image", "std", "dq", "psf_kernel", "psf_std", "chi2"} <= set(result)
    assert result["image"].dims == ("y", "x")
    assert result["image"].shape == data.shape
    assert isinstance(result["image"].variable._data, np.ndarray)
    assert np.isfinite(result["image"]).all()
    assert np.isfinite(result["std"]).all()
    assert result["dq"].values[2, 3] == 1
    assert result["dq"].values.sum() == 1
    np.testing.assert_allclose(result["psf_kernel"].sum(("ky", "kx")), 1, rtol=1e-5)


def test_a_data_array_keeps_its_axes(run, scene) -> None:
    data = xr.DataArray(scene(2, 24, 24), dims=("c", "y", "x"))
    result = run(data)
    assert result["image"].dims == ("c", "y", "x")
    assert result["psf_kernel"].sizes["channel"] == 2
    assert run(data, channel=1)["image"].dims == ("y", "x")


def test_ccddata_gives_ccddata(run, scene) -> None:
    data = scene(32, 40)
    mask = np.zeros(data.shape, dtype=bool)
    mask[4, 5] = True
    source = CCDData(
        data,
        unit=units.electron,
        uncertainty=StdDevUncertainty(np.full_like(data, 2)),
        mask=mask,
        wcs=sky(data.shape),
        meta={"OBJECT": "M 31"},
    )
    result = run(source)
    assert isinstance(result, CCDData)
    assert result.unit == units.electron
    assert result.data.shape == data.shape
    assert np.isfinite(result.data).all()
    assert isinstance(result.uncertainty, StdDevUncertainty)
    assert result.uncertainty.array.shape == data.shape
    assert result.meta["OBJECT"] == "M 31"
    np.testing.assert_array_equal(result.mask, mask)
    np.testing.assert_allclose(result.wcs.wcs.crpix, source.wcs.wcs.crpix)
    assert isinstance(run(NDData(data, uncertainty=StdDevUncertainty(data / 100))), CCDData)


def test_ccddata_to_a_file_gives_both(run, scene, tmp_path) -> None:
    result = run(CCDData(scene(32, 32), unit="adu"), tmp_path / "out.fits")
    assert isinstance(result, CCDData)
    np.testing.assert_array_equal(fits.getdata(tmp_path / "out.fits", "SCI"), result.data)


def test_the_same_pixels_give_the_same_answer_from_memory_and_file(run, scene, tmp_path) -> None:
    data = scene(32, 40)
    kept = run(data)["image"].values
    write_fits(tmp_path / "in.fits", data)
    run(tmp_path / "in.fits", tmp_path / "out.fits")
    np.testing.assert_array_equal(fits.getdata(tmp_path / "out.fits", "SCI"), kept)


# --- files ---


def test_fits_to_fits(run, scene, tmp_path) -> None:
    data = scene(40, 48)
    data[2, 3] = np.inf
    source = write_fits(tmp_path / "in.fits", data, SATURATE=float(np.partition(data.ravel(), -3)[-3]))
    result = run(source, tmp_path / "out.fits", seed=9)
    assert written(tmp_path) == ["in.fits", "out.fits"]
    with fits.open(tmp_path / "out.fits") as hdus:
        names = [hdu.name for hdu in hdus]
        assert names[1:] == ["SCI", "ERR", "DQ", "PSFGRID", "PSFPOS", "CHI2"]
        assert hdus["SCI"].data.shape == data.shape
        assert np.isfinite(hdus["SCI"].data).all()
        assert np.isfinite(hdus["ERR"].data).all()
        assert hdus["DQ"].data[2, 3] == 1
        assert (hdus["DQ"].data == 2).sum() == 2
        np.testing.assert_allclose(hdus["PSFGRID"].data.sum(axis=(-2, -1)), 1, rtol=1e-5)
        assert len(hdus["PSFPOS"].data) == hdus["PSFGRID"].shape[0] == hdus["CHI2"].data.size
        header = hdus["SCI"].header
        assert (header["OBJECT"], header["BUNIT"]) == ("M 31", "adu")
        assert (header["CRPIX1"], header["CRPIX2"]) == (24, 20)
        assert hdus[0].header["BDSEED"] == 9
    assert result["data"].shape == data.shape


def test_a_region_moves_the_world_coordinates(run, scene, tmp_path) -> None:
    data = scene(64, 80)
    source = write_fits(tmp_path / "in.fits", data)
    run(source, tmp_path / "out.fits", region="10:42,30:70")
    with fits.open(tmp_path / "out.fits") as hdus:
        header = hdus["SCI"].header
        assert hdus["SCI"].data.shape == (32, 40)
        assert (header["CRPIX1"], header["CRPIX2"]) == (40 - 30, 32 - 10)
        before, after = sky(data.shape), WCS(header)
        np.testing.assert_allclose(after.pixel_to_world_values(5, 7), before.pixel_to_world_values(35, 17))
        assert hdus["PSFPOS"].data["x"].max() < 40


def test_an_extension_is_chosen(run, scene, tmp_path) -> None:
    images = [fits.ImageHDU(scene(*shape), name=name) for shape, name in (((24, 24), "A"), ((24, 32), "B"))]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(tmp_path / "in.fits")
    assert run(tmp_path / "in.fits", tmp_path / "b.fits", hdu="B")["data"].shape == (24, 32)
    assert run(tmp_path / "in.fits", tmp_path / "a.fits", hdu=1)["data"].shape == (24, 24)


def test_several_files_are_frames(run, scene, tmp_path) -> None:
    files = [write_fits(tmp_path / f"{i}.fits", scene(24, 32, seed=i)) for i in range(3)]
    result = run(files, tmp_path / "out.zarr")
    assert result["image"].dims == ("t", "y", "x")
    assert result["image"].shape == (3, 24, 32)
    assert result["psf_kernel"].sizes["frame"] == 3
    run(files, tmp_path / "out.fits")
    assert fits.getdata(tmp_path / "out.fits", "SCI").shape == (3, 24, 32)


def test_ome_zarr_with_channels_and_depth(run, scene, tmp_path) -> None:
    data = scene(2, 3, 24, 32).astype(np.uint16)
    group = zarr.open_group(str(tmp_path / "in.zarr"), mode="w", zarr_format=3)
    group.create_array("0", data=data, dimension_names=("c", "z", "y", "x"))
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    scale = {"type": "scale", "scale": [1.0, 0.5, 0.1, 0.2]}
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale]}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    result = run(tmp_path / "in.zarr", tmp_path / "out.zarr")
    assert result["image"].dims == ("c", "z", "y", "x")
    assert result["image"].shape == data.shape
    assert result["psf_kernel"].sizes["channel"] == 2
    assert result["psf_kernel"].sizes["frame"] == 3
    stored = zarr.open_group(str(tmp_path / "out.zarr"), mode="r").attrs["ome"]["multiscales"][0]
    assert stored["datasets"][0]["coordinateTransformations"][0]["scale"] == [1.0, 0.5, 0.1, 0.2]
    assert open_result(tmp_path / "out.zarr").status == "complete"


def test_tiff_of_16_bits_to_tiff(run, scene, tmp_path) -> None:
    data = scene(32, 40).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", data)
    run(tmp_path / "in.tif", tmp_path / "out.tif")
    image = tifffile.imread(tmp_path / "out.tif")
    assert image.dtype == np.float32
    assert image.shape[-2:] == data.shape
    assert np.isfinite(image).all()
    assert abs(float(image.mean()) - data.mean()) < 20
    assert written(tmp_path) == ["in.tif", "out.tif"]


def test_a_known_psf_is_what_the_result_says(run, scene, tmp_path) -> None:
    y, x = np.mgrid[-4:5, -4:5]
    psf = np.exp(-(y**2 + x**2 + 0.5 * x * y) / 5)
    fits.writeto(tmp_path / "psf.fits", psf)
    run(scene(48, 48), tmp_path / "out.fits", psf_file=str(tmp_path / "psf.fits"))
    grid = fits.getdata(tmp_path / "out.fits", "PSFGRID")
    assert len(grid) == 4
    for kernel in grid:
        np.testing.assert_allclose(kernel, psf / psf.sum(), rtol=1e-5)


def test_an_even_psf_is_padded_about_its_centre(run, scene, tmp_path) -> None:
    psf = np.zeros((8, 8))
    psf[4, 4], psf[3, 4] = 3, 1
    np.save(tmp_path / "psf.npy", psf)
    run(scene(32, 32), tmp_path / "out.fits", psf_file=str(tmp_path / "psf.npy"))
    kernel = fits.getdata(tmp_path / "out.fits", "PSFGRID")[0]
    assert kernel.shape == (9, 9)
    assert (kernel[4, 4], kernel[3, 4]) == (0.75, 0.25)


# --- options ---


def test_options_come_from_a_file_and_are_overridden(small, scene, tmp_path) -> None:
    file = tmp_path / "options.toml"
    file.write_text('steps = 4\nnoise = "gaussian:3"\nquality = "fast"\n')
    options = {**small, "config": str(file), "steps": 2}
    del options["samples"]
    job = prepare_restore(scene(32, 32), options)
    assert (job.config.steps, job.config.samples, job.channels[0].noise.sigma) == (2, 4, 3.0)


def test_the_job_is_announced_before_the_first_step(run, scene) -> None:
    seen: list[str] = []
    run(
        scene(32, 32),
        on_start=lambda job: seen.append(job.fingerprint),
        callback=lambda event: seen.append(event.phase),
    )
    assert len(seen[0]) == 16
    # three steps of two chains and of two draws, and the end of each phase
    assert seen[1:] == ["estimate"] * 7 + ["restore"] * 7 + ["blend"]


def test_a_trajectory_needs_a_store(run, scene, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"keep_trajectory .* use a .zarr output"):
        run(scene(32, 32), tmp_path / "out.fits", keep_trajectory=2)
    assert written(tmp_path) == []
    run(scene(32, 32), tmp_path / "out.zarr", keep_trajectory=2)
    assert written(tmp_path) == ["out.trajectory.png", "out.zarr", "out.zarr.run"]
    assert xr.open_zarr(tmp_path / "out.zarr", group="trajectory")["image"].shape == (2, 32, 32)


# --- outputs that cannot be, and failures ---


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("out.png", OutputError, r"use .zarr, .fits or .tif"),
        ("out", OutputError, r"use .zarr, .fits or .tif"),
        ("missing/out.fits", OutputError, "does not exist"),
        ("there.fits", OutputError, "exists"),
        ("stored.fits", OutputError, r"stored.fits.zarr exists"),
        ("there.zarr", OutputError, "exists"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_at_once(
    run, scene, tmp_path, name: str, error: type[BlindDpsError], message: str
) -> None:
    (tmp_path / "there.fits").touch()
    (tmp_path / "stored.fits.zarr").mkdir()
    (tmp_path / "there.zarr").mkdir()
    before = written(tmp_path)
    with pytest.raises(error, match=message):
        run(scene(32, 32), tmp_path / name, callback=pytest.fail)
    assert written(tmp_path) == before


@pytest.mark.parametrize("name", ["in.zarr", "in.fits.zarr"])
def test_an_input_is_never_replaced(run, scene, tmp_path, name: str) -> None:
    source = xr.Dataset({"image": (("y", "x"), scene(32, 32))})
    source.to_zarr(tmp_path / name, zarr_format=3, consolidated=False)
    output = tmp_path / name.removesuffix(".zarr") if "fits" in name else tmp_path / name
    for given in (
        tmp_path / name,
        xr.open_zarr(tmp_path / name, consolidated=False),
        tmp_path / name / "image",
    ):
        with pytest.raises(OutputError, match=r"would replace .* an input"):
            run(given, output, overwrite=True, callback=pytest.fail)
    np.testing.assert_array_equal(xr.open_zarr(tmp_path / name, consolidated=False)["image"], source["image"])
    fits.writeto(tmp_path / "dark.fits", np.zeros((32, 32), np.float32))
    with pytest.raises(OutputError, match=r"would replace .*dark.fits"):
        run(tmp_path / name, tmp_path / "dark.fits", dark=str(tmp_path / "dark.fits"), overwrite=True)


def test_a_folder_that_is_no_store_is_never_replaced(run, scene, tmp_path) -> None:
    (tmp_path / "photos.zarr").mkdir()
    (tmp_path / "photos.zarr" / "one.jpg").touch()
    with pytest.raises(OutputError, match="not a result"):
        run(scene(32, 32), tmp_path / "photos.zarr", overwrite=True)
    assert written(tmp_path / "photos.zarr") == ["one.jpg"]


def test_extensions_have_exporters(tmp_path) -> None:
    assert exporter_for(Path("a.FITS")) is exporter_for(Path("a.fit"))
    assert exporter_for(Path("a.tif")) is exporter_for(Path("a.tiff"))
    with pytest.raises(OutputError, match=r"use .fits or .tif"):
        exporter_for(Path("a.zarr"))
    check_output(tmp_path / "A.Fits", overwrite=False)


def stop(event: Event) -> None:
    if event.progress.step == 2:
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["out.zarr", "out.fits", "out.tif"])
def test_an_interrupted_run_goes_on(run, scene, tmp_path, name: str) -> None:
    fits.writeto(tmp_path / "in.fits", scene(40, 80))
    whole = run(tmp_path / "in.fits", tmp_path / f"whole{Path(name).suffix}")
    before = written(tmp_path)

    def stop_later(event: Event) -> None:
        if (event.phase, event.unit) == ("restore", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "in.fits", tmp_path / name, callback=stop_later)
    store = f"{name.removesuffix('.zarr')}.zarr"
    assert written(tmp_path) == sorted([*before, store, f"{store}.run"])
    seen: list[tuple[str, int]] = []
    found = resume(tmp_path / name, callback=lambda event: seen.append((event.phase, event.unit)))
    assert set(seen) == {("restore", 1), ("blend", 0), ("blend", 1)}
    field = "image" if name.endswith(".zarr") else "data"
    np.testing.assert_array_equal(found[field], whole[field])
    left = [name, f"{name}.run"] if name.endswith(".zarr") else [name]
    assert written(tmp_path) == sorted([*before, *left])


def test_a_run_that_replaces_a_file_goes_on(run, scene, tmp_path) -> None:
    (tmp_path / "out.fits").write_text("old")
    fits.writeto(tmp_path / "in.fits", scene(32, 32))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "in.fits", tmp_path / "out.fits", overwrite=True, callback=stop)
    with pytest.raises(OutputError, match="exists; move it"):
        resume(tmp_path / "out.fits", callback=pytest.fail)
    assert (tmp_path / "out.fits").read_text() == "old"
    resume(tmp_path / "out.fits", overwrite=True)
    assert fits.getdata(tmp_path / "out.fits", "SCI").shape == (32, 32)


def test_the_store_is_a_name_of_the_run_too(run, scene, tmp_path) -> None:
    fits.writeto(tmp_path / "in.fits", scene(32, 32))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "in.fits", tmp_path / "out.fits", callback=stop)
    resume(tmp_path / "out.fits.zarr")
    assert written(tmp_path) == ["in.fits", "out.fits"]


def test_a_complete_run_has_nothing_left_to_do(run, scene, tmp_path) -> None:
    whole = run(scene(32, 32), tmp_path / "out.zarr")
    again = resume(tmp_path / "out.zarr", callback=pytest.fail)
    np.testing.assert_array_equal(again["image"], whole["image"])


@pytest.mark.parametrize("change", ["input", "option", "gone"])
def test_a_run_that_would_give_another_answer_does_not_go_on(run, scene, tmp_path, change: str) -> None:
    fits.writeto(tmp_path / "in.fits", scene(32, 32))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "in.fits", tmp_path / "out.zarr", callback=stop)
    if change == "input":
        fits.writeto(tmp_path / "in.fits", scene(32, 32, seed=9), overwrite=True)
    if change == "gone":
        shutil.rmtree(tmp_path / "out.zarr.run")
    message = "no run to go on with" if change == "gone" else "have changed since"
    with pytest.raises(InputError, match=message):
        resume(tmp_path / "out.zarr", **({"steps": 9} if change == "option" else {}))


def test_a_file_survives_a_failed_run_that_would_have_replaced_it(run, scene, tmp_path) -> None:
    """FITS and TIFF files are replaced in the end; a Zarr store makes room at the start."""
    out = tmp_path / "out.fits"
    run(scene(24, 24), out)
    before = out.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        run(scene(32, 32), out, overwrite=True, callback=stop)
    assert out.read_bytes() == before
    run(scene(32, 32), out, overwrite=True)
    assert fits.getdata(out, "SCI").shape == (32, 32)
    assert written(tmp_path) == ["out.fits"]


def test_a_run_that_does_not_fit_is_refused_with_numbers(run, scene, tmp_path) -> None:
    with pytest.raises(BudgetError, match=r"needs \S+ [kM]B of memory and may use 1.1 kB: lower"):
        run(scene(32, 32), tmp_path / "out.fits", memory_limit=1e-6, callback=pytest.fail)
    assert written(tmp_path) == []


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (np.zeros((3, 3)), InputError, "8 x 8"),
        (np.zeros((2, 2, 2, 2, 16, 16)), InputError, "axes"),
        (np.full((32, 32), np.nan), InputError, "no usable pixel"),
        ("missing.fits", InputError, "does not exist"),
        ([], InputError, "list of"),
        (3, InputError, "cannot be opened"),
    ],
)
def test_an_input_that_cannot_be_restored_is_refused(run, tmp_path, source, error, message: str) -> None:
    with pytest.raises(error, match=message):
        run(source, tmp_path / "out.fits")
    assert written(tmp_path) == []


@pytest.mark.parametrize(
    ("sampler", "value"),
    [
        ("dps", 0.0),
        ("dps", 1000.0),
        ("split", 1000.0),
        ("split", 0.0),
    ],
)
def test_a_constant_image_is_restored(run, sampler: str, value: float) -> None:
    result = run(np.full((32, 32), value, dtype=np.float32), sampler=sampler)
    assert np.isfinite(result["image"]).all()
    assert np.isfinite(result["std"]).all()


def test_a_result_of_one_draw_is_an_input_again(run, scene, tmp_path) -> None:
    """It has no standard deviation, and says so by having no ERR."""
    source = write_fits(tmp_path / "in.fits", scene(40, 48))
    run(source, tmp_path / "once.fits", samples=1)
    assert "ERR" not in {hdu[1] for hdu in fits.info(tmp_path / "once.fits", output=False)}
    run(tmp_path / "once.fits", tmp_path / "twice.fits")
    assert np.isfinite(fits.getdata(tmp_path / "twice.fits", "ERR")).all()


def test_an_image_with_many_infinite_pixels_is_restored(run, scene, tmp_path) -> None:
    data = scene(48, 48)
    bad = np.random.default_rng(1).random(data.shape) < 0.1
    data[bad] = np.inf
    source = write_fits(tmp_path / "in.fits", data)
    run(source, tmp_path / "out.fits")
    with fits.open(tmp_path / "out.fits") as hdus:
        np.testing.assert_array_equal(hdus["DQ"].data == 1, bad)
        assert np.isfinite(hdus["SCI"].data).all()
        assert np.isfinite(hdus["ERR"].data).all()
