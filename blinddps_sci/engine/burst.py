"""One unit of a burst: all frames of a region, restored to one scene.

The scene, a kernel for every frame and tile and a tilt for every frame and node are drawn together. They are
annealed from the registered mean of the frames with one kernel for each; the kernels are then refined, and
each further draw begins where the last has ended, with as much noise added as lets the kernels change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blinddps_sci.engine.job import Job
from blinddps_sci.engine.refinement import RESTART, grids, grouped, members, representatives
from blinddps_sci.engine.registration import Registration, register, register_patches
from blinddps_sci.engine.scene import (
    HEADROOM,
    canvas_prior,
    chain_sampler,
    first_image,
    node_windows,
    plane_stream,
    round_kernel,
)
from blinddps_sci.engine.seeing import blur_width
from blinddps_sci.engine.unit_result import UnitResult
from blinddps_sci.errors import InputError
from blinddps_sci.io import Window, read_window
from blinddps_sci.likelihoods.base import Likelihood, chi2_map
from blinddps_sci.operators.burst import Burst
from blinddps_sci.operators.warp import TiltGrid
from blinddps_sci.priors.fused import PlanewisePrior
from blinddps_sci.priors.tilt import TiltField
from blinddps_sci.sampling.noise import Site, Stream
from blinddps_sci.sampling.posterior import Posterior, Progress, Status, spread
from blinddps_sci.sampling.sample import sample
from blinddps_sci.sampling.split import Split
from blinddps_sci.sampling.unknown import ImageMap, KernelMap, TiltMap, Unknown
from blinddps_sci.tiling.plan import Tile, Unit

__all__ = ["restore_burst"]

_LAST = 0.02
_FIRST = {"image": 1.0, "kernel": 1.0, "tilt": 1.0}
"""Noise of the first step and of the last, on the networks' domains and in pixels."""

_RENEWED = {"image": 0.3, "kernel": 0.4, "tilt": 0.3}
"""Noise with which each refinement and each further draw begins."""

_DETAIL = 0.3
"""Detail of the scenes about which the sampler linearises; see `Unknown.detail`."""

_ITERATIONS, _TOLERANCE = 40, 0.02
"""Conjugate gradients of a solution, at most, and its error: the next pass is never far."""

_SHIFT_NOISE = 0.3
"""Standard deviation of the displacement of a tile that registration measures, pixels."""

_NARROWEST = 2.0
"""Least full width at half maximum of the kernels with which a chain begins, pixels."""

_PITCH = 256
"""Distance at which the noise of neighbouring nodes is drawn: the side of the largest kernel."""

_UNLIKE = 0.5
"""A frame is left out if its correlation with the others is less than this share of the median."""


@dataclass(frozen=True, eq=False)
class _Scene:
    """One unit of a burst: what was measured in the frames that are used, and how they are displaced."""

    unit: Unit
    tiles: tuple[Tile, ...]
    window: Window
    used: NDArray[np.intp]
    data: Tensor
    likelihood: Likelihood
    registered: Registration
    blur: float
    grid: TiltGrid
    tilts: TiltGrid
    field: TiltField
    stream: Stream

    @property
    def nodes(self) -> tuple[int, int]:
        """Rows and columns of its nodes."""
        return self.grid.grid


def restore_burst(job: Job, number: int, callback: Callable[[Progress], None] | None = None) -> UnitResult:
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
    tiles = job.plan.tiles(unit)
    window = _frames(read_window(job.dataset, job.index(unit.plane), *unit.data.slices))
    usable = np.flatnonzero(~window.mask.all(axis=(1, 2)))
    if not usable.size:
        return UnitResult.nothing(job, unit, _in_all(window.mask))
    scene = _posed(job, unit, tiles, window, usable)
    draws = _chain(job, scene, callback)
    if any(draw.status is not Status.COMPLETE for draw in draws):
        raise InputError(f"unit {number}: {Status.NOT_FINITE.value}")
    return _collected(job, scene, draws)


def _frames(window: Window) -> Window:
    """Return a window (F, h, w), also of a single frame."""
    if window.data.ndim == 3:
        return window
    variance = None if window.variance is None else window.variance[None]
    return Window(window.data[None], variance, window.mask[None])


def _posed(job: Job, unit: Unit, tiles: tuple[Tile, ...], window: Window, usable: NDArray[np.intp]) -> _Scene:
    filled = np.stack([_filled(window.data[f], window.mask[f]) for f in usable])
    used, registered = _chosen(filled, job.config.keep)
    chosen = usable[used]
    part = Window(
        window.data[chosen],
        None if window.variance is None else window.variance[chosen],
        window.mask[chosen],
    )
    margin = job.plan.margin
    node_y, node_x = _nodes(job, unit, tiles)
    height, width = unit.data.shape
    places = np.stack(np.meshgrid(node_y, node_x, indexing="ij"), axis=-1).reshape(-1, 2)
    boxes = [tile.box.intersect(unit.data).within(unit.data).slices for tile in tiles]
    patches = register_patches(registered, boxes)
    grid = TiltGrid(list(node_y + margin), list(node_x + margin), (height + 2 * margin, width + 2 * margin))
    return _Scene(
        unit=unit,
        tiles=tiles,
        window=window,
        used=chosen,
        data=torch.from_numpy(part.data).to(job.device)[None],
        likelihood=job.noise.likelihood(part, job.device),
        registered=registered,
        blur=_blur(registered),
        grid=grid,
        tilts=job.tilt_model.grid(grid),
        field=TiltField.fitted(patches, places, _SHIFT_NOISE),
        stream=plane_stream(job, unit),
    )


def _filled(frame: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(mask, np.median(frame[~mask]), frame).astype(np.float32)


def _chosen(frames: NDArray[np.float32], keep: float) -> tuple[NDArray[np.intp], Registration]:
    """Return which frames are used, in order, and how they lie on each other."""
    found = register(frames)
    alike = np.flatnonzero(found.alike >= _UNLIKE * np.median(found.alike))
    count = max(1, round(keep * len(frames)))
    sharpest = alike[np.argsort(-found.sharpness[alike], kind="stable")[:count]]
    used = np.sort(sharpest)
    return used, found if len(used) == len(frames) else register(frames[used])


def _blur(registered: Registration) -> float:
    """Return the full width at half maximum of the kernels with which the chain begins, pixels."""
    return max(blur_width(registered.moved), _NARROWEST) if len(registered.moved) > 1 else math.inf


def _nodes(job: Job, unit: Unit, tiles: tuple[Tile, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows and columns of a unit's nodes, in pixels of its data."""
    y, x = job.plan.nodes()
    rows, columns = (sorted({tile.index[axis] for tile in tiles}) for axis in (0, 1))
    return y[rows] - unit.data.y0, x[columns] - unit.data.x0


def _operator(job: Job, scene: _Scene, grid: tuple[int, int]) -> Burst:
    """Return how the frames come about, with a grid of kernels for each."""
    windows = grouped(node_windows(scene.unit, scene.tiles), *scene.nodes, grid)
    return Burst(windows, job.plan.margin, scene.tilts, job.plan.reach, len(scene.used))


def _image(job: Job, scene: _Scene) -> Unknown:
    canvas = scene.unit.canvas
    return Unknown(
        canvas_prior(job, canvas, scene.tiles),
        (1, canvas.height, canvas.width),
        physical=ImageMap(job.stretch),
        clamp=HEADROOM,
        start=first_image(job, scene.registered.mean),
        detail=_DETAIL,
        sites=(Site(canvas.y0, canvas.x0),),
    )


def _kernel(job: Job, scene: _Scene, grid: tuple[int, int]) -> Unknown:
    size = job.plan.kernel_size
    physical = KernelMap(centred=True, power=job.kernel_power)
    places = [scene.tiles[n].index for n in representatives(*scene.nodes, grid)]
    return Unknown(
        PlanewisePrior(job.kernel_prior),
        (len(scene.used) * len(places), size, size),
        physical=physical,
        start=physical.inverse(round_kernel(size, scene.blur).to(job.device)),
        sites=tuple(
            Site(y * _PITCH, x * _PITCH, component=int(frame)) for frame in scene.used for y, x in places
        ),
    )


def _tilt(job: Job, scene: _Scene) -> Unknown:
    model, grid = job.tilt_model, scene.tilts
    physical = TiltMap(model.unit(scene.field), frames=len(scene.used))
    start = torch.from_numpy(scene.registered.tilt.astype(np.float32)).reshape(1, -1, 1, 1)
    return Unknown(
        PlanewisePrior(model.on(grid, scene.field, job.device), channels=2),
        (2 * len(scene.used), *grid.grid),
        physical=physical,
        clamp=None if model.reach is None else (-1.0, 1.0),
        start=physical.inverse(start.expand(1, -1, *grid.grid).to(job.device)),
        sites=tuple(Site(component=2 * int(frame) + axis) for frame in scene.used for axis in (0, 1)),
    )


def _unknowns(job: Job, scene: _Scene, grid: tuple[int, int]) -> dict[str, Unknown]:
    """Return what is unknown, with a grid of kernels for each frame, as a chain begins."""
    found = {"image": _image(job, scene), "kernel": _kernel(job, scene, grid), "tilt": _tilt(job, scene)}
    return {name: _annealed(each, _FIRST[name]) for name, each in found.items()}


def _annealed(unknown: Unknown, first: float) -> Unknown:
    """Return the unknown with the noise of its first step, which of tilts is in pixels."""
    unit = unknown.physical.scale if isinstance(unknown.physical, TiltMap) else 1.0
    return replace(unknown, noise_range=(first / unit, _LAST / unit))


def _renewed(
    scene: _Scene,
    unknowns: Mapping[str, Unknown],
    states: Mapping[str, Tensor],
    before: tuple[int, int],
    grid: tuple[int, int],
) -> dict[str, Unknown]:
    """Return the unknowns as they go on from a draw with a coarser grid of kernels, or the same."""
    start = {name: state[0] for name, state in states.items()}
    parents = members(*scene.nodes, before)[representatives(*scene.nodes, grid)]
    kernels = start["kernel"].reshape(len(scene.used), -1, *start["kernel"].shape[-2:])[:, parents]
    start["kernel"] = kernels.reshape(1, -1, *kernels.shape[-2:])
    return {
        name: _annealed(replace(each, start=start[name]), _RENEWED[name]) for name, each in unknowns.items()
    }


def _chain(job: Job, scene: _Scene, callback: Callable[[Progress], None] | None) -> list[Posterior]:
    """Return the draws: the first where ever finer grids of kernels have led, each other near the last."""
    rungs = grids(*scene.nodes)
    if job.config.sampler == "dps":
        unknowns = _unknowns(job, scene, rungs[-1])
        return [_drawn(job, scene, rungs[-1], unknowns, job.config.steps, 0, job.draws, callback)]
    runs, draws = [*rungs, *[rungs[-1]] * (job.draws - 1)], list[Posterior]()
    total = job.config.steps + RESTART * (len(runs) - 1)
    for number, grid in enumerate(runs):
        unknowns, steps = _unknowns(job, scene, grid), job.config.steps
        if draws:
            unknowns = _renewed(scene, unknowns, draws[-1].states, runs[number - 1], grid)
            steps = RESTART
        # Steps are counted through all runs.
        done = job.config.steps + RESTART * (number - 1) if number else 0

        def tell(progress: Progress, done: int = done) -> None:
            if callback is not None:
                callback(replace(progress, step=done + progress.step, steps=total))

        draws.append(_drawn(job, scene, grid, unknowns, steps, number, 1, tell))
    return draws[len(rungs) - 1 :]


def _drawn(
    job: Job,
    scene: _Scene,
    grid: tuple[int, int],
    unknowns: Mapping[str, Unknown],
    steps: int,
    first: int,
    count: int,
    callback: Callable[[Progress], None] | None,
) -> Posterior:
    box = scene.unit.data
    sites = tuple(Site(box.y0, box.x0, component=int(f)) for f in scene.used)
    split = Split(steps, sweeps=1, iterations=_ITERATIONS, tolerance=_TOLERANCE, sites=sites)
    return sample(
        scene.data,
        _operator(job, scene, grid),
        scene.likelihood,
        unknowns,
        sampler=chain_sampler(job, scene.likelihood, scene.data, split),
        seeds=[replace(scene.stream, sample=first)],
        samples=count,
        callback=callback,
    )


def _collected(job: Job, scene: _Scene, draws: list[Posterior]) -> UnitResult:
    """Return what the draws say, of all frames; those that were not used have none."""
    operator = _operator(job, scene, scene.nodes)
    samples = {name: torch.cat([draw.samples[name][:, 0] for draw in draws]) for name in operator.inputs}
    m, frames, tiles = job.margin, job.frames or 1, len(scene.tiles)
    kernels = torch.stack(torch.split(samples["kernel"], tiles, dim=1), dim=1)
    tilts = job.tilt_model.at(scene.grid, torch.stack(torch.split(samples["tilt"], 2, dim=1), dim=1))
    mask, level = _in_all(scene.window.mask), job.noise.saturation
    saturated = np.zeros_like(mask) if level is None else ~_in_all(scene.window.data < level) & ~mask
    return UnitResult(
        unit=scene.unit,
        images=samples["image"][:, 0, m:-m, m:-m].cpu().numpy(),
        kernels=_of_all(kernels.mean(dim=0), scene.used, frames),
        kernels_std=_of_all(spread(kernels), scene.used, frames),
        chi2=_of_all(_chi2(scene, operator, samples), scene.used, frames),
        mask=mask,
        saturated=saturated,
        tilt=_of_all(tilts.mean(dim=0), scene.used, frames),
    )


def _in_all(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where (h, w) a flag (F, h, w) is set in all frames."""
    return np.asarray(flags.all(axis=0))


def _of_all(values: Tensor, used: NDArray[np.intp], frames: int) -> NDArray[np.float32]:
    """Return values (F', ...) of the frames that were used as (F, ...), NaN for the others."""
    result = np.full((frames, *values.shape[1:]), np.nan, dtype=np.float32)
    result[used] = values.cpu().numpy()
    return result


def _chi2(scene: _Scene, operator: Burst, samples: Mapping[str, Tensor]) -> Tensor:
    """Return reduced chi-squared of the draws over each frame and tile, (F', N)."""
    total = torch.zeros(scene.data.shape[1:], device=scene.data.device)
    count = len(samples["image"])
    with torch.no_grad():
        for draw in range(count):
            predicted = operator.forward({name: v[draw : draw + 1] for name, v in samples.items()})
            total += chi2_map(scene.likelihood, predicted, scene.data)[0] / count
    box = scene.unit.data
    parts = [total[(slice(None), *tile.box.intersect(box).within(box).slices)] for tile in scene.tiles]
    return torch.stack([part.nanmean(dim=(-2, -1)) for part in parts], dim=1)
