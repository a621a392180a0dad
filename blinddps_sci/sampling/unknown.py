"""Unknowns: what is to be found, on the network's domain and in physical units.

An `Unknown` joins a prior to the map that takes its domain, about [-1, 1], to what the
operator works with. The samplers know unknowns by name only; a set of them that an operator
accepts is a blind inverse problem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from blinddps_sci.errors import ConfigError
from blinddps_sci.operators.centroid import recentre
from blinddps_sci.operators.stretch import AsinhStretch, LinearStretch
from blinddps_sci.priors.base import Prior
from blinddps_sci.sampling.noise import Site

__all__ = ["Identity", "ImageMap", "KernelMap", "Map", "Sparsity", "TiltMap", "Unknown"]


class Map(Protocol):
    """From the network's domain to physical units."""

    def __call__(self, z: Tensor) -> Tensor:
        """Return the physical unknown of ``z`` (B, C, H, W)."""
        ...

    def inverse(self, value: Tensor) -> Tensor:
        """Return the ``z`` whose physical value is ``value``, where there is one."""
        ...

    def precondition(self, z: Tensor, gradient: Tensor) -> Tensor:
        """Rescale a gradient with respect to ``z`` so that one step size fits all elements."""
        ...


@dataclass(frozen=True)
class Identity:
    """The network's domain is the physical one."""

    def __call__(self, z: Tensor) -> Tensor:
        """Return ``z``."""
        return z

    def inverse(self, value: Tensor) -> Tensor:
        """Return ``value``."""
        return value

    def precondition(self, z: Tensor, gradient: Tensor) -> Tensor:
        """Return the gradient as it is."""
        return gradient


@dataclass(frozen=True)
class ImageMap(Identity):
    """A monotone stretch of flux.

    Parameters
    ----------
    stretch : LinearStretch or AsinhStretch
        Flux to [-1, 1].
    """

    stretch: LinearStretch | AsinhStretch

    @property
    def unit(self) -> float:
        """Flux per unit of the network's domain, for a linear image of the same range."""
        return (self.stretch.high - self.stretch.low) / 2

    def __call__(self, z: Tensor) -> Tensor:
        """Return the flux of ``z``."""
        return self.stretch.inverse(z)

    def inverse(self, value: Tensor) -> Tensor:
        """Return the stretched flux."""
        return self.stretch.forward(value)

    def precondition(self, z: Tensor, gradient: Tensor) -> Tensor:
        """Divide by the square of the local slope where the stretch is steeper than linear."""
        return gradient / (self.stretch.slope(z) / self.unit).clamp(min=1) ** 2


@dataclass(frozen=True)
class KernelMap(Identity):
    """Kernels: non-negative, sum one per plane, centroid at ``K // 2``.

    ``k = (z + 1) / 2`` divided by its sum, as in the published sampler, then moved so that its
    centroid is fixed; without that, a shift of the kernel and of the image cancel.

    Parameters
    ----------
    centred : bool
        Whether to fix the centroid (the published code does not).
    mixing : Tensor, (N, N), optional
        Rows that sum to one: the kernel of each node is this average of the nodes' kernels, which
        makes neighbours alike.
    """

    centred: bool = True
    mixing: Tensor | None = None

    def __call__(self, z: Tensor) -> Tensor:
        """Return the normalised kernels of ``z`` (B, N, K, K)."""
        positive = (0.5 * (z + 1)).clamp(min=0)
        kernel = positive / positive.sum(dim=(-2, -1), keepdim=True).clamp(min=1e-12)
        if self.mixing is not None:
            kernel = torch.einsum("mn,bnij->bmij", self.mixing.to(kernel), kernel)
        return recentre(kernel) if self.centred else kernel

    def inverse(self, value: Tensor) -> Tensor:
        """Return the kernel with its peak at one on [-1, 1]."""
        return 2 * value / value.amax(dim=(-2, -1), keepdim=True) - 1


@dataclass(frozen=True)
class TiltMap(Identity):
    """Tilt fields in pixels, zero mean over the field of each component.

    Parameters
    ----------
    scale : float
        Pixels per unit of the network's domain.
    """

    scale: float

    def __call__(self, z: Tensor) -> Tensor:
        """Return the displacement (B, 2, H, W) in pixels."""
        return self.scale * (z - z.mean(dim=(-2, -1), keepdim=True))

    def inverse(self, value: Tensor) -> Tensor:
        """Return the displacement on the network's domain."""
        return value / self.scale


@dataclass(frozen=True)
class Sparsity:
    """The sparsity term of the paper, on the kernel before it is normalised.

    ``weight * sum((k + eps)^order)`` with ``k = (z + 1) / 2``: on the normalised kernel, where
    the published code puts it, the first power sums to one whatever the kernel is.

    Parameters
    ----------
    weight : float
        The paper's lambda.
    order : float
        Power, in (0, 1].
    """

    weight: float = 1.0
    order: float = 1.0

    def __call__(self, z: Tensor) -> Tensor:
        """Return the penalty of each item, (B,)."""
        kernel = (0.5 * (z + 1)).clamp(min=0)
        return self.weight * ((kernel + 1e-3) ** self.order).flatten(1).sum(dim=1)


@dataclass(frozen=True)
class Unknown:
    """One unknown of an inverse problem.

    Parameters
    ----------
    prior : Prior
        Its denoiser.
    shape : tuple of int
        Shape (C, H, W) of one item on the network's domain.
    physical : Map
        From the domain to what the operator takes.
    weight : float
        Multiplies the sampler's guidance step for this unknown.
    penalty : callable, optional
        Extra cost of the clean estimate on the domain, (B, C, H, W) to (B,).
    clamp : (float, float), optional
        Range of the clean estimate; None for no limits.
    sites : sequence of Site, optional
        Absolute position of each of the C planes, for the noise; by default all planes start at
        the origin and are told apart by their number.

    Raises
    ------
    ConfigError
        If there is not one site for each plane.
    """

    prior: Prior
    shape: tuple[int, int, int]
    physical: Map = Identity()
    weight: float = 1.0
    penalty: Callable[[Tensor], Tensor] | None = None
    clamp: tuple[float, float] | None = (-1.0, 1.0)
    sites: Sequence[Site] = ()

    def __post_init__(self) -> None:
        planes = self.shape[0]
        if not self.sites:
            object.__setattr__(self, "sites", tuple(Site(component=c) for c in range(planes)))
        elif len(self.sites) != planes:
            raise ConfigError(
                f"{len(self.sites)} sites were given for an unknown of {planes} planes; give one for each"
            )
