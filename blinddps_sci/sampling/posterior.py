"""The result of sampling: draws, their mean and spread, and how the run ended.

Averages are taken in physical units, after every map is undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import torch
from torch import Tensor

__all__ = ["Chains", "Posterior", "Progress", "Status", "concatenate", "spread"]


class Status(Enum):
    """How a run ended, as a sentence."""

    COMPLETE = "Every step was taken."
    NOT_FINITE = (
        "A chain left the finite numbers and its samples are not valid; "
        "check the noise level given, or take more steps."
    )


@dataclass(frozen=True)
class Progress:
    """What a callback sees after each step.

    Parameters
    ----------
    step, steps : int
        Steps taken and steps in all.
    sigma : float
        Noise level of the step just taken.
    estimates : mapping
        Clean estimates in physical units by unknown, (S * B, ...), sample-major.
    states : mapping
        The chains after the step, on the network's domain.
    residual_norm : Tensor, (S * B,)
        Norm of the residual that guided the step, in units of the network's domain.
    first : int
        Number of the first of the draws at work, where they are made in several batches.
    abreast : int
        For how many times as many draws this one stands, which are made beside it in other threads.
    """

    step: int
    steps: int
    sigma: float
    estimates: Mapping[str, Tensor]
    states: Mapping[str, Tensor]
    residual_norm: Tensor
    first: int = 0
    abreast: int = 1


@dataclass(frozen=True)
class Chains:
    """What the chains of a sampler ended with, each (B, ...) by unknown.

    Parameters
    ----------
    values : mapping
        Draws in physical units.
    states : mapping
        The same on the networks' domains.
    means : mapping
        What each chain takes the posterior mean to be, in physical units: its draw, if it knows no better.
    """

    values: Mapping[str, Tensor]
    states: Mapping[str, Tensor]
    means: Mapping[str, Tensor]


@dataclass(frozen=True)
class Posterior:
    """Draws from a posterior.

    Parameters
    ----------
    samples : mapping
        Draws in physical units by unknown, (S, B, ...).
    chi2 : Tensor, (S, B)
        Reduced chi-squared of each draw; its expectation is one if model and noise are right.
    status : Status
        How the run ended.
    evaluations : int
        Calls of each prior.
    states : mapping
        The chains' last state on the network's domain, (S, B, ...).
    means : mapping
        What each chain takes the posterior mean to be, in physical units, (S, B, ...); its draw by default.
    """

    samples: Mapping[str, Tensor]
    chi2: Tensor
    status: Status
    evaluations: int
    states: Mapping[str, Tensor] = field(repr=False, default_factory=dict)
    means: Mapping[str, Tensor] = field(repr=False, default_factory=dict)

    def mean(self, unknown: str) -> Tensor:
        """Return the posterior mean of an unknown, (B, ...)."""
        return self.means.get(unknown, self.samples[unknown]).mean(dim=0)

    def std(self, unknown: str) -> Tensor:
        """Return the posterior standard deviation of an unknown, (B, ...); NaN for one sample."""
        return spread(self.samples[unknown])

    def about_mean(self, unknown: str) -> Tensor:
        """Return the draws of an unknown, (S, B, ...), moved so that their mean is the posterior mean.

        A single draw stays one.
        """
        draws = self.samples[unknown]
        return draws if len(draws) == 1 else draws + (self.mean(unknown) - draws.mean(dim=0))

    def alone(self, number: int) -> Posterior:
        """Return one of the draws, from 0, as a posterior of its own."""

        def taken(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: value[number : number + 1] for name, value in values.items()}

        return replace(
            self,
            samples=taken(self.samples),
            chi2=self.chi2[number : number + 1],
            states=taken(self.states),
            means=taken(self.means),
        )


def concatenate(parts: Sequence[Posterior]) -> Posterior:
    """Return the draws of all parts as one posterior, in their order."""

    def joined(values: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.cat([value[name] for value in values]) for name in values[0]}

    whole = all(part.status is Status.COMPLETE for part in parts)
    return Posterior(
        samples=joined([part.samples for part in parts]),
        chi2=torch.cat([part.chi2 for part in parts]),
        status=Status.COMPLETE if whole else Status.NOT_FINITE,
        evaluations=sum(part.evaluations for part in parts),
        states=joined([part.states for part in parts]),
        means=joined([part.means for part in parts]),
    )


def spread(draws: Tensor) -> Tensor:
    """Return the standard deviation over the first axis; NaN for a single draw."""
    return draws.std(dim=0) if len(draws) > 1 else torch.full_like(draws[0], torch.nan)
