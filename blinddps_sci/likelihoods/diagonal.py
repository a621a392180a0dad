"""What the noise models share: everything that follows from a standard deviation per pixel.

The primitive is the standard deviation and not the variance, whose square would leave the
range of float32 for fluxes in units such as W m^-2; a model adds `deviation` and, if its
likelihood is not Gaussian, its own density.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, get_args

import torch
from torch import Tensor

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.likelihoods.base import Observation

__all__ = ["Diagonal", "Weights", "check_positive", "check_weights"]

Weights = Literal["model", "data"]
"""Where the variance of photon noise is taken from."""


class Diagonal(ABC):
    """A likelihood with independent pixels; see `Likelihood` for the methods."""

    mask: Tensor | None
    saturation: float | Tensor | None

    @abstractmethod
    def deviation(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return each pixel's standard deviation in data units, broadcastable to the data."""

    def density(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return each pixel's negative log-density; Gaussian unless a model says otherwise."""
        sigma = self.deviation(prediction, data)
        return 0.5 * ((data - prediction) / sigma) ** 2 + torch.log(sigma) + 0.5 * math.log(2 * math.pi)

    @property
    def observation(self) -> Observation:
        """Which pixels are usable and where they saturate."""
        return Observation(self.mask, self.saturation)

    def precision(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return the inverse variance of each pixel, detached; zero where nothing was observed."""
        return self._whitening(prediction, data)[1] ** 2

    def whitening(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return ``1 / sigma`` of each pixel, detached; zero where nothing was observed."""
        return self._whitening(prediction, data)[1]

    def residual(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return the whitened residual; see `Likelihood.residual`."""
        filled, whitening = self._whitening(prediction, data)
        whitened = whitening * (filled - prediction)
        return torch.where(self._active(prediction, filled, whitening), whitened, torch.zeros_like(whitened))

    def active(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return where (bool) the residual counts: observed, and not zero by saturation."""
        return self._active(prediction, *self._whitening(prediction, data))

    def nll(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return the negative log-likelihood of each item, (B,), differentiable.

        Notes
        -----
        A saturated pixel with the reading c adds ``-log Phi((prediction - c) / sigma)``, the
        probability of a value at or above it.
        """
        filled, whitening = self._whitening(prediction, data)
        safe = torch.where(whitening > 0, prediction, filled)
        cost = self.density(safe, filled)
        if self.saturation is not None:
            above = (safe - filled) / self.deviation(safe, filled)
            saturated = self.observation.saturated(filled)
            cost = torch.where(saturated, -torch.special.log_ndtr(above), cost)
        return torch.where(whitening > 0, cost, torch.zeros_like(cost)).flatten(1).sum(dim=1)

    def noise_level(self, data: Tensor) -> Tensor:
        """Return ``1 / sqrt(mean precision)`` over each item's observed pixels, (B,), data units.

        Notes
        -----
        A precision that depends on the prediction is taken at the data. One for an item
        without an observed pixel.
        """
        whitening = self._whitening(self._filled(data), data)[1].flatten(1)
        largest = whitening.amax(dim=1)
        counted = (whitening > 0).sum(dim=1).clamp(min=1)
        scale = torch.where(largest > 0, largest, torch.ones_like(largest))
        mean = ((whitening / scale[:, None]) ** 2).sum(dim=1) / counted
        level = 1 / (scale * mean.sqrt())
        return torch.where(largest > 0, level, torch.ones_like(level))

    def count(self, data: Tensor) -> Tensor:
        """Return the number of observed pixels of each item, (B,)."""
        return (self._whitening(self._filled(data), data)[1] > 0).flatten(1).sum(dim=1)

    def _filled(self, data: Tensor) -> Tensor:
        """Return the data with zeros where they are not usable, so that no NaN spreads."""
        return torch.where(self.observation.usable(data), data, torch.zeros_like(data))

    def _whitening(self, prediction: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
        """Return the filled data and ``1 / sigma``, detached, zero where nothing was observed."""
        filled = self._filled(data)
        sigma = self.deviation(prediction.detach(), filled).expand_as(filled)
        usable = self.observation.usable(data) & torch.isfinite(sigma)
        return filled, torch.where(usable, 1 / sigma, torch.zeros_like(sigma))

    def _active(self, prediction: Tensor, filled: Tensor, whitening: Tensor) -> Tensor:
        satisfied = self.observation.saturated(filled) & (prediction >= filled)
        return (whitening > 0) & ~satisfied


def check_positive(name: str, value: float | Tensor, mask: Tensor | None = None) -> None:
    """Refuse a level of noise that is not positive wherever it is used.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : float or Tensor
        The level; infinity in a map means that a pixel says nothing.
    mask : Tensor of bool, optional
        True marks pixels whose value is not looked at.

    Raises
    ------
    ConfigError
        If a number is not positive, or is not finite.
    InputError
        If a map has NaN, or values that are not positive, outside the mask.
    """
    if not isinstance(value, Tensor):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} {value!r}: give a positive, finite number")
        return
    bad = ~(value > 0)
    if mask is not None:
        bad = bad & ~mask.to(bad.device, torch.bool)
    wrong = int(bad.sum())
    if wrong:
        raise InputError(
            f"{wrong} of {bad.numel()} values of {name} are NaN or not positive; "
            "mark these pixels in the mask"
        )


def check_weights(weights: str) -> None:
    """Refuse weights that are neither 'model' nor 'data'.

    Raises
    ------
    ConfigError
        If they are not one of the two.
    """
    if weights not in get_args(Weights):
        raise ConfigError(f"weights {weights!r}: choose one of {', '.join(get_args(Weights))}")
