"""Which chains agree on a kernel: aligned, and chosen by how well they explain the data.

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
    """The chains that agree.

    Parameters
    ----------
    chains : Tensor, (C, N, K, K)
        Their kernels, aligned, sum one, negative where their noise is.
    used : Tensor of bool
        Which of the chains given these are.
    """

    chains: Tensor
    used: Tensor


def consensus(kernels: Tensor, chi2: Tensor, pixels: int) -> Consensus:
    """Align the kernels of those chains that explain the data equally well.

    Parameters
    ----------
    kernels : Tensor, (C, N, K, K)
        Of C chains and N nodes; a draw may be negative where the kernel is faint.
    chi2 : Tensor, (C,)
        Reduced chi-squared of each chain's draw.
    pixels : int
        Pixels that it was taken over: it scatters by ``sqrt(2 / pixels)``.

    Returns
    -------
    Consensus
        Without the chains that fit worse than the best by more than that scatter allows, or are not finite;
        of none if no chain is. The truth plays no part.
    """
    # A chain that has left the finite numbers may have no pixel that counts, and so a perfect fit.
    finite = torch.isfinite(chi2) & torch.isfinite(kernels).flatten(1).all(dim=1)
    fit = torch.where(finite, chi2, torch.inf)
    used = finite & (fit <= fit.min() * (1 + _TOLERATED * (2 / max(pixels, 1)) ** 0.5))
    agreed = kernels[used]
    return Consensus(recentre_sharp(agreed) if len(agreed) else agreed, used)
