"""One unit of work: what its chains know of its kernels, and its image once they are agreed on.

These are the only functions that turn pixels into posterior draws; they know a unit's number and
the job and nothing of who runs them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from blinddps_sci.engine.batches import Callback, abreast, in_batches
from blinddps_sci.engine.burst import restore_burst
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.scene import Scene, blind_scene, read_scene
from blinddps_sci.engine.unit_result import UnitResult
from blinddps_sci.errors import InputError
from blinddps_sci.likelihoods.base import chi2_map
from blinddps_sci.operators.base import Given, Operator
from blinddps_sci.operators.blur import NodeWindow
from blinddps_sci.sampling.consensus import consensus
from blinddps_sci.sampling.posterior import Posterior, Progress, Status, spread
from blinddps_sci.sampling.reconcile import KernelEstimate, KernelField, reconcile, structure
from blinddps_sci.sampling.sample import Sampler, sample
from blinddps_sci.sampling.split import Split
from blinddps_sci.sampling.unknown import Unknown

__all__ = ["estimate_unit", "restore_unit", "run_unit"]

_SECOND = 1 << 24
"""First sample number of the restoration, whose noise has to be independent of the estimation's."""


def run_unit(job: Job, number: int, callback: Callback | None = None) -> UnitResult:
    """Restore one unit from its own data alone; see `estimate_unit` and `restore_unit`."""
    if not job.estimates:
        return restore_unit(job, number, None, callback)
    estimate = estimate_unit(job, number, callback)
    field = reconcile([estimate], job.config.psf) if len(estimate.chains) else None
    return restore_unit(job, number, field, callback)


def estimate_unit(job: Job, number: int, callback: Callback | None = None) -> KernelEstimate:
    """Estimate the kernels of a unit: chains draw image and kernels together.

    Parameters
    ----------
    job : Job
        The restoration, blind and by the split sampler.
    number : int
        Which unit, from 0.
    callback : callable, optional
        Called after every step; an exception it raises ends the run.

    Returns
    -------
    KernelEstimate
        One kernel for each tile or one for all; of no chain if no pixel was measured.

    Raises
    ------
    InputError
        If no chain is finite.
    """
    scene = blind_scene(job, read_scene(job, number))
    if scene.kernel is None:
        raise AssertionError("a known PSF is not estimated")
    nodes = scene.tiles[: scene.kernel.shape[0]]
    places = torch.tensor([tile.index for tile in nodes])
    if scene.empty:
        return KernelEstimate(torch.zeros(0, *scene.kernel.shape), torch.zeros(len(nodes)), places)
    unknowns = {"image": scene.image, "kernel": scene.kernel}
    tell = callback and (lambda p: callback(replace(p, steps=2 * p.steps)))
    found = _draws(job, scene, scene.operator, unknowns, job.config.chains, 0, tell)
    pixels = int(scene.likelihood.count(scene.data).sum())
    agreed = consensus(found.samples["kernel"][:, 0], found.chi2[:, 0], pixels)
    if not bool(agreed.used.any()):
        raise InputError(f"unit {number}: {Status.NOT_FINITE.value}")
    return KernelEstimate(agreed.chains.cpu(), _evidence(scene, found, agreed.used).cpu(), places)


def _evidence(scene: Scene, found: Posterior, used: Tensor) -> Tensor:
    """Return how much the data say of each kernel, (N,), by the chains that are used."""
    with torch.no_grad():
        chains = scene.operator.forward({name: values[used, 0] for name, values in found.samples.items()})
        predicted = chains.mean(dim=0, keepdim=True)
        seen = structure(predicted, scene.likelihood.whitening(predicted, scene.data))[0, 0]
    return torch.stack([_within(seen, window) for window in scene.operator.windows])


def _within(values: Tensor, window: NodeWindow) -> Tensor:
    """Return the sum of values, (h, w), under a node's window."""
    rows = slice(window.y0, window.y0 + len(window.wy))
    columns = slice(window.x0, window.x0 + len(window.wx))
    weight = torch.from_numpy(np.outer(window.wy, window.wx)).to(values)
    return (weight * values[rows, columns]).sum()


def restore_unit(
    job: Job, number: int, field: KernelField | None, callback: Callback | None = None
) -> UnitResult:
    """Draw the image of a unit.

    Parameters
    ----------
    job : Job
        The restoration.
    number : int
        Which unit, from 0.
    field : KernelField, optional
        Its kernels, as many as it has tiles or one for all. Without it they are known, or the sampler
        finds them with the image.
    callback : callable, optional
        Called after every step; an exception it raises ends the run.

    Raises
    ------
    InputError
        If the draws are not finite.
    """
    if job.frames is not None:
        return restore_burst(job, number, callback)
    scene = read_scene(job, number)
    if scene.empty:
        return UnitResult.nothing(job, scene.unit, scene.window.mask)
    drawn = _drawn(job, scene, field, callback)
    if not bool(torch.isfinite(drawn.images).all()):
        raise InputError(f"unit {number}: {Status.NOT_FINITE.value}")
    level = job.channel_of(scene.unit).noise.saturation
    m, window = job.margin, scene.window
    kernels, kernels_std = (_of_every_tile(values, scene) for values in (drawn.mean, drawn.std))
    return UnitResult(
        unit=scene.unit,
        images=drawn.images[:, 0, m:-m, m:-m].cpu().numpy(),
        kernels=kernels[None],
        kernels_std=kernels_std[None],
        chi2=_chi2(scene, drawn)[None],
        mask=window.mask,
        saturated=np.zeros_like(window.mask) if level is None else (window.data >= level) & ~window.mask,
    )


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Images (S, 1, H, W), the kernels that each goes with (S or 1, N, K, K), their mean and spread."""

    images: Tensor
    kernels: Tensor
    mean: Tensor
    std: Tensor


def _drawn(job: Job, scene: Scene, field: KernelField | None, callback: Callback | None) -> _Drawn:
    if scene.kernel is not None and field is None:
        unknowns = {"image": scene.image, "kernel": scene.kernel}
        posterior = _draws(job, scene, scene.operator, unknowns, job.draws, 0, callback)
        found = posterior.samples["kernel"][:, 0]
        return _Drawn(posterior.samples["image"][:, 0], found, found.mean(dim=0), spread(found))
    if field is None:
        mean = torch.from_numpy(job.known_psf).to(job.device)[None]
        kernels, std, first, tell = mean[None], torch.zeros_like(mean), 0, callback
    else:
        mean, std = field.mean, field.std
        kernels, first = field.draws(job.draws).to(job.device), _SECOND
        steps = scene.sampler.steps

        def tell(progress: Progress) -> None:
            if callback is not None:
                last = progress.first + len(progress.estimates["image"])
                estimates = {**progress.estimates, "kernel": kernels[progress.first : last]}
                callback(replace(progress, step=steps + progress.step, steps=2 * steps, estimates=estimates))

    operator = Given(scene.operator, {"kernel": kernels})
    averaging = replace(scene, sampler=_averaging(scene.sampler)) if job.draws > 1 else scene
    posterior = _draws(job, averaging, operator, {"image": scene.image}, job.draws, first, tell)
    return _Drawn(posterior.about_mean("image")[:, 0], kernels, mean, std)


def _averaging(sampler: Sampler) -> Sampler:
    """Return a sampler whose chains know the posterior mean better than by their draws."""
    return replace(sampler, averaged=sampler.steps // 3) if isinstance(sampler, Split) else sampler


def _draws(
    job: Job,
    scene: Scene,
    operator: Operator,
    unknowns: dict[str, Unknown],
    count: int,
    first: int,
    callback: Callback | None,
) -> Posterior:
    """Return draws of the unknowns, numbered from ``first``, in batches that fit the memory."""

    def at_once(start: int, number: int, tell: Callback | None) -> Posterior:
        part = operator
        if isinstance(operator, Given) and number < count:
            kernels = operator.known["kernel"]
            if len(kernels) > 1:
                part = Given(operator.operator, {"kernel": kernels[start : start + number]})
        return sample(
            scene.data,
            part,
            scene.likelihood,
            unknowns,
            sampler=scene.sampler,
            seeds=[replace(scene.stream, sample=first + start)],
            samples=number,
            callback=tell and (lambda p: tell(replace(p, first=start))),
        )

    def draw(start: int, number: int) -> Posterior:
        if number == 1 or not job.abreast:
            return at_once(start, number, callback)
        return abreast(number, lambda n, tell: at_once(start + n, 1, tell), callback)

    return in_batches(count, draw, job.batch)


def _chi2(scene: Scene, drawn: _Drawn) -> np.ndarray:
    """Return reduced chi-squared of the draws over each tile, (N,); NaN where nothing was measured."""
    with torch.no_grad():
        operator = Given(scene.operator, {"kernel": drawn.kernels})
        predicted = operator.forward({"image": drawn.images})
        data = scene.data.expand_as(predicted)
        squares = chi2_map(scene.likelihood, predicted, data).nanmean(dim=0)[0].cpu().numpy()
    box = scene.unit.data
    parts = [squares[tile.box.intersect(box).within(box).slices] for tile in scene.tiles]
    means = [np.nanmean(part) if np.isfinite(part).any() else np.nan for part in parts]
    return np.array(means, dtype=np.float32)


def _of_every_tile(kernels: Tensor, scene: Scene) -> np.ndarray:
    """Return (N, K, K): one kernel for all tiles is repeated."""
    values = kernels.cpu().numpy()
    return np.broadcast_to(values, (len(scene.tiles), *values.shape[1:]))
