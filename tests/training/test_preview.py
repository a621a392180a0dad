"""Unconditional samples: the probability flow of an exact prior ends in that prior."""

from __future__ import annotations

from pathlib import Path

import torch
from skimage.io import imread

from blinddps_sci.priors.unet import UNet, UNetConfig
from blinddps_sci.priors.wrap import EDMDenoiser
from blinddps_sci.training.preview import draw_samples, write_preview


def untrained(sigma_data: float = 0.5) -> EDMDenoiser:
    """Return a network of zeros: the exact denoiser of independent pixels."""
    config = UNetConfig(1, 1, 8, (1,), norm_groups=4, num_head_channels=8, middle_attention=False)
    return EDMDenoiser(UNet(config), sigma_data=sigma_data)


def test_samples_of_an_exact_denoiser_have_its_spread() -> None:
    samples = draw_samples(untrained(0.4), (4, 1, 48, 48), steps=128)
    assert samples.shape == (4, 1, 48, 48)
    # Euler steps draw a little too narrow, less so the more there are.
    few = draw_samples(untrained(0.4), (4, 1, 48, 48), steps=16)
    assert float(few.std()) < float(samples.std()) < 0.4
    assert float(samples.std()) > 0.97 * 0.4
    assert abs(float(samples.mean())) < 0.03


def test_samples_follow_the_seed() -> None:
    first, again, other = (draw_samples(untrained(), (1, 1, 8, 8), steps=4, seed=s) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_sheet_is_four_by_eight_framed_samples(tmp_path: Path) -> None:
    write_preview(untrained(), 8, tmp_path / "samples.png")
    assert imread(tmp_path / "samples.png").shape[:2] == (4 * 10, 8 * 10)
