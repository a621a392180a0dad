"""What a training run shows: unconditional samples of the averaged network, as a picture."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import matplotlib.image
import numpy as np
import torch
from torch import Tensor

from blinddps_sci.priors.wrap import EDMDenoiser

__all__ = ["draw_samples", "write_preview"]


@torch.no_grad()
def draw_samples(denoiser: EDMDenoiser, shape: tuple[int, ...], *, steps: int = 32, seed: int = 0) -> Tensor:
    """Return unconditional samples (B, C, H, W) on the network's domain.

    Euler steps of the probability flow on the noise levels of Karras et al.
    (arXiv:2206.00364, eq. 5 and algorithm 1 without its correction).
    """
    device = next(denoiser.parameters()).device
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (20.0 ** (1 / 7) + ramp * (0.01 ** (1 / 7) - 20.0 ** (1 / 7))) ** 7
    levels = [*sigmas.tolist(), 0.0]
    x: Tensor = levels[0] * torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)
    for now, after in pairwise(levels):
        estimate: Tensor = denoiser(x, torch.full((shape[0],), now, device=device))
        x = estimate + after / now * (x - estimate)
    return x


def write_preview(denoiser: EDMDenoiser, size: int, path: Path) -> None:
    """Write a sheet of 4 x 8 samples as a PNG, of each the first plane."""
    planes = denoiser.net.config.in_channels
    samples = draw_samples(denoiser, (32, planes, size, size)).clamp(-1, 1)[:, 0].cpu().numpy()
    framed = np.pad(samples, ((0, 0), (1, 1), (1, 1)), constant_values=1)
    rows = [np.concatenate(list(framed[8 * row : 8 * row + 8]), axis=1) for row in range(4)]
    matplotlib.image.imsave(path, np.concatenate(rows), cmap="gray", vmin=-1, vmax=1)
