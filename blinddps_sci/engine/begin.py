"""How a run begins: its store, and the folder beside it; alone, or joined by other processes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from blinddps_sci.engine.job import Job
from blinddps_sci.engine.novelty import novelty_of
from blinddps_sci.engine.run_folder import RunFolder, folders_of
from blinddps_sci.engine.spec import write_spec
from blinddps_sci.errors import OutputError
from blinddps_sci.io.result import ResultStore, create_result, open_result

__all__ = ["Run", "begin_run", "join_run"]

_PATIENCE = 120
"""Seconds in which another process must have made the store of a run."""

_PACKAGES = ("blinddps-sci", "torch", "numpy", "zarr", "astropy")


@dataclass(frozen=True)
class Run:
    """A run that has a store and a folder.

    Parameters
    ----------
    job : Job
        What is done.
    folder : RunFolder
        What is known of it.
    store : ResultStore
        What it fills, writable.
    """

    job: Job
    folder: RunFolder
    store: ResultStore


def begin_run(job: Job, path: Path, *, source: Any = None, overwrite: bool = False) -> Run:
    """Make the store and the folder of a run.

    Parameters
    ----------
    job : Job
        From `prepare`.
    path : Path
        The store, a folder that must not exist unless ``overwrite`` is true.
    source : path or sequence of paths, optional
        Where the job's stack was read from, so that another process can go on.
    overwrite : bool
        Whether an existing store may be replaced.

    Raises
    ------
    OutputError
        If the store exists or cannot be written.
    """
    store = _create(job, path, overwrite)
    shutil.rmtree(folders_of(path), ignore_errors=True)
    folder = RunFolder.beside(path, job.fingerprint)
    folder.create()
    write_spec(job, source, folder)
    folder.log("begin", units=job.plan.n_units, fingerprint=job.fingerprint)
    return Run(job, folder, store)


def join_run(job: Job, path: Path, *, source: Any = None) -> Run:
    """Begin the run of a job's fingerprint, or join it if another process has begun it.

    Raises
    ------
    OutputError
        If a store of another run is there, or a process that begins this one does not come to an end.
    """
    folder = RunFolder.beside(path, job.fingerprint)
    with _alone(path.with_name(f"{path.name}.lock")):
        if not folder.spec.exists():
            return begin_run(job, path, source=source)
    return Run(job, folder, open_result(path, "r+"))


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock that processes on several machines see: a folder, which only one of them can make."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            lock.mkdir()
            break
        except FileExistsError:
            if time.monotonic() > deadline:
                raise OutputError(
                    f"{lock} has been there for {_PATIENCE} s; remove it if no process is beginning the run"
                ) from None
            time.sleep(0.1)
    try:
        yield
    finally:
        lock.rmdir()


def _create(job: Job, path: Path, overwrite: bool) -> ResultStore:
    plan, leading = job.plan, job.leading
    node_y, node_x = plan.nodes()
    return create_result(
        path,
        template=job.dataset,
        node_y=node_y,
        node_x=node_x,
        frames=(job.frames or 1) * leading.get("t", 1) * leading.get("z", 1),
        channels=leading.get("c", 1),
        kernel_size=plan.kernel_size,
        shard=plan.unit,
        chunk=_chunk(plan.unit),
        dims=[*leading, "y", "x"],
        tilt_y=None if job.frames is None else node_y,
        tilt_x=None if job.frames is None else node_x,
        attrs=_provenance(job),
        overwrite=overwrite,
    )


def _chunk(unit: int) -> int:
    """Return the largest divisor of the unit's side of 64 to 256 pixels, or the side itself."""
    return max((size for size in range(64, 257) if unit % size == 0), default=unit)


def _provenance(job: Job) -> dict[str, Any]:
    novelty = novelty_of(job)
    return {
        **job.summary,
        "fingerprint": job.fingerprint,
        "versions": {name: version(name) for name in _PACKAGES},
        "device": str(job.device),
        "threads": torch.get_num_threads(),
        "batch": job.draws,
        "draws": job.draws,
        "novelty": None if novelty is None else novelty.as_dict,
    }
