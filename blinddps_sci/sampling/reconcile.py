"""From what chains found at every node to one field of kernels.

Nodes are averaged with their neighbours, by how much there is to be seen at them: a tile of empty sky
says little of its kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from blinddps_sci.sampling.posterior import spread

__all__ = ["KernelEstimate", "KernelField", "reconcile", "structure"]

Model = Literal["per-tile", "smooth", "shared"]

_LEAST = 1e-3
"""Evidence of a node without any, relative to the median: where all is empty, all count alike."""

_FAR = 3.0
"""How many times farther than the median a node is from those around it, to be an outlier."""

_FEW = 5
"""With fewer nodes none is."""


@dataclass(frozen=True, eq=False)
class KernelEstimate:
    """What a unit's chains know of the kernels of its N nodes.

    Parameters
    ----------
    chains : Tensor, (C, N, K, K)
        Kernels of the chains that agree, aligned, sum one, negative where their noise is.
    evidence : Tensor, (N,)
        How much the data say of each kernel: see `structure`.
    places : Tensor, (N, 2)
        Row and column of the nodes in the grid of the whole field.
    """

    chains: Tensor
    evidence: Tensor
    places: Tensor


def structure(prediction: Tensor, whitening: Tensor) -> Tensor:
    """Return what each pixel says of the kernel: its squared gradient in units of the noise.

    Parameters
    ----------
    prediction : Tensor, (..., h, w)
        The scene as the detector would see it without noise.
    whitening : Tensor, (..., h, w)
        One over the noise's standard deviation; zero where nothing was measured.

    Returns
    -------
    Tensor, (..., h, w)

    Notes
    -----
    The Fisher information on a kernel is the power spectrum of the image over the variance of the
    noise. Flat parts say nothing: there, chains agree on a kernel that is too wide.
    """
    down = torch.diff(prediction, dim=-2, append=prediction[..., -1:, :])
    across = torch.diff(prediction, dim=-1, append=prediction[..., :, -1:])
    return (down * whitening).square() + (across * whitening).square()


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
        """Return ``count`` kernels (S, N, K, K) that scatter about the mean as the mean does about the truth.

        Chains that scatter about the kernel with variance ``s^2`` have a mean that scatters with ``s^2 / C``.
        Each draw is the deviation of one chain in turn, added to the mean and divided by the square root of
        ``C - 1``: deviations are from the chains' own mean, and their mean square is ``(C - 1) / C`` of
        ``s^2``. Two chains give back their own kernels. What all chains have wrong is not in it, and a single
        one does not scatter.
        """
        number = len(self.deviations)
        picked = self.deviations[torch.arange(count, device=self.mean.device) % number]
        kernels: Tensor = self.mean + picked / max(number - 1, 1) ** 0.5
        return kernels


def reconcile(estimates: Sequence[KernelEstimate], model: Model) -> KernelField:
    """Agree on the kernels of the first unit, given those of others.

    Parameters
    ----------
    estimates : sequence of KernelEstimate
        Of one or more units, the first of which is asked for. Units may differ in C and N; those without
        chains are passed over.
    model : {"per-tile", "smooth", "shared"}
        Whether nodes are independent, are averaged with the up to eight around them, or are all one.

    Returns
    -------
    KernelField
        Of the first unit's nodes; of one node if it is shared. The truth plays no part.
    """
    known = [estimate for estimate in estimates if len(estimate.chains)]
    count = max(len(estimate.chains) for estimate in known)
    means = torch.cat([estimate.chains.mean(dim=0) for estimate in known])
    # A unit with fewer chains than others counts its own again.
    apart = torch.cat([_deviations(estimate.chains, count) for estimate in known], dim=1)
    evidence = torch.cat([estimate.evidence for estimate in known]).to(means)
    usual = evidence.median().clamp(min=torch.finfo(evidence.dtype).tiny)
    near = _nearness(torch.cat([estimate.places for estimate in known]).to(means), model)
    weights = near * (evidence / usual).clamp(min=_LEAST)
    outliers = _outliers(means, weights)
    usable = weights * ~outliers
    # A node whose neighbours are all outliers has only itself to go by.
    alone = usable.sum(dim=1, keepdim=True) == 0
    weights = torch.where(alone, weights, usable)
    weights = weights / weights.sum(dim=1, keepdim=True)
    # What is negative is cut off at the end, of the mean: cut off every draw by itself, the noise
    # about a faint kernel would add up to a pedestal.
    mine = slice(1 if model == "shared" else len(known[0].places))
    mean = torch.einsum("mn,nij->mij", weights[mine], means).clamp(min=0)
    return KernelField(
        mean=mean / mean.sum(dim=(-2, -1), keepdim=True),
        deviations=torch.einsum("mn,cnij->cmij", weights[mine], apart),
        outliers=outliers[: len(known[0].places)],
    )


def _deviations(chains: Tensor, count: int) -> Tensor:
    deviations: Tensor = (chains - chains.mean(dim=0))[torch.arange(count) % len(chains)]
    return deviations


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
