"""Figures of PSFs against analytic Gaussians and Moffats, and against photutils; no Qt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from photutils.morphology import data_properties
from photutils.profiles import CurveOfGrowth, RadialProfile

from blinddps_sci.metrics.kernel import ellipticity, kernel_width
from napari_plugin.psf_figures import (
    THRESHOLD,
    encircled_energy,
    half_maximum_width,
    profile,
    shape_of,
)


def elliptical(size: int, form: Any, ratio: float, angle: float) -> np.ndarray:
    """Return a PSF of elliptical level lines, ``form`` of the squared major radius, summing to one."""
    r = np.arange(size, dtype=float) - size // 2
    y, x = r[:, None], r[None, :]
    turn = np.radians(angle)
    along, across = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    values = form(along**2 + (across / ratio) ** 2)
    return values / values.sum()


def gaussian(sigma: float, size: int = 65, ratio: float = 1.0, angle: float = 0.0) -> np.ndarray:
    return elliptical(size, lambda r2: np.exp(-0.5 * r2 / sigma**2), ratio, angle)


def moffat(alpha: float, size: int = 65, ratio: float = 1.0, angle: float = 0.0) -> np.ndarray:
    return elliptical(size, lambda r2: (1 + r2 / alpha**2) ** -3.0, ratio, angle)


@pytest.mark.parametrize("angle", [-60.0, -20.0, 0.0, 30.0, 75.0, 90.0])
@pytest.mark.parametrize("ratio", [0.5, 0.8])
@pytest.mark.parametrize("psf", [gaussian, moffat])
def test_ellipticity_and_angle_are_those_of_the_level_lines(psf: Any, ratio: float, angle: float) -> None:
    found = shape_of(psf(5.0, ratio=ratio, angle=angle))
    assert found.ellipticity == pytest.approx(1.0 - ratio, abs=0.01)
    away = (found.angle - angle + 90.0) % 180.0 - 90.0
    assert away == pytest.approx(0.0, abs=1.0)
    assert -90.0 < found.angle <= 90.0


def test_a_pedestal_makes_no_psf_round() -> None:
    kernel = gaussian(3.0, ratio=0.6, angle=25.0)
    raised = kernel + 0.05 * kernel.max()
    assert ellipticity(raised) < 0.1  # plain moments see nothing but the pedestal
    assert shape_of(raised).ellipticity == pytest.approx(0.4, abs=0.01)
    assert shape_of(raised).angle == pytest.approx(25.0, abs=0.5)


def test_moments_are_those_of_photutils() -> None:
    kernel = gaussian(2.5, ratio=0.7, angle=-35.0) + np.roll(gaussian(2.0), 4, axis=1) / 3
    above = np.maximum(kernel - THRESHOLD * kernel.max(), 0.0)
    known = data_properties(above)
    found = shape_of(kernel)
    # photutils adds 1/12 to thin sources only, which this is not.
    assert found.ellipticity == pytest.approx(float(known.ellipticity), abs=1e-6)
    assert np.tan(np.radians(found.angle)) == pytest.approx(np.tan(known.orientation.to_value("rad")))


def test_width_of_gaussians_and_of_nothing() -> None:
    for sigma in (1.2, 3.0):
        assert half_maximum_width(gaussian(sigma, 33)) == pytest.approx(2.3548 * sigma, rel=0.04)
    assert half_maximum_width(gaussian(3.0, 32)) == pytest.approx(half_maximum_width(gaussian(3.0, 33)))
    # Of alpha and beta = 3: 2 alpha sqrt(2^(1/3) - 1).
    assert half_maximum_width(moffat(4.0)) == pytest.approx(8.0 * np.sqrt(2 ** (1 / 3) - 1), rel=0.02)
    assert half_maximum_width(gaussian(2.0)) == pytest.approx(
        kernel_width(gaussian(2.0), kind="fwhm"), rel=0.03
    )
    several = np.stack([gaussian(1.5), np.zeros((65, 65)), np.full((65, 65), np.nan)])
    assert np.isnan(half_maximum_width(several)).tolist() == [False, True, True]
    assert half_maximum_width(several[None]).shape == (1, 3)


def test_there_is_no_shape_of_nothing_and_one_pixel_is_round() -> None:
    for nothing in (np.zeros((5, 5)), np.full((5, 5), np.nan)):
        found = shape_of(nothing)
        assert np.isnan([found.fwhm, found.ellipticity, found.angle]).all()
    point = np.zeros((9, 9))
    point[4, 4] = 1.0
    assert shape_of(point).ellipticity == 0.0


def test_only_lengths_have_a_scale() -> None:
    kernel = gaussian(3.0, ratio=0.7)
    in_pixels, in_micrometres = shape_of(kernel), shape_of(kernel).scaled(0.1)
    assert in_micrometres.fwhm == pytest.approx(0.1 * in_pixels.fwhm)
    assert in_micrometres.ellipticity == in_pixels.ellipticity


def test_the_profile_is_that_of_the_psf() -> None:
    kernel = gaussian(4.0)
    found = profile(kernel, std=np.full(kernel.shape, 1e-4))
    np.testing.assert_allclose(
        found.mean, kernel.max() * np.exp(-(found.radius**2) / 32), atol=0.01 * kernel.max()
    )
    assert len(found.radius) == 33
    assert found.std is not None
    np.testing.assert_allclose(found.std, 1e-4)
    # A round PSF varies within a ring by no more than its slope; a flat ellipse by much more.
    assert found.spread.max() < 0.06 * kernel.max()
    assert profile(gaussian(4.0, ratio=0.4)).spread.max() > 0.15 * gaussian(4.0, ratio=0.4).max()
    known = RadialProfile(kernel, (32, 32), np.arange(0.5, 21.0))
    inner = (found.radius > 0.7) & (found.radius < 20)
    np.testing.assert_allclose(
        np.interp(found.radius[inner], known.radius, known.profile),
        found.mean[inner],
        atol=0.02 * kernel.max(),
    )


def test_encircled_energy_is_analytic_and_that_of_photutils() -> None:
    kernel = gaussian(4.0)
    radius, energy = encircled_energy(kernel)
    assert (radius[0], energy[-1]) == (0.0, pytest.approx(1.0))
    np.testing.assert_allclose(energy, 1.0 - np.exp(-(radius**2) / 32), atol=0.006)
    known = CurveOfGrowth(kernel, (32, 32), np.arange(1.0, 25.0), method="exact")
    np.testing.assert_allclose(np.interp(known.radius, radius, energy), known.profile, atol=0.004)


def test_the_centre_is_that_of_the_light() -> None:
    kernel = gaussian(2.0, 33)
    moved = np.roll(kernel, (3, -2), axis=(0, 1))
    radius, energy = encircled_energy(moved)
    assert np.interp(2.0 * np.sqrt(2 * np.log(2)), radius, energy) == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(profile(moved).mean[:8], profile(kernel).mean[:8], rtol=1e-6)
