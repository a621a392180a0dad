"""Uninformative priors: the paper's ablation of a learned kernel prior.

Both act on each element alone, so they know nothing of shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from blinddps_sci.priors.base import broadcast_sigma

__all__ = ["IndependentGaussianPrior", "UniformPrior"]


@dataclass(frozen=True)
class IndependentGaussianPrior:
    """Independent Gaussian elements: ``E[x0 | x]`` shrinks each towards the mean.

    Parameters
    ----------
    mean, std : float
        Of every element, on the network's domain.
    """

    mean: float = 0.0
    std: float = 0.5

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the posterior mean of the clean unknown, like ``x`` (B, ...)."""
        s = broadcast_sigma(sigma, x)
        return self.mean + self.std**2 / (self.std**2 + s**2) * (x - self.mean)


@dataclass(frozen=True)
class UniformPrior:
    """Independent elements, uniform between two limits.

    ``E[x0 | x]`` is the mean of a normal distribution about ``x`` truncated to the limits.

    Parameters
    ----------
    low, high : float
        The limits, on the network's domain.
    """

    low: float = -1.0
    high: float = 1.0

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the posterior mean of the clean unknown, like ``x`` (B, ...)."""
        s = broadcast_sigma(sigma, x)
        # By symmetry the estimate is computed where the nearer limit is the upper one, so that
        # the normal tails are those that do not underflow.
        centre = (self.low + self.high) / 2
        flip = torch.where(x < centre, -1.0, 1.0)
        distance = flip * (x - centre)
        half = (self.high - self.low) / 2
        a, b = (-half - distance) / s, (half - distance) / s
        inside = (torch.special.ndtr(b) - torch.special.ndtr(a)).clamp(min=1e-30)
        near = (torch.exp(-(a**2) / 2) - torch.exp(-(b**2) / 2)) / (math.sqrt(2 * math.pi) * inside)
        # Beyond the limit both tails are taken relative to phi(b), where erfcx stays finite.
        b_out, a_out = b.clamp(max=0), a.clamp(max=0)
        ratio = torch.exp((b_out - a_out) * (b_out + a_out) / 2)
        tails = torch.special.erfcx(-b_out / math.sqrt(2)) - ratio * torch.special.erfcx(
            -a_out / math.sqrt(2)
        )
        beyond = (ratio - 1) / (math.sqrt(math.pi / 2) * tails).clamp(min=1e-30)
        shift = torch.where(b > 0, near, beyond)
        mean = (distance + s * shift).clamp(-half, half)
        return centre + flip * mean
