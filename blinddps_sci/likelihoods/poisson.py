"""Photon noise of a detector without read noise, in counts.

Its exact density is kept for `nll`; the residuals that guide a sampler are the Gaussian
approximation, since the logarithm of a vanishing prediction makes reverse diffusion diverge.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blinddps_sci.likelihoods.base import matched
from blinddps_sci.likelihoods.diagonal import Diagonal, Weights, check_positive, check_weights

__all__ = ["Poisson"]

_FAINTEST = 1e-6


@dataclass(frozen=True, eq=False)
class Poisson(Diagonal):
    """Photon noise, ``gain (y + background) ~ Poisson(gain (prediction + background))``.

    Parameters
    ----------
    gain : float or Tensor, broadcastable to the data
        Electrons (counts) per data unit.
    background : float or Tensor, broadcastable to the data
        Level in data units that was subtracted from the data and left its noise in them.
    weights : 'model' or 'data'
        What the residual's variance comes from: the prediction (unbiased flux), or the data as
        in the DPS paper (steadier, but too faint: a pixel that fluctuates down weighs more).
    floor : float
        Smallest variance in squared electrons. Below about one electron per pixel the Gaussian
        approximation fails, and reduced chi-squared lies below one.
    mask : Tensor of bool, optional
        True marks an unusable pixel; see `Observation`.
    saturation : float or Tensor, optional
        In data units; see `Observation`.

    Raises
    ------
    ConfigError
        If gain or floor is not positive, or the weights are not one of the two.
    InputError
        If a gain map has NaN, or values that are not positive, outside the mask.

    Notes
    -----
    With n and m the electrons of data and prediction, ``nll = sum m - n log m + log n!``. The
    gradient of the model-weighted residual's half square is the exact one, ``(m - n) / m``.
    A saturated pixel uses the Gaussian approximation, which full wells make a good one.

    References
    ----------
    H. Chung et al., "Diffusion posterior sampling for general noisy inverse problems", ICLR 2023,
    arXiv:2209.14687, eqs. 17-21.
    """

    gain: float | Tensor = 1.0
    background: float | Tensor = 0.0
    weights: Weights = "model"
    floor: float = 1.0
    mask: Tensor | None = None
    saturation: float | Tensor | None = None

    def __post_init__(self) -> None:
        check_positive("gain", self.gain, self.mask)
        check_positive("floor", self.floor)
        check_weights(self.weights)

    def deviation(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return the standard deviation in data units, (B, ...)."""
        source = prediction if self.weights == "model" else data
        return self._electrons(source).clamp(min=self.floor).sqrt() / matched(self.gain, data)

    def density(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return each pixel's exact negative log-probability, that of its number of electrons."""
        expected = self._electrons(prediction).clamp(min=_FAINTEST)
        found = self._electrons(data).clamp(min=0)
        return expected - torch.xlogy(found, expected) + torch.lgamma(found + 1)

    def _electrons(self, values: Tensor) -> Tensor:
        return matched(self.gain, values) * (values + matched(self.background, values))
