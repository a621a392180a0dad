"""What a job costs on this machine, said and checked before its first step."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import psutil
import torch

from blinddps_sci.engine.devices import gpus_for
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.workload import Workload
from blinddps_sci.io.pyramid import level_sizes
from blinddps_sci.io.result_layout import nodes_per_key
from blinddps_sci.priors.base import Prior
from blinddps_sci.priors.fused import PIXELS_AT_ONCE
from blinddps_sci.priors.unet import UNetConfig
from blinddps_sci.priors.wrap import Denoiser
from blinddps_sci.tiling import Budget, check, estimate
from blinddps_sci.tiling.budget import waiting_units

__all__ = ["bytes_per_pixel", "check_job", "cost"]

_GIB = 2**30
_KEPT_PER_BLOCK = 14
"""Memory that one residual block takes for its gradient, in units of its output (measured)."""

_AT_WORK = 8
"""Memory that the widest block works in without a gradient, in units of its output."""


def bytes_per_pixel(config: UNetConfig, *, gradient: bool = True) -> float:
    """Return the memory that a network takes per pixel of its input, with or without its gradient."""
    widths = [mult * config.model_channels / 4**level for level, mult in enumerate(config.channel_mult)]
    if gradient:
        return float(4 * (2 * config.num_res_blocks + 1) * _KEPT_PER_BLOCK * sum(widths))
    # The outputs of the way down wait for the way up.
    return float(4 * ((config.num_res_blocks + 1) * sum(widths) + _AT_WORK * max(widths)))


def cost(job: Job) -> Budget:
    """Return what a job needs, but for its duration, which has to be measured.

    A worker on this machine is a process of its own, which takes what this one has taken so far: libraries
    and networks.
    """
    budget = estimate(
        job.plan,
        samples=_scenes(job),
        chains=1,
        steps=job.config.steps,
        bytes_per_pixel=_per_pixel(job, job.image_prior),
        frames=job.frames or 1,
        batch=job.batch,
        workers=job.config.workers or 1,
    )
    process = psutil.Process().memory_info().rss if _are_processes(job) else 0
    return replace(
        budget,
        memory_bytes=budget.memory_bytes + _kernel_bytes(job) + process,
        scratch_bytes=budget.scratch_bytes + _estimates_bytes(job),
        evaluations=round(Workload.of(job).total * job.plan.n_tiles / job.plan.n_units),
        files=_result_files(job) + _run_files(job),
    )


def _scenes(job: Job) -> int:
    """Return how many scenes of a unit are in memory at once."""
    if job.frames is not None and job.config.sampler == "split":
        return 1
    return max(job.draws, job.config.chains) if job.estimates else job.draws


def _are_processes(job: Job) -> bool:
    return job.config.workers is not None and job.device.type == "cpu"


def _per_pixel(job: Job, prior: Prior) -> float:
    if not isinstance(prior, Denoiser):
        return 4.0
    return bytes_per_pixel(prior.net.config, gradient=job.config.sampler == "dps")


def _kernel_bytes(job: Job) -> int:
    """Return what the kernels of a unit take, which are denoised many in one call."""
    if job.known_psf is not None:
        return 0
    nodes = 1 if job.config.psf == "shared" else len(job.plan.tiles(job.plan.unit_at(0)))
    pixels = job.batch * nodes * (job.frames or 1) * job.plan.kernel_size**2
    at_once = pixels if job.config.sampler == "dps" else min(pixels, PIXELS_AT_ONCE)
    return round(at_once * _per_pixel(job, job.kernel_prior))


def _estimates_bytes(job: Job) -> int:
    """Return what is kept of the estimated kernels until the run is complete."""
    return job.plan.n_tiles * job.config.chains * job.plan.kernel_size**2 * 4 if job.estimates else 0


def _result_files(job: Job) -> int:
    """Return how many keys the arrays of the result have, each a file."""
    plan, unit = job.plan, job.plan.unit
    keys = [math.ceil(nodes.size / nodes_per_key(nodes, unit)) for nodes in plan.nodes()]
    levels = level_sizes({"y": plan.shape[0], "x": plan.shape[1]})
    shards = [math.ceil(level["y"] / unit) * math.ceil(level["x"] / unit) for level in levels]
    # image and std in every level, and dq in the first; kernel, its deviation and chi-squared, and tilts
    own = 3 if job.frames is None else 4
    return plan.planes * (2 * sum(shards) + shards[0] + own * (job.frames or 1) * math.prod(keys))


def _run_files(job: Job) -> int:
    """Return how many files lie beside the result at most: markers, estimates, and draws that wait."""
    estimates = 2 * job.plan.n_units if job.estimates else 0
    return estimates + 2 * job.plan.n_units + waiting_units(job.plan, job.config.workers or 1)


def check_job(job: Job, folder: Path, *, copied: bool = False) -> Budget:
    """Return what a job needs, or refuse it with the numbers.

    Parameters
    ----------
    job : Job
        The job. On a scheduler its workers' memory is not known here, unless there is a ``memory_limit``.
    folder : Path
        Where its output goes.
    copied : bool
        Whether the run keeps a copy of its input, which is no file.

    Raises
    ------
    BudgetError
        If the memory or the disk does not suffice.
    ConfigError
        If there are fewer GPUs than workers.
    """
    if job.config.workers is not None:
        gpus_for(job.config.workers, job.config.device)
    budget = cost(job)
    if copied:
        budget = replace(budget, scratch_bytes=budget.scratch_bytes + job.dataset.nbytes)
    check(budget, memory_limit=_memory(job), disk_free=shutil.disk_usage(folder).free)
    return budget


def _memory(job: Job) -> int | None:
    """Return what all workers together may use."""
    if job.config.memory_limit is not None:
        return int(job.config.memory_limit * _GIB)
    if job.config.scheduler is not None:
        return None
    if job.device.type == "cuda":
        # Every worker has a GPU of its own.
        used = range(min(job.config.workers or 1, torch.cuda.device_count()))
        return sum(int(torch.cuda.mem_get_info(device)[0]) for device in used)
    return int(psutil.virtual_memory().available)
