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
    std : Tensor, (N, K, K)
        Standard deviation over the chains used; zero for one chain.
    chains : Tensor, (C, N, K, K)
        The aligned kernels.
    used : Tensor of bool, (C,)
        Which chains entered.
    """

    mean: Tensor
    std: Tensor
    chains: Tensor
    used: Tensor


def consensus(kernels: Tensor, chi2: Tensor, pixels: int) -> Consensus:
    """Average the kernels of chains that explain the data equally well.

    Parameters
    ----------
    kernels : Tensor, (C, N, K, K)
        Of C chains and N nodes; what is negative is cut off.
    chi2 : Tensor, (C,)
        Reduced chi-squared of each chain's draw.
    pixels : int
        Pixels that it was taken over: it scatters by ``sqrt(2 / pixels)``.

    Returns
    -------
    Consensus
        Without the chains that fit worse than the best by more than that scatter allows. The truth
        plays no part.
    """
    # Draws scatter about zero where a kernel is faint.
    aligned = recentre_sharp(kernels.clamp(min=0))
    fit = torch.where(torch.isfinite(chi2), chi2, torch.inf)
    used = fit <= fit.min() * (1 + _TOLERATED * (2 / max(pixels, 1)) ** 0.5)
    chosen = aligned[used]
    std = chosen.std(dim=0, unbiased=True) if len(chosen) > 1 else torch.zeros_like(chosen[0])
    return Consensus(chosen.mean(dim=0), std, aligned, used)
