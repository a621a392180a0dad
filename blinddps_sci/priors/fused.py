"""A prior on a canvas larger than its network likes: tiles, fused at every call.

The estimates of overlapping tiles are averaged with windows that sum to one, at every step
of a sampler, so that neighbouring tiles agree by construction and there is no seam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from blinddps_sci.priors.base import Prior
from blinddps_sci.priors.error import Root, error_root

__all__ = ["PIXELS_AT_ONCE", "FusedPrior", "PlanewisePrior", "TileWindow"]

PIXELS_AT_ONCE = 2**19
"""Pixels of planes that are denoised in one call: memory does not grow with the frames of a burst."""


@dataclass(frozen=True)
class TileWindow:
    """Where a tile lies in the canvas, and its separable window.

    Parameters
    ----------
    y, x : slice
        Position in the canvas.
    weight : Tensor, (h, w)
        Window; over all tiles the windows sum to one at every pixel.
    """

    y: slice
    x: slice
    weight: Tensor


@dataclass(frozen=True)
class FusedPrior:
    """Evaluate a prior on every tile and fuse the estimates.

    Parameters
    ----------
    prior : Prior
        The denoiser of one tile.
    tiles : sequence of TileWindow
        A cover of the canvas.

    References
    ----------
    O. Bar-Tal et al., "MultiDiffusion", arXiv:2302.08113.
    """

    prior: Prior
    tiles: Sequence[TileWindow]

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the fused estimate, like ``x`` (B, C, H, W)."""
        if len(self.tiles) == 1:
            return self.prior(x, sigma)
        fused = torch.zeros_like(x)
        for tile in self.tiles:
            part = x[..., tile.y, tile.x]
            # Recomputing a tile in the backward pass keeps one tile's activations in memory, not all.
            estimate: Tensor = (
                checkpoint(self.prior, part, sigma, use_reentrant=False)
                if torch.is_grad_enabled()
                else self.prior(part, sigma)
            )
            placed = torch.zeros_like(x)
            placed[..., tile.y, tile.x] = tile.weight.to(x) * estimate
            fused = fused + placed
        return fused

    def error_root(self, estimate: Tensor, sigma: float) -> Root:
        """Return the root of one tile's error, extended over the canvas."""
        return error_root(self.prior, estimate, sigma)


@dataclass(frozen=True)
class PlanewisePrior:
    """Apply a prior to every plane of an unknown, or to every few: kernels at many nodes, tilts of frames.

    Parameters
    ----------
    prior : Prior
        The denoiser of ``channels`` planes.
    channels : int
        Planes that belong together, e.g. dy and dx of a frame.
    """

    prior: Prior
    channels: int = 1

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the estimate, like ``x`` (B, N * channels, H, W); groups of planes are independent."""
        groups = x.shape[1] // self.channels
        if groups == 1:
            return self.prior(x, sigma)
        planes, sigmas = self._grouped(x), sigma.repeat_interleave(groups)
        count = max(PIXELS_AT_ONCE // planes[0].numel(), 1)
        parts = zip(torch.split(planes, count), torch.split(sigmas, count), strict=True)
        return torch.cat([self.prior(*part) for part in parts]).reshape(x.shape)

    def error_root(self, estimate: Tensor, sigma: float) -> Root:
        """Return the root of the groups' error; groups are independent."""
        root = error_root(self.prior, self._grouped(estimate), sigma)
        return Root(
            lambda v: root.apply(self._grouped(v)).reshape(v.shape),
            lambda v: root.adjoint(self._grouped(v)).reshape(v.shape),
        )

    def _grouped(self, x: Tensor) -> Tensor:
        return x.reshape(-1, self.channels, *x.shape[-2:])
