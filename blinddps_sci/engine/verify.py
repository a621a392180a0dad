"""Whether a store still holds what was written: every array against the digests that its worker noted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from blinddps_sci.engine.begin import Run
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.tasks import digest, frame_of, node_slices
from blinddps_sci.io.result import ResultStore

__all__ = ["damaged_units", "forget"]


def damaged_units(run: Run) -> Iterator[tuple[int, str]]:
    """Yield the units of a run of which something is not what was written, and what it is."""
    for record in run.folder.records():
        for name, expected in record.get("digests", {}).items():
            wrong = _wrong(run.job, run.store, record["unit"], name, expected)
            if wrong is not None:
                yield record["unit"], wrong


def forget(run: Run, units: set[int]) -> None:
    """Take units for not done, so that the run makes them again."""
    run.folder.expand()
    for unit in units:
        run.folder.unmark("restore", unit)
        run.folder.unmark("blend", unit)


def _wrong(job: Job, store: ResultStore, number: int, name: str, expected: str) -> str | None:
    unit = job.plan.unit_at(number)
    index = job.index(unit.plane)
    key: tuple[int | slice, ...]
    if name.startswith("scale0/"):
        key = (*(index[dim] for dim in store.dims[:-2]), *unit.core.slices)
    else:
        key = (frame_of(job, index), index.get("c", 0), *node_slices(job, unit))
    try:
        array: Any = store.array(name)
        values = np.asarray(array[key])
    except Exception as error:  # a torn shard fails in any way: checksums, lengths, codecs
        return f"{name} cannot be read ({type(error).__name__}: {error})"
    return None if digest(values) == expected else f"{name} is not what was written"
