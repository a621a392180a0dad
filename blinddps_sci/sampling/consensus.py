"""One kernel from many chains: aligned, chosen by how well they explain the data, averaged.

Chains of a blind problem agree on a kernel up to a shift, which the opposite shift of the image
undoes; their average is a far better kernel than any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blinddps_sci.operators.centroid import recentre_sharp

__all__ = ["Consensus", "consensus"]

_TOLERATED = 5.0
"""Standard deviations of reduced chi-squared by which a chain may fit worse than the best."""


@dataclass(frozen=True, eq=False)
class Consensus:
    """What chains agree on.

    Parameters
    ----------
    mean : Tensor, (N, K, K)
        The kernel of each node: non-negative, sum one, centroid at ``K // 2``.
    chains : Tensor, (C, N, K, K)
        The kernels that it is the mean of, aligned, sum one, negative where their noise is.
    used : Tensor of bool
        Which of the chains given these are.
    """

    mean: Tensor
    chains: Tensor
    used: Tensor

    def draws(self, count: int) -> Tensor:
        """Return ``count`` kernels (S, N, K, K) that scatter about the mean as the mean does.

        Each is a chain's deviation, divided by the square root of their number, added to the mean.
        """
        number = len(self.chains)
        picked = self.chains[torch.arange(count, device=self.chains.device) % number]
        kernels: Tensor = self.mean + (picked - self.chains.mean(dim=0)) / number**0.5
        return kernels


def consensus(kernels: Tensor, chi2: Tensor, pixels: int, mixing: Tensor | None = None) -> Consensus:
    """Average the kernels of chains that explain the data equally well.

    Parameters
    ----------
    kernels : Tensor, (C, N, K, K)
        Of C chains and N nodes; a draw may be negative where the kernel is faint.
    chi2 : Tensor, (C,)
        Reduced chi-squared of each chain's draw.
    pixels : int
        Pixels that it was taken over: it scatters by ``sqrt(2 / pixels)``.
    mixing : Tensor, (N, N), optional
        Rows that sum to one: the weights with which the kernels of neighbouring nodes are averaged.

    Returns
    -------
    Consensus
        Without the chains that fit worse than the best by more than that scatter allows. The truth
        plays no part.

    Notes
    -----
    What is negative is cut off at the end, of the mean: cut off every draw by itself, the noise
    about a faint kernel would add up to a pedestal.
    """
    fit = torch.where(torch.isfinite(chi2), chi2, torch.inf)
    used = fit <= fit.min() * (1 + _TOLERATED * (2 / max(pixels, 1)) ** 0.5)
    chains = recentre_sharp(kernels[used])
    if mixing is not None:
        chains = torch.einsum("mn,cnij->cmij", mixing.to(chains), chains)
    mean = chains.mean(dim=0).clamp(min=0)
    return Consensus(mean / mean.sum(dim=(-2, -1), keepdim=True), chains, used)
