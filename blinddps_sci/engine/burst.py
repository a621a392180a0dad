"""One unit of a burst: all frames of a region, restored to one scene.

The scene, a kernel for every frame and tile and a tilt for every frame and node are drawn together. They are
annealed from the registered mean of the frames with one kernel for each; the kernels are then refined, and
each further draw begins where the last has ended, with as much noise added as lets the kernels change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blinddps_sci.engine.batches import Callback
from blinddps_sci.engine.burst_scene import (
    BurstScene,
    as_bright,
    chi2_by_tile,
    first_unknowns,
    operator_of,
    pose,
    renewed,
)
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.refinement import RESTART, grids, members
from blinddps_sci.engine.scene import chain_sampler
from blinddps_sci.engine.unit_result import UnitResult
from blinddps_sci.errors import InputError
from blinddps_sci.io import Window, read_window
from blinddps_sci.sampling.noise import Site
from blinddps_sci.sampling.posterior import Posterior, Progress, Status, concatenate, spread
from blinddps_sci.sampling.sample import sample
from blinddps_sci.sampling.split import Split
from blinddps_sci.sampling.unknown import Unknown
from blinddps_sci.tiling.plan import Unit

__all__ = ["draw_chain", "frames_of", "of_all", "restore_burst"]

_EXPLAINED = 1.25
"""Reduced chi-squared at which kernels are not refined: more of them would follow the noise."""

_REFINED = 1 << 24
"""First sample number of the runs that lead to the first draw. Further draws of all units have the same
numbers, however often their kernels were refined: blended, they share their noise."""

_ITERATIONS, _TOLERANCE = 40, 0.02
"""Conjugate gradients of a solution, at most, and its error: the next pass is never far."""


def restore_burst(job: Job, number: int, callback: Callback | None = None) -> UnitResult:
    """Draw the scene of a unit, and the kernels and tilts of its frames.

    Parameters
    ----------
    job : Job
        The restoration, with the model ``turbulence``.
    number : int
        Which unit, from 0.
    callback : callable, optional
        Called after every step; an exception it raises ends the run.

    Raises
    ------
    InputError
        If the draws are not finite.
    """
    unit = job.plan.unit_at(number)
    window = frames_of(job, unit)
    scene = _with_tilts(job, unit, window, callback) or pose(job, unit, window)
    if scene is None:
        return UnitResult.nothing(job, unit, _in_all(window.mask))
    scene, posterior = draw_chain(job, scene, callback)
    if posterior.status is not Status.COMPLETE:
        raise InputError(f"unit {number}: {posterior.status.value}")
    return _collected(job, scene, posterior)


def _with_tilts(job: Job, unit: Unit, window: Window, callback: Callback | None) -> BurstScene | None:
    """Return the problem of one of several channels, with the tilts given that another one has found.

    None if it has to find them itself: it is that other one, or that one shows nothing.
    """
    sibling = job.tilt_unit(unit)
    if sibling.plane == unit.plane:
        return None
    other = pose(job, sibling, frames_of(job, sibling))
    scene = None if other is None else pose(job, unit, window, other.used)
    if other is None or scene is None:
        return None

    def waiting(progress: Progress) -> None:
        if callback is not None:
            callback(replace(progress, step=0))

    _, posterior = draw_chain(job.with_draws(1), other, waiting)
    found = posterior.samples["tilt"][0]
    by_frame = found.reshape(len(other.used), 2, *found.shape[-2:])[np.searchsorted(other.used, scene.used)]
    return replace(scene, known={"tilt": by_frame.reshape(1, -1, *found.shape[-2:])})


def frames_of(job: Job, unit: Unit) -> Window:
    """Read the frames (F, h, w) of a unit, also of a single frame."""
    window = read_window(job.dataset, job.index(unit.plane), *unit.data.slices)
    if window.data.ndim == 3:
        return window
    variance = None if window.variance is None else window.variance[None]
    return Window(window.data[None], variance, window.mask[None])


def draw_chain(job: Job, scene: BurstScene, callback: Callback | None = None) -> tuple[BurstScene, Posterior]:
    """Return the draws of one field of view (S, 1, ...), with a kernel for every node, and what they are of.

    The first is made where ever finer grids of kernels lead, until they explain the frames; each other near
    the last, with the same grid. On the way to the first the exposures are measured anew.
    """
    rungs = grids(*scene.nodes)
    if job.config.sampler == "dps":
        unknowns = first_unknowns(job, scene, rungs[-1])
        return scene, _drawn(job, scene, rungs[-1], unknowns, job.config.steps, 0, job.draws, callback)
    done, draws, states = 0, list[Posterior](), None
    before = grid = rungs[0]
    while len(draws) < job.draws:
        unknowns, steps = first_unknowns(job, scene, grid), job.config.steps
        if states is not None:
            unknowns, steps = renewed(scene, unknowns, states, before, grid), RESTART
        finer = 0 if draws else len(rungs) - 1 - rungs.index(grid)
        total = done + steps + RESTART * (finer + job.draws - 1 - len(draws))

        def tell(progress: Progress, done: int = done, total: int = total) -> None:
            if callback is not None:
                callback(replace(progress, step=done + progress.step, steps=total))

        number = len(draws) or _REFINED + rungs.index(grid)
        draw = _drawn(job, scene, grid, unknowns, steps, number, 1, tell)
        if not draws:
            scene = as_bright(scene, operator_of(job, scene, grid), draw)
        states, before, done = draw.states, grid, done + steps
        if draws or grid == rungs[-1] or float(draw.chi2.mean()) <= _EXPLAINED:
            draws.append(_with_all_kernels(scene, draw, grid))
        else:
            grid = rungs[rungs.index(grid) + 1]
    return scene, concatenate(draws)


def _with_all_kernels(scene: BurstScene, draw: Posterior, grid: tuple[int, int]) -> Posterior:
    """Return a draw with the kernels (S, B, F * N, K, K) of all nodes, of one with those of a grid."""
    kernels = draw.samples["kernel"]
    kernels = kernels.reshape(*kernels.shape[:2], len(scene.used), -1, *kernels.shape[-2:])
    every = kernels[:, :, :, members(*scene.nodes, grid)].flatten(2, 3)
    return replace(draw, samples={**draw.samples, "kernel": every}, means={**draw.means, "kernel": every})


def _drawn(
    job: Job,
    scene: BurstScene,
    grid: tuple[int, int],
    unknowns: Mapping[str, Unknown],
    steps: int,
    first: int,
    count: int,
    callback: Callback | None,
) -> Posterior:
    box = scene.unit.data
    sites = tuple(Site(box.y0, box.x0, component=int(f)) for f in scene.used)
    split = Split(steps, sweeps=1, iterations=_ITERATIONS, tolerance=_TOLERANCE, sites=sites)
    return sample(
        scene.data,
        operator_of(job, scene, grid),
        scene.likelihood,
        unknowns,
        sampler=chain_sampler(job, scene.unit, scene.likelihood, scene.data, split),
        seeds=[replace(scene.stream, sample=first)],
        samples=count,
        callback=callback,
    )


def _collected(job: Job, scene: BurstScene, posterior: Posterior) -> UnitResult:
    """Return what the draws say, of all frames; those that were not used have none."""
    operator = operator_of(job, scene, scene.nodes)
    samples = {name: draws[:, 0] for name, draws in posterior.samples.items()}
    tilt = samples.get("tilt", scene.known.get("tilt"))
    assert tilt is not None
    m, frames, tiles = job.margin, job.frames or 1, len(scene.tiles)
    kernels = torch.stack(torch.split(samples["kernel"], tiles, dim=1), dim=1)
    tilts = job.tilt_model.at(scene.grid, torch.stack(torch.split(tilt, 2, dim=1), dim=1))
    mask, saturated = _flags(scene, job.channel_of(scene.unit).noise.saturation)
    return UnitResult(
        unit=scene.unit,
        images=samples["image"][:, 0, m:-m, m:-m].cpu().numpy(),
        kernels=of_all(kernels.mean(dim=0), scene.used, frames),
        kernels_std=of_all(spread(kernels), scene.used, frames),
        chi2=of_all(chi2_by_tile(scene, operator, samples), scene.used, frames),
        mask=mask,
        saturated=saturated,
        tilt=of_all(tilts.mean(dim=0), scene.used, frames),
    )


def _flags(scene: BurstScene, level: float | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where (h, w) no frame that is used was measured, and where all that were are lower limits."""
    measured = ~scene.window.mask[scene.used]
    masked = _in_all(~measured)
    if level is None:
        return masked, np.zeros_like(masked)
    return masked, _in_all(~measured | (scene.window.data[scene.used] >= level)) & ~masked


def _in_all(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where (h, w) a flag (F, h, w) is set in all frames."""
    return np.asarray(flags.all(axis=0))


def of_all(values: Tensor, used: NDArray[np.intp], frames: int) -> NDArray[np.float32]:
    """Return values (F', ...) of the frames that were used as (F, ...), NaN for the others."""
    result = np.full((frames, *values.shape[1:]), np.nan, dtype=np.float32)
    result[used] = values.cpu().numpy()
    return result
