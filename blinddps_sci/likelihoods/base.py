"""What a likelihood is, and which pixels it may look at.

Samplers take whitened residuals and precisions from here; the engine takes reduced
chi-squared. Every quantity is per item, so a batch is nothing but independent problems.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from blinddps_sci.errors import InputError

__all__ = ["Likelihood", "Observation", "chi2_map", "matched", "reduced_chi2"]


class Likelihood(Protocol):
    """A noise model with a diagonal covariance, batched over B independent items.

    ``prediction`` and ``data`` have one shape (B, ...) and the data's unit.
    """

    def precision(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return the inverse variance of each pixel, detached; zero where nothing was observed."""
        ...

    def whitening(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return the square root of the precision, which stays in range where a square would not."""
        ...

    def residual(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return the whitened residual ``sqrt(precision) * (data - prediction)``.

        Differentiable in the prediction, the precision being held fixed. Zero where nothing was
        observed, and where a saturated pixel is predicted at its reading or above.
        """
        ...

    def active(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return where (bool) the residual counts: observed, and not zero by saturation."""
        ...

    def nll(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return the negative log-likelihood of each item, (B,), differentiable."""
        ...

    def noise_level(self, data: Tensor) -> Tensor:
        """Return a standard deviation typical of each item, (B,), in the data's unit.

        It is ``1 / sqrt(mean precision)`` over the observed pixels, and one without any.
        """
        ...

    def count(self, data: Tensor) -> Tensor:
        """Return the number of observed pixels of each item, (B,)."""
        ...


@dataclass(frozen=True, eq=False)
class Observation:
    """What the detector could see: which pixels are usable and where they saturate.

    Parameters
    ----------
    mask : Tensor of bool, broadcastable to the data, optional
        True marks an unusable pixel. Pixels that are not finite are never used.
    saturation : float or Tensor broadcastable to the data, optional
        Reading in data units from which a pixel only says that the scene is at least so bright.
    """

    mask: Tensor | None = None
    saturation: float | Tensor | None = None

    def usable(self, data: Tensor) -> Tensor:
        """Return where (bool) the data are finite and not masked."""
        usable = torch.isfinite(data)
        if self.mask is None:
            return usable
        return usable & ~_repeated(self.mask.to(data.device, torch.bool), data)

    def saturated(self, data: Tensor) -> Tensor:
        """Return where (bool) the data are at the saturation level or above it."""
        if self.saturation is None:
            return torch.zeros_like(data, dtype=torch.bool)
        return data >= matched(self.saturation, data)


def chi2_map(likelihood: Likelihood, prediction: Tensor, data: Tensor) -> Tensor:
    """Return the squared whitened residual of each pixel.

    Parameters
    ----------
    likelihood : Likelihood
        The noise.
    prediction, data : Tensor, (B, ...)
        In the data's unit.

    Returns
    -------
    Tensor, (B, ...)
        NaN where a pixel does not count: masked, or saturated and predicted at its reading
        or above.
    """
    squares = likelihood.residual(prediction, data).detach() ** 2
    return squares.masked_fill(~likelihood.active(prediction, data), torch.nan)


def reduced_chi2(likelihood: Likelihood, prediction: Tensor, data: Tensor) -> Tensor:
    """Return the mean squared whitened residual of each item.

    Parameters
    ----------
    likelihood : Likelihood
        The noise.
    prediction, data : Tensor, (B, ...)
        In the data's unit.

    Returns
    -------
    Tensor, (B,)
        Its expectation is one where the prediction is the truth; zero without a pixel that
        counts.
    """
    squares = likelihood.residual(prediction, data).detach().flatten(1) ** 2
    counted = likelihood.active(prediction, data).flatten(1).sum(dim=1)
    return squares.sum(dim=1) / counted.clamp(min=1)


def matched(value: float | Tensor, data: Tensor) -> Tensor:
    """Return a setting with the data's device, dtype and number of items.

    Parameters
    ----------
    value : float or Tensor, broadcastable to the data or to one draw of its items
        A level of noise, for instance. A map of B items is repeated, first to last, when the
        data hold several draws of B problems.
    data : Tensor, (B, ...)
        What the value is used with.

    Returns
    -------
    Tensor

    Raises
    ------
    InputError
        If the value has a number of items that does not divide the data's.
    """
    return _repeated(torch.as_tensor(value, device=data.device, dtype=data.dtype), data)


def _repeated(value: Tensor, data: Tensor) -> Tensor:
    if value.ndim < data.ndim or len(value) in (1, len(data)):
        return value
    draws, rest = divmod(len(data), len(value))
    if rest:
        raise InputError(
            f"a map of shape {tuple(value.shape)} does not fit data of shape {tuple(data.shape)}; "
            "give one item, or one for each item of the data"
        )
    return value.repeat(draws, *(1,) * (value.ndim - 1))
