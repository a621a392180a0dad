"""A denoiser's error is measured without the truth, and compared with what is usual."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from blinddps_sci.priors.novelty import LEVELS, denoising_errors, novelty_score


def shrink(x: Tensor, sigma: Tensor) -> Tensor:
    return 0.6 * x


@pytest.mark.parametrize("own", [0.0, 0.1])
def test_the_error_is_that_about_the_scene_without_noise(own: float) -> None:
    """Of a known scene, with noise of its own that the measurement does not see through."""
    generator = torch.Generator().manual_seed(0)
    scene = torch.rand(4, 1, 128, 128, generator=generator, dtype=torch.float64)
    noisy = scene + own * torch.randn(scene.shape, generator=generator, dtype=torch.float64)
    found = denoising_errors(shrink, noisy, torch.full_like(noisy, own))
    for level, error in zip(LEVELS, found, strict=True):
        expected = 0.16 * float((scene**2).mean()) + 0.36 * level**2
        assert error == pytest.approx(expected, rel=0.03)


def test_noise_that_differs_from_pixel_to_pixel_is_made_even() -> None:
    generator = torch.Generator().manual_seed(1)
    scene = torch.zeros(4, 1, 128, 128, dtype=torch.float64)
    own = torch.linspace(0.01, 0.15, 128, dtype=torch.float64).expand_as(scene)
    noisy = scene + own * torch.randn(scene.shape, generator=generator, dtype=torch.float64)
    found = denoising_errors(shrink, noisy, own)
    np.testing.assert_allclose(found, 0.36 * np.square(LEVELS), rtol=0.03)


def test_pixels_that_were_not_measured_do_not_count() -> None:
    image, noise = torch.zeros(1, 1, 64, 64), torch.full((1, 1, 64, 64), 0.01)
    expected = denoising_errors(shrink, image, noise)
    image[..., :20], noise[..., :20] = 1e4, torch.inf
    np.testing.assert_allclose(denoising_errors(shrink, image, noise), expected, rtol=0.1)


def test_a_level_below_the_data_s_own_noise_says_nothing() -> None:
    image = torch.zeros(1, 1, 32, 32)
    found = denoising_errors(shrink, image, torch.full_like(image, 0.3))
    assert np.isnan(found).tolist() == [True, False, False]
    assert np.isnan(denoising_errors(shrink, image, torch.full_like(image, 9.0))).all()


def test_the_score_is_a_ratio_over_the_levels_that_are_known() -> None:
    usual = (0.001, 0.002, 0.004)
    assert novelty_score(np.array([0.002, 0.004, 0.008]), usual) == pytest.approx(2)
    assert novelty_score(np.array([0.001, 0.008, 0.004]), usual) == pytest.approx(4 ** (1 / 3))
    assert novelty_score(np.array([np.nan, 0.006, np.nan]), usual) == pytest.approx(3)
    assert 0 < novelty_score(np.array([-0.1, 0.0, -1.0]), usual) < 0.1
    assert np.isnan(novelty_score(np.full(3, np.nan), usual))
