"""Training a pilot: sharp patches are blurred by simulated kernels, and the network is to tell by which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blinddps_sci.priors.pilot import Pilot, PilotConfig
from blinddps_sci.simulate.blur import blur
from blinddps_sci.training.images import Pack
from blinddps_sci.training.kernels import turned

__all__ = ["Piloting", "kernel_loss", "pilot_batches"]

_EARLIER = 0.4
"""Weight of the loss of a stage over that of the next one."""


@dataclass(frozen=True)
class Piloting:
    """The objective of a pilot, whose batches `pilot_batches` makes.

    Parameters
    ----------
    net : PilotConfig
        The network.
    """

    net: PilotConfig

    def build(self, device: str, *, compiled: bool = False) -> Pilot:
        """Return an untrained network; Fourier transforms are not compiled."""
        pilot: Pilot = Pilot(self.net).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return pilot

    def losses(
        self, network: Pilot, batch: Sequence[Tensor], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each item, all stages weighted, and the noise of its data, (B,)."""
        data, noise, kernels = batch
        total = torch.zeros_like(noise)
        for found in network(data, noise):
            total = _EARLIER * total + kernel_loss(found, kernels)
        return total, noise


def kernel_loss(found: Tensor, true: Tensor) -> Tensor:
    """Return how far kernels (B, 1, K, K) of sum one are from the true ones, (B,).

    It is the relative squared error, which bright cores decide, and the squared distance of the amplitudes
    (twice the squared Hellinger distance), in which faint wings count.
    """
    relative = (found - true).square().sum(dim=(1, 2, 3)) / true.square().sum(dim=(1, 2, 3))
    amplitudes = found.clamp(min=1e-12).sqrt() - true.clamp(min=0).sqrt()
    return relative + amplitudes.square().sum(dim=(1, 2, 3))


def pilot_batches(
    pack: Pack,
    kernels: np.ndarray,
    count: int,
    size: int,
    noise: tuple[float, float],
    seed: Sequence[int],
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield batches for ever: blurred patches, the deviation of their noise, and the kernels.

    Parameters
    ----------
    pack : Pack
        Sharp images.
    kernels : ndarray, (N, K, K)
        Non-negative kernels with their centroid at K // 2.
    count, size : int
        Batch size B and side of the blurred patches.
    noise : (float, float)
        Mean and standard deviation of the logarithm of the noise, the images being on [-1, 1].
    seed : sequence of int
        Of everything.

    Yields
    ------
    (ndarray, ndarray, ndarray), float32
        (B, 1, size, size), (B,) and (B, 1, K, K).
    """
    rng = np.random.default_rng([*seed, 1])
    for patches, _ in pack.batches(count, size + kernels.shape[-1] - 1, [*seed, 0]):
        chosen = [turned(kernels[i].astype(np.float32), rng) for i in rng.integers(0, len(kernels), count)]
        level = np.exp(rng.normal(*noise, count)).astype(np.float32)
        data = np.stack([blur(patch[0], kernel) for patch, kernel in zip(patches, chosen, strict=True)])
        data += level[:, None, None] * rng.standard_normal(data.shape, dtype=np.float32)
        yield data[:, None], level, np.stack(chosen).astype(np.float32)[:, None]
