"""A burst as an inverse problem: what its frames show, what is unknown, and how they hang together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blinddps_sci.engine.exposure import LARGEST
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.refinement import grouped, members, representatives
from blinddps_sci.engine.registration import Registration, filled, register, register_patches
from blinddps_sci.engine.scene import (
    FIRST_WIDTH,
    HEADROOM,
    canvas_prior,
    first_image,
    node_windows,
    plane_stream,
    round_kernel,
)
from blinddps_sci.engine.seeing import blur_width
from blinddps_sci.io import Window
from blinddps_sci.likelihoods.base import Likelihood, chi2_map
from blinddps_sci.operators.base import Given, Operator
from blinddps_sci.operators.burst import Burst
from blinddps_sci.operators.warp import TiltGrid
from blinddps_sci.priors.fused import PlanewisePrior
from blinddps_sci.priors.tilt import TiltField
from blinddps_sci.sampling.noise import Site, Stream
from blinddps_sci.sampling.posterior import Posterior
from blinddps_sci.sampling.unknown import ImageMap, KernelMap, TiltMap, Unknown
from blinddps_sci.tiling.plan import Tile, Unit

__all__ = ["BurstScene", "as_bright", "chi2_by_tile", "first_unknowns", "operator_of", "pose", "renewed"]

_LAST = 0.02
_FIRST = {"image": 1.0, "kernel": 1.0, "tilt": 1.0}
"""Noise of the first step and of the last, on the networks' domains and in pixels."""

_RENEWED = {"image": 0.3, "kernel": 0.4, "tilt": 0.3}
"""Noise with which each refinement and each further draw begins."""

_DETAIL = 0.0
"""Detail of the scenes about which the sampler linearises; see `Unknown.detail`."""

_SHIFT_NOISE = 0.3
"""Standard deviation of the displacement of a tile that registration measures, pixels."""

_NARROWEST = 2.0
"""Least full width at half maximum of the kernels with which a chain begins, pixels."""

_PITCH = 256
"""Distance at which the noise of neighbouring nodes is drawn: the side of the largest kernel."""

_UNLIKE = 0.5
"""A frame is left out if its correlation with the others is less than this share of the median."""


@dataclass(frozen=True, eq=False)
class BurstScene:
    """One unit of a burst: what was measured in the frames that are used, and how they are displaced.

    Parameters
    ----------
    unit, tiles : Unit, tuple of Tile
        Which.
    window : Window
        Its input, (F, h, w).
    used : ndarray, (F',)
        The frames that are used.
    data : Tensor, (1, F', h, w)
        These frames, on the device.
    likelihood : Likelihood
        Their noise.
    registered : Registration
        How they lie on each other.
    blur : float
        Full width at half maximum of the first kernels, pixels.
    grid, tilts : TiltGrid
        Nodes of the kernels and of the tilts.
    tilt_field : TiltField
        What registration says of the tilts.
    stream : Stream
        Identity of its plane, for the noise.
    known : mapping of str to Tensor
        Unknowns that are given, in physical units.
    """

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
    tilt_field: TiltField
    stream: Stream
    known: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[int, int]:
        """Rows and columns of its nodes."""
        return self.grid.grid


def pose(job: Job, unit: Unit, window: Window, frames: NDArray[np.intp] | None = None) -> BurstScene | None:
    """Return the problem of a unit; None if no frame shows anything.

    Parameters
    ----------
    job, unit
        Which.
    window : Window
        Its input, (F, h, w).
    frames : ndarray of int, optional
        The frames to use; by default those that are alike, and sharp enough to be kept.
    """
    usable = np.flatnonzero(~window.mask.all(axis=(1, 2)))
    if frames is not None:
        usable = np.intersect1d(usable, frames)
    if not usable.size:
        return None
    tiles = job.plan.tiles(unit)
    whole = np.stack([filled(window.data[f], window.mask[f]) for f in usable])
    if frames is None:
        used, registered = _chosen(whole, job.config.keep)
    else:
        used, registered = np.arange(len(usable)), register(whole)
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
    return BurstScene(
        unit=unit,
        tiles=tiles,
        window=window,
        used=chosen,
        data=torch.from_numpy(part.data).to(job.device)[None],
        likelihood=job.channel_of(unit).noise.likelihood(part, job.device),
        registered=registered,
        blur=_blur(registered),
        grid=grid,
        tilts=job.tilt_model.grid(grid),
        tilt_field=TiltField.fitted(patches, places, _SHIFT_NOISE),
        stream=plane_stream(job, unit),
    )


def _chosen(frames: NDArray[np.float32], keep: float) -> tuple[NDArray[np.intp], Registration]:
    """Return which frames are used, in order, and how they lie on the mean of all that show the scene.

    Another unit may use others; its scene has to lie at the same place, and be as bright.
    """
    found = register(frames)
    # Frames that show nothing are like none, and may be most of them.
    usual = np.median(found.alike[found.alike > 0]) if (found.alike > 0).any() else 0.0
    alike = np.flatnonzero(found.alike >= _UNLIKE * usual)
    count = max(1, round(keep * len(frames)))
    sharpest = alike[np.argsort(-found.sharpness[alike], kind="stable")[:count]]
    used = np.sort(sharpest)
    if len(used) == len(frames):
        return used, found
    tilt = found.tilt[used].mean(axis=0) - found.tilt[alike].mean(axis=0)
    brightness = found.exposure[used].mean() / found.exposure[alike].mean()
    return used, register(frames[used]).about(tilt, float(brightness))


def _blur(registered: Registration) -> float:
    """Return the full width at half maximum of the kernels with which the chain begins, pixels."""
    return max(blur_width(registered.moved), _NARROWEST) if len(registered.moved) > 1 else math.inf


def _nodes(job: Job, unit: Unit, tiles: tuple[Tile, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows and columns of a unit's nodes, in pixels of its data."""
    y, x = job.plan.nodes()
    rows, columns = (sorted({tile.index[axis] for tile in tiles}) for axis in (0, 1))
    return y[rows] - unit.data.y0, x[columns] - unit.data.x0


def operator_of(job: Job, scene: BurstScene, grid: tuple[int, int]) -> Operator:
    """Return how the frames come about, with a grid of kernels for each."""
    windows = grouped(node_windows(scene.unit, scene.tiles), *scene.nodes, grid)
    exposure = scene.registered.exposure.tolist()
    burst = Burst(windows, job.plan.margin, scene.tilts, job.plan.reach, exposure)
    return Given(burst, scene.known) if scene.known else burst


def _image(job: Job, scene: BurstScene) -> Unknown:
    canvas = scene.unit.canvas
    return Unknown(
        canvas_prior(job, canvas, scene.tiles),
        (1, canvas.height, canvas.width),
        physical=ImageMap(job.channel_of(scene.unit).stretch),
        clamp=HEADROOM,
        start=first_image(job, scene.unit, scene.registered.mean),
        detail=_DETAIL,
        sites=(Site(canvas.y0, canvas.x0),),
    )


def _kernel(job: Job, scene: BurstScene, grid: tuple[int, int]) -> Unknown:
    size = job.plan.kernel_size
    physical = KernelMap(centred=True, power=job.kernel_power)
    places = [scene.tiles[n].index for n in representatives(*scene.nodes, grid)]
    return Unknown(
        PlanewisePrior(job.kernel_prior),
        (len(scene.used) * len(places), size, size),
        physical=physical,
        start=physical.inverse(round_kernel(size, min(scene.blur, FIRST_WIDTH * size)).to(job.device)),
        sites=tuple(
            Site(y * _PITCH, x * _PITCH, component=int(frame)) for frame in scene.used for y, x in places
        ),
    )


def _tilt(job: Job, scene: BurstScene) -> Unknown:
    model, grid, free = job.tilt_model, scene.tilts, "image" in scene.known
    y, x = (0.0, 0.0) if free else scene.registered.tilt.mean(axis=0).tolist()
    physical = TiltMap(model.unit(scene.tilt_field), frames=len(scene.used), free=free, mean=(y, x))
    start = torch.from_numpy(scene.registered.tilt.astype(np.float32)).reshape(1, -1, 1, 1)
    canvas = scene.unit.canvas
    row, column = (canvas.y0, canvas.x0) if model.dense else scene.tiles[0].index
    return Unknown(
        PlanewisePrior(model.on(grid, scene.tilt_field, job.device), channels=2),
        (2 * len(scene.used), *grid.grid),
        physical=physical,
        clamp=None if model.reach is None else (-1.0, 1.0),
        start=physical.inverse(start.expand(1, -1, *grid.grid).to(job.device)),
        sites=tuple(
            Site(row, column, component=2 * int(frame) + axis) for frame in scene.used for axis in (0, 1)
        ),
    )


def first_unknowns(job: Job, scene: BurstScene, grid: tuple[int, int]) -> dict[str, Unknown]:
    """Return what is unknown, with a grid of kernels for each frame, as a chain begins."""
    found = {"image": _image(job, scene), "kernel": _kernel(job, scene, grid), "tilt": _tilt(job, scene)}
    return {name: _annealed(each, _FIRST[name]) for name, each in found.items() if name not in scene.known}


def _annealed(unknown: Unknown, first: float) -> Unknown:
    """Return the unknown with the noise of its first step, which of tilts is in pixels."""
    unit = unknown.physical.scale if isinstance(unknown.physical, TiltMap) else 1.0
    return replace(unknown, noise_range=(first / unit, _LAST / unit))


def renewed(
    scene: BurstScene,
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


def as_bright(scene: BurstScene, operator: Operator, draw: Posterior) -> BurstScene:
    """Return the problem with the exposures that suit a draw best; if the scene is unknown, of their mean."""
    with torch.no_grad():
        predicted = operator.forward({name: values[0] for name, values in draw.samples.items()})
    weight = scene.likelihood.whitening(predicted, scene.data) ** 2
    weight = torch.where(scene.likelihood.active(predicted, scene.data), weight, 0.0)
    seen, told = ((weight * predicted * other).sum(dim=(-2, -1)) for other in (scene.data, predicted))
    ratio = torch.where(told > 0, seen / told, 1.0)[0].clamp(1 / LARGEST, LARGEST).cpu().numpy()
    exposure = scene.registered.exposure * ratio
    if "image" not in scene.known:
        exposure *= scene.registered.exposure.mean() / exposure.mean()
    return replace(scene, registered=replace(scene.registered, exposure=exposure))


def chi2_by_tile(scene: BurstScene, operator: Operator, samples: Mapping[str, Tensor]) -> Tensor:
    """Return reduced chi-squared of draws (S, ...) over each frame and tile, (F', N)."""
    total = torch.zeros(scene.data.shape[1:], device=scene.data.device)
    counted = torch.zeros_like(total)
    with torch.no_grad():
        for draw in range(len(samples["kernel"])):
            predicted = operator.forward({name: v[draw : draw + 1] for name, v in samples.items()})
            squares = chi2_map(scene.likelihood, predicted, scene.data)[0]
            total += squares.nan_to_num(nan=0.0)
            counted += ~squares.isnan()
    mean = total / counted
    box = scene.unit.data
    parts = [mean[(slice(None), *tile.box.intersect(box).within(box).slices)] for tile in scene.tiles]
    return torch.stack([part.nanmean(dim=(-2, -1)) for part in parts], dim=1)
