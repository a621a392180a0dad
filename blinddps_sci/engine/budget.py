"""What a job costs on this machine, said and checked before its first step."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import psutil
import torch

from blinddps_sci.engine.job import Job
from blinddps_sci.priors.base import Prior
from blinddps_sci.priors.unet import UNetConfig
from blinddps_sci.priors.wrap import Denoiser
from blinddps_sci.tiling import Budget, check, estimate

__all__ = ["bytes_per_pixel", "check_job", "cost", "seconds_per_evaluation"]

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


def seconds_per_evaluation(job: Job, repeats: int = 3) -> float:
    """Return the time of one call of the image prior on the largest tile, as the sampler makes it.

    Measured here and now, one draw at a time; the fastest of a few.
    """
    gradient = job.config.sampler == "dps"
    x = torch.zeros((1, 1, *job.plan.largest_tile()), device=job.device, requires_grad=gradient)
    sigma = torch.ones(1, device=job.device)
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        estimate = job.image_prior(x, sigma)
        if gradient:
            torch.autograd.grad(estimate.sum(), x)
        if job.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return min(times)


def cost(job: Job, seconds: float | None = None) -> Budget:
    """Return what a job needs; its duration too if the seconds per evaluation are given."""
    budget = estimate(
        job.plan,
        samples=job.batch,
        chains=1,
        steps=job.config.steps,
        bytes_per_pixel=_per_pixel(job, job.image_prior),
        batch=job.batch,
    )
    evaluations = job.plan.n_tiles * job.evaluations
    return replace(
        budget,
        memory_bytes=budget.memory_bytes + _kernel_bytes(job),
        evaluations=evaluations,
        seconds=None if seconds is None else evaluations * seconds,
    )


def _per_pixel(job: Job, prior: Prior) -> float:
    if not isinstance(prior, Denoiser):
        return 4.0
    return bytes_per_pixel(prior.net.config, gradient=job.config.sampler == "dps")


def _kernel_bytes(job: Job) -> int:
    """Return what the kernels of a unit take, which are all denoised in one call."""
    if job.known_psf is not None:
        return 0
    nodes = 1 if job.config.psf == "shared" else len(job.plan.tiles(job.plan.unit_at(0)))
    return round(job.batch * nodes * job.plan.kernel_size**2 * _per_pixel(job, job.kernel_prior))


def check_job(job: Job, folder: Path, seconds: float | None = None) -> Budget:
    """Return what a job needs, or refuse it with the numbers.

    Parameters
    ----------
    job : Job
        The job.
    folder : Path
        Where its output goes.
    seconds : float, optional
        Time of a network call, for the duration.

    Raises
    ------
    BudgetError
        If the memory or the disk does not suffice.
    """
    budget = cost(job, seconds)
    if job.config.memory_limit is not None:
        memory = int(job.config.memory_limit * _GIB)
    elif job.device.type == "cuda":
        memory = int(torch.cuda.mem_get_info(job.device)[0])
    else:
        memory = int(psutil.virtual_memory().available)
    check(budget, memory_limit=memory, disk_free=shutil.disk_usage(folder).free)
    return budget
