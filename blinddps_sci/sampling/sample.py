"""`sample`: draw every unknown of an inverse problem from its posterior."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from blinddps_sci.errors import ConfigError
from blinddps_sci.likelihoods.base import Likelihood, reduced_chi2
from blinddps_sci.operators.base import Operator
from blinddps_sci.sampling.noise import KeyedNoise, NoiseSource, Stream
from blinddps_sci.sampling.posterior import Chains, Posterior, Progress, Status
from blinddps_sci.sampling.unknown import Unknown

__all__ = ["Sampler", "sample"]


class Sampler(Protocol):
    """A posterior sampler; knows unknowns by name only."""

    @property
    def steps(self) -> int:
        """Evaluations of each prior."""
        ...

    def run(
        self,
        data: Tensor,
        operator: Operator,
        likelihood: Likelihood,
        unknowns: Mapping[str, Unknown],
        noise: NoiseSource,
        callback: Callable[[Progress], None] | None = None,
    ) -> Chains:
        """Run B chains."""
        ...


def sample(
    data: Tensor,
    operator: Operator,
    likelihood: Likelihood,
    unknowns: Mapping[str, Unknown],
    *,
    sampler: Sampler,
    seeds: Sequence[int | Stream],
    samples: int = 1,
    callback: Callable[[Progress], None] | None = None,
    noise: NoiseSource | None = None,
) -> Posterior:
    """Draw the unknowns of B independent problems from their posterior.

    Parameters
    ----------
    data : Tensor, (B, ...)
        What was measured, as the operator predicts it.
    operator : Operator
        Predicts the data from the unknowns in physical units.
    likelihood : Likelihood
        The noise. Maps it holds must broadcast over the items.
    unknowns : mapping of str to Unknown
        One for each input of the operator, under the operator's name for it.
    sampler : Sampler
        The method, e.g. `Dps`.
    seeds : sequence of int or Stream, (B,)
        One seed per problem; it fixes that problem's answer whatever the rest of the batch is.
    samples : int
        Draws S per problem; they are run as one batch.
    callback : callable, optional
        Called with a `Progress` after every step; an exception it raises ends the run.
    noise : NoiseSource, optional
        Draws to use instead of those that the seeds define.

    Returns
    -------
    Posterior
        Samples of shape (S, B, ...).

    Raises
    ------
    ConfigError
        If the unknowns are not the operator's inputs, there is not one seed per problem, or no
        sample is asked for.
    """
    _check(data, operator, unknowns, seeds, samples)
    streams = [s if isinstance(s, Stream) else Stream(s) for s in seeds]
    repeated = [replace(s, sample=s.sample + draw) for draw in range(samples) for s in streams]
    batch = data.repeat(samples, *(1,) * (data.ndim - 1))
    chains = sampler.run(batch, operator, likelihood, unknowns, noise or KeyedNoise(repeated), callback)
    with torch.no_grad():
        chi2 = reduced_chi2(likelihood, operator.forward(chains.values), batch)
    # The states too: a clamp hides an infinite chain in its estimate.
    finite = all(bool(torch.isfinite(v).all()) for v in (*chains.values.values(), *chains.states.values()))

    def by_draw(batched: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: v.reshape(samples, len(data), *v.shape[1:]) for name, v in batched.items()}

    return Posterior(
        samples=by_draw(chains.values),
        chi2=chi2.reshape(samples, len(data)),
        status=Status.COMPLETE if finite else Status.NOT_FINITE,
        evaluations=sampler.steps,
        states=by_draw(chains.states),
        means=by_draw(chains.means),
    )


def _check(
    data: Tensor,
    operator: Operator,
    unknowns: Mapping[str, Unknown],
    seeds: Sequence[int | Stream],
    samples: int,
) -> None:
    if set(unknowns) != set(operator.inputs):
        raise ConfigError(
            f"the operator takes {', '.join(operator.inputs)}; given {', '.join(unknowns) or 'nothing'}"
        )
    if len(seeds) != len(data):
        raise ConfigError(f"{len(data)} problems were given with {len(seeds)} seeds; give one seed each")
    if samples < 1:
        raise ConfigError(f"{samples} samples were asked for; give at least one")
