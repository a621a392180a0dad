"""How fast this machine restores: one tile, in a few steps, timed here and now."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from xarray import Dataset

from blinddps_sci.engine.batches import Callback
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.unit import run_unit
from blinddps_sci.engine.workload import Workload
from blinddps_sci.io import read_window
from blinddps_sci.tiling.budget import duration, tile_pixels

__all__ = ["measured_pace", "projected_seconds"]

_STEPS = 2
"""Steps of the calibration: those of most and of least noise, between which the others lie."""

_FRAMES = 6
"""Frames of a burst that are calibrated with."""

_PLACES = 64
"""So many units, spread evenly, are tried for a tile of which at least half is usable."""


def projected_seconds(job: Job, pace: float | None = None) -> float:
    """Return how long a job will take on this machine, with the workers that it asks for.

    Parameters
    ----------
    job : Job
        The job.
    pace : float, optional
        That of a job with the same networks and sampler, from `measured_pace`; measured here without it.
    """
    if pace is None:
        pace = measured_pace(job)
    return duration(pace * _work(job), len(job.units), _at_once(job))


def measured_pace(job: Job, callback: Callback | None = None) -> float:
    """Return the seconds that one of a job's workers takes for a pixel of a tile and a call of the network.

    One of its tiles is restored in a few steps, by as many draws as the job makes at once; everything that
    a unit does goes with the pixels of its tiles.

    Parameters
    ----------
    job : Job
        The job.
    callback : callable, optional
        Called after every step; an exception it raises ends the measurement.
    """
    small = _one_tile(job)
    with _threads_of(job):
        _timed(small, callback)  # the first one warms up
        return _timed(small, callback) / _work(small)


def _work(job: Job) -> float:
    """Return how many pixels of tiles the networks are called for, each frame of a burst counted."""
    return Workload.of(job).total * tile_pixels(job.plan) / job.plan.n_units * (job.frames or 1)


def _at_once(job: Job) -> int:
    """Return how many units this machine restores at once without slowing each down."""
    devices = torch.cuda.device_count() if job.device.type == "cuda" else os.cpu_count()
    return min(job.config.workers or 1, max(devices or 1, 1))


def _one_tile(job: Job) -> Job:
    """Return the same job on one tile of its input, of a burst on a few of its frames."""
    dataset = _usable_tile(job)
    if job.config.merges and "t" in dataset["data"].dims:
        dataset = dataset.isel(t=slice(_FRAMES))
    sizes = dataset["data"].sizes
    options: dict[str, Any] = {"steps": _STEPS, "keep_trajectory": 0, "shard": None}
    if job.device.type == "cpu":
        options |= {name: min(getattr(job.config, name), job.batch) for name in ("chains", "samples")}
    return replace(
        job,
        dataset=dataset,
        plan=replace(job.plan, shape=(sizes["y"], sizes["x"]), planes=1),
        config=job.config.model_copy(update=options),
    )


def _usable_tile(job: Job) -> Dataset:
    """Return one plane's window of a tile's size, the most usable of a few."""
    plan, best, most = job.plan, None, -1.0
    for number in sorted({i * plan.n_units // _PLACES for i in range(_PLACES)}):
        unit = plan.unit_at(number)
        y, x = (
            slice(start, min(start + plan.tile, stop))
            for start, stop in ((unit.data.y0, unit.data.y1), (unit.data.x0, unit.data.x1))
        )
        index = job.index(unit.plane)
        usable = 1.0 - float(read_window(job.dataset, index, y, x).mask.mean())
        if usable > most:
            best, most = job.dataset.isel({**{dim: [i] for dim, i in index.items()}, "y": y, "x": x}), usable
        if most >= 0.5:
            break
    if best is None:
        raise AssertionError("a plan has a unit")
    return best


@contextmanager
def _threads_of(job: Job) -> Iterator[None]:
    """Compute with as many threads as a worker of the job has."""
    before = torch.get_num_threads()
    if job.config.workers is not None or job.config.scheduler is not None:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _timed(job: Job, callback: Callback | None) -> float:
    begin = time.perf_counter()
    run_unit(job, 0, callback)
    if job.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin
