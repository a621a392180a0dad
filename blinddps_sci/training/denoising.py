"""Denoising score matching: what a prior's network is trained to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blinddps_sci.priors.base import broadcast_sigma
from blinddps_sci.priors.unet import UNet, UNetConfig
from blinddps_sci.priors.wrap import EDMDenoiser, fast_half

__all__ = ["Denoising", "denoising_loss", "stratified_normal"]


@dataclass(frozen=True)
class Denoising:
    """The objective of a denoiser, whose batches are clean items (B, C, H, W) and their labels (B,).

    Parameters
    ----------
    net : UNetConfig
        The network.
    labels : tuple of str
        Domains that it is told.
    sigma_data : float
        Standard deviation of the data on [-1, 1].
    sigma_mean, sigma_spread : float
        Mean and standard deviation of the logarithm of the training noise.
    """

    net: UNetConfig
    labels: tuple[str, ...]
    sigma_data: float
    sigma_mean: float
    sigma_spread: float

    def build(self, device: str, *, compiled: bool = False) -> EDMDenoiser:
        """Return an untrained network."""
        net = UNet(self.net).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        denoiser = EDMDenoiser(net, self.labels, sigma_data=self.sigma_data)
        denoiser.autocast = fast_half(device)
        if compiled:
            denoiser.run = torch.compile(net.forward, dynamic=False)
        return denoiser

    def losses(
        self, network: EDMDenoiser, batch: Sequence[Tensor], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each item and the noise that it was of, (B,)."""
        clean, label = batch
        normal = stratified_normal(len(clean), generator)
        sigma = (self.sigma_mean + self.sigma_spread * normal).exp()
        noise = torch.randn(clean.shape, device=clean.device, generator=generator)
        return denoising_loss(network, clean, sigma, noise, label if self.labels else None), sigma


def denoising_loss(
    denoiser: EDMDenoiser, clean: Tensor, sigma: Tensor, noise: Tensor, label: Tensor | None
) -> Tensor:
    """Return the weighted denoising error of each item, (B,).

    The weight ``(sigma^2 + sigma_data^2) / (sigma sigma_data)^2`` makes the loss of an
    untrained network one at every noise level (Karras et al., arXiv:2206.00364, table 1).
    """
    s = broadcast_sigma(sigma, clean)
    weight = (s**2 + denoiser.sigma_data**2) / (s * denoiser.sigma_data) ** 2
    error = denoiser(clean + s * noise, sigma, label) - clean
    losses: Tensor = (weight * error**2).flatten(1).mean(dim=1)
    return losses


def stratified_normal(count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` standard normal numbers, one of each of as many equally likely strata.

    A batch that sees every noise level has a steadier loss (Kingma et al., arXiv:2107.00630, appendix I.1).
    """
    shares = torch.rand(count, device=generator.device, generator=generator)
    shares = (shares + torch.arange(count, device=generator.device)) / count
    drawn: Tensor = torch.special.ndtri(shares.clamp(1e-6, 1 - 1e-6))
    return drawn
