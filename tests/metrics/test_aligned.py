"""Metrics up to a shift, and up to a gain and an offset."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from blinddps_sci.errors import InputError
from blinddps_sci.metrics import align, psnr, psnr_shift, ssim, ssim_shift


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Return band-limited structure on a bright level, so that a fractional shift is well defined."""
    noise = np.random.default_rng(5).normal(size=(72, 80))
    return 100.0 + 40.0 * ndimage.gaussian_filter(noise, 1.8, mode="wrap")


@pytest.mark.parametrize("moved", [(0, 0), (3, -2), (-4, 4)])
@pytest.mark.parametrize("fit_flux", [False, True])
def test_a_whole_pixel_shift_is_found_exactly(scene, moved, fit_flux) -> None:
    estimate = np.roll(scene, moved, axis=(0, 1))
    best = align(estimate, scene, 4, subpixel=False, fit_flux=fit_flux)
    assert best.shift == (-moved[0], -moved[1])
    np.testing.assert_allclose(best.estimate, best.truth, rtol=1e-12)


def test_the_whole_pixel_search_is_the_minimum_over_all_shifts(scene) -> None:
    rng = np.random.default_rng(1)
    estimate = np.roll(scene, (1, -2), axis=(0, 1)) + rng.normal(0, 30, scene.shape)
    mask = rng.random(scene.shape) < 0.3
    usable = ~mask[3:-3, 3:-3]
    errors = {
        (dy, dx): np.mean((np.roll(estimate, (dy, dx), (0, 1)) - scene)[3:-3, 3:-3][usable] ** 2)
        for dy in range(-3, 4)
        for dx in range(-3, 4)
    }
    best = align(estimate, scene, 3, subpixel=False, mask=mask)
    assert best.shift == min(errors, key=lambda shift: errors[shift])
    assert best.mse == pytest.approx(min(errors.values()), rel=1e-12)


def test_a_fractional_shift_is_found_and_undone(scene) -> None:
    estimate = ndimage.shift(scene, (1.3, -0.6), order=5, mode="grid-wrap")
    best = align(estimate, scene, 3)
    np.testing.assert_allclose(best.shift, (-1.3, 0.6), atol=0.01)
    whole = psnr_shift(estimate, scene, 3, 100.0, subpixel=False)
    assert psnr_shift(estimate, scene, 3, 100.0) > whole + 15
    assert whole > psnr(estimate, scene, 100.0) + 3


def test_a_shift_at_the_limit_stays_inside_it(scene) -> None:
    estimate = ndimage.shift(scene, (2.4, 0), order=3, mode="grid-wrap")
    best = align(estimate, scene, 2)
    assert -2.0 <= best.shift[0] < -1.9


def test_gain_and_offset_are_fitted_only_when_asked(scene) -> None:
    estimate = (np.roll(scene, 1, axis=0) - 7.0) / 2.5
    best = align(estimate, scene, 2, subpixel=False, fit_flux=True)
    assert best.gain == pytest.approx(2.5, rel=1e-9)
    assert best.offset == pytest.approx(7.0, rel=1e-7)
    assert best.mse == pytest.approx(0.0, abs=1e-18)
    plain = align(estimate, scene, 2, subpixel=False)
    assert (plain.gain, plain.offset) == (1.0, 0.0)
    assert plain.mse > 1000


def test_a_negative_image_is_not_turned_over(scene) -> None:
    best = align(200.0 - scene, scene, 0, fit_flux=True)
    assert best.gain == 0.0
    assert best.mse == pytest.approx(scene.var(), rel=1e-9)


def test_without_a_shift_the_plain_metrics_return(scene) -> None:
    estimate = scene + np.random.default_rng(2).normal(0, 5, scene.shape)
    assert psnr_shift(estimate, scene, 0, 100.0) == pytest.approx(psnr(estimate, scene, 100.0), abs=1e-9)
    assert ssim_shift(estimate, scene, 0, 100.0) == pytest.approx(ssim(estimate, scene, 100.0), abs=1e-9)


def test_ssim_shift_sees_through_a_shift(scene) -> None:
    estimate = np.roll(scene, (2, 1), axis=(0, 1))
    assert ssim_shift(estimate, scene, 3, 100.0, subpixel=False) == pytest.approx(1.0, abs=1e-12)
    assert ssim(estimate, scene, 100.0) < 0.7


def test_masked_pixels_of_the_truth_do_not_count(scene) -> None:
    mask = np.zeros(scene.shape, bool)
    mask[30:40, 30:40] = True
    spoiled = np.where(mask, np.nan, scene)
    best = align(np.roll(scene, 2, axis=1), spoiled, 3, mask=mask)
    np.testing.assert_allclose(best.shift, (0, -2), atol=0.01)
    assert best.mse < 1e-3
    assert best.mask.sum() == 100


def test_what_is_refused(scene) -> None:
    with pytest.raises(InputError, match="leave no core"):
        align(scene, scene, 36)
    with pytest.raises(InputError, match="zero or more"):
        align(scene, scene, -1)
    with pytest.raises(InputError, match="one shape"):
        align(scene[1:], scene, 2)
    mask = np.ones(scene.shape, bool)
    mask[0, 0] = False
    with pytest.raises(InputError, match="no pixel of the core"):
        align(scene, scene, 2, mask=mask)
