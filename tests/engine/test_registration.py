"""Registration: known displacements are found, whatever the frames look like."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, shift

from blinddps_sci.engine.registration import register, register_patches
from blinddps_sci.operators import Warp


@pytest.fixture
def picture() -> np.ndarray:
    return gaussian_filter(np.random.default_rng(0).normal(size=(96, 96)), 2).astype(np.float32)


def displaced(picture: np.ndarray, tilts: np.ndarray) -> np.ndarray:
    """Return frames that see the picture displaced as the operator of a burst displaces it."""
    fields = torch.from_numpy(tilts.astype(np.float32))[None, :, :, None, None].expand(-1, -1, -1, 80, 80)
    return Warp(fields, 8).apply(torch.from_numpy(picture)[None, None])[0].numpy()


def test_tilts_are_those_of_the_operator(picture: np.ndarray) -> None:
    tilts = np.array([[2.0, -1.0], [-3.5, 0.5], [1.5, 0.5]])
    found = register(displaced(picture, tilts))
    np.testing.assert_allclose(found.tilt, tilts, atol=0.1)
    assert found.mean.shape == (80, 80)
    assert np.corrcoef(found.mean[8:-8, 8:-8].ravel(), picture[16:-16, 16:-16].ravel())[0, 1] > 0.99
    assert (found.alike > 0.95).all()


def test_patches_find_what_is_displaced_in_its_own_way(picture: np.ndarray) -> None:
    frames = displaced(picture, np.array([[2.0, -1.0], [-2.0, 1.0]]))
    boxes = [(slice(0, 40), slice(0, 80)), (slice(40, 80), slice(0, 80))]
    frames[0, 40:] = shift(frames[0], (0, -1.0), order=3)[40:]  # sees what is one pixel further right
    patches = register_patches(register(frames), boxes)
    assert patches.shape == (2, 2, 2)
    assert patches[0, 1, 1] - patches[0, 1, 0] == pytest.approx(0.5, abs=0.15)  # half, of the mean of two
    np.testing.assert_allclose(patches.mean(axis=0), 0, atol=1e-12)


def test_sharper_frames_have_more_energy(picture: np.ndarray) -> None:
    frames = np.stack([gaussian_filter(picture, sigma) for sigma in (1.0, 0.0, 3.0)])
    sharpness = register(frames).sharpness
    assert sharpness[1] > sharpness[0] > sharpness[2]
    before, after = (register((frames + 3) * np.float32(g)).sharpness for g in (1, [[[1]], [[0.8]], [[1.2]]]))
    np.testing.assert_allclose(after, before, rtol=0.1)


def test_some_frames_are_laid_on_the_mean_of_all(picture: np.ndarray) -> None:
    tilts = np.array([[2.0, -1.0], [-3.5, 0.5], [1.5, 0.5]])
    frames = displaced(picture + 1.0, tilts) * np.float32([[[0.9]], [[1.0]], [[1.1]]])
    everything, some = register(frames), register(frames[:2])
    some = some.about(everything.tilt[:2].mean(axis=0), float(everything.exposure[:2].mean()))
    np.testing.assert_allclose(some.tilt, tilts[:2], atol=0.15)
    np.testing.assert_allclose(some.exposure, [0.9, 1.0], atol=0.02)
    apart, alike = (
        np.std((found.mean - everything.mean)[8:-8, 8:-8]) for found in (register(frames[:2]), some)
    )
    assert alike < 0.3 * apart


def test_a_frame_of_something_else_is_not_alike(picture: np.ndarray) -> None:
    other = np.random.default_rng(1).normal(size=picture.shape).astype(np.float32)
    plain = np.full_like(picture, 3.0)
    alike = register(np.stack([picture, picture, other, plain])).alike
    assert min(alike[:2]) > 2 * max(abs(alike[2:]))


def test_frames_become_equally_bright(picture: np.ndarray) -> None:
    frames = displaced(picture + 1.0, np.array([[1.0, 0.0], [-1.0, 0.0]])) * np.float32([[[0.9]], [[1.1]]])
    found = register(frames)
    np.testing.assert_allclose(found.exposure, [0.9, 1.1], atol=0.01)
    assert found.moved[0].mean() == pytest.approx(found.moved[1].mean(), rel=0.01)


def test_one_frame_is_its_own_mean(picture: np.ndarray) -> None:
    found = register(picture[None])
    np.testing.assert_array_equal(found.mean, picture)
    np.testing.assert_array_equal(found.tilt, np.zeros((1, 2)))


def test_noise_is_not_taken_for_sharpness(picture: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    scene = 10 + picture / picture.std()
    sharp = scene + rng.normal(0, 0.15, scene.shape)
    # Blurred and half as bright, so that its noise counts twice.
    dull = 0.5 * gaussian_filter(scene, 1.5) + rng.normal(0, 0.15, scene.shape)
    found = register(np.stack([sharp, dull, sharp]).astype(np.float32))
    assert found.sharpness[1] < 0.8 * found.sharpness[0]
