"""A job: one stack's resolved restoration, ready to be run unit by unit.

Everything that is decided once for the whole stack is decided here (the plan, the stretch,
the noise, the networks), and all of it enters the fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from xarray import Dataset

from blinddps_sci.engine.config import EXECUTION, RestoreConfig, parse_shard
from blinddps_sci.engine.evidence import Evidence
from blinddps_sci.engine.known_psf import read_psf
from blinddps_sci.engine.networks import choose_device, choose_precision, load_priors
from blinddps_sci.engine.photometry import NoiseModel, choose_noise, choose_stretch
from blinddps_sci.engine.places import index_of
from blinddps_sci.engine.refinement import burst_steps
from blinddps_sci.engine.registration import filled, register
from blinddps_sci.engine.seeing import contrast
from blinddps_sci.engine.tilts import TiltModel
from blinddps_sci.engine.uncertainty import Uncertainty
from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.io import Window, check_finite, overview, read_window
from blinddps_sci.operators.stretch import AsinhStretch, LinearStretch
from blinddps_sci.priors.base import Prior
from blinddps_sci.tiling.plan import Plan, Unit

__all__ = ["ALGORITHM", "Job", "Resolved", "prepare"]

ALGORITHM = 17
"""Raised whenever the same configuration would give another answer."""

_UNTOLD = 1.4
"""Contrast of a scene over that of its frame, if there is only one frame to tell."""

_TELLING, _TELLING_SIDE = 24, 256
"""Frames of a burst that tell of its scene's contrast, and their side, pixels."""

_SAMPLE_SIDE = 1024
_PLAIN = 64
"""Windows of a single value after which the noise is measured on one."""


@dataclass(frozen=True)
class Job:
    """A restoration of one stack.

    Parameters
    ----------
    config : RestoreConfig
        The options.
    dataset : Dataset
        The input, lazy.
    plan : Plan
        Units and tiles of one image plane, and the number of planes.
    stretch : LinearStretch or AsinhStretch
        Between flux and the image network's domain.
    noise : NoiseModel
        Of the detector, in data units.
    image_prior, kernel_prior : Prior
        Denoisers of one tile and of one kernel.
    known_psf : ndarray, (K, K), optional
        The PSF of a non-blind problem.
    kernel_power : 1 or 2
        Whether the kernel prior's domain is of kernels or of their amplitudes.
    tilt_model : TiltModel
        What is known of the tilts of turbulence.
    weights : mapping of str to str
        Digest of each network's weights, and of a known PSF.
    uncertainty : Uncertainty
        What the spread of the image's draws lacks.
    device : torch.device
        Where to compute.
    """

    config: RestoreConfig
    dataset: Dataset
    plan: Plan
    stretch: LinearStretch | AsinhStretch
    noise: NoiseModel
    image_prior: Prior
    kernel_prior: Prior
    known_psf: np.ndarray | None
    kernel_power: Literal[1, 2]
    tilt_model: TiltModel
    weights: Mapping[str, str]
    uncertainty: Uncertainty
    device: torch.device

    @property
    def leading(self) -> dict[str, int]:
        """Sizes of the axes before (y, x), in order; each combination is one plane, a burst's frames too."""
        return _leading(self.dataset, self.config)

    @property
    def frames(self) -> int | None:
        """Frames of every scene seen through turbulence; None without turbulence."""
        if self.config.model == "blur":
            return None
        return self.dataset["data"].sizes.get("t", 1) if self.config.merges else 1

    def index(self, plane: int) -> dict[str, int]:
        """Return the position of a plane along the leading axes."""
        return index_of(plane, self.leading)

    def tilt_unit(self, unit: Unit) -> Unit:
        """Return the unit at the same place in the channel in which the tilts of a burst are found.

        All channels share their tilts, which the middle one (green, of a colour camera) finds.
        """
        index = self.index(unit.plane)
        if "c" not in index:
            return unit
        index["c"] = self.leading["c"] // 2
        plane = int(np.ravel_multi_index(tuple(index.values()), tuple(self.leading.values())))
        return self.plan.unit_at(unit.index + (plane - unit.plane) * (self.plan.n_units // self.plan.planes))

    def with_draws(self, draws: int) -> Job:
        """Return the same job with another number of draws."""
        return replace(self, config=self.config.model_copy(update={"samples": draws, "chains": 1}))

    @property
    def draws(self) -> int:
        """Posterior draws of every plane."""
        return self.config.draws

    @property
    def batch(self) -> int:
        """Draws that are made at once: on a processor one for each of torch's threads; of a burst one."""
        if self.frames is not None and self.config.sampler == "split":
            return 1
        draws = max(self.draws, self.config.chains) if self.estimates else self.draws
        return min(draws, self._threads) if self.abreast else draws

    @property
    def abreast(self) -> bool:
        """Whether the draws of a batch are made in threads, side by side, and not as one tensor."""
        return self.device.type == "cpu"

    @property
    def _threads(self) -> int:
        """Threads of torch where the units are at work: Dask workers have one each."""
        away = self.config.workers is not None or self.config.scheduler is not None
        return 1 if away else torch.get_num_threads()

    @property
    def estimates(self) -> bool:
        """Whether kernels are estimated first and images drawn later, or both in one go."""
        return self.config.estimates

    @property
    def units(self) -> range:
        """The units that are this process's to do: all, or those of its shard."""
        total = self.plan.n_units
        i, n = (0, 1) if self.config.shard is None else parse_shard(self.config.shard)
        return range(total * i // n, total * (i + 1) // n)

    @property
    def evidence(self) -> Evidence:
        """Whose estimates of the kernels each unit is restored with."""
        return Evidence.by(self.config, self.plan)

    @property
    def steps(self) -> int:
        """Steps of every unit."""
        if self.frames is not None:
            return burst_steps(self.config, self.plan)
        return self.config.steps * (2 if self.estimates else 1)

    @property
    def margin(self) -> int:
        """Pixels by which a canvas exceeds the data."""
        return self.plan.halo

    @property
    def summary(self) -> dict[str, Any]:
        """Everything that decides the answer, as plain values."""
        return {
            "algorithm": ALGORITHM,
            "config": self.config.model_dump(mode="json", exclude=set(EXECUTION)),
            "input": self.dataset.attrs.get("identity", {}),
            "stretch": {"kind": type(self.stretch).__name__, **asdict(self.stretch)},
            "noise": asdict(self.noise),
            "weights": dict(self.weights),
            "uncertainty": self.uncertainty.as_dict,
        }

    @cached_property
    def fingerprint(self) -> str:
        """Digest of `summary`; the same fingerprint means the same answer."""
        return hashlib.sha256(json.dumps(self.summary, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Resolved:
    """What is measured once on a whole stack, to be used instead of being measured again."""

    stretch: LinearStretch | AsinhStretch
    noise: NoiseModel


def _measured(dataset: Dataset, config: RestoreConfig) -> Resolved:
    """Measure the noise and the stretch on the whole stack.

    Raises
    ------
    InputError
        If no pixel is finite.
    """
    check_finite(dataset)
    noise = choose_noise(config, dataset, _sample(dataset))
    # A shutter that stayed closed says nothing of the range of other frames.
    stretch = choose_stretch(overview(dataset, plain=not config.merges))
    if config.model == "turbulence" and isinstance(stretch, LinearStretch):
        stretch = stretch.widened(_contrast(dataset) if config.merges else _UNTOLD)
    return Resolved(stretch, noise)


def _contrast(dataset: Dataset) -> float:
    """Return by how much the range of a burst's scene exceeds that of its frames, told by their middle."""
    sizes = dataset["data"].sizes
    if "t" not in sizes:
        return _UNTOLD
    index = {str(dim): n // 2 for dim, n in sizes.items() if dim not in ("t", "y", "x")}
    y, x = (_middle(sizes[dim], _TELLING_SIDE) for dim in ("y", "x"))
    some = np.unique(np.linspace(0, sizes["t"] - 1, _TELLING).round().astype(int))
    windows = (read_window(dataset, {"t": int(t), **index}, y, x) for t in some)
    frames = [filled(window.data, window.mask) for window in windows if not _plain(window)]
    return contrast(register(np.stack(frames)).moved) if len(frames) > 1 else _UNTOLD


def prepare(dataset: Dataset, config: RestoreConfig, resolved: Resolved | None = None) -> Job:
    """Resolve everything about a restoration before the first step.

    Parameters
    ----------
    dataset : Dataset
        From `open_stack`.
    config : RestoreConfig
        The options.
    resolved : Resolved, optional
        Of the same stack and options; measured here without it.

    Raises
    ------
    InputError
        If no pixel is finite.
    PriorError, ConfigError
        If a prior, the PSF file or the device cannot be had.
    """
    device = choose_device(config)
    config = config.model_copy(update={"precision": choose_precision(config, device)})
    priors = load_priors(config, device)
    weights = dict(priors.weights)
    known_psf = None if config.psf_file is None else read_psf(config.psf_file)
    if known_psf is not None:
        weights["psf"] = hashlib.sha256(known_psf.tobytes()).hexdigest()
    size = config.psf_size if known_psf is None else known_psf.shape[0]
    if resolved is None:
        resolved = _measured(dataset, config)
    data = dataset["data"]
    height, width = data.sizes["y"], data.sizes["x"]
    plan = Plan(
        shape=(height, width),
        planes=math.prod(_leading(dataset, config).values()),
        tile=config.tile,
        overlap=config.overlap,
        unit=config.unit,
        kernel_size=size,
        reach=config.reach if config.model == "turbulence" else 0,
    )
    return Job(
        config=config,
        dataset=dataset,
        plan=plan,
        stretch=resolved.stretch,
        noise=resolved.noise,
        image_prior=priors.image,
        kernel_prior=priors.kernel,
        known_psf=known_psf,
        kernel_power=priors.kernel_power,
        tilt_model=priors.tilts,
        weights=weights,
        uncertainty=priors.uncertainty,
        device=device,
    )


def _leading(dataset: Dataset, config: RestoreConfig) -> dict[str, int]:
    """Return the sizes of the axes whose combinations are planes of the result.

    Raises
    ------
    ConfigError
        If a burst has slices.
    """
    inner = ("t", "y", "x") if config.merges else ("y", "x")
    leading = {str(dim): size for dim, size in dataset["data"].sizes.items() if dim not in inner}
    if config.merges and leading.get("z", 1) > 1:
        raise ConfigError(
            f"a burst of one scene was asked for, but the input has an axis z of length {leading['z']}; "
            "restore the slices one by one"
        )
    return leading


def _sample(dataset: Dataset) -> np.ndarray:
    """Return a window at full resolution, NaN where masked, of which at least half is usable.

    Without such a window, the one with the most usable pixels.

    Raises
    ------
    InputError
        If no pixel is usable.
    """
    fullest, most, plain = None, 0.0, 0
    for index, y, x in _windows(dataset):
        window = read_window(dataset, index, y, x)
        usable = 1.0 - float(window.mask.mean())
        if _plain(window):
            plain += usable > 0
            usable *= 1e-3  # better than nothing
        if usable > most:
            fullest, most = np.where(window.mask, np.nan, window.data), usable
        if most >= 0.5 or plain >= _PLAIN:
            break
    if fullest is None:
        raise InputError(
            "no pixel has a finite value with a positive, finite variance; check the error plane"
        )
    return fullest


def _plain(window: Window) -> bool:
    """Return whether all usable values of a window are one, or there is none."""
    usable = window.data[~window.mask]
    return not usable.size or bool(usable.min() == usable.max())


def _windows(dataset: Dataset) -> Iterator[tuple[dict[str, int], slice, slice]]:
    """Yield the middle of every plane, then all of each; the first of a stack may be dark or out of focus."""
    sizes = {str(dim): size for dim, size in dataset["data"].sizes.items()}
    height, width = sizes.pop("y"), sizes.pop("x")
    planes = [dict(zip(sizes, where, strict=True)) for where in np.ndindex(*sizes.values())]
    planes = planes[len(planes) // 2 :] + planes[: len(planes) // 2]

    def span(start: int, length: int) -> slice:
        return slice(start, min(start + _SAMPLE_SIDE, length))

    for plane in planes:
        yield plane, _middle(height, _SAMPLE_SIDE), _middle(width, _SAMPLE_SIDE)
    for plane in planes:
        for y in range(0, height, _SAMPLE_SIDE):
            for x in range(0, width, _SAMPLE_SIDE):
                yield plane, span(y, height), span(x, width)


def _middle(length: int, side: int) -> slice:
    """Return the middle of an axis, of so many pixels or all."""
    start = max((length - side) // 2, 0)
    return slice(start, min(start + side, length))
