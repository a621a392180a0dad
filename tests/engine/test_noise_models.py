"""Every noise goes through a whole restoration: it is chosen, believed as it should be, and flagged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from scipy import ndimage

from blinddps_sci.engine.restore import restore
from blinddps_sci.simulate import expose

GAIN, READ = 2.0, 3.0


@pytest.fixture
def light() -> np.ndarray:
    """Return a blurred scene of 20 to 400 units without noise, (64, 64)."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(8).standard_normal((64, 64)), 4)
    return 80 * np.exp(0.6 * smooth / smooth.std())


@pytest.fixture
def quick(small: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Options of a restoration without blur under a broad Gaussian prior: its spread is the noise's."""
    np.save(tmp_path / "psf.npy", np.pad([[1.0]], 2))
    options = {
        "prior": "gaussian",
        "psf_file": str(tmp_path / "psf.npy"),
        "steps": 3,
        "samples": 6,
        "tile": 64,
    }
    return {key: value for key, value in small.items() if key not in ("kernel_prior", "psf_size")} | options


def spread(result: Any, where: np.ndarray) -> float:
    """Return the rms standard deviation of a part of a restoration."""
    return float(np.sqrt(np.mean(np.square(result["std"].values[where]))))


@pytest.mark.parametrize(
    ("read", "noise"),
    [(0.0, "poisson"), (READ, f"poisson-gaussian:{GAIN},{READ}"), (READ, "auto"), (READ, "measured")],
)
def test_counts_are_believed_as_their_brightness_says(light, quick, tmp_path, read, noise) -> None:
    exposure = expose(light, np.random.default_rng(1), gain=GAIN, read_noise=read)
    header = {} if noise == "measured" else {"GAIN": GAIN, "RDNOISE": READ * GAIN}
    fits.writeto(tmp_path / "in.fits", exposure.frame, fits.Header(header))
    option = "auto" if noise == "measured" else noise
    result = restore(tmp_path / "in.fits", noise=option, **quick)
    for part in (light < np.quantile(light, 0.3), light > np.quantile(light, 0.8)):
        true = float(np.sqrt(exposure.variance[part].mean()))
        assert spread(result, part) == pytest.approx(true, rel=0.25 if noise != "measured" else 0.5)


def test_a_variance_plane_is_believed_pixel_by_pixel(light, quick) -> None:
    variance = np.full(light.shape, 4.0)
    variance[:, 32:] = 100.0
    data = light + np.sqrt(variance) * np.random.default_rng(2).standard_normal(light.shape)
    stack = xr.Dataset({"data": (("y", "x"), data), "variance": (("y", "x"), variance)})
    result = restore(stack, **quick)
    left = np.arange(64) < 32
    assert spread(result, np.s_[:, left]) == pytest.approx(2, rel=0.2)
    assert spread(result, np.s_[:, ~left]) == pytest.approx(10, rel=0.2)


def test_masked_pixels_say_nothing(light, quick) -> None:
    data = light + 2 * np.random.default_rng(3).standard_normal(light.shape)
    mask = np.zeros(light.shape, dtype=bool)
    mask[20:24, 30:33] = True
    found = []
    for wrong in (1e6, -1e3):
        spoilt = np.where(mask, wrong, data)
        stack = xr.Dataset({"data": (("y", "x"), spoilt), "mask": (("y", "x"), mask)})
        found.append(restore(stack, noise="gaussian:2", **quick))
    np.testing.assert_array_equal(found[0]["image"].values, found[1]["image"].values)
    flagged = found[0]["dq"].values != 0
    np.testing.assert_array_equal(flagged, mask)
    assert spread(found[0], mask) > 5 * spread(found[0], ~mask)


def test_the_wings_of_a_saturated_star_tell_its_core(quick, tmp_path) -> None:
    y, x = np.mgrid[:64, :64] - 32
    shape = np.exp(-(y**2 + x**2) / (2 * 1.5**2))
    star = 50 + 8000 * shape / shape.sum()
    frame = expose(star, np.random.default_rng(4), gain=GAIN, read_noise=READ, saturation=250).frame
    np.save(tmp_path / "psf.npy", shape[27:38, 27:38] / shape[27:38, 27:38].sum())
    flux = {}
    for level in (250.0, 1e6):
        header = fits.Header({"GAIN": GAIN, "RDNOISE": READ * GAIN, "SATURATE": level})
        fits.writeto(tmp_path / "in.fits", frame, header, overwrite=True)
        result = restore(tmp_path / "in.fits", **quick | {"steps": 8})
        flux[level] = float((result["image"].values - 50)[24:41, 24:41].sum())
        full = frame >= level
        np.testing.assert_array_equal(result["dq"].values != 0, full)
    assert flux[250.0] > 1.1 * flux[1e6]
    assert flux[250.0] == pytest.approx(8000, rel=0.2)
