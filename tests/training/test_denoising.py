"""Denoising score matching: a loss of one to start with, at every level of noise."""

from __future__ import annotations

import pytest
import torch

from blinddps_sci.priors.unet import UNet, UNetConfig
from blinddps_sci.priors.wrap import EDMDenoiser
from blinddps_sci.training.denoising import denoising_loss, stratified_normal


@pytest.mark.parametrize("sigma_data", [0.3, 0.5])
def test_the_loss_of_an_untrained_network_is_one_at_every_noise_level(sigma_data: float) -> None:
    torch.manual_seed(0)
    net = UNet(UNetConfig(1, 1, 8, (1,), norm_groups=4, num_head_channels=8, middle_attention=False))
    clean = sigma_data * torch.randn(7, 1, 64, 64)
    sigma = torch.tensor([0.002, 0.02, 0.1, 0.5, 2.0, 20.0, 200.0])
    denoiser = EDMDenoiser(net, sigma_data=sigma_data)
    losses = denoising_loss(denoiser, clean, sigma, torch.randn_like(clean), None)
    # 4096 squares of a normal: a standard error of sqrt(2 / 4096) = 0.022
    torch.testing.assert_close(losses.detach(), torch.ones(7), atol=0.1, rtol=0)


def test_the_loss_is_the_weighted_error_of_each_item() -> None:
    class Half(torch.nn.Module):
        sigma_data = 0.5

        def forward(self, x: torch.Tensor, sigma: torch.Tensor, label: object) -> torch.Tensor:
            return 0.5 * x

    clean, noise, sigma = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4), torch.tensor([0.1, 1.0, 3.0])
    s = sigma[:, None, None, None]
    squares = (0.5 * (clean + s * noise) - clean) ** 2
    expected = (sigma**2 + 0.25) / (0.5 * sigma) ** 2 * squares.mean(dim=(1, 2, 3))
    torch.testing.assert_close(denoising_loss(Half(), clean, sigma, noise, None), expected)


def test_the_noise_of_a_batch_is_normal_and_of_every_stratum() -> None:
    drawn = stratified_normal(1000, torch.Generator().manual_seed(0))
    shares = torch.special.ndtr(drawn).sort().values
    assert torch.equal((1000 * shares).floor().clamp(max=999), torch.arange(1000.0))
    again = torch.stack([stratified_normal(4, torch.Generator().manual_seed(seed)) for seed in range(2000)])
    assert abs(float(again.mean())) < 0.02
    assert abs(float(again.std()) - 1) < 0.02
