"""One unit of a burst: all frames of a region, restored to one scene.

The scene, a kernel for every frame and tile and a tilt for every frame and node are drawn together. The
first draw is annealed from the registered mean of the frames; each further one begins where the last has
ended, with as much noise added as lets the kernels change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blinddps_sci.engine.job import RESTART, Job
from blinddps_sci.engine.registration import Registration, register, register_patches
from blinddps_sci.engine.scene import (
    HEADROOM,
    canvas_prior,
    chain_sampler,
    first_image,
    node_windows,
    round_kernel,
)
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

_NOISE = {"image": (1.0, 0.02), "kernel": (1.0, 0.02), "tilt": (1.0, 0.02)}
"""First and last noise of the first draw, on the networks' domains and in pixels."""

_RENEWED = {"image": 0.3, "kernel": 0.4, "tilt": 0.3}
"""Noise with which each further draw begins."""

_DETAIL = 0.3
"""Detail of the scenes about which the sampler linearises; see `Unknown.detail`."""

_SHIFT_NOISE = 0.3
"""Standard deviation of the displacement of a tile that registration measures, pixels."""

_UNLIKE = 0.5
"""A frame is left out if its correlation with the registered mean is less than this share of the median."""


@dataclass(frozen=True, eq=False)
class _Scene:
    """The inverse problem of one unit of a burst, of the frames that are used."""

    unit: Unit
    tiles: tuple[Tile, ...]
    window: Window
    used: NDArray[np.intp]
    data: Tensor
    likelihood: Likelihood
    operator: Burst
    unknowns: Mapping[str, Unknown]
    stream: Stream


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
    draws = list(_chain(job, scene, callback))
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
    count, stream = len(chosen), _stream(job, unit)
    margin = (job.plan.kernel_size + 1) // 2
    windows = node_windows(unit, tiles)
    node_y, node_x = _nodes(job, unit, tiles)
    height, width = unit.data.shape
    grid = TiltGrid(list(node_y + margin), list(node_x + margin), (height + 2 * margin, width + 2 * margin))
    places = np.stack(np.meshgrid(node_y, node_x, indexing="ij"), axis=-1).reshape(-1, 2)
    boxes = [tile.box.intersect(unit.data).within(unit.data).slices for tile in tiles]
    patches = register_patches(filled[used], registered, boxes)
    field = TiltField.fitted(patches, places, _SHIFT_NOISE)
    return _Scene(
        unit=unit,
        tiles=tiles,
        window=window,
        used=chosen,
        data=torch.from_numpy(part.data).to(job.device)[None],
        likelihood=job.noise.likelihood(part, job.device),
        operator=Burst(windows, margin, grid, job.plan.reach, count),
        unknowns={
            "image": _image(job, unit, tiles, registered),
            "kernel": _kernel(job, tiles, chosen),
            "tilt": _tilt(field, registered, grid, node_y, node_x, chosen, job.device),
        },
        stream=stream,
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


def _stream(job: Job, unit: Unit) -> Stream:
    index = job.index(unit.plane)
    return Stream(job.config.seed, frame=index.get("t", 0), channel=index.get("c", 0))


def _nodes(job: Job, unit: Unit, tiles: tuple[Tile, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows and columns of a unit's nodes, in pixels of its data."""
    y, x = job.plan.nodes()
    rows, columns = (sorted({tile.index[axis] for tile in tiles}) for axis in (0, 1))
    return y[rows] - unit.data.y0, x[columns] - unit.data.x0


def _image(job: Job, unit: Unit, tiles: tuple[Tile, ...], registered: Registration) -> Unknown:
    canvas = unit.canvas
    return Unknown(
        canvas_prior(job, canvas, tiles),
        (1, canvas.height, canvas.width),
        physical=ImageMap(job.stretch),
        clamp=HEADROOM,
        start=first_image(job, registered.mean),
        noise_range=_NOISE["image"],
        detail=_DETAIL,
        sites=(Site(canvas.y0, canvas.x0),),
    )


def _kernel(job: Job, tiles: tuple[Tile, ...], frames: NDArray[np.intp]) -> Unknown:
    size = job.plan.kernel_size
    physical = KernelMap(centred=True, power=job.kernel_power)
    return Unknown(
        PlanewisePrior(job.kernel_prior),
        (len(frames) * len(tiles), size, size),
        physical=physical,
        start=physical.inverse(round_kernel(size).to(job.device)),
        noise_range=_NOISE["kernel"],
        sites=tuple(_site(tile, f) for f in frames for tile in tiles),
    )


_PITCH = 256
"""Distance at which the noise of neighbouring nodes is drawn: the side of the largest kernel."""


def _site(tile: Tile, frame: int) -> Site:
    return Site(tile.index[0] * _PITCH, tile.index[1] * _PITCH, component=int(frame))


def _tilt(
    field: TiltField,
    registered: Registration,
    grid: TiltGrid,
    node_y: NDArray[np.float64],
    node_x: NDArray[np.float64],
    frames: NDArray[np.intp],
    device: torch.device,
) -> Unknown:
    prior = field.prior(node_y, node_x, device)
    start = torch.from_numpy(registered.tilt.astype(np.float32)).reshape(1, -1, 1, 1)
    return Unknown(
        PlanewisePrior(prior, channels=2),
        (2 * len(frames), *grid.grid),
        physical=TiltMap(frames=len(frames)),
        clamp=None,
        start=start.expand(1, -1, *grid.grid).to(device),
        noise_range=_NOISE["tilt"],
        sites=tuple(Site(component=2 * int(f) + axis) for f in frames for axis in (0, 1)),
    )


def _chain(job: Job, scene: _Scene, callback: Callable[[Progress], None] | None) -> list[Posterior]:
    """Return the draws, each of which begins near the last."""
    if job.config.sampler == "dps":
        return [_drawn(job, scene, scene.unknowns, job.config.steps, 0, job.draws, callback)]
    unknowns, done, draws = scene.unknowns, 0, list[Posterior]()
    for number in range(job.draws):
        steps = RESTART if number else job.config.steps
        before = done

        def tell(progress: Progress, before: int = before, number: int = number) -> None:
            if callback is not None:
                callback(replace(progress, step=before + progress.step, steps=job.steps, first=number))

        draws.append(_drawn(job, scene, unknowns, steps, number, 1, tell))
        done += steps
        unknowns = {
            name: replace(
                unknown, start=draws[-1].states[name][0], noise_range=(_RENEWED[name], _NOISE[name][1])
            )
            for name, unknown in scene.unknowns.items()
        }
    return draws


def _drawn(
    job: Job,
    scene: _Scene,
    unknowns: Mapping[str, Unknown],
    steps: int,
    first: int,
    count: int,
    callback: Callable[[Progress], None] | None,
) -> Posterior:
    box = scene.unit.data
    sites = tuple(Site(box.y0, box.x0, component=int(f)) for f in scene.used)
    return sample(
        scene.data,
        scene.operator,
        scene.likelihood,
        unknowns,
        sampler=chain_sampler(job, scene.likelihood, scene.data, Split(steps, sweeps=1, sites=sites)),
        seeds=[replace(scene.stream, sample=first)],
        samples=count,
        callback=callback,
    )


def _collected(job: Job, scene: _Scene, draws: list[Posterior]) -> UnitResult:
    """Return what the draws say, of all frames; those that were not used have none."""
    samples = {
        name: torch.cat([draw.samples[name][:, 0] for draw in draws]) for name in scene.operator.inputs
    }
    m, frames, tiles = job.margin, job.frames or 1, len(scene.tiles)
    kernels = torch.stack(torch.split(samples["kernel"], tiles, dim=1), dim=1)
    tilts = torch.stack(torch.split(samples["tilt"], 2, dim=1), dim=1)
    mask, level = _in_all(scene.window.mask), job.noise.saturation
    saturated = np.zeros_like(mask) if level is None else ~_in_all(scene.window.data < level) & ~mask
    return UnitResult(
        unit=scene.unit,
        images=samples["image"][:, 0, m:-m, m:-m].cpu().numpy(),
        kernels=_of_all(kernels.mean(dim=0), scene.used, frames),
        kernels_std=_of_all(spread(kernels), scene.used, frames),
        chi2=_of_all(_chi2(scene, samples), scene.used, frames),
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


def _chi2(scene: _Scene, samples: Mapping[str, Tensor]) -> Tensor:
    """Return reduced chi-squared of the draws over each frame and tile, (F', N)."""
    total = torch.zeros(scene.data.shape[1:], device=scene.data.device)
    count = len(samples["image"])
    with torch.no_grad():
        for draw in range(count):
            predicted = scene.operator.forward({name: v[draw : draw + 1] for name, v in samples.items()})
            total += chi2_map(scene.likelihood, predicted, scene.data)[0] / count
    box = scene.unit.data
    parts = [total[(slice(None), *tile.box.intersect(box).within(box).slices)] for tile in scene.tiles]
    return torch.stack([part.nanmean(dim=(-2, -1)) for part in parts], dim=1)
