"""Photometry against areas and sources of known flux."""

from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import InputError
from blinddps_sci.metrics import aperture_flux, aperture_flux_error, relative_flux_error


def star_field(positions, fluxes, sigma=1.5, shape=(60, 70), background=0.0) -> np.ndarray:
    """Return Gaussian stars on a constant background."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    image = np.full(shape, background)
    for (cy, cx), flux in zip(positions, fluxes, strict=True):
        image += flux / (2 * np.pi * sigma**2) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2))
    return image


def test_total_flux_error_has_the_sign_of_the_added_light() -> None:
    truth = np.ones((4, 5))
    assert relative_flux_error(truth * 1.02, truth) == pytest.approx(0.02)
    assert relative_flux_error(-truth * 0.9, -truth) == pytest.approx(0.1)


def test_masked_light_does_not_count() -> None:
    truth = np.ones((4, 5))
    estimate = truth.copy()
    estimate[0, 0] = np.inf
    mask = ~np.isfinite(estimate)
    assert relative_flux_error(estimate, truth, mask=mask) == 0.0


def test_no_flux_has_no_relative_error() -> None:
    with pytest.raises(InputError, match="true flux is zero"):
        relative_flux_error(np.ones(4), np.array([1.0, -1.0, 1.0, -1.0]))


@pytest.mark.parametrize(("radius", "within"), [(1.0, 0.015), (5.0, 0.002)])
def test_the_area_of_an_aperture_is_pi_r_squared(radius, within) -> None:
    positions = [(20.0, 30.0), (20.5, 30.5), (25.27, 31.81)]
    areas = aperture_flux(np.ones((60, 70)), positions, radius)
    np.testing.assert_allclose(areas, np.pi * radius**2, rtol=within)


def test_a_gaussian_star_gives_its_closed_form_with_background_subtracted() -> None:
    positions, fluxes = [(20.3, 30.6), (40.0, 15.2)], [1000.0, 50.0]
    image = star_field(positions, fluxes, background=12.0)
    found = aperture_flux(image, positions, 4.0, annulus=(9.0, 13.0))
    # area weights convolve the samples with a pixel, which adds 1/12 px^2 to the variance
    expected = np.array(fluxes) * (1 - np.exp(-(4.0**2) / (2 * (1.5**2 + 1 / 12))))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_the_error_of_each_source_is_its_own() -> None:
    positions = [(20.0, 20.0), (40.0, 50.0)]
    truth = star_field(positions, [100.0, 200.0])
    estimate = star_field(positions, [90.0, 210.0])
    np.testing.assert_allclose(aperture_flux_error(estimate, truth, positions, 6), [-0.1, 0.05], atol=1e-9)


def test_an_empty_sky_has_no_relative_error() -> None:
    assert np.isnan(aperture_flux_error(np.ones((20, 20)), np.zeros((20, 20)), [(10, 10)], 3)).all()


@pytest.mark.parametrize(
    ("positions", "radius", "annulus", "message"),
    [
        ([(2.0, 30.0)], 3.0, None, r"1 of 1 apertures.*\(2.0, 30.0\)"),
        ([(30.0, 67.0)], 3.0, None, "leave the image"),
        ([(30.0, 30.0)], 0.0, None, "radius is 0.0"),
        ([(30.0, 30.0)], 4.0, (3.0, 6.0), "radius <= inner < outer"),
        ([30.0, 30.0, 30.0], 4.0, None, r"give \(n, 2\)"),
        ([(30.0, 30.5)], 0.4, (0.41, 0.42), "no pixel lies in the annulus"),
    ],
)
def test_apertures_that_are_refused(positions, radius, annulus, message) -> None:
    with pytest.raises(InputError, match=message):
        aperture_flux(np.ones((60, 70)), positions, radius, annulus=annulus)


def test_an_aperture_that_touches_the_border_is_whole() -> None:
    assert aperture_flux(np.ones((7, 7)), [(3.0, 3.0)], 3.5)[0] == pytest.approx(np.pi * 3.5**2, rel=5e-3)
