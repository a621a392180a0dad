"""Calibration: dark, flat and bad pixels are taken out window by window, as the detector put them in."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

from blinddps_sci.errors import InputError
from blinddps_sci.io import open_stack, read_window

SHAPE = (20, 24)


@pytest.fixture
def detector(tmp_path: Path) -> dict[str, Any]:
    """Return a scene in three exposures, and files of what the detector adds to it."""
    rng = np.random.default_rng(2)
    scene = rng.uniform(100, 200, (3, *SHAPE)).astype(np.float32)
    dark = rng.uniform(5, 15, SHAPE).astype(np.float32)
    flat = rng.uniform(0.8, 1.2, SHAPE).astype(np.float32)
    flat /= np.median(flat)
    bad = np.zeros(SHAPE, np.uint8)
    bad[3, 5] = 1
    frames = np.stack([dark - 1, dark + 1])  # two dark frames
    files = {"raw": scene * flat + dark, "dark": frames, "flat": 5000 * flat, "bad": bad}
    for name, values in files.items():
        fits.writeto(tmp_path / f"{name}.fits", values.astype(np.float32))
    return {
        "scene": scene,
        "raw": tmp_path / "raw.fits",
        "options": {
            "dark": str(tmp_path / "dark.fits"),
            "flat": str(tmp_path / "flat.fits"),
            "bad_pixels": str(tmp_path / "bad.fits"),
        },
    }


def test_the_scene_comes_back(detector: dict[str, Any]) -> None:
    stack = open_stack(detector["raw"], **detector["options"])
    window = read_window(stack, {}, slice(0, 20), slice(0, 24))
    assert window.mask.sum(axis=(1, 2)).tolist() == [1, 1, 1]
    assert window.mask[:, 3, 5].all()
    good = ~window.mask
    np.testing.assert_allclose(window.data[good], detector["scene"][good], rtol=2e-3)


def test_a_region_of_one_frame_is_calibrated_by_its_own_pixels(detector: dict[str, Any]) -> None:
    stack = open_stack(detector["raw"], region="2:14,4:24", **detector["options"])
    stack = pickle.loads(pickle.dumps(stack))
    window = read_window(stack, {"t": 1}, slice(1, 9), slice(0, 8))
    expected = detector["scene"][1, 3:11, 4:12]
    np.testing.assert_allclose(window.data[1:], expected[1:], rtol=2e-3)
    assert np.argwhere(window.mask).tolist() == [[0, 1]]
    assert stack["data"].isel(t=0, y=5).values.shape == (20,)


def test_variance_and_saturation_follow(tmp_path: Path) -> None:
    flat = np.full(SHAPE, 2.0)
    flat[:, 12:] = 4.0
    fits.writeto(tmp_path / "flat.fits", flat)  # of median 3
    variables = {"data": (("y", "x"), np.full(SHAPE, 50.0)), "variance": (("y", "x"), np.full(SHAPE, 4.0))}
    stack = open_stack(xr.Dataset(variables), flat=tmp_path / "flat.fits")
    np.testing.assert_allclose(stack["data"].values[0, [0, 20]], [75.0, 37.5], rtol=1e-5)
    np.testing.assert_allclose(stack["variance"].values[0, [0, 20]], [9.0, 2.25], rtol=1e-5)
    fits.writeto(tmp_path / "raw.fits", np.full(SHAPE, 50.0), fits.Header({"SATURATE": 1000.0}))
    stack = open_stack(tmp_path / "raw.fits", flat=tmp_path / "flat.fits")
    assert stack.attrs["saturation"] == pytest.approx(750.0)


def test_the_identity_is_that_of_all_files(detector: dict[str, Any]) -> None:
    plain = open_stack(detector["raw"]).attrs["identity"]
    options = detector["options"]
    calibrated = open_stack(detector["raw"], dark=options["dark"]).attrs["identity"]
    assert calibrated["data"] == plain
    assert calibrated["dark"] == open_stack(options["dark"]).attrs["identity"]


def test_frames_of_another_detector_are_refused(detector: dict[str, Any], tmp_path: Path) -> None:
    fits.writeto(tmp_path / "small.fits", np.ones((10, 24), np.float32))
    with pytest.raises(InputError, match="the dark frame has 10 x 24 pixels, the data 20 x 24"):
        open_stack(detector["raw"], dark=tmp_path / "small.fits")
    fits.writeto(tmp_path / "none.fits", np.zeros(SHAPE, np.float32))
    with pytest.raises(InputError, match="leaves no usable pixel"):
        open_stack(detector["raw"], flat=tmp_path / "none.fits")
    with pytest.raises(InputError, match="does not exist"):
        open_stack(detector["raw"], flat=tmp_path / "absent.fits")


@pytest.mark.parametrize("frames", [None, 2])
def test_each_colour_is_calibrated_by_its_own(tmp_path: Path, frames: int | None) -> None:
    rng = np.random.default_rng(4)
    flat = rng.uniform(0.8, 1.2, (3, *SHAPE)).astype(np.float32)
    flat /= np.median(flat, axis=(1, 2), keepdims=True)
    scene = rng.uniform(100, 200, ((frames or 1), 3, *SHAPE)).astype(np.float32)
    lead = (slice(None),) if frames else (0,)
    dims = ("t", "c", "y", "x")[0 if frames else 1 :]
    raw = xr.DataArray((scene * flat)[lead], dims=dims)
    colours = fits.Header({"COLORSPC": "RGB"})
    fits.writeto(tmp_path / "flat.fits", flat * np.float32([[[500]], [[900]], [[300]]]), colours)
    bad = np.zeros((3, *SHAPE), np.float32)
    bad[1, 3, 5] = 1
    fits.writeto(tmp_path / "bad.fits", bad, colours)
    stack = open_stack(raw, flat=tmp_path / "flat.fits", bad_pixels=tmp_path / "bad.fits")
    expected = np.where(bad > 0, stack["data"].values, scene[lead])
    np.testing.assert_allclose(stack["data"].values, expected, rtol=1e-4)
    np.testing.assert_allclose(stack["data"].isel(c=1).values, expected[..., 1, :, :], rtol=1e-4)
    assert np.argwhere(stack["mask"].values)[:, -3:].tolist() == [[1, 3, 5]] * (frames or 1)


def test_colours_do_not_calibrate_a_grey_detector(detector: dict[str, Any], tmp_path: Path) -> None:
    fits.writeto(tmp_path / "rgb.fits", np.ones((3, *SHAPE), np.float32), fits.Header({"COLORSPC": "RGB"}))
    with pytest.raises(InputError, match="the flat frame has 3 channels, the data 1"):
        open_stack(detector["raw"], flat=tmp_path / "rgb.fits")
