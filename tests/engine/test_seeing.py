"""Seeing: the width of the kernels is read off the frames, whatever the scene is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from blinddps_sci.engine.registration import register
from blinddps_sci.engine.seeing import blur_width, contrast
from blinddps_sci.simulate import PRESETS, random_scene, simulate_burst


@pytest.mark.parametrize(("kind", "strength"), [("lunar", 3.2), ("granulation", 3.2), ("lunar", 8.0)])
def test_the_width_is_that_of_the_simulated_kernels(kind: str, strength: float) -> None:
    rng = np.random.default_rng(5)
    setting = PRESETS["planetary-35cm"].with_strength(strength)
    burst = simulate_burst(random_scene((256, 256), rng, kind), setting, 12, rng, size=64, sigma=0.003)
    mean = burst.kernels.mean(axis=(0, 1, 2))
    width = 2 * np.sqrt((mean > mean.max() / 2).sum() / np.pi)
    assert blur_width(register(burst.frames).moved) == pytest.approx(width, rel=0.4)


def test_frames_with_one_kernel_are_as_wide_as_their_detail(rng: np.random.Generator) -> None:
    scene = gaussian_filter(rng.normal(size=(96, 96)), 2.0)
    frames = scene / scene.std() + 0.01 * rng.normal(size=(6, 96, 96))
    assert 2.0 < blur_width(frames) < 6.0


def test_noise_has_no_width(rng: np.random.Generator) -> None:
    assert blur_width(rng.normal(size=(4, 64, 64))) > 20


def test_stronger_turbulence_hides_more_of_the_contrast() -> None:
    found = []
    for strength in (1.5, 8.0):
        rng = np.random.default_rng(8)
        setting = PRESETS["planetary-35cm"].with_strength(strength)
        burst = simulate_burst(random_scene((256, 256), rng, "lunar"), setting, 8, rng, size=64, sigma=0.003)
        found.append(contrast(register(burst.frames).moved))
    assert 1 <= found[0] < 1.4 < 1.6 < found[1] < 3.5


def test_noise_hides_no_contrast(rng: np.random.Generator) -> None:
    assert contrast(rng.normal(size=(4, 64, 64))) == pytest.approx(1, abs=1)


def test_a_change_of_the_whole_field_is_no_blur(rng: np.random.Generator) -> None:
    scene = gaussian_filter(rng.normal(size=(96, 96)), 2.0)
    frames = scene / scene.std() + 0.01 * rng.normal(size=(6, 96, 96))
    brightness = np.linspace(-0.5, 0.5, 6)[:, None, None]
    assert blur_width(frames + brightness) == pytest.approx(blur_width(frames), rel=0.2)


def test_frames_of_different_things_are_as_wide_as_the_field(rng: np.random.Generator) -> None:
    frames = gaussian_filter(rng.normal(size=(6, 96, 96)), (0, 2.0, 2.0))
    assert blur_width(frames) > 20
