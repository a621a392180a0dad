"""Noise that is not white: interpolation and compression are told from scenes and from white noise."""

from __future__ import annotations

import io

import numpy as np
import pytest
import skimage.data
from imageio.v3 import imread, imwrite
from scipy import ndimage
from skimage.transform import downscale_local_mean

from blinddps_sci.likelihoods.correlated import block_noise, interpolation


@pytest.fixture
def picture() -> np.ndarray:
    """Return a blurred picture with white noise."""
    image = ndimage.gaussian_filter(skimage.data.camera()[::2, ::2].astype(float), 1.2)
    return image + np.random.default_rng(0).normal(0, 2, image.shape)


def stretch(image: np.ndarray) -> float:
    return interpolation(image, np.ones(image.shape, dtype=bool))


def test_white_noise_is_white(picture: np.ndarray) -> None:
    assert stretch(picture) == 1.0
    assert stretch(np.random.default_rng(1).standard_normal((200, 100))) == 1.0


@pytest.mark.parametrize(
    ("order", "shift", "least"), [(1, (0.5, 0.5), 3.0), (1, (0.2, 0.3), 1.5), (3, (0.5, 0.5), 1.8)]
)
def test_interpolation_is_seen(
    picture: np.ndarray, order: int, shift: tuple[float, float], least: float
) -> None:
    assert stretch(ndimage.shift(picture, shift, order=order, mode="nearest")) > least


def test_too_small_an_image_says_nothing() -> None:
    assert stretch(np.zeros((20, 20))) == 1.0
    assert stretch(np.zeros((64, 64))) == 1.0
    assert block_noise(np.zeros((20, 64))) == 0.0
    assert block_noise(np.zeros((64, 64))) == 0.0


@pytest.mark.parametrize("quality", [85, 60, 30])
def test_the_noise_of_blocks_is_that_of_half_a_block(picture: np.ndarray, quality: int) -> None:
    file = io.BytesIO()
    imwrite(file, np.clip(picture, 0, 255).round().astype(np.uint8), extension=".jpg", quality=quality)
    stored = imread(file.getvalue(), extension=".jpg").astype(float)
    error = 4 * downscale_local_mean(stored - picture, (4, 4)).std()
    assert 0.6 * error < block_noise(stored) < 1.8 * error
    assert 0.6 * error < block_noise(stored[3:, 5:]) < 1.8 * error
    stored[40:60, 50:90] = np.nan
    assert 0.6 * error < block_noise(stored) < 1.8 * error


def test_there_are_no_blocks_where_there_was_no_compression(picture: np.ndarray) -> None:
    assert block_noise(picture) == 0.0
    assert block_noise(skimage.data.moon()[:256, :256]) == 0.0
    rng = np.random.default_rng(2)
    stars = rng.normal(100, 2, (256, 256))
    stars[rng.integers(0, 256, 30), rng.integers(0, 256, 30)] += 1e5
    assert block_noise(ndimage.gaussian_filter(stars, 1.5)) == 0.0
