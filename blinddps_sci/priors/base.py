"""What a prior is: a denoiser in the variance-exploding scale.

Everything that samples asks a prior one question: given ``x = x0 + sigma * n``, what is
``E[x0 | x]``? Trained networks, closed forms and the uninformative priors all answer it.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

__all__ = ["LearnedVariancePrior", "Prior", "broadcast_sigma"]


@runtime_checkable
class Prior(Protocol):
    """A denoiser of one unknown.

    Called as ``prior(x, sigma)`` with ``x`` of shape (B, C, H, W) on the network's domain
    (about [-1, 1] for data), ``sigma`` of shape (B,), and answering the posterior mean of
    the clean unknown, (B, C, H, W). It must treat the items of a batch independently.
    """

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return ``E[x0 | x0 + sigma n = x]``."""
        ...


@runtime_checkable
class LearnedVariancePrior(Prior, Protocol):
    """A prior whose network also interpolates the variance of the ancestral step."""

    def with_variance(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return the denoised estimate and the interpolation ``v`` in [-1, 1], both like ``x``."""
        ...


def broadcast_sigma(sigma: Tensor, like: Tensor) -> Tensor:
    """Reshape per-item noise levels (B,) so that they broadcast over ``like`` (B, ...)."""
    return sigma.reshape(-1, *(1,) * (like.ndim - 1))
