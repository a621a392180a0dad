"""One unit of work: read a window, sample its posterior, hand back what is to be written.

This is the only function that turns pixels into posterior draws; it knows a unit's number and
the job and nothing of who runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blinddps_sci.engine.job import Job
from blinddps_sci.errors import InputError
from blinddps_sci.io import Window, read_window
from blinddps_sci.likelihoods.base import Likelihood, chi2_map
from blinddps_sci.operators.base import Given, Operator
from blinddps_sci.operators.blur import FieldBlur, NodeWindow
from blinddps_sci.priors.fused import FusedPrior, PlanewisePrior, TileWindow
from blinddps_sci.sampling.dps import Dps
from blinddps_sci.sampling.noise import Site, Stream
from blinddps_sci.sampling.posterior import Posterior, Progress, Status
from blinddps_sci.sampling.sample import sample
from blinddps_sci.sampling.unknown import ImageMap, KernelMap, Unknown
from blinddps_sci.tiling.plan import Tile, Unit

__all__ = ["UnitResult", "run_unit"]

_HEADROOM = (-1.5, 4.0)
"""Limits of the image's clean estimate: stars may be brighter than the stretch's range."""

_GUIDANCE = 4.0
"""Largest weight of the data, chosen on images held out from training."""

_CALIBRATED = 0.3
"""Weight of the data times the noise on the network's domain at which the draws of an exact Gaussian
prior spread as its posterior does (see ``docs/method.md``)."""

_SLICES = 65536
"""Every frame and slice has noise of its own; more slices than a stack can have."""

_NODE_PITCH = 256
"""Distance at which the noise of neighbouring kernels is drawn: the side of the largest kernel."""


@dataclass(frozen=True)
class UnitResult:
    """What a unit found.

    Parameters
    ----------
    unit : Unit
        Which.
    images : ndarray of float32, (S, h, w)
        Draws of the image over the unit's data box, in data units.
    kernels : ndarray of float32, (S, N, K, K)
        Draws of the kernel of each tile.
    chi2 : ndarray of float32, (N,)
        Reduced chi-squared of the draws over each tile, averaged over the draws.
    mask : ndarray of bool, (h, w)
        Pixels that were not used.
    saturated : ndarray of bool, (h, w)
        Pixels that are lower limits.
    """

    unit: Unit
    images: np.ndarray
    kernels: np.ndarray
    chi2: np.ndarray
    mask: np.ndarray
    saturated: np.ndarray


def run_unit(job: Job, number: int, callback: Callable[[Progress], None] | None = None) -> UnitResult:
    """Restore one unit.

    Parameters
    ----------
    job : Job
        The restoration.
    number : int
        Which unit, from 0.
    callback : callable, optional
        Called after every step; an exception it raises ends the run.
    """
    unit = job.plan.unit_at(number)
    tiles = job.plan.tiles(unit)
    box = unit.data
    window = read_window(job.dataset, job.index(unit.plane), slice(box.y0, box.y1), slice(box.x0, box.x1))
    data = torch.from_numpy(window.data).to(job.device)[None, None]
    likelihood = job.noise.likelihood(window, job.device)
    operator, unknowns = _problem(job, unit, tiles)
    unit_of_data = ImageMap(job.stretch).unit
    calibrated = _CALIBRATED * unit_of_data / float(likelihood.noise_level(data))
    sampler = Dps(steps=job.config.steps, weight=min(_GUIDANCE, calibrated), unit=unit_of_data)
    index = job.index(unit.plane)
    stream = Stream(
        job.config.seed, frame=index.get("t", 0) * _SLICES + index.get("z", 0), channel=index.get("c", 0)
    )
    posterior = sample(
        data,
        operator,
        likelihood,
        unknowns,
        sampler=sampler,
        seeds=[stream],
        samples=job.draws,
        callback=callback,
    )
    if posterior.status is Status.NOT_FINITE:
        raise InputError(f"unit {number}: {posterior.status.value}")
    return _collect(job, unit, tiles, window, posterior, operator, likelihood, data)


def _problem(job: Job, unit: Unit, tiles: tuple[Tile, ...]) -> tuple[Operator, dict[str, Unknown]]:
    """Return the operator and the unknowns of a unit."""
    canvas, box = unit.canvas, unit.data
    fused = FusedPrior(
        job.image_prior,
        [
            TileWindow(
                *tile.box.within(canvas).slices,
                torch.from_numpy(np.outer(tile.window_y, tile.window_x)).to(job.device),
            )
            for tile in tiles
        ],
    )
    image = Unknown(
        fused,
        (1, canvas.height, canvas.width),
        physical=ImageMap(job.stretch),
        clamp=_HEADROOM,
        sites=(Site(canvas.y0, canvas.x0),),
    )
    nodes = tiles if job.config.psf != "shared" and job.known_psf is None else tiles[:1]
    windows = (
        [_node_window(tile, unit) for tile in tiles] if len(nodes) > 1 else [_whole(box.height, box.width)]
    )
    operator: Operator = FieldBlur(windows, margin=job.margin)
    if job.known_psf is not None:
        kernel = torch.from_numpy(job.known_psf).to(job.device)[None, None]
        return Given(operator, {"kernel": kernel}), {"image": image}
    mixing = _neighbour_mixing(tiles) if job.config.psf == "smooth" and len(nodes) > 1 else None
    kernel_unknown = Unknown(
        PlanewisePrior(job.kernel_prior),
        (len(nodes), job.config.psf_size, job.config.psf_size),
        physical=KernelMap(mixing=None if mixing is None else mixing.to(job.device)),
        sites=tuple(Site(tile.index[0] * _NODE_PITCH, tile.index[1] * _NODE_PITCH) for tile in nodes),
    )
    return operator, {"image": image, "kernel": kernel_unknown}


def _node_window(tile: Tile, unit: Unit) -> NodeWindow:
    """Return a tile's window restricted to the unit's data, in data pixels."""
    seen = tile.cropped(unit.data)
    corner = seen.box.within(unit.data)
    return NodeWindow(corner.y0, corner.x0, seen.window_y, seen.window_x)


def _whole(height: int, width: int) -> NodeWindow:
    return NodeWindow(0, 0, np.ones(height, dtype=np.float32), np.ones(width, dtype=np.float32))


def _neighbour_mixing(tiles: tuple[Tile, ...]) -> Tensor:
    """Return row-stochastic weights (N, N) that average each kernel with its direct neighbours."""
    places = torch.tensor([tile.index for tile in tiles], dtype=torch.float32)
    offset = (places[:, None] - places[None]).abs()
    weights = (1 - 0.5 * offset).clamp(min=0).prod(dim=-1)
    return weights / weights.sum(dim=1, keepdim=True)


def _collect(
    job: Job,
    unit: Unit,
    tiles: tuple[Tile, ...],
    window: Window,
    posterior: Posterior,
    operator: Operator,
    likelihood: Likelihood,
    data: Tensor,
) -> UnitResult:
    """Reduce the draws of a unit to what is written."""
    m = job.margin
    images = posterior.samples["image"][:, 0, 0]
    with torch.no_grad():
        values = {name: draws[:, 0] for name, draws in posterior.samples.items()}
        predicted = operator.forward(values)
        squares = chi2_map(likelihood, predicted, data.expand_as(predicted)).nanmean(dim=0)[0].cpu().numpy()
    kernels = _kernels(job, posterior, len(tiles))
    chi2 = np.full(len(tiles), np.nan, dtype=np.float32)
    for i, tile in enumerate(tiles):
        part = squares[tile.box.intersect(unit.data).within(unit.data).slices]
        if np.isfinite(part).any():
            chi2[i] = np.nanmean(part)
    level = job.noise.saturation
    return UnitResult(
        unit=unit,
        images=images[:, m:-m, m:-m].cpu().numpy(),
        kernels=kernels,
        chi2=chi2,
        mask=window.mask,
        saturated=np.zeros_like(window.mask) if level is None else (window.data >= level) & ~window.mask,
    )


def _kernels(job: Job, posterior: Posterior, tiles: int) -> np.ndarray:
    if job.known_psf is not None:
        return np.broadcast_to(job.known_psf, (job.draws, tiles, *job.known_psf.shape))
    draws = posterior.samples["kernel"][:, 0].cpu().numpy()
    return np.broadcast_to(draws, (len(draws), tiles, *draws.shape[2:]))
