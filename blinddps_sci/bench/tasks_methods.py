"""How a task of `blinddps bench tasks` is solved: by draws from a posterior, or by a classical method.

Known operators go through `blinddps_sci.sample`. A kernel that is not known is found first, by chains that
draw image and kernel together; the image is then drawn given the kernel on which they agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from blinddps_sci.bench.methods import Outcome
from blinddps_sci.bench.tasks_problems import Problem
from blinddps_sci.engine.driver import Event
from blinddps_sci.engine.restore import restore
from blinddps_sci.engine.scene import FIRST_WIDTH, round_kernel
from blinddps_sci.errors import InputError
from blinddps_sci.operators.base import Given
from blinddps_sci.operators.stretch import LinearStretch
from blinddps_sci.priors.registry import load_prior
from blinddps_sci.sampling.consensus import consensus
from blinddps_sci.sampling.posterior import Posterior, Progress, Status
from blinddps_sci.sampling.sample import Sampler, sample
from blinddps_sci.sampling.unknown import ImageMap, KernelMap, Unknown

__all__ = ["Classical", "Drawn", "DrawnBlind", "Method", "Restored"]

Callback = Callable[[Progress], None]

Method = Callable[[Problem, int, Callback | None], Outcome]
"""From a problem, a seed and what is called after every step to what is found."""

_LAST_NOISE = 0.02


@dataclass(frozen=True)
class Classical:
    """A method without a learned prior.

    Parameters
    ----------
    solve : callable
        From a problem and a seed to an image (N, N), or to an image and a kernel (K, K).
    """

    solve: Callable[[Problem, int], Any]

    def __call__(self, problem: Problem, seed: int, callback: Callback | None = None) -> Outcome:
        """Return what it finds."""
        found = self.solve(problem, seed)
        return Outcome(*found) if isinstance(found, tuple) else Outcome(found)


@dataclass(frozen=True)
class Drawn:
    """The mean of draws from the posterior under the shipped image network, the operator being known.

    Parameters
    ----------
    sampler : Split or Dps
        The method.
    samples : int
        Draws.
    noise : float
        Noise of the first step of `Split`, on the network's domain.
    pull : float
        Factor of the image's step in `Dps`, which bounds it as if the operator kept the energy of an image.
    best : bool
        Whether the draw that fits the data best is taken instead of the mean, because draws differ by what
        the data cannot tell. The truth plays no part.
    """

    sampler: Sampler
    samples: int = 8
    noise: float = 1.0
    pull: float = 1.0
    best: bool = False

    def __call__(self, problem: Problem, seed: int, callback: Callback | None = None) -> Outcome:
        """Return what it finds."""
        unknowns = {"image": self.unknown(problem)}
        posterior = _draws(problem, unknowns, self.sampler, seed, self.samples, callback)
        if self.best:
            posterior = _best(posterior)
        m = problem.margin
        image = torch.nn.functional.pad(posterior.mean("image")[0, 0], (-m, -m, -m, -m))
        return Outcome(image.numpy(), draws=len(posterior.chi2), chi2=float(posterior.chi2.mean()))

    def unknown(self, problem: Problem) -> Unknown:
        """Return the image as an unknown between 0 and 1, with the shipped network of its domain."""
        network, _ = load_prior(problem.label, "image")
        stretch = ImageMap(LinearStretch(0.0, 1.0))
        noise = self.noise, _LAST_NOISE
        return Unknown(network, (1, *problem.canvas), stretch, noise_range=noise, weight=self.pull)


@dataclass(frozen=True)
class DrawnBlind:
    """A kernel from chains that agree, then the mean of draws of the image given it.

    Parameters
    ----------
    image : Drawn
        How the image is drawn, with an unknown kernel and with a known one.
    size : int
        Side of the kernel, pixels.
    chains : int
        Joint draws that the kernel is the mean of.
    """

    image: Drawn
    size: int
    chains: int = 4

    def __call__(self, problem: Problem, seed: int, callback: Callback | None = None) -> Outcome:
        """Return what it finds."""
        image = self.image.unknown(problem)
        network, _ = load_prior("shipped", "kernel")
        amplitude = KernelMap(centred=False, power=2)  # kernels are centred when all chains are there
        kernel = Unknown(
            network,
            (1, self.size, self.size),
            amplitude,
            start=amplitude.inverse(round_kernel(self.size, FIRST_WIDTH * self.size)),
            noise_range=(1.0, _LAST_NOISE),
        )
        joint = {"image": replace(image, detail=0.3), "kernel": kernel}
        chains = _draws(problem, joint, self.image.sampler, seed, self.chains)
        agreed = consensus(chains.samples["kernel"][:, 0], chains.chi2[:, 0], problem.data.numel())
        found = agreed.chains.mean(dim=0, keepdim=True).clamp(min=0)
        found = found / found.sum(dim=(-2, -1), keepdim=True)
        known = replace(problem, operator=Given(problem.operator, {"kernel": found}))
        return replace(self.image(known, seed, callback), kernel=found[0, 0].numpy())


@dataclass(frozen=True)
class Restored:
    """What `blinddps_sci.restore` finds, as a user calls it.

    Parameters
    ----------
    options : dict
        Of `restore`.
    """

    options: dict[str, Any]

    def __call__(self, problem: Problem, seed: int, callback: Callback | None = None) -> Outcome:
        """Return what it finds."""
        data = problem.data[0].numpy()
        found = restore(
            data[0] if len(data) == 1 else data,
            prior=problem.label,
            noise=f"gaussian:{float(problem.likelihood.noise_level(problem.data))}",
            seed=seed,
            callback=None if callback is None else _told(callback),
            **self.options,
        )
        kernel = found["psf_kernel"].mean(("frame", "channel", "node_y", "node_x")).values
        chi2 = float(np.nanmean(found["chi2"].values))
        return Outcome(np.squeeze(found["image"].values), kernel, chi2=chi2)


def _told(callback: Callback) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        if event.progress is not None:
            callback(event.progress)

    return tell


def _draws(
    problem: Problem,
    unknowns: dict[str, Unknown],
    sampler: Sampler,
    seed: int,
    samples: int,
    callback: Callback | None = None,
) -> Posterior:
    posterior = sample(
        problem.data,
        problem.operator,
        problem.likelihood,
        unknowns,
        sampler=sampler,
        seeds=[seed],
        samples=samples,
        callback=callback,
    )
    if posterior.status is not Status.COMPLETE:
        raise InputError(posterior.status.value)
    return posterior


def _best(posterior: Posterior) -> Posterior:
    """Return the draw that fits the data best."""
    return posterior.alone(int(posterior.chi2[:, 0].argmin()))
