"""What a worker does: one phase of one unit, its data first and then its marker."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blinddps_sci.engine.agenda import Task
from blinddps_sci.engine.batches import Callback
from blinddps_sci.engine.blend import blend
from blinddps_sci.engine.devices import claim_gpu
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.places import frame_of, node_slices
from blinddps_sci.engine.run_folder import RunFolder
from blinddps_sci.engine.spec import read_spec
from blinddps_sci.engine.unit import estimate_unit, restore_unit
from blinddps_sci.engine.unit_result import UnitResult
from blinddps_sci.errors import InputError
from blinddps_sci.io.result import DQ_BITS, ResultStore
from blinddps_sci.sampling.reconcile import KernelEstimate, KernelField, reconcile

__all__ = ["digest", "run_task", "run_task_at"]


def run_task_at(folder: str, task: Task) -> dict[str, Any]:
    """Do a task of the run in a folder, in whatever process this is; return what its marker says.

    Opens input and store and loads the networks once per process.
    """
    run = RunFolder(Path(folder))
    run.begin(task.phase, task.unit)
    return run_task(*_opened(folder), task)


@lru_cache(maxsize=1)
def _opened(folder: str) -> tuple[Job, RunFolder, ResultStore]:
    run = RunFolder(Path(folder))
    # Here it is this process that computes.
    job = read_spec(run.spec).job({"workers": None, "scheduler": None})
    claim_gpu(job.device, job.config.device)
    return job, run, ResultStore(run.store, "r+")


def run_task(
    job: Job,
    run: RunFolder,
    store: ResultStore,
    task: Task,
    callback: Callback | None = None,
) -> dict[str, Any]:
    """Do a task and return what its marker says.

    Parameters
    ----------
    job : Job
        The job.
    run : RunFolder
        Where draws and markers go.
    store : ResultStore
        Where results go, writable.
    task : Task
        What to do. It may have been done before, in part or in full: the outcome is the same.
    callback : callable, optional
        Called after every step of the sampler.
    """
    begin = time.perf_counter()
    if task.phase == "estimate":
        found = _estimate(job, run, task.unit, callback)
    elif task.phase == "restore":
        found = _restore(job, run, store, task.unit, callback)
    else:
        found = _blend(job, run, store, task.unit)
    record = {
        "unit": task.unit,
        "attempt": task.attempt,
        "seconds": round(time.perf_counter() - begin, 3),
        "host": socket.gethostname(),
        "process": os.getpid(),
        **found,
    }
    run.mark(task.phase, task.unit, record)
    return record


def _estimate(job: Job, run: RunFolder, unit: int, callback: Callback | None) -> dict[str, Any]:
    estimate = estimate_unit(job, unit, callback)
    run.save("estimate", unit, estimate.chains.numpy())
    return {"evidence": estimate.evidence.tolist(), "places": estimate.places.tolist()}


def _restore(
    job: Job, run: RunFolder, store: ResultStore, unit: int, callback: Callback | None
) -> dict[str, Any]:
    field = _field(job, run, unit) if job.estimates else None
    result = restore_unit(job, unit, field, callback)
    run.save("restore", unit, result.images)
    outliers = [] if field is None else field.outliers.nonzero().flatten().tolist()
    return {
        "masked": int(result.mask.sum()),
        "outliers": outliers,
        "digests": _write_unit(job, store, result),
    }


def _field(job: Job, run: RunFolder, unit: int) -> KernelField | None:
    """Return the kernels of a unit, agreed with those of others; None if nothing was measured."""
    estimates = []
    for other in job.evidence.of(unit):
        chains = run.load("estimate", other)
        if chains is not None and len(chains):
            found = run.record("estimate", other)
            evidence, places = torch.tensor(found["evidence"]), torch.tensor(found["places"])
            estimates.append(KernelEstimate(torch.from_numpy(np.array(chains)), evidence, places))
        elif other == unit:
            return None
    if not estimates:
        raise InputError(f"unit {unit}: no unit of its plane has given an estimate of the PSF")
    return reconcile(estimates, job.config.psf)


def _blend(job: Job, run: RunFolder, store: ResultStore, number: int) -> dict[str, Any]:
    """Blend a unit with those of its neighbours that have draws: the others were given up or are empty."""
    unit = job.plan.unit_at(number)
    blended = blend(job.plan, unit, lambda other: run.load("restore", other), job.uncertainty)
    where = job.index(unit.plane)
    y, x = unit.core.slices
    store.write_region("image", where, y, x, blended.mean)
    store.write_region("std", where, y, x, blended.std)
    return {"digests": {"scale0/image": digest(blended.mean), "scale0/std": digest(blended.std)}}


def digest(values: np.ndarray) -> str:
    """Return a short digest of an array's bytes."""
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=16).hexdigest()


def _write_unit(job: Job, store: ResultStore, result: UnitResult) -> dict[str, str]:
    """Write everything of a unit but the image, and return the digests of what was written."""
    unit = result.unit
    where = job.index(unit.plane)
    channel, first = where.get("c", 0), frame_of(where, job.leading)
    inside = unit.core.within(unit.data).slices
    flags = np.zeros(unit.core.shape, dtype=np.uint16)
    flags[result.mask[inside]] |= DQ_BITS["masked_input"]
    flags[result.saturated[inside]] |= DQ_BITS["saturated"]
    store.write_region("dq", where, *unit.core.slices, flags)
    nodes = node_slices(job.plan, unit)
    shape = tuple(part.stop - part.start for part in nodes)
    kernels, stds = (
        found.reshape(len(found), *shape, *found.shape[2:]) for found in (result.kernels, result.kernels_std)
    )
    figures = {name: found.reshape(len(found), *shape) for name, found in result.figures.items()}
    for frame in range(len(kernels)):
        store.write_psf(first + frame, channel, *nodes, kernels[frame], stds[frame])
        one = {name: found[frame] for name, found in figures.items()}
        store.write_quality(first + frame, channel, *nodes, **one)
    written = {"scale0/dq": flags, "psf/kernel": kernels, "psf/std": stds}
    written |= {f"quality/{name}": found for name, found in figures.items()}
    if result.tilt is not None and job.tilt_unit(unit).plane == unit.plane:
        tilt = result.tilt.transpose(0, 2, 3, 1)
        for frame, field in enumerate(tilt):
            store.write_tilt(first + frame, *nodes, field)
        written["tilt/displacement"] = tilt
    return {name: digest(values) for name, values in written.items()}
