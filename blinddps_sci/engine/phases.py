"""Estimate, reconcile, restore: how the split sampler treats one unit.

Chains draw image and kernels together; their kernels are reconciled, over the chains and over the
field; the image is then drawn anew with these kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from blinddps_sci.likelihoods.base import Likelihood
from blinddps_sci.operators.base import Given, Operator
from blinddps_sci.sampling.consensus import Consensus, consensus
from blinddps_sci.sampling.noise import Stream
from blinddps_sci.sampling.posterior import Posterior, Progress
from blinddps_sci.sampling.sample import sample
from blinddps_sci.sampling.split import Split
from blinddps_sci.sampling.unknown import Unknown

__all__ = ["Phases", "restore_blind"]

_SECOND = 1 << 24
"""First sample number of the restoration, whose noise has to be independent of the estimation's."""

Callback = Callable[[Progress], None]


@dataclass(frozen=True)
class Phases:
    """How a unit is treated.

    Parameters
    ----------
    sampler : Split
        Of both phases.
    chains : int
        Chains C of the estimation.
    samples : int
        Draws S of the image.
    mixing : Tensor, (N, N), optional
        Rows that sum to one: the weights with which the kernels of neighbouring nodes are averaged.
    """

    sampler: Split
    chains: int
    samples: int
    mixing: Tensor | None = None


def restore_blind(
    data: Tensor,
    operator: Operator,
    likelihood: Likelihood,
    unknowns: Mapping[str, Unknown],
    stream: Stream,
    phases: Phases,
    callback: Callback | None = None,
) -> tuple[Posterior, Tensor, Consensus]:
    """Estimate the kernels of one problem, reconcile them, and draw the image.

    Parameters
    ----------
    data, operator, likelihood, unknowns
        As `sample` takes them, of one item; the unknowns are ``image`` and ``kernel``.
    stream : Stream
        Identity of the item, for the noise.
    phases : Phases
        How.
    callback : callable, optional
        Called after every step of both phases.

    Returns
    -------
    Posterior
        Draws of the image, (S, 1, ...).
    Tensor, (S, N, K, K)
        The kernels that they were drawn with.
    Consensus
        What the chains agree on.
    """
    steps = phases.sampler.steps
    found = sample(
        data,
        operator,
        likelihood,
        unknowns,
        sampler=phases.sampler,
        seeds=[stream],
        samples=phases.chains,
        callback=callback and (lambda p: callback(replace(p, steps=2 * steps))),
    )
    pixels = int(likelihood.count(data).sum())
    agreed = consensus(found.samples["kernel"][:, 0], found.chi2[:, 0], pixels, phases.mixing)
    kernels = agreed.draws(phases.samples)

    def second(progress: Progress) -> None:
        if callback is not None:
            estimates = {**progress.estimates, "kernel": kernels}
            callback(replace(progress, step=steps + progress.step, steps=2 * steps, estimates=estimates))

    posterior = sample(
        data,
        Given(operator, {"kernel": kernels}),
        likelihood,
        {"image": unknowns["image"]},
        sampler=phases.sampler,
        seeds=[replace(stream, sample=_SECOND)],
        samples=phases.samples,
        callback=second,
    )
    return posterior, kernels, agreed
