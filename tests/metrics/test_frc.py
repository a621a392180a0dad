"""Fourier ring correlation: its limits, its closed form and the resolution read off it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from blinddps_sci.errors import InputError
from blinddps_sci.metrics import RingCorrelation, resolution, ring_correlation


def white(seed: int, shape=(128, 128)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", [(64, 64), (64, 97)])
def test_an_image_agrees_with_itself_at_every_frequency(shape) -> None:
    curve = ring_correlation(white(0, shape), 3 * white(0, shape) + 5)
    np.testing.assert_allclose(curve.correlation, 1.0, atol=1e-12)
    assert curve.frequency[-1] <= 0.5
    assert (np.diff(curve.frequency) > 0).all()
    assert resolution(curve) == pytest.approx(2.0, rel=0.03)


def test_an_image_and_its_negative_disagree_everywhere() -> None:
    curve = ring_correlation(white(0), -white(0))
    np.testing.assert_allclose(curve.correlation, -1.0, atol=1e-12)
    assert resolution(curve) == np.inf


def test_independent_noise_correlates_within_its_error() -> None:
    curve = ring_correlation(white(1), white(2), window=False)
    scaled = curve.correlation * np.sqrt(curve.count / 2)  # half the coefficients are independent
    assert abs(scaled.mean()) < 0.5
    assert scaled.std() == pytest.approx(1.0, abs=0.25)


def test_common_signal_in_noise_gives_its_closed_form() -> None:
    # FRC = S / (S + N): equal powers of one signal and two independent noises give one half
    signal = white(0)
    curve = ring_correlation(signal + white(1), signal + white(2), window=False)
    assert np.average(curve.correlation, weights=curve.count) == pytest.approx(0.5, abs=0.02)


def test_the_resolution_is_where_signal_power_meets_the_threshold() -> None:
    # a Gaussian blur of sigma s leaves S = exp(-(2 pi f s)^2); S / (S + N) = 1/7 where S = N / 6
    sigma, noise = 1.5, 0.1
    signal = ndimage.gaussian_filter(white(0, (256, 256)), sigma, mode="wrap")
    first, second = (signal + noise * white(seed, (256, 256)) for seed in (1, 2))
    cutoff = np.sqrt(-np.log(noise**2 / 6)) / (2 * np.pi * sigma)
    found = resolution(ring_correlation(first, second, ring_width=2, window=False))
    assert 1 / found == pytest.approx(cutoff, rel=0.08)


def test_the_crossing_is_interpolated() -> None:
    curve = RingCorrelation(np.array([0.1, 0.2, 0.3]), np.array([1.0, 0.8, 0.2]), np.array([1, 1, 1]))
    assert resolution(curve, threshold=0.5) == pytest.approx(1 / 0.25)


def test_the_window_removes_what_correlates_through_the_borders() -> None:
    ramp = 20 * np.linspace(0, 1, 128)[:, None]
    bare = ring_correlation(ramp + white(1), ramp + white(2), window=False)
    tapered = ring_correlation(ramp + white(1), ramp + white(2))
    leak = [np.average(curve.correlation[8:], weights=curve.count[8:]) for curve in (bare, tapered)]
    assert leak[0] > 0.4
    assert abs(leak[1]) < 0.03


@pytest.mark.parametrize(
    ("first", "second", "ring_width"),
    [(white(0), white(0, (128, 64)), 1), (np.ones((4, 4)), np.ones((4, 4)), 1), (white(0), white(0), 0.5)],
)
def test_what_is_refused(first, second, ring_width) -> None:
    with pytest.raises(InputError):
        ring_correlation(first, second, ring_width=ring_width)


def test_a_threshold_is_a_correlation() -> None:
    with pytest.raises(InputError, match="threshold is"):
        resolution(ring_correlation(white(0), white(0)), threshold=1.5)


def test_images_without_structure_have_no_correlation() -> None:
    curve = ring_correlation(np.ones((16, 16)), np.ones((16, 16)))
    np.testing.assert_array_equal(curve.correlation, 0)
