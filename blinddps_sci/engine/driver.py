"""The serial driver: every unit in turn, then the blend, then the store is complete.

Whatever stops a run, an error or Ctrl-C, nothing half-written is left behind.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blinddps_sci.engine.blend import blend
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.trajectory import Trajectory
from blinddps_sci.engine.unit import UnitResult, run_unit
from blinddps_sci.io.result import DQ_BITS, ResultStore, create_result
from blinddps_sci.sampling.posterior import Progress

__all__ = ["Event", "run_job"]

_PACKAGES = ("blinddps-sci", "torch", "numpy", "zarr", "astropy")


@dataclass(frozen=True)
class Event:
    """Progress of a run, given to the caller's callback after every step.

    Parameters
    ----------
    unit, units : int
        Unit at work (from 0) and units in all.
    progress : Progress
        Of the sampler inside the unit.
    """

    unit: int
    units: int
    progress: Progress


@contextmanager
def _removed_on_failure(*folders: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def run_job(
    job: Job, path: Path, *, overwrite: bool = False, callback: Callable[[Event], None] | None = None
) -> ResultStore:
    """Run a job into a new result store and return the store, complete.

    Parameters
    ----------
    job : Job
        From `prepare`.
    path : Path
        The store, a folder that must not exist unless ``overwrite`` is true.
    overwrite : bool
        Whether an existing store may be replaced.
    callback : callable, optional
        Called after every step; an exception it raises ends the run and removes the output.

    Raises
    ------
    OutputError
        If the store exists or cannot be written.
    """
    store = _create(job, path, overwrite)
    with (
        _removed_on_failure(path),
        tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch,
    ):
        trajectory = Trajectory(job.config.keep_trajectory, job.margin)
        for number in range(job.plan.n_units):

            def report(progress: Progress, number: int = number) -> None:
                if number == 0:
                    trajectory.record(progress)
                if callback is not None:
                    callback(Event(number, job.plan.n_units, progress))

            result = run_unit(job, number, report)
            np.save(_draws_file(Path(scratch), number), result.images)
            _write_unit(job, store, result)
        for unit in job.plan.units():
            blended = blend(job.plan, unit, lambda n: np.load(_draws_file(Path(scratch), n), mmap_mode="r"))
            where = job.index(unit.plane)
            y, x = unit.core.slices
            store.write_region("image", where, y, x, blended.mean)
            store.write_region("std", where, y, x, blended.std)
        trajectory.write(store)
        store.build_pyramid()
        store.finish()
    # Beside the store: a file inside that is no part of Zarr makes its readers warn.
    trajectory.draw(path.with_name(f"{path.stem}.trajectory.png"))
    return store


def _draws_file(folder: Path, number: int) -> Path:
    return folder / f"{number:09d}.npy"


def _create(job: Job, path: Path, overwrite: bool) -> ResultStore:
    plan, leading = job.plan, job.leading
    node_y, node_x = plan.nodes()
    return create_result(
        path,
        template=job.dataset,
        node_y=node_y,
        node_x=node_x,
        frames=_frames(leading),
        channels=leading.get("c", 1),
        kernel_size=plan.kernel_size,
        shard=plan.unit,
        chunk=_chunk(plan.unit),
        attrs=_provenance(job),
        overwrite=overwrite,
    )


def _chunk(unit: int) -> int:
    """Return the largest divisor of the unit's side of 64 to 256 pixels, or the side itself."""
    return max((size for size in range(64, 257) if unit % size == 0), default=unit)


def _frames(leading: dict[str, int]) -> int:
    """Return the PSF's frame count: every combination of time and depth has its own."""
    return leading.get("t", 1) * leading.get("z", 1)


def _frame(job: Job, index: dict[str, int]) -> int:
    return index.get("t", 0) * job.leading.get("z", 1) + index.get("z", 0)


def _provenance(job: Job) -> dict[str, Any]:
    return {
        **job.summary,
        "fingerprint": job.fingerprint,
        "versions": {name: version(name) for name in _PACKAGES},
        "device": str(job.device),
        "threads": torch.get_num_threads(),
        "batch": job.draws,
        "draws": job.draws,
    }


def _write_unit(job: Job, store: ResultStore, result: UnitResult) -> None:
    unit = result.unit
    where = job.index(unit.plane)
    frame, channel = _frame(job, where), where.get("c", 0)
    y, x = unit.core.slices
    inside = unit.core.within(unit.data).slices
    flags = DQ_BITS["masked_input"] * result.mask[inside] + DQ_BITS["saturated"] * result.saturated[inside]
    store.write_region("dq", where, y, x, flags.astype(np.uint16))
    for i, tile in enumerate(job.plan.tiles(unit)):
        store.write_psf(frame, channel, *tile.index, result.kernels[i], result.kernels_std[i])
        store.write_chi2(frame, channel, *tile.index, float(result.chi2[i]))
