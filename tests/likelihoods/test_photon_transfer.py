"""Photon transfer: gain and read noise come out of one blurred image, whatever it shows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from blinddps_sci.likelihoods.photon_transfer import NoiseCurve, noise_curve


@pytest.fixture
def scene() -> np.ndarray:
    """Return a smooth scene with dark and bright parts, from 0 to about 1000."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(4).standard_normal((256, 256)), 6)
    return 300 * np.exp(smooth / smooth.std() * 0.7)


@pytest.mark.parametrize("gain", [0.2, 1.0, 30.0])
@pytest.mark.parametrize("read_noise", [0.0, 5.0])
@pytest.mark.parametrize("scale", [1e-9, 1.0])
def test_gain_and_read_noise_are_measured(scene, gain: float, read_noise: float, scale: float) -> None:
    rng = np.random.default_rng(1)
    image = rng.poisson(gain * scene) / gain + read_noise * rng.standard_normal(scene.shape)
    curve = noise_curve(scale * image)
    assert curve.rises
    assert curve.stretch == 1.0
    assert 1 / curve.slope == pytest.approx(gain / scale, rel=0.15)
    for level in (100, 300, 1000):
        true = scale**2 * (level / gain + read_noise**2)
        assert curve.variance(scale * level) == pytest.approx(true, rel=0.2)


@pytest.mark.parametrize("sigma", [0.5, 30.0])
def test_noise_that_is_alike_everywhere_does_not_rise(scene, sigma: float) -> None:
    curve = noise_curve(scene + np.random.default_rng(2).normal(0, sigma, scene.shape))
    assert not curve.rises
    assert curve.constant == pytest.approx(sigma**2, rel=0.1)


def test_all_of_a_smooth_image_counts_and_of_a_structured_one_its_calm_part() -> None:
    smooth = np.linspace(0, 50, 64)[:, None] * np.ones(64)
    noises = [np.random.default_rng(seed).standard_normal((64, 64)) for seed in range(24)]
    errors = [noise_curve(smooth + noise).constant ** 0.5 - 1 for noise in noises]
    assert np.sqrt(np.mean(np.square(errors))) < 0.055  # by the calmest quarter alone .086
    assert abs(np.mean(errors)) < 0.015
    rough = 40 * np.random.default_rng(5).standard_normal((64, 64))
    rough[:, :32] = 0
    assert noise_curve(smooth + rough + noises[0]).constant ** 0.5 == pytest.approx(1, rel=0.2)


def test_a_known_slope_is_kept(scene) -> None:
    rng = np.random.default_rng(3)
    curve = noise_curve(rng.poisson(scene) + rng.normal(0, 20, scene.shape), slope=1.0)
    assert (curve.slope, curve.error) == (1.0, 0.0)
    assert curve.intercept == pytest.approx(400, rel=0.15)


def test_interpolated_noise_is_not_taken_for_little(scene) -> None:
    noise = 5 * np.random.default_rng(6).standard_normal(scene.shape)
    moved = ndimage.shift(scene + noise, (0.5, 0.5), order=1, mode="nearest")
    curve = noise_curve(moved)
    assert curve.stretch > 3
    assert curve.constant**0.5 == pytest.approx(2.5, rel=0.3)  # a pixel of it


def test_masked_pixels_and_tiny_images() -> None:
    rng = np.random.default_rng(7)
    image = rng.normal(100, 2, (128, 128))
    image[:60] = np.nan
    image[rng.random(image.shape) < 0.02] = np.nan
    assert noise_curve(image).constant == pytest.approx(4, rel=0.2)
    assert noise_curve(rng.normal(0, 1, (16, 16))).constant == pytest.approx(1, rel=0.5)
    assert noise_curve(rng.normal(0, 1, (4, 40)), slope=0.1).variance(0.0) == pytest.approx(1, rel=0.5)
    nothing = NoiseCurve(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    for empty in (np.full((64, 64), np.nan), np.zeros((4, 4)), np.zeros((64, 64))):
        assert noise_curve(empty) == nothing
        assert not noise_curve(empty).rises


def test_a_known_slope_of_interpolated_data_leaves_the_brightest_pixels_their_noise(scene) -> None:
    rng = np.random.default_rng(9)
    image = rng.poisson(scene) + rng.normal(0, 5, scene.shape)
    moved = ndimage.shift(image, (0.5, 0.5), order=1, mode="nearest")
    curve = noise_curve(moved, slope=1.0)
    assert curve.stretch > 3
    assert curve.slope == pytest.approx(1.0)
    # The pixels' variance is the middle of what interpolation left of it (a quarter) and of what there was.
    for level in (300, 1000):
        assert 0.2 < curve.variance(level) / (level + 25) < 1.5


@pytest.mark.parametrize("size", [12, 20, 64])
def test_a_known_slope_holds_for_few_pixels_and_for_one_brightness(size: int) -> None:
    rng = np.random.default_rng(10)
    image = rng.poisson(100.0, (size, size)).astype(float)
    image[: size // 4] = np.nan
    curve = noise_curve(image, slope=1.0)
    assert curve.slope == pytest.approx(1.0)
    assert curve.variance(100.0) == pytest.approx(100.0, rel=0.6)
    for flat in (np.full((size, size), 7.0), np.zeros((size, size)), np.full((size, size), np.nan)):
        assert noise_curve(flat, slope=0.5).slope == 0.5
