"""Annealed alternating sampling: denoise, draw given the data, add the next level's noise.

No network is differentiated. At every noise level each unknown is denoised by its own prior; the
clean unknowns are then drawn from the product of the priors' Gaussians about these estimates and the
likelihood, by perturbed least squares; noise of the next, lower level is added to the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from blinddps_sci.errors import ConfigError
from blinddps_sci.likelihoods.base import Likelihood
from blinddps_sci.operators.base import Operator
from blinddps_sci.operators.linear import Linear, linearise_operator
from blinddps_sci.priors.error import Root, error_root
from blinddps_sci.sampling.least_squares import Block, conjugate_gradients
from blinddps_sci.sampling.noise import NoiseSource, Role, Site
from blinddps_sci.sampling.posterior import Chains, Progress
from blinddps_sci.sampling.schedule import karras_levels
from blinddps_sci.sampling.unknown import Local, Unknown

__all__ = ["Split"]


@dataclass(frozen=True)
class Split:
    """Split sampling of any number of unknowns.

    Parameters
    ----------
    steps : int
        Noise levels, and evaluations of each prior.
    sweeps : int
        Further passes after a level's draws: the others given the first unknown, then the first given them.
    iterations : int
        Conjugate gradients of a solution, at most.
    tolerance : float
        Error of a solution, in standard deviations of the prior's draws, at which its iterations may
        end; 0 makes all of them, which never waits for the device.
    averaged : int
        Last levels whose conditional means of the first unknown, given the others, are averaged into what a
        chain takes the posterior mean to be; 0 takes its draw.
    widest : float
        Factor by which the variance of the first unknown's error is at most taken to exceed what its prior
        says, where the estimates fit the data too badly for it; 1 takes the prior's word.
    sites : sequence of Site, optional
        Absolute position of each plane of the data, for the noise that perturbs them; by default
        all planes start at the origin.

    Raises
    ------
    ConfigError
        If a number is out of its range.

    Notes
    -----
    With ``z0_i`` the denoised unknowns, ``L_i`` the roots of their errors' covariances
    (`blinddps_sci.priors.error`) and ``z_i = z0_i + L_i w_i``, a level draws from

    ``p(w) ~ exp(-1/2 sum_i |w_i|^2) p(y | A(z_0 + L_0 w_0, ...))``.

    First all ``w_i`` jointly, the operator being linearised about a draw of the priors: an unknown
    thus knows how uncertain the others are, and a kernel how much detail the image must have. Then the
    first unknown is drawn given the others, about the last draw; and ``sweeps`` times the others given
    it, and it given them. A draw solves ``(1 + J^T J) w = o + J^T (r + n + J w_c)`` with J the
    whitened Jacobian and r the whitened residual at ``w_c``, and o, n standard normal, which is exact
    where the operator is linear in the unknown and the noise Gaussian, and a Laplace approximation
    elsewhere. What is drawn is not ``z`` but the variable of `Map.local`, e.g. the flux.

    Of a network, L is measured on examples plus noise, and the states of a chain are not exactly that: its
    error may be larger, by a factor f of the variance that differs from image to image. With r the whitened
    residual of n pixels at the estimates and p_i white noise, ``E |r|^2 = n + f |J_0 L_0 p_0|^2 + sum_{i > 0}
    |J_i L_i p_i|^2``, which tells f before anything is drawn; less so where the scatter of ``|r|^2``,
    ``sqrt(2 n)``, hides it, and there f is shrunk to 1.

    References
    ----------
    B. Zhang et al., "Improving diffusion inverse problem solving with decoupled noise annealing",
    arXiv:2407.01521 (annealing by conditional draws and renoising). G. Papandreou, A. Yuille,
    "Gaussian sampling by local perturbations", NeurIPS 2010 (draws by perturbed least squares).
    """

    steps: int = 40
    sweeps: int = 0
    iterations: int = 80
    tolerance: float = 0.015
    averaged: int = 0
    widest: float = 1.0
    sites: Sequence[Site] = ()

    def __post_init__(self) -> None:
        for name, value, least in (
            ("steps", self.steps, 2),
            ("sweeps", self.sweeps, 0),
            ("iterations", self.iterations, 1),
            ("tolerance", self.tolerance, 0),
            ("averaged", self.averaged, 0),
            ("widest", self.widest, 1),
        ):
            if value < least:
                raise ConfigError(f"{name} is {value}; give at least {least}")

    @torch.no_grad()
    def run(
        self,
        data: Tensor,
        operator: Operator,
        likelihood: Likelihood,
        unknowns: Mapping[str, Unknown],
        noise: NoiseSource,
        callback: Callable[[Progress], None] | None = None,
    ) -> Chains:
        """Run the chains.

        See `blinddps_sci.sampling.sample` for the arguments; ``data`` is (B, ...).
        """
        levels = {name: karras_levels(self.steps, *u.noise_range) for name, u in unknowns.items()}
        states: Block = {}
        for name, unknown in unknowns.items():
            like = torch.empty((len(data), *unknown.shape), device=data.device, dtype=data.dtype)
            start = 0.0 if unknown.start is None else unknown.start.to(data)
            states[name] = start + levels[name][0] * noise(name, Role.START, 0, unknown.sites, like)
        first = next(iter(unknowns))
        values: Block = {}
        draws: Block = {}
        means: list[Tensor] = []
        for step in range(self.steps):
            level = _Level(data, operator, likelihood, unknowns, self.iterations, self.tolerance)
            for name in unknowns:
                level.denoise(name, states[name], float(levels[name][step]))
            perturbation = _Perturbation(noise, unknowns, self.sites, step)
            if self.widest > 1:
                level.widen(first, self.widest, perturbation)
            values, draws = level.draw(self._passes(unknowns), perturbation)
            if self.steps - step <= self.averaged:
                means.append(level.mean(first))
            if step + 1 < self.steps:
                for name, unknown in unknowns.items():
                    fresh = noise(name, Role.RENOISE, step, unknown.sites, draws[name])
                    states[name] = draws[name] + levels[name][step + 1] * fresh
            else:
                states = draws
            if callback is not None:
                sigma = max(float(level_of[step]) for level_of in levels.values())
                callback(Progress(step + 1, self.steps, sigma, level.physical(), dict(states), level.norm))
        mean = torch.stack(means).mean(dim=0) if means else values[first]
        return Chains(values, draws, {**values, first: mean})

    def _passes(self, unknowns: Mapping[str, Unknown]) -> list[tuple[str, ...]]:
        """Return which unknowns are drawn together, in order: all, then the first given the others."""
        first, *others = unknowns
        if not others:
            return [(first,)]
        return [tuple(unknowns), (first,), *([tuple(others), (first,)] * self.sweeps)]


@dataclass(frozen=True)
class _Perturbation:
    """The standard normal draws of one level, a fresh one for each pass."""

    noise: NoiseSource
    unknowns: Mapping[str, Unknown]
    sites: Sequence[Site]
    step: int

    _PASSES = 1 << 12

    def of(self, name: str, number: int, like: Tensor) -> Tensor:
        step = self.step * self._PASSES + number
        return self.noise(name, Role.PRIOR, step, self.unknowns[name].sites, like)

    def probe(self, name: str, like: Tensor) -> Tensor:
        return self.noise(name, Role.PROBE, self.step, self.unknowns[name].sites, like)

    def of_data(self, number: int, like: Tensor) -> Tensor:
        planes = like if like.ndim == 4 else like.reshape(len(like), 1, 1, -1)
        sites = self.sites or [Site(component=c) for c in range(planes.shape[1])]
        step = self.step * self._PASSES + number
        return self.noise("data", Role.DATA, step, sites, planes).reshape(like.shape)


class _Level:
    """One noise level: the estimates, their errors' roots, and the draws about them."""

    def __init__(
        self,
        data: Tensor,
        operator: Operator,
        likelihood: Likelihood,
        unknowns: Mapping[str, Unknown],
        iterations: int,
        tolerance: float,
    ) -> None:
        self.data, self.operator, self.likelihood = data, operator, likelihood
        self.unknowns, self.iterations, self.tolerance = unknowns, iterations, tolerance
        self.estimates: Block = {}
        self.locals: dict[str, Local] = {}
        self.draws: Block = {}
        self.whitened: Block = {}
        self.norm = data.new_zeros(len(data))

    def denoise(self, name: str, state: Tensor, sigma: float) -> None:
        """Set an unknown's estimate and its error's root from its state (B, C, H, W)."""
        unknown = self.unknowns[name]
        z0 = unknown.prior(state, torch.full((len(state),), sigma, device=state.device, dtype=state.dtype))
        self.estimates[name] = z0 if unknown.clamp is None else z0.clamp(*unknown.clamp)
        root = error_root(unknown.prior, self.estimates[name], sigma)
        self.locals[name] = unknown.physical.local(self.estimates[name], root)

    def physical(self) -> Block:
        """Return the estimates in physical units."""
        return {name: u.physical(self.estimates[name]) for name, u in self.unknowns.items()}

    def widen(self, name: str, widest: float, perturbation: _Perturbation) -> None:
        """Widen an unknown's error until it and the others' explain how far the data lie."""
        origins = {other: local.origin for other, local in self.locals.items()}
        jacobian, residual, active = self._about(tuple(self.locals), origins)
        power = {
            other: _square(jacobian.apply({other: perturbation.probe(other, origin)}))
            for other, origin in origins.items()
        }
        count = active.flatten(1).sum(dim=1)
        excess = _square(residual) - count - sum(power.values())
        own = power[name]
        # excess / own where the scatter of the residual is small beside it, and zero where it is large
        more = own * excess / (own**2 + 2 * count).clamp(min=torch.finfo(own.dtype).tiny)
        widening = (1 + more).clamp(1, widest).sqrt()
        self.locals[name] = _widened(self.locals[name], widening.reshape(-1, 1, 1, 1))

    def draw(self, passes: Iterable[tuple[str, ...]], perturbation: _Perturbation) -> tuple[Block, Block]:
        """Return draws of all unknowns, pass by pass: in physical units, and on their domains."""
        # The first linearisation is about a draw of the priors and not about their estimates, which
        # are too smooth: what the data lack in detail then tells of the blur.
        whitened = {
            name: self.unknowns[name].detail * perturbation.of(name, 0, z0)
            for name, z0 in self.estimates.items()
        }
        draws = {name: local.origin + local.root.apply(whitened[name]) for name, local in self.locals.items()}
        for number, names in enumerate(passes):
            fresh = {name: perturbation.of(name, number, whitened[name]) for name in names}
            data_noise = perturbation.of_data(number, self.data)
            found, self.norm = self._solve(names, draws, whitened, fresh, data_noise)
            whitened |= found
            for name, w in found.items():
                draws[name] = self.locals[name].origin + self.locals[name].root.apply(w)
        self.draws, self.whitened = draws, whitened
        physical = {name: local.physical(draws[name]) for name, local in self.locals.items()}
        return physical, {name: local.domain(draws[name]) for name, local in self.locals.items()}

    def mean(self, name: str) -> Tensor:
        """Return an unknown's conditional mean given the draws of the others, in physical units."""
        still = {name: torch.zeros_like(self.whitened[name])}
        found, _ = self._solve((name,), self.draws, self.whitened, still, torch.zeros_like(self.data))
        local = self.locals[name]
        return local.physical(local.origin + local.root.apply(found[name]))

    def _about(self, names: tuple[str, ...], point: Mapping[str, Tensor]) -> tuple[_Whitened, Tensor, Tensor]:
        """Return the whitened Jacobian at ``point``, the whitened residual, and where (bool) it counts."""
        values = {name: local.physical(point[name]) for name, local in self.locals.items()}
        linear = linearise_operator(self.operator, values)
        slopes = {name: self.locals[name].jacobian(point[name]) for name in names}
        residual = self.likelihood.residual(linear.value, self.data)
        active = self.likelihood.active(linear.value, self.data)
        weight = torch.where(active, self.likelihood.whitening(linear.value, self.data), 0.0)
        roots = {name: self.locals[name].root for name in names}
        return _Whitened(linear, slopes, roots, weight), residual, active

    def _solve(
        self,
        names: tuple[str, ...],
        point: Mapping[str, Tensor],
        whitened: Mapping[str, Tensor],
        fresh: Block,
        data_noise: Tensor,
    ) -> tuple[Block, Tensor]:
        """Return a draw of the whitened ``names``, linearised about ``point``, and the residual's norm."""
        jacobian, residual, active = self._about(names, point)
        current = {name: whitened[name] for name in names}
        target = residual + torch.where(active, data_noise, 0.0) + jacobian.apply(current)
        pulled = jacobian.adjoint(target)

        def matrix(block: Mapping[str, Tensor]) -> Block:
            back = jacobian.adjoint(jacobian.apply(block))
            return {name: block[name] + back[name] for name in names}

        right = {name: fresh[name] + pulled[name] for name in names}
        found = conjugate_gradients(matrix, right, fresh, self.iterations, self.tolerance)
        return found, torch.linalg.vector_norm(residual.flatten(1), dim=1)


@dataclass(frozen=True, eq=False)
class _Whitened:
    """The Jacobian of the whitened prediction with respect to whitened unknowns."""

    linear: Linear
    slopes: Mapping[str, Root]
    roots: Mapping[str, Root]
    weight: Tensor

    def apply(self, block: Mapping[str, Tensor]) -> Tensor:
        changes = {name: self.slopes[name].apply(self.roots[name].apply(w)) for name, w in block.items()}
        return self.weight * self.linear.apply(changes)

    def adjoint(self, residual: Tensor) -> Block:
        back = self.linear.adjoint(self.weight * residual, self.roots)
        return {
            name: root.adjoint(self.slopes[name].adjoint(back[name])) for name, root in self.roots.items()
        }


def _widened(local: Local, widening: Tensor) -> Local:
    """Return the Gaussian with the deviation of each item multiplied by ``widening``, (B, 1, 1, 1)."""
    root = local.root
    return replace(local, root=Root(lambda w: widening * root.apply(w), lambda v: root.adjoint(widening * v)))


def _square(values: Tensor) -> Tensor:
    """Return the sum of squares of each item, (B,)."""
    return values.flatten(1).square().sum(dim=1)
