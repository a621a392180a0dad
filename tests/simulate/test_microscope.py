from __future__ import annotations

import math

import numpy as np
import pytest

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.centring import offsets
from blinddps_sci.simulate.microscope import microscope_psf
from blinddps_sci.simulate.pupil import Pupil, pupil_psf

OPTICS = {"na": 0.8, "wavelength": 0.6, "pixel": 0.08}


def rms_radius(kernel: np.ndarray) -> float:
    line = offsets(kernel.shape[0])
    return math.sqrt(float((kernel * (line[:, None] ** 2 + line[None, :] ** 2)).sum()))


@pytest.mark.parametrize("size", [32, 33])
def test_in_focus_it_is_the_circular_pupil(size: int) -> None:
    kernel = microscope_psf(size, **OPTICS)
    np.testing.assert_allclose(kernel, pupil_psf(size, Pupil.microscope(0.6, 0.8, 0.08)), atol=1e-7)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-6)


def test_first_zero_is_abbes() -> None:
    row = microscope_psf(65, na=0.5, wavelength=0.5, pixel=0.05)[32, 32:].astype(float)
    assert int(np.argmax(np.diff(row) > 0)) == pytest.approx(0.61 * 0.5 / 0.5 / 0.05, abs=0.6)


def test_defocus_follows_ray_optics_when_large() -> None:
    depth = 12.0
    kernel = microscope_psf(127, na=0.4, wavelength=0.5, pixel=0.2, defocus=depth)
    radius = depth * math.tan(math.asin(0.4)) / 0.2
    line = offsets(127)
    r = np.hypot(line[:, None], line[None, :])
    assert kernel[r < radius + 3].sum() > 0.9
    # A uniform disc has its rms radius at 1 / sqrt(2); the aplanatic one is near.
    assert rms_radius(np.where(r < 1.3 * radius, kernel, 0)) == pytest.approx(radius / math.sqrt(2), rel=0.1)


def test_small_defocus_equals_the_zernike_mode() -> None:
    depth, na, wave = 0.8, 0.2, 0.5
    # z NA^2 / (2 n lambda) waves at the rim = 2 sqrt(3) times the coefficient.
    waves = depth * na**2 / (2 * wave) / (2 * math.sqrt(3))
    exact = microscope_psf(33, na=na, wavelength=wave, pixel=0.4, defocus=depth)
    paraxial = microscope_psf(33, na=na, wavelength=wave, pixel=0.4, zernikes={4: waves})
    assert abs(exact - paraxial).max() < 0.01 * exact.max()


def test_confocal_is_narrower_by_about_root_two() -> None:
    wide = microscope_psf(65, na=0.8, wavelength=0.6, pixel=0.03)
    narrow = microscope_psf(65, na=0.8, wavelength=0.6, pixel=0.03, confocal=True)
    count = [int((k > k.max() / 2).sum()) for k in (wide, narrow)]
    assert math.sqrt(count[0] / count[1]) == pytest.approx(1.4, abs=0.1)


def test_aperture_must_fit_the_immersion() -> None:
    with pytest.raises(ConfigError, match="immersion"):
        microscope_psf(32, na=1.2, wavelength=0.5, pixel=0.06)
