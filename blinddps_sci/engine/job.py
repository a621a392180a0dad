"""A job: one stack's resolved restoration, ready to be run unit by unit.

Everything that is decided once for the whole stack is decided here (the plan, the stretch,
the noise, the networks), and all of it enters the fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from xarray import Dataset

from blinddps_sci.engine.channels import Channel, measure_channels
from blinddps_sci.engine.config import EXECUTION, RestoreConfig, parse_shard
from blinddps_sci.engine.evidence import Evidence
from blinddps_sci.engine.known_psf import read_psf
from blinddps_sci.engine.networks import choose_device, choose_precision, load_priors
from blinddps_sci.engine.places import index_of
from blinddps_sci.engine.refinement import burst_steps
from blinddps_sci.engine.tilts import TiltModel
from blinddps_sci.engine.uncertainty import Uncertainty
from blinddps_sci.errors import ConfigError
from blinddps_sci.priors.base import Prior
from blinddps_sci.priors.wrap import Denoiser
from blinddps_sci.tiling.plan import Plan, Unit

__all__ = ["ALGORITHM", "Job", "prepare"]

ALGORITHM = 21
"""Raised whenever the same configuration would give another answer."""


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
    channels : tuple of Channel
        Range and noise of each channel, or of the one there is.
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
    channels: tuple[Channel, ...]
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

    def channel_of(self, unit: Unit) -> Channel:
        """Return what has been measured of a unit's channel."""
        return self.channels[self.index(unit.plane).get("c", 0)]

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
            "channels": [channel.as_dict for channel in self.channels],
            "weights": dict(self.weights),
            "errors": [
                prior.error.digest
                for prior in (self.image_prior, self.kernel_prior)
                if isinstance(prior, Denoiser) and prior.error is not None
            ],
            "uncertainty": self.uncertainty.as_dict,
        }

    @cached_property
    def fingerprint(self) -> str:
        """Digest of `summary`; the same fingerprint means the same answer."""
        return hashlib.sha256(json.dumps(self.summary, sort_keys=True).encode()).hexdigest()[:16]


def prepare(dataset: Dataset, config: RestoreConfig, channels: tuple[Channel, ...] | None = None) -> Job:
    """Resolve everything about a restoration before the first step.

    Parameters
    ----------
    dataset : Dataset
        From `open_stack`.
    config : RestoreConfig
        The options.
    channels : tuple of Channel, optional
        Of the same stack and options; measured here without them.

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
        channels=channels or measure_channels(dataset, config),
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
