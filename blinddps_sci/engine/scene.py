"""One unit as an inverse problem: what was measured, what is unknown, and how they hang together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from blinddps_sci.engine.job import Job
from blinddps_sci.io import Window, read_window
from blinddps_sci.likelihoods.base import Likelihood
from blinddps_sci.operators.blur import FieldBlur, NodeWindow
from blinddps_sci.priors.base import Prior
from blinddps_sci.priors.error import ErrorTable
from blinddps_sci.priors.fused import FusedPrior, PlanewisePrior, TileWindow
from blinddps_sci.priors.wrap import Denoiser
from blinddps_sci.sampling.dps import Dps
from blinddps_sci.sampling.noise import Site, Stream
from blinddps_sci.sampling.sample import Sampler
from blinddps_sci.sampling.split import Split
from blinddps_sci.sampling.unknown import ImageMap, KernelMap, Unknown
from blinddps_sci.tiling.box import Box
from blinddps_sci.tiling.plan import Tile, Unit

__all__ = [
    "FIRST_WIDTH",
    "HEADROOM",
    "Scene",
    "blind_scene",
    "canvas_prior",
    "chain_sampler",
    "first_image",
    "node_windows",
    "plane_stream",
    "read_scene",
    "round_kernel",
]

HEADROOM = (-1.5, 4.0)
"""Limits of the image's clean estimate: stars may be brighter than the stretch's range."""

_GUIDANCE = 4.0
"""Largest weight of the data, chosen on images held out from training."""

_CALIBRATED = 0.3
"""Weight of the data times the noise on the network's domain at which the draws of an exact Gaussian
prior spread as its posterior does (see ``docs/method.md``)."""

_IMAGE_NOISE = (1.0, 0.02)
_KERNEL_NOISE = (1.0, 0.02)
"""First and last noise of the split sampler on the networks' domains (``docs/method.md``)."""

_BLIND_NOISE = (4.0, 0.02)
"""Those of an image whose kernels are sought: with less at first, it keeps what the widest made of it."""

_DETAIL = 0.3
"""Detail of the images about which the split sampler linearises: with less the kernels come out too
narrow, with more too wide, the more so the larger the image; chosen on images held out from training."""

_LOCAL_DETAIL = 0.1
"""The same, where the prior knows that its error is small where an image is flat."""

FIRST_WIDTH = 0.2355
"""Full width at half maximum of the first kernel, as a share of its side, from which a few steps lead to the
narrowest."""

_WIDE = 0.4
"""The same from which chains find the widest kernels, too; chosen on images held out from training."""

_ENOUGH = 24
"""Steps that bring a kernel from wide to narrow; with fewer, chains begin narrower, with less noise, and take
the image's error as it was measured."""

_WIDEST = 8.0
"""Factor by which the variance of an image's error may exceed what was measured of its prior."""

_FULL_WIDTH = math.sqrt(8 * math.log(2))
"""Full width at half maximum of a Gaussian, in standard deviations."""

_SLICES = 65536
"""Every frame and slice has noise of its own; more slices than a stack can have."""

_NODE_PITCH = 256
"""Distance at which the noise of neighbouring kernels is drawn: the side of the largest kernel."""


@dataclass(frozen=True, eq=False)
class Scene:
    """The inverse problem of one unit.

    Parameters
    ----------
    unit, tiles : Unit, tuple of Tile
        Which.
    window : Window
        Its input.
    data : Tensor, (1, 1, h, w)
        The same, on the device.
    likelihood : Likelihood
        Its noise.
    operator : FieldBlur
        From ``image`` and ``kernel`` to the data.
    image : Unknown
        Its image, over its canvas.
    kernel : Unknown, optional
        Its kernels, one for each tile or one for all of them; None if the PSF is known.
    sampler : Split or Dps
        The method.
    stream : Stream
        Identity of its plane, for the noise.
    """

    unit: Unit
    tiles: tuple[Tile, ...]
    window: Window
    data: Tensor
    likelihood: Likelihood
    operator: FieldBlur
    image: Unknown
    kernel: Unknown | None
    sampler: Sampler
    stream: Stream

    @property
    def empty(self) -> bool:
        """Whether no pixel of it was measured."""
        return bool(self.window.mask.all())


def read_scene(job: Job, number: int) -> Scene:
    """Read a unit's input and pose its problem.

    Parameters
    ----------
    job : Job
        The restoration.
    number : int
        Which unit, from 0.
    """
    unit = job.plan.unit_at(number)
    tiles = job.plan.tiles(unit)
    window = read_window(job.dataset, job.index(unit.plane), *unit.data.slices)
    data = torch.from_numpy(window.data).to(job.device)[None, None]
    likelihood = job.channel_of(unit).noise.likelihood(window, job.device)
    single = job.config.psf == "shared" or job.known_psf is not None or len(tiles) == 1
    return Scene(
        unit=unit,
        tiles=tiles,
        window=window,
        data=data,
        likelihood=likelihood,
        operator=FieldBlur(_whole(unit) if single else node_windows(unit, tiles), margin=job.margin),
        image=_image(job, unit, tiles, window),
        kernel=None if job.known_psf is not None else _kernel(job, tiles[:1] if single else tiles),
        sampler=chain_sampler(
            job,
            unit,
            likelihood,
            data,
            Split(
                job.config.steps,
                widest=1.0 if _error(job.image_prior) is None else _WIDEST,
                sites=(Site(unit.data.y0, unit.data.x0),),
            ),
        ),
        stream=plane_stream(job, unit),
    )


def plane_stream(job: Job, unit: Unit) -> Stream:
    """Return the identity of a unit's plane, for the noise."""
    index = job.index(unit.plane)
    frame = index.get("t", 0) * _SLICES + index.get("z", 0)
    return Stream(job.config.seed, frame=frame, channel=index.get("c", 0))


def chain_sampler(job: Job, unit: Unit, likelihood: Likelihood, data: Tensor, split: Split) -> Sampler:
    """Return the method that the options ask for: ``split``, or the published one with its weight."""
    if job.config.sampler == "split":
        return split
    unit_of_data = ImageMap(job.channel_of(unit).stretch).unit
    calibrated = _CALIBRATED * unit_of_data / float(likelihood.noise_level(data))
    return Dps(steps=job.config.steps, weight=min(_GUIDANCE, calibrated), unit=unit_of_data)


def _image(job: Job, unit: Unit, tiles: tuple[Tile, ...], window: Window) -> Unknown:
    canvas = unit.canvas
    return Unknown(
        canvas_prior(job, canvas, tiles),
        (1, canvas.height, canvas.width),
        physical=ImageMap(job.channel_of(unit).stretch),
        clamp=HEADROOM,
        start=first_image(job, unit, _unmasked(window)),
        noise_range=_IMAGE_NOISE,
        detail=_detail(job.image_prior),
        sites=(Site(canvas.y0, canvas.x0),),
    )


def blind_scene(job: Job, scene: Scene) -> Scene:
    """Return a scene as the split sampler has it where the kernels are sought, too."""
    if _searches_widely(job):
        return replace(scene, image=replace(scene.image, noise_range=_BLIND_NOISE))
    if isinstance(scene.sampler, Split):
        # In few steps an image of wider error does not find back from a wrong kernel.
        return replace(scene, sampler=replace(scene.sampler, widest=1.0))
    return scene


def _searches_widely(job: Job) -> bool:
    return job.config.sampler == "split" and job.config.steps >= _ENOUGH


def _detail(prior: Prior) -> float:
    error = _error(prior)
    return _LOCAL_DETAIL if error is not None and error.activities else _DETAIL


def _error(prior: Prior) -> ErrorTable | None:
    """Return the error that was measured of a network; other priors know theirs."""
    return prior.error if isinstance(prior, Denoiser) else None


def _kernel(job: Job, nodes: tuple[Tile, ...]) -> Unknown:
    # The split sampler reconciles and centres the kernels of its chains when they are all there.
    dps = job.config.sampler == "dps"
    mixing = _neighbour_mixing(nodes) if dps and job.config.psf == "smooth" and len(nodes) > 1 else None
    physical = KernelMap(
        centred=dps, mixing=None if mixing is None else mixing.to(job.device), power=job.kernel_power
    )
    size = job.config.psf_size
    width = _WIDE if _searches_widely(job) else FIRST_WIDTH
    return Unknown(
        PlanewisePrior(job.kernel_prior),
        (len(nodes), size, size),
        physical=physical,
        start=physical.inverse(round_kernel(size, width * size).to(job.device)),
        noise_range=_KERNEL_NOISE,
        sites=tuple(Site(tile.index[0] * _NODE_PITCH, tile.index[1] * _NODE_PITCH) for tile in nodes),
    )


def canvas_prior(job: Job, canvas: Box, tiles: tuple[Tile, ...]) -> FusedPrior:
    """Return the prior of a unit's image over its canvas: the network on each tile, blended."""
    windows = [
        TileWindow(
            *tile.box.within(canvas).slices,
            torch.from_numpy(np.outer(tile.window_y, tile.window_x)).to(job.device),
        )
        for tile in tiles
    ]
    return FusedPrior(job.image_prior, windows)


def _unmasked(window: Window) -> np.ndarray:
    """Return the data with the median in place of what is masked."""
    usable = window.data[~window.mask]
    level = float(np.median(usable)) if usable.size else 0.0
    return np.where(window.mask, level, window.data)


def first_image(job: Job, unit: Unit, data: np.ndarray) -> Tensor:
    """Return data (h, w) on the network's domain, continued over the canvas by reflection, (1, 1, H, W)."""
    continued = np.pad(data, job.margin, mode="symmetric")
    guess: Tensor = job.channel_of(unit).stretch.forward(torch.from_numpy(continued.astype(np.float32)))
    return guess.clamp(*HEADROOM)[None, None].to(job.device)


def round_kernel(size: int, width: float) -> Tensor:
    """Return a Gaussian kernel (1, 1, K, K), where the chains begin.

    Parameters
    ----------
    size : int
        K.
    width : float
        Full width at half maximum, pixels.
    """
    offsets = torch.arange(size) - size // 2
    line = torch.exp(-0.5 * (offsets * _FULL_WIDTH / width) ** 2)
    return (line[:, None] * line)[None, None] / line.sum() ** 2


def node_windows(unit: Unit, tiles: tuple[Tile, ...]) -> list[NodeWindow]:
    """Return the tiles' windows restricted to the unit's data, in data pixels."""
    seen = [tile.cropped(unit.data) for tile in tiles]
    corners = [tile.box.within(unit.data) for tile in seen]
    return [
        NodeWindow(corner.y0, corner.x0, tile.window_y, tile.window_x)
        for tile, corner in zip(seen, corners, strict=True)
    ]


def _whole(unit: Unit) -> list[NodeWindow]:
    height, width = unit.data.shape
    return [NodeWindow(0, 0, np.ones(height, dtype=np.float32), np.ones(width, dtype=np.float32))]


def _neighbour_mixing(tiles: tuple[Tile, ...]) -> Tensor:
    """Return row-stochastic weights (N, N) that average each kernel with its direct neighbours."""
    places = torch.tensor([tile.index for tile in tiles], dtype=torch.float32)
    offset = (places[:, None] - places[None]).abs()
    weights = (1 - 0.5 * offset).clamp(min=0).prod(dim=-1)
    return weights / weights.sum(dim=1, keepdim=True)
