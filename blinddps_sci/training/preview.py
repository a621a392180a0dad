"""What a training run shows as a picture: samples of a denoiser, or what a pilot makes of examples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib.image
import numpy as np
import torch
from torch import Tensor

from blinddps_sci.priors.pilot import Pilot
from blinddps_sci.priors.wrap import EDMDenoiser

__all__ = ["draw_samples", "write_kernels", "write_preview"]


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
    _write_sheet(samples, path)


@torch.no_grad()
def write_kernels(pilot: Pilot, batch: Sequence[np.ndarray | Tensor], path: Path) -> None:
    """Write a sheet of up to 16 true kernels, each above the pilot's estimate, as a PNG, in amplitudes.

    Parameters
    ----------
    pilot : Pilot
        The network.
    batch : sequence of ndarray or Tensor
        Data, noise and true kernels: see `blinddps_sci.training.pilots.pilot_batches`.
    path : Path
        The PNG.
    """
    device = next(pilot.parameters()).device
    data, noise, true = (torch.as_tensor(part[:16]).to(device) for part in batch)
    found = pilot(data, noise)[-1]
    peak = true.amax(dim=(-2, -1), keepdim=True)
    pairs = [2 * (k[:, 0] / peak[:, 0]).clamp(0, 1).sqrt() - 1 for k in (true, found)]
    rows = [part[at : at + 8] for at in range(0, len(data), 8) for part in pairs]
    _write_sheet(torch.cat(rows).cpu().numpy(), path)


def _write_sheet(planes: np.ndarray, path: Path) -> None:
    """Write planes (N, h, w) on [-1, 1] as a PNG, eight in a row."""
    framed = np.pad(planes, ((0, -len(planes) % 8), (1, 1), (1, 1)), constant_values=1)
    rows = [np.concatenate(list(framed[at : at + 8]), axis=1) for at in range(0, len(framed), 8)]
    matplotlib.image.imsave(path, np.concatenate(rows), cmap="gray", vmin=-1, vmax=1)
