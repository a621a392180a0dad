"""Unknowns: what is to be found, on the network's domain and in physical units.

An `Unknown` joins a prior to the map that takes its domain, about [-1, 1], to what the operator works with.
The samplers know unknowns by name only; a set of them that an operator accepts is a blind inverse problem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor

from blinddps_sci.errors import ConfigError
from blinddps_sci.operators.centroid import recentre
from blinddps_sci.operators.linear import linearise
from blinddps_sci.operators.stretch import AsinhStretch, LinearStretch
from blinddps_sci.priors.base import Prior
from blinddps_sci.priors.error import Root
from blinddps_sci.sampling.noise import Site

__all__ = ["Identity", "ImageMap", "KernelMap", "Local", "Map", "Sparsity", "TiltMap", "Unknown"]


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

    def local(self, estimate: Tensor, root: Root) -> Local:
        """Return the Gaussian about an estimate (B, C, H, W) of the domain, ready to be drawn from."""
        ...


@dataclass(frozen=True, eq=False)
class Local:
    """The clean unknown about its estimate: a Gaussian in a variable that suits the operator.

    Parameters
    ----------
    origin : Tensor, (B, C, H, W)
        Mean of the variable.
    root : Root
        Of its covariance.
    physical : callable
        From the variable to physical units.
    jacobian : callable
        From the variable to the derivative of ``physical`` there.
    domain : callable
        From the variable back to the network's domain.
    """

    origin: Tensor
    root: Root
    physical: Callable[[Tensor], Tensor]
    jacobian: Callable[[Tensor], Root]
    domain: Callable[[Tensor], Tensor]


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

    def local(self, estimate: Tensor, root: Root) -> Local:
        """Return the Gaussian on the domain itself."""
        return Local(estimate, root, self, self.jacobian, lambda z: z)

    def jacobian(self, z: Tensor) -> Root:
        """Return the derivative at ``z`` and its transpose, by automatic differentiation."""
        return _derivative(self, z)


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

    def local(self, estimate: Tensor, root: Root) -> Local:
        """Return the Gaussian in flux, in which the prediction is linear however the stretch bends.

        The stretch is linearised about the estimate, once, and its exponential never met.
        """
        slope = self.stretch.slope(estimate)
        flux = Root(lambda v: slope * root.apply(v), lambda v: root.adjoint(slope * v))
        return Local(self.stretch.inverse(estimate), flux, _unchanged, _flat, self.stretch.forward)


@dataclass(frozen=True)
class KernelMap(Identity):
    """Kernels: non-negative, sum one per plane, centroid at ``K // 2``.

    ``k = u^power`` divided by its sum, with ``u = (z + 1) / 2``, then moved so that its centroid is
    fixed; without that, a shift of the kernel and of the image cancel.

    Parameters
    ----------
    centred : bool
        Whether to fix the centroid (the published code does not).
    mixing : Tensor, (N, N), optional
        Rows that sum to one: the kernel of each node is this average of the nodes' kernels, which
        makes neighbours alike.
    power : 1 or 2
        1 for a domain of kernels, as in the published sampler, negative values cut off; 2 for a
        domain of amplitudes, whose squares are kernels.
    """

    centred: bool = True
    mixing: Tensor | None = None
    power: Literal[1, 2] = 1

    def __call__(self, z: Tensor) -> Tensor:
        """Return the normalised kernels of ``z`` (B, N, K, K)."""
        amplitude = 0.5 * (z + 1)
        positive = amplitude.clamp(min=0) if self.power == 1 else amplitude**2
        return self._shared(positive / positive.sum(dim=(-2, -1), keepdim=True).clamp(min=1e-12))

    def inverse(self, value: Tensor) -> Tensor:
        """Return the kernel, or its amplitude, with its peak at one on [-1, 1]."""
        scaled = value / value.amax(dim=(-2, -1), keepdim=True)
        return 2 * (scaled if self.power == 1 else scaled.clamp(min=0).sqrt()) - 1

    def local(self, estimate: Tensor, root: Root) -> Local:
        """Return the Gaussian in the kernels themselves, whose sums are one.

        In the kernel the prediction is linear. The mean and the variance of a square are those of a
        Gaussian amplitude (whose root has to be diagonal), and the Gaussian is conditioned on the sum and,
        if centred, on a centroid of zero: that of the kernel's middle, which faint wings cannot move.
        Draws may be negative where the kernel is faint; they are cut off on the way to the domain.
        """
        amplitude = 0.5 * (estimate + 1)
        deviation = 0.5 * root.apply(torch.ones_like(estimate))
        if self.power == 2:
            mean = amplitude**2 + deviation**2
            deviation = (4 * amplitude**2 + 2 * deviation**2).sqrt() * deviation
        else:
            mean = amplitude.clamp(min=0)
        total = mean.sum(dim=(-2, -1), keepdim=True).clamp(min=1e-3)  # of a kernel it is above one
        origin, root = _conditioned(mean / total, deviation / total, _gauges(estimate, self.centred))
        peak = origin.amax(dim=(-2, -1), keepdim=True) / _moment_peak(origin)

        def domain(kernel: Tensor) -> Tensor:
            # A noisy maximum is too high; a ratio of moments is not, and is corrected by its own bias.
            scaled = (kernel / (peak * _moment_peak(kernel))).clamp(min=0)
            return 2 * (scaled if self.power == 1 else scaled.sqrt()) - 1

        if self.mixing is None:
            return Local(origin, root, _unchanged, _flat, domain)
        return Local(origin, root, self._mixed, partial(_derivative, self._mixed), domain)

    def _shared(self, kernel: Tensor) -> Tensor:
        """Return normalised kernels (B, N, K, K) mixed and centred as asked for."""
        kernel = self._mixed(kernel)
        return recentre(kernel) if self.centred else kernel

    def _mixed(self, kernel: Tensor) -> Tensor:
        if self.mixing is None:
            return kernel
        return torch.einsum("mn,bnij->bmij", self.mixing.to(kernel), kernel)


_MIDDLE = 6.0
"""Side of a kernel over the deviation of the window under which its centroid is fixed in a draw."""


def _gauges(kernel: Tensor, centred: bool) -> Tensor:
    """Return what is fixed of a kernel (..., K, K) as weights (C, K, K): its sum, and moments."""
    size = kernel.shape[-1]
    whole = torch.ones(size, size, device=kernel.device, dtype=kernel.dtype)
    if not centred:
        return whole[None]
    place = (torch.arange(size, device=kernel.device) - size // 2) * (_MIDDLE / size)
    place = place.to(kernel)
    window = torch.exp(-0.5 * place**2)
    moment = torch.outer(place * window, window)
    return torch.stack([whole, moment, moment.T])


def _conditioned(origin: Tensor, deviation: Tensor, gauges: Tensor) -> tuple[Tensor, Root]:
    """Condition independent Gaussians (..., K, K) on their sum being one, and on further sums being zero."""
    # Sums of products and not matrix products, whose order and so rounding depend on the batch.
    variance = deviation**2

    def sums(values: Tensor) -> Tensor:
        return torch.stack([(values * gauge).sum(dim=(-2, -1)) for gauge in gauges], dim=-1)

    gram = torch.stack([sums(variance * gauge) for gauge in gauges], dim=-1)
    inverse = torch.linalg.inv(gram.double()).to(gram)

    def spread(values: Tensor) -> Tensor:
        factors = (inverse * values[..., None, :]).sum(dim=-1)
        parts = [factors[..., a, None, None] * gauge for a, gauge in enumerate(gauges)]
        return torch.stack(parts).sum(dim=0)

    excess = sums(origin)
    excess[..., 0] -= 1

    def apply(v: Tensor) -> Tensor:
        change = deviation * v
        return change - variance * spread(sums(change))

    def adjoint(v: Tensor) -> Tensor:
        return deviation * (v - spread(sums(variance * v)))

    return origin - variance * spread(excess), Root(apply, adjoint)


def _moment_peak(values: Tensor) -> Tensor:
    """Return ``sum v^3 / sum v^2``, (..., 1, 1): a peak that noise hardly moves; positive in any case."""
    squares = values**2
    ratio = (squares * values).sum(dim=(-2, -1), keepdim=True) / squares.sum(dim=(-2, -1), keepdim=True)
    return torch.maximum(ratio, 1e-3 * values.abs().amax(dim=(-2, -1), keepdim=True))


def _unchanged(value: Tensor) -> Tensor:
    return value


def _flat(value: Tensor) -> Root:
    """Return the derivative of a map that changes nothing."""
    return Root(_unchanged, _unchanged)


def _derivative(function: Callable[[Tensor], Tensor], z: Tensor) -> Root:
    linear = linearise(lambda values: function(values["z"]), {"z": z})
    return Root(lambda v: linear.apply({"z": v}), lambda v: linear.adjoint(v, ("z",))["z"])


@dataclass(frozen=True)
class TiltMap(Identity):
    """Tilt fields in pixels, without what a shift or a warp of the scene would undo.

    Of one frame the mean over the field is taken out; of F frames the mean at every node is given.

    Parameters
    ----------
    scale : float
        Pixels per unit of the network's domain.
    frames : int
        F.
    free : bool
        Whether nothing is taken out, because the scene is known.
    mean : (float, float)
        Of dy and dx over the frames, pixels; zero unless the scene lies where other frames have it.
    """

    scale: float = 1.0
    frames: int = 1
    free: bool = False
    mean: tuple[float, float] = (0.0, 0.0)

    def __call__(self, z: Tensor) -> Tensor:
        """Return the displacements (B, F * 2, n_y, n_x), dy and dx of frame after frame."""
        return self._linear(z) + self._means(z)

    def inverse(self, value: Tensor) -> Tensor:
        """Return the displacement on the network's domain."""
        return (value - self._means(value)) / self.scale

    def jacobian(self, z: Tensor) -> Root:
        """Return the derivative, which is symmetric."""
        return Root(self._linear, self._linear)

    def _linear(self, z: Tensor) -> Tensor:
        if self.free:
            return self.scale * z
        if self.frames == 1:
            return self.scale * (z - z.mean(dim=(-2, -1), keepdim=True))
        by_frame = z.reshape(len(z), self.frames, 2, *z.shape[-2:])
        return self.scale * (by_frame - by_frame.mean(dim=1, keepdim=True)).reshape(z.shape)

    def _means(self, like: Tensor) -> Tensor:
        return like.new_tensor(self.mean).repeat(self.frames)[:, None, None]


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
    start : Tensor, (1, C, H, W) or (B, C, H, W), optional
        Where on the domain a chain begins, before its first noise is added; zero by default.
    noise_range : (float, float)
        Noise of the first and of the last step of samplers that choose their own levels.
    detail : float
        Spread of the prior's draws about which `Split` first linearises, in standard deviations.
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
    start: Tensor | None = None
    noise_range: tuple[float, float] = (20.0, 0.02)
    detail: float = 1.0
    sites: Sequence[Site] = ()

    def __post_init__(self) -> None:
        planes = self.shape[0]
        if not self.sites:
            object.__setattr__(self, "sites", tuple(Site(component=c) for c in range(planes)))
        elif len(self.sites) != planes:
            raise ConfigError(
                f"{len(self.sites)} sites were given for an unknown of {planes} planes; give one for each"
            )
