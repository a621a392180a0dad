"""BlindDPS: parallel reverse diffusion, coupled by the likelihood's gradient.

Every unknown has its own chain. At each step all chains are denoised, the operator predicts
the data from the estimates, one back-propagation through operator and networks gives the
gradient of every chain, and all are moved at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from blinddps_sci.errors import ConfigError
from blinddps_sci.likelihoods.base import Likelihood
from blinddps_sci.operators.base import Operator
from blinddps_sci.priors.base import LearnedVariancePrior, broadcast_sigma
from blinddps_sci.sampling.noise import NoiseSource, Role
from blinddps_sci.sampling.posterior import Chains, Progress
from blinddps_sci.sampling.schedule import LinearVP, sigma_of
from blinddps_sci.sampling.unknown import Unknown

__all__ = ["Dps"]

Rule = Literal["sqrt-abar", "constant"]
Variance = Literal["small", "large", "learned"]

_RULES, _VARIANCES = get_args(Rule), get_args(Variance)
_PUBLISHED_STEPS = 1000
_PUBLISHED_SIZE = 3 * 256 * 256


@dataclass(frozen=True)
class _Level:
    """Numbers of one ancestral step from ``abar`` to ``abar_next`` (variance-preserving)."""

    abar: float
    from_estimate: float
    from_state: float
    log_beta: float
    log_beta_tilde: float

    @property
    def sigma(self) -> float:
        return sigma_of(self.abar)


def _ladder(abar: np.ndarray) -> list[_Level]:
    cleaner = np.append(abar[1:], 1.0)
    beta = 1 - abar / cleaner
    tilde = beta * (1 - cleaner) / (1 - abar)
    # The last step adds no noise; its variance is only there to be interpolated in the log.
    tilde[-1] = tilde[-2] if len(tilde) > 1 else beta[-1]
    from_estimate = beta * np.sqrt(cleaner) / (1 - abar)
    from_state = (1 - cleaner) * np.sqrt(1 - beta) / (1 - abar)
    rows = zip(abar, from_estimate, from_state, np.log(beta), np.log(tilde), strict=True)
    return [_Level(*map(float, row)) for row in rows]


@dataclass(frozen=True)
class Dps:
    """The parallel reverse diffusion of BlindDPS.

    ``x_{t-1} = ancestral(x_t, x0hat) - zeta_t * grad_{x_t} ||y - A(x0hat, k0hat, ...)||``,
    the same for every unknown, with one norm per item.

    Parameters
    ----------
    steps : int
        Network evaluations. The guidance per step is scaled by 1000 / steps, so that fewer
        steps pull as hard in all.
    weight : float
        The constant of the step rule; multiplied by each unknown's own weight.
    rule : 'sqrt-abar' or 'constant'
        ``zeta_t`` proportional to ``sqrt(abar_t)`` (the released code) or constant (the paper).
    variance : 'small', 'large' or 'learned'
        Variance of the ancestral step; 'learned' asks the network.
    unit : float
        Data units per unit of the network's domain; the published algorithm has one.
    size_invariant : bool
        Scale the norm by ``sqrt(pixels / (3 x 256 x 256))``, so that the guidance of a pixel depends
        on the residuals about it and not on how large the image is. Equal to the published norm
        for an image of that size.
    bounded : bool
        Shorten the step where it would carry an image past the least-squares fit. Without it the
        residual cannot fall below the length of a step, however low the noise is.
    levels : ndarray, optional
        ``abar`` of every step, noisiest first; by default the continuous linear schedule. Their
        number replaces ``steps``, and the guidance is not scaled by it.

    Raises
    ------
    ConfigError
        If the steps are none, the unit is not positive, the levels do not rise, or rule or variance
        has another name.

    Notes
    -----
    The estimate of the likelihood's gradient, ``grad log p(y | x_t) ~ grad log p(y | x0hat)``,
    is biased: with an exact Gaussian prior the chain's mean and variance differ from the
    posterior's. See ``docs/method.md``.

    References
    ----------
    H. Chung, J. Kim, S. Kim, J. C. Ye, "Parallel diffusion models of operator and image for blind
    inverse problems", CVPR 2023, arXiv:2211.10656, algorithms 1 and 2.
    """

    steps: int = _PUBLISHED_STEPS
    weight: float = 1.0
    rule: Rule = "sqrt-abar"
    variance: Variance = "small"
    unit: float = 1.0
    size_invariant: bool = True
    bounded: bool = True
    levels: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.levels is not None:
            object.__setattr__(self, "steps", len(self.levels))
        if self.steps < 1 or not self.unit > 0:
            raise ConfigError(
                f"{self.steps} steps with the unit {self.unit!r}: give at least one step and a positive unit"
            )
        if self.levels is not None and not (
            self.levels[0] > 0 and self.levels[-1] < 1 and (np.diff(self.levels) > 0).all()
        ):
            raise ConfigError(
                f"{self.steps} levels from {self.levels[0]:g} to {self.levels[-1]:g}: give values of abar "
                "that rise from above 0 to below 1"
            )
        for name, value, allowed in (("rule", self.rule, _RULES), ("variance", self.variance, _VARIANCES)):
            if value not in allowed:
                raise ConfigError(f"unknown {name} {value!r}; give one of {', '.join(allowed)}")

    def ladder(self) -> list[_Level]:
        """Return the steps' coefficients, noisiest first."""
        if self.levels is not None:
            return _ladder(np.asarray(self.levels, dtype=np.float64))
        return _ladder(LinearVP().levels(self.steps))

    def run(
        self,
        data: Tensor,
        operator: Operator,
        likelihood: Likelihood,
        unknowns: Mapping[str, Unknown],
        noise: NoiseSource,
        callback: Callable[[Progress], None] | None = None,
    ) -> Chains:
        """Run the chains; their draws are the last clean estimates.

        See `blinddps_sci.sampling.sample` for the arguments; ``data`` is (B, ...).
        """
        ladder = self.ladder()
        scale = self.weight * (1.0 if self.levels is not None else _PUBLISHED_STEPS / self.steps)
        size = self._size(data, likelihood)
        states = {}
        for name, unknown in unknowns.items():
            like = torch.empty((len(data), *unknown.shape), device=data.device, dtype=data.dtype)
            states[name] = noise(name, Role.START, 0, unknown.sites, like)
        physical: dict[str, Tensor] = {}
        for index, level in enumerate(ladder):
            with torch.enable_grad():
                inputs = {name: state.detach().requires_grad_() for name, state in states.items()}
                estimates, log_variances = self._denoise(inputs, unknowns, level)
                values = {name: unknowns[name].physical(z0) for name, z0 in estimates.items()}
                norm = self._norm(data, operator, likelihood, values)
                penalties = [u.penalty(estimates[name]) for name, u in unknowns.items() if u.penalty]
                objective = norm * size + sum(penalties, torch.zeros_like(norm))
                gradients = torch.autograd.grad(objective.sum(), list(inputs.values()))
            step = scale * (np.sqrt(level.abar) if self.rule == "sqrt-abar" else 1.0)
            pull = torch.full_like(norm, step)
            if self.bounded:
                pull = torch.minimum(pull, norm.detach() / size)
            last = index == len(ladder) - 1
            for (name, unknown), gradient in zip(unknowns.items(), gradients, strict=True):
                z0 = estimates[name].detach()
                guidance = unknown.weight * unknown.physical.precondition(z0, gradient)
                guided = broadcast_sigma(pull, guidance) * guidance
                state = level.from_estimate * z0 + level.from_state * states[name] - guided
                if not last:
                    draw = noise(name, Role.ANCESTRAL, index, unknown.sites, state)
                    state = state + torch.exp(0.5 * log_variances[name].detach()) * draw
                states[name] = state
            physical = {name: value.detach() for name, value in values.items()}
            if callback is not None:
                taken = dict(states)
                callback(Progress(index + 1, len(ladder), level.sigma, physical, taken, norm.detach()))
        return Chains(physical, states, physical)

    def _denoise(
        self, states: Mapping[str, Tensor], unknowns: Mapping[str, Unknown], level: _Level
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the clean estimates and the log variances of the ancestral step, by unknown."""
        estimates, log_variances = {}, {}
        for name, unknown in unknowns.items():
            state = states[name]
            sigma = torch.full((len(state),), level.sigma, device=state.device, dtype=state.dtype)
            scaled = state / np.sqrt(level.abar)
            if self.variance == "learned":
                if not isinstance(unknown.prior, LearnedVariancePrior):
                    raise ConfigError(f"the prior of {name!r} learned no variance; choose 'small' or 'large'")
                z0, v = unknown.prior.with_variance(scaled, sigma)
                fraction = (v + 1) / 2
                log_variance = fraction * level.log_beta + (1 - fraction) * level.log_beta_tilde
            else:
                z0 = unknown.prior(scaled, sigma)
                value = level.log_beta_tilde if self.variance == "small" else level.log_beta
                log_variance = state.new_tensor(value)
            estimates[name] = z0 if unknown.clamp is None else z0.clamp(*unknown.clamp)
            log_variances[name] = log_variance
        return estimates, log_variances

    def _norm(
        self, data: Tensor, operator: Operator, likelihood: Likelihood, values: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the norm of the noise-weighted residual, (B,), in units of the network's domain."""
        whitened = likelihood.residual(operator.forward(values), data).flatten(1)
        norm: Tensor = torch.linalg.vector_norm(whitened, dim=1)
        return norm * likelihood.noise_level(data) / self.unit

    def _size(self, data: Tensor, likelihood: Likelihood) -> Tensor:
        """Return the factor (B,) by which the norm is scaled for the number of observed pixels."""
        if not self.size_invariant:
            return torch.ones(len(data), device=data.device, dtype=data.dtype)
        # An item without an observed pixel has no pull, whatever its size.
        return (likelihood.count(data).clamp(min=1) / _PUBLISHED_SIZE).sqrt().to(data)
