"""Noise schedules: how the noise falls from the first step to the last.

A sampler is given the levels ``abar_t`` it visits; the two sources are the discrete linear
schedule of the published code and its continuous limit, which can be cut into any number
of steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blinddps_sci.priors.wrap import linear_betas

__all__ = ["LinearVP", "karras_levels", "published_levels", "sigma_of"]


def sigma_of(abar: float) -> float:
    """Return the variance-exploding noise level ``sqrt((1 - abar) / abar)``."""
    return math.sqrt((1 - abar) / abar)


def published_levels(steps: int) -> np.ndarray:
    """Return ``abar_t`` of the published schedule, (steps,), noisiest first."""
    return np.cumprod(1 - linear_betas(steps))[::-1].copy()


def karras_levels(steps: int, highest: float, lowest: float, rho: float = 7.0) -> np.ndarray:
    """Return noise levels sigma, (steps,), falling; dense where they are low.

    References
    ----------
    T. Karras et al., "Elucidating the design space of diffusion-based generative models",
    arXiv:2206.00364, eq. 5.
    """
    ends = highest ** (1 / rho), lowest ** (1 / rho)
    levels: np.ndarray = np.linspace(*ends, steps) ** rho
    return levels


@dataclass(frozen=True)
class LinearVP:
    """The continuous linear variance-preserving schedule.

    ``d log(abar) / dt = -beta(t)``, ``beta(t) = low + (high - low) t`` for ``t`` in [0, 1].

    Parameters
    ----------
    low, high : float
        Noise rate at the clean and at the noisy end.

    References
    ----------
    Y. Song et al., "Score-based generative modeling through SDEs", arXiv:2011.13456, eq. 32.
    """

    low: float = 0.1
    high: float = 20.0

    def beta(self, t: Tensor) -> Tensor:
        """Return the noise rate at times ``t``."""
        return self.low + (self.high - self.low) * t

    def log_abar(self, t: Tensor) -> Tensor:
        """Return ``log(abar)`` at times ``t``."""
        return -(self.low * t + 0.5 * (self.high - self.low) * t**2)

    def sigma(self, t: Tensor) -> Tensor:
        """Return the variance-exploding noise level at times ``t``."""
        return torch.expm1(-self.log_abar(t)).sqrt()

    def sigma_derivative(self, t: Tensor) -> Tensor:
        """Return ``d sigma / dt = beta (1 + sigma^2) / (2 sigma)``."""
        sigma = self.sigma(t)
        return self.beta(t) * (1 + sigma**2) / (2 * sigma)

    def time(self, sigma: float) -> float:
        """Return the time at which the noise level is ``sigma``."""
        slope = self.high - self.low
        return float((-self.low + np.sqrt(self.low**2 + 2 * slope * np.log1p(sigma**2))) / slope)

    def levels(self, steps: int, *, sigma_max: float = 80.0, sigma_min: float = 0.01) -> np.ndarray:
        """Return ``abar`` at ``steps`` equally spaced times, (steps,), noisiest first."""
        times = np.linspace(self.time(sigma_max), self.time(sigma_min), steps)
        levels: np.ndarray = self.log_abar(torch.from_numpy(times)).exp().numpy()
        return levels
