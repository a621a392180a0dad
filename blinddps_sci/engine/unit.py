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
from blinddps_sci.engine.phases import Phases, restore_blind
from blinddps_sci.errors import InputError
from blinddps_sci.io import Window, read_window
from blinddps_sci.likelihoods.base import Likelihood, chi2_map
from blinddps_sci.operators.base import Given, Operator
from blinddps_sci.operators.blur import FieldBlur, NodeWindow
from blinddps_sci.priors.fused import FusedPrior, PlanewisePrior, TileWindow
from blinddps_sci.sampling.dps import Dps
from blinddps_sci.sampling.noise import Site, Stream
from blinddps_sci.sampling.posterior import Progress, Status, spread
from blinddps_sci.sampling.sample import Sampler, sample
from blinddps_sci.sampling.split import Split
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

_IMAGE_NOISE = (1.0, 0.02)
_KERNEL_NOISE = (1.0, 0.02)
"""First and last noise of the split sampler on the networks' domains (``docs/method.md``)."""

_DETAIL = 0.3
"""Detail of the images about which the split sampler linearises: with less the kernels come out too
narrow, with more too wide, the more so the larger the image; chosen on images held out from training."""

_FIRST_WIDTH = 0.1
"""Standard deviation of the first kernel, as a share of its side."""

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
    kernels, kernels_std : ndarray of float32, (N, K, K)
        Posterior mean of the kernel of each tile, and its standard deviation; NaN for a single draw.
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
    kernels_std: np.ndarray
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
    operator, unknowns = _problem(job, unit, tiles, window)
    index = job.index(unit.plane)
    stream = Stream(
        job.config.seed, frame=index.get("t", 0) * _SLICES + index.get("z", 0), channel=index.get("c", 0)
    )
    drawn = _draw(job, unit, tiles, data, operator, likelihood, unknowns, stream, callback)
    if not np.isfinite(drawn.images.cpu().numpy()).all():
        raise InputError(f"unit {number}: {Status.NOT_FINITE.value}")
    return _collect(job, unit, tiles, window, drawn, operator, likelihood, data)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Draws of a unit: images (S, 1, h, w), the kernels of each (S, N, K, K), and their mean and spread."""

    images: Tensor
    kernels: Tensor | None = None
    mean: Tensor | None = None
    std: Tensor | None = None


def _draw(
    job: Job,
    unit: Unit,
    tiles: tuple[Tile, ...],
    data: Tensor,
    operator: Operator,
    likelihood: Likelihood,
    unknowns: dict[str, Unknown],
    stream: Stream,
    callback: Callable[[Progress], None] | None,
) -> _Drawn:
    """Draw the unknowns of a unit by the sampler that the job asks for."""
    if job.config.sampler == "split" and "kernel" in unknowns:
        sampler = Split(job.config.steps, sites=(Site(unit.data.y0, unit.data.x0),))
        smooth = job.config.psf == "smooth" and unknowns["kernel"].shape[0] > 1
        mixing = _neighbour_mixing(tiles) if smooth else None
        phases = Phases(sampler, job.config.chains, job.config.samples, mixing)
        posterior, kernels, agreed = restore_blind(
            data, operator, likelihood, unknowns, stream, phases, callback
        )
        return _Drawn(posterior.samples["image"][:, 0], kernels, agreed.mean, spread(agreed.chains))
    posterior = sample(
        data,
        operator,
        likelihood,
        unknowns,
        sampler=_sampler(job, unit, likelihood, data),
        seeds=[stream],
        samples=job.draws,
        callback=callback,
    )
    images = posterior.samples["image"][:, 0]
    if "kernel" not in unknowns:
        return _Drawn(images)
    found = posterior.samples["kernel"][:, 0]
    return _Drawn(images, found, found.mean(dim=0), spread(found))


def _sampler(job: Job, unit: Unit, likelihood: Likelihood, data: Tensor) -> Sampler:
    if job.config.sampler == "split":
        return Split(job.config.steps, sites=(Site(unit.data.y0, unit.data.x0),))
    unit_of_data = ImageMap(job.stretch).unit
    calibrated = _CALIBRATED * unit_of_data / float(likelihood.noise_level(data))
    return Dps(steps=job.config.steps, weight=min(_GUIDANCE, calibrated), unit=unit_of_data)


def _problem(
    job: Job, unit: Unit, tiles: tuple[Tile, ...], window: Window
) -> tuple[Operator, dict[str, Unknown]]:
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
        start=_first_guess(job, window),
        noise_range=_IMAGE_NOISE,
        detail=_DETAIL,
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
    # The split sampler reconciles and centres the kernels of its chains when they are all there.
    dps = job.config.sampler == "dps"
    mixing = _neighbour_mixing(tiles) if dps and job.config.psf == "smooth" and len(nodes) > 1 else None
    physical = KernelMap(
        centred=dps, mixing=None if mixing is None else mixing.to(job.device), power=job.kernel_power
    )
    size = job.config.psf_size
    kernel_unknown = Unknown(
        PlanewisePrior(job.kernel_prior),
        (len(nodes), size, size),
        physical=physical,
        start=physical.inverse(_round_kernel(size).to(job.device)),
        noise_range=_KERNEL_NOISE,
        sites=tuple(Site(tile.index[0] * _NODE_PITCH, tile.index[1] * _NODE_PITCH) for tile in nodes),
    )
    return operator, {"image": image, "kernel": kernel_unknown}


def _first_guess(job: Job, window: Window) -> Tensor:
    """Return the data on the network's domain, continued over the canvas by reflection, (1, 1, H, W)."""
    usable = window.data[~window.mask]
    level = float(np.median(usable)) if usable.size else 0.0
    filled = np.pad(np.where(window.mask, level, window.data), job.margin, mode="symmetric")
    guess: Tensor = job.stretch.forward(torch.from_numpy(filled.astype(np.float32)))
    return guess.clamp(*_HEADROOM)[None, None].to(job.device)


def _round_kernel(size: int) -> Tensor:
    """Return a broad Gaussian kernel (1, 1, K, K), where the chains begin."""
    offsets = torch.arange(size) - size // 2
    line = torch.exp(-0.5 * (offsets / (_FIRST_WIDTH * size)) ** 2)
    return (line[:, None] * line)[None, None] / line.sum() ** 2


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
    drawn: _Drawn,
    operator: Operator,
    likelihood: Likelihood,
    data: Tensor,
) -> UnitResult:
    """Reduce the draws of a unit to what is written."""
    m = job.margin
    values = {"image": drawn.images}
    if drawn.kernels is not None:
        values["kernel"] = drawn.kernels
    with torch.no_grad():
        predicted = operator.forward(values)
        squares = chi2_map(likelihood, predicted, data.expand_as(predicted)).nanmean(dim=0)[0].cpu().numpy()
    chi2 = np.full(len(tiles), np.nan, dtype=np.float32)
    for i, tile in enumerate(tiles):
        part = squares[tile.box.intersect(unit.data).within(unit.data).slices]
        if np.isfinite(part).any():
            chi2[i] = np.nanmean(part)
    level = job.noise.saturation
    kernels, kernels_std = _kernels(job, drawn, len(tiles))
    return UnitResult(
        unit=unit,
        images=drawn.images[:, 0, m:-m, m:-m].cpu().numpy(),
        kernels=kernels,
        kernels_std=kernels_std,
        chi2=chi2,
        mask=window.mask,
        saturated=np.zeros_like(window.mask) if level is None else (window.data >= level) & ~window.mask,
    )


def _kernels(job: Job, drawn: _Drawn, tiles: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel of every tile and its standard deviation, (N, K, K)."""
    if drawn.mean is not None and drawn.std is not None:
        mean, std = drawn.mean.cpu().numpy(), drawn.std.cpu().numpy()
    elif job.known_psf is not None:
        mean, std = job.known_psf[None], np.zeros_like(job.known_psf)[None]
    else:
        raise InputError("neither a known PSF nor a drawn one is there to be reported")
    shape = (tiles, *mean.shape[1:])
    return np.broadcast_to(mean, shape), np.broadcast_to(std, shape)
