"""Exact Gaussian priors: the denoiser in closed form.

They serve as physical priors (a covariance is all that is known) and as the ground truth of
the tests, since with them every posterior is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blinddps_sci.errors import PriorError
from blinddps_sci.priors.base import broadcast_sigma
from blinddps_sci.priors.error import Root

__all__ = ["GaussianPrior", "StationaryGaussianPrior"]


@dataclass(frozen=True)
class GaussianPrior:
    """A Gaussian with any mean and covariance, by its eigenvectors.

    ``E[x0 | x] = mean + C (C + sigma^2)^-1 (x - mean)``.

    Parameters
    ----------
    mean : Tensor, (D,)
        Mean of the flattened unknown.
    covariance : Tensor, (D, D)
        Symmetric, positive semi-definite.

    Raises
    ------
    PriorError
        If the covariance is not symmetric positive semi-definite or does not fit the mean.
    """

    mean: Tensor
    covariance: Tensor

    def __post_init__(self) -> None:
        d = len(self.mean)
        if self.covariance.shape != (d, d) or not torch.allclose(self.covariance, self.covariance.T):
            raise PriorError(
                f"a Gaussian prior over {d} values needs a symmetric ({d}, {d}) covariance; "
                f"given {tuple(self.covariance.shape)}"
            )
        variances, vectors = torch.linalg.eigh(self.covariance)
        if variances.min() < -1e-6 * variances.max():
            raise PriorError("the covariance of a Gaussian prior has negative eigenvalues")
        object.__setattr__(self, "_variances", variances.clamp(min=0))
        object.__setattr__(self, "_vectors", vectors)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the posterior mean of the clean unknown, like ``x`` (B, ...)."""
        variances: Tensor = self._variances  # type: ignore[attr-defined]
        vectors: Tensor = self._vectors  # type: ignore[attr-defined]
        offset = (x.flatten(1) - self.mean) @ vectors
        shrunk = offset * variances / (variances + sigma[:, None] ** 2)
        return (self.mean + shrunk @ vectors.T).reshape(x.shape)

    def error_root(self, estimate: Tensor, sigma: float) -> Root:
        """Return the root of ``C sigma^2 (C + sigma^2)^-1``, the same for every estimate."""
        variances: Tensor = self._variances  # type: ignore[attr-defined]
        vectors: Tensor = self._vectors  # type: ignore[attr-defined]
        scale = (variances * sigma**2 / (variances + sigma**2)).sqrt()
        return Root(
            lambda v: ((v.flatten(1) * scale) @ vectors.T).reshape(v.shape),
            lambda v: ((v.flatten(1) @ vectors) * scale).reshape(v.shape),
        )


@dataclass(frozen=True)
class StationaryGaussianPrior:
    """A Gaussian field on a periodic grid, by its power spectrum.

    Parameters
    ----------
    power : Tensor, (H, W)
        Variance of each orthonormal Fourier coefficient, on the grid of ``torch.fft.fft2``.
    mean : float
        Mean of the field.
    """

    power: Tensor
    mean: float = 0.0

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return the posterior mean of the clean field, like ``x`` (B, C, H, W).

        Raises
        ------
        PriorError
            If the field is not as large as the spectrum.
        """
        if x.shape[-2:] != self.power.shape:
            raise PriorError(
                f"the prior's spectrum is {tuple(self.power.shape)} and the field {tuple(x.shape[-2:])}"
            )
        gain = self.power / (self.power + broadcast_sigma(sigma, x) ** 2)
        smooth: Tensor = torch.fft.ifft2(gain * torch.fft.fft2(x - self.mean)).real
        return self.mean + smooth

    def error_root(self, estimate: Tensor, sigma: float) -> Root:
        """Return the root of ``P sigma^2 / (P + sigma^2)`` at every wave vector."""
        scale = (self.power * sigma**2 / (self.power + sigma**2)).sqrt()

        def filtered(values: Tensor) -> Tensor:
            result: Tensor = torch.fft.ifft2(scale * torch.fft.fft2(values)).real
            return result

        return Root(filtered, filtered)
