"""Exposure: frames that are brighter are found to be, whatever their blur; others are left as they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from blinddps_sci.engine.exposure import exposures, relative_exposure


@pytest.fixture
def picture() -> np.ndarray:
    return gaussian_filter(np.random.default_rng(0).normal(size=(96, 96)), 2) + 0.5


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_exposures_are_found_under_noise_and_blur(picture: np.ndarray) -> None:
    true = np.array([0.9, 1.0, 1.05, 1.05])
    blurs = (0.5, 2.0, 1.0, 3.0)
    frames = np.stack([g * gaussian_filter(picture, s) for g, s in zip(true, blurs, strict=True)])
    found = exposures(frames + 0.01 * noise(1, *frames.shape))
    np.testing.assert_allclose(found, true, atol=0.006)
    assert found.mean() == pytest.approx(1.0, abs=1e-3)


def test_a_scene_without_background_has_an_exposure(picture: np.ndarray) -> None:
    stars = np.where(picture > np.quantile(picture, 0.99), 100.0, 0.0)
    frames = np.stack([gaussian_filter(g * stars, 1.5) for g in (0.8, 1.2)])
    np.testing.assert_allclose(exposures(frames), [0.8, 1.2], atol=0.01)


def test_equal_frames_are_left_exactly_as_they_are(picture: np.ndarray) -> None:
    frames = picture + 0.05 * noise(2, 8, 96, 96)
    np.testing.assert_array_equal(exposures(frames), np.ones(8))


def test_noise_alone_tells_of_no_exposure() -> None:
    np.testing.assert_array_equal(exposures(noise(3, 12, 64, 64)), np.ones(12))


def test_a_dark_frame_stays_within_bounds(picture: np.ndarray) -> None:
    assert relative_exposure(0 * picture, picture)[0] == 0.25
    ratio, error = relative_exposure(picture, 0 * picture)
    assert (ratio, error) == (1.0, np.inf)
    assert np.isfinite(exposures(np.zeros((3, 32, 32)))).all()


def test_one_frame_is_its_own_measure(picture: np.ndarray) -> None:
    np.testing.assert_array_equal(exposures(picture[None]), [1.0])
