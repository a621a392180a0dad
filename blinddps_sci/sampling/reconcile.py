"""From what chains found at every node to one field of kernels.

Every node's chains know its kernel with an error of their own. What neighbours know helps, the less
the farther they are and the more kernels vary over the field; both are read off the kernels themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from blinddps_sci.sampling.posterior import spread

__all__ = ["KernelField", "reconcile"]

Model = Literal["per-tile", "smooth", "shared"]


@dataclass(frozen=True, eq=False)
class KernelField:
    """Kernels of N nodes, and how well they are known.

    Parameters
    ----------
    mean : Tensor, (N, K, K)
        Non-negative, sum one, centroid at ``K // 2``.
    deviations : Tensor, (C, N, K, K)
        Of each chain from the mean of all; negative where their noise is.
    outliers : Tensor of bool, (N,)
        Nodes whose own kernel was set aside for those of their neighbours.
    """

    mean: Tensor
    deviations: Tensor
    outliers: Tensor

    @property
    def std(self) -> Tensor:
        """Standard deviation over the chains, (N, K, K); NaN of a single one."""
        return spread(self.deviations)

    def draws(self, count: int) -> Tensor:
        """Return ``count`` kernels (S, N, K, K) that scatter about the mean as the mean does.

        Each is a chain's deviation, divided by the square root of their number, added to the mean.
        """
        number = len(self.deviations)
        picked = self.deviations[torch.arange(count, device=self.mean.device) % number]
        kernels: Tensor = self.mean + picked / number**0.5
        return kernels


def reconcile(chains: Sequence[Tensor], places: Sequence[Tensor], model: Model) -> KernelField:
    """Agree on the kernels of the first unit, given those of others.

    Parameters
    ----------
    chains : sequence of Tensor, (C, N, K, K) each
        Of one or more units, the first of which is asked for: kernels of the chains that agree, aligned,
        sum one, negative where their noise is. Units may differ in C and N; those without chains are
        passed over.
    places : sequence of Tensor, (N, 2) each
        Row and column of the nodes in the grid of the whole field.
    model : {"per-tile", "smooth", "shared"}
        Whether nodes are independent, alike the nearer they are, or one.

    Returns
    -------
    KernelField
        Of the first unit's nodes; of one node if it is shared.
    """
    known = [(c, p) for c, p in zip(chains, places, strict=True) if len(c)]
    count = max(len(c) for c, _ in known)
    means = torch.cat([c.mean(dim=0) for c, _ in known])
    errors = torch.cat([_error(c) for c, _ in known])
    # A unit with fewer chains than others counts its own again.
    apart = torch.cat([(c - c.mean(dim=0))[torch.arange(count) % len(c)] for c, _ in known], dim=1)
    where = torch.cat([p for _, p in known]).to(means)
    outliers = torch.zeros(len(known[0][1]), dtype=torch.bool)
    weights = _weights(errors, where, len(known[0][1]), model)
    mean = torch.einsum("mn,nij->mij", weights, means).clamp(min=0)
    return KernelField(
        mean / mean.sum(dim=(-2, -1), keepdim=True), torch.einsum("mn,cnij->cmij", weights, apart), outliers
    )


def _error(chains: Tensor) -> Tensor:
    """Return the squared error of each node's mean over the chains, (N,); one if there is one chain."""
    if len(chains) == 1:
        return torch.ones(chains.shape[1])
    return chains.var(dim=0).sum(dim=(-2, -1)) / len(chains)


def _weights(errors: Tensor, places: Tensor, wanted: int, model: Model) -> Tensor:
    """Return the weights (wanted, N) with which the nodes' kernels are averaged; rows sum to one."""
    offset = (places[:wanted, None] - places).abs()
    if model == "per-tile":
        return torch.eye(len(places))[:wanted]
    near = torch.ones(1, len(places)) if model == "shared" else (1 - 0.5 * offset).clamp(min=0).prod(dim=-1)
    weights = near / errors
    return weights / weights.sum(dim=1, keepdim=True)
