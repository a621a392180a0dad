"""From what chains found at every node to one field of kernels.

Nodes are averaged with their neighbours, by how well their chains agree: a tile of empty sky says little
of its kernel, and its chains differ as kernels do beforehand.
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

_FAR = 3.0
"""How many times farther than the median a node is from those around it, to be an outlier."""

_FEW = 5
"""With fewer nodes none is."""


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
        Whether nodes are independent, are averaged with the up to eight around them, or are all one.

    Returns
    -------
    KernelField
        Of the first unit's nodes; of one node if it is shared. The truth plays no part.
    """
    known = [(c, p) for c, p in zip(chains, places, strict=True) if len(c)]
    count = max(len(c) for c, _ in known)
    means = torch.cat([c.mean(dim=0) for c, _ in known])
    errors = _errors([c for c, _ in known])
    # A unit with fewer chains than others counts its own again.
    apart = torch.cat([(c - c.mean(dim=0))[torch.arange(count) % len(c)] for c, _ in known], dim=1)
    weights = _nearness(torch.cat([p for _, p in known]).to(means), model) / errors
    outliers = _outliers(means, weights)
    usable = weights * ~outliers
    # A node whose neighbours are all outliers has only itself to go by.
    alone = usable.sum(dim=1, keepdim=True) == 0
    weights = torch.where(alone, weights, usable)
    weights = weights / weights.sum(dim=1, keepdim=True)
    # What is negative is cut off at the end, of the mean: cut off every draw by itself, the noise
    # about a faint kernel would add up to a pedestal.
    mine = slice(1 if model == "shared" else len(known[0][1]))
    mean = torch.einsum("mn,nij->mij", weights[mine], means).clamp(min=0)
    return KernelField(
        mean=mean / mean.sum(dim=(-2, -1), keepdim=True),
        deviations=torch.einsum("mn,cnij->cmij", weights[mine], apart),
        outliers=outliers[: len(known[0][1])],
    )


def _errors(chains: Sequence[Tensor]) -> Tensor:
    """Return how uncertain each node's mean over its chains is, (N,), relative to the others.

    The spread of a few chains is itself uncertain, and is drawn half way to that of the other nodes. A
    single chain says nothing of its error; its nodes count as the others do.
    """
    spreads = [c.var(dim=0).sum(dim=(-2, -1)) / len(c) for c in chains if len(c) > 1]
    usual = torch.cat(spreads).median() if spreads else torch.tensor(1.0)
    usual = usual.clamp(min=torch.finfo(usual.dtype).tiny)
    found = iter(spreads)
    return torch.cat([(next(found) + usual) / 2 if len(c) > 1 else usual.expand(c.shape[1]) for c in chains])


def _nearness(places: Tensor, model: Model) -> Tensor:
    """Return how much nodes say of each other, (N, N): one of themselves."""
    if model == "per-tile":
        return torch.eye(len(places))
    if model == "shared":
        return torch.ones(len(places), len(places))
    offset = (places[:, None] - places).abs()
    return (1 - 0.5 * offset).clamp(min=0).prod(dim=-1)


def _outliers(means: Tensor, weights: Tensor) -> Tensor:
    """Return which nodes, (N,), are far from what those around them say, compared with the others."""
    others = weights * (1 - torch.eye(len(weights)))
    known = others.sum(dim=1)
    if len(means) < _FEW or not bool((known > 0).all()):
        return torch.zeros(len(means), dtype=torch.bool)
    expected = torch.einsum("mn,nij->mij", others / known[:, None], means)
    distance = (means - expected).square().sum(dim=(-2, -1))
    return distance > _FAR**2 * distance.median()
