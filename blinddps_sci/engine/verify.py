"""Whether a store still holds what was written: every array against the digests that its worker noted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from blinddps_sci.engine.places import frame_of, index_of, leading_of, node_slices, plan_of
from blinddps_sci.engine.run_folder import RunFolder
from blinddps_sci.engine.tasks import digest
from blinddps_sci.io.result import ResultStore
from blinddps_sci.tiling.plan import Plan

__all__ = ["damaged_units", "forget"]


def damaged_units(store: ResultStore, folder: RunFolder) -> Iterator[tuple[int, str]]:
    """Yield the units of a store of which something is not what was written, and what it is.

    Parameters
    ----------
    store : ResultStore
        The store; neither input nor networks are needed.
    folder : RunFolder
        Of its run, whose markers hold the digests.
    """
    plan, leading = plan_of(store), leading_of(store)
    frames = store.array("psf/kernel").shape[0] // (leading.get("t", 1) * leading.get("z", 1))
    for record in folder.records():
        for name, expected in record.get("digests", {}).items():
            wrong = _wrong(store, name, _key(plan, leading, frames, record["unit"], name), expected)
            if wrong is not None:
                yield record["unit"], wrong


def forget(folder: RunFolder, units: set[int]) -> None:
    """Take units for not done, so that the run makes them again."""
    folder.expand()
    for unit in units:
        folder.unmark("restore", unit)
        folder.unmark("blend", unit)


def _key(
    plan: Plan, leading: Mapping[str, int], frames: int, number: int, name: str
) -> tuple[int | slice, ...]:
    """Return where a unit lies in an array; it has so many frames of its own."""
    unit = plan.unit_at(number)
    index = index_of(unit.plane, leading)
    if name.startswith("scale0/"):
        return (*index.values(), *unit.core.slices)
    first = frame_of(index, leading)
    channel = () if name.startswith("tilt/") else (index.get("c", 0),)
    return (slice(first, first + frames), *channel, *node_slices(plan, unit))


def _wrong(store: ResultStore, name: str, key: tuple[int | slice, ...], expected: str) -> str | None:
    try:
        array: Any = store.array(name)
        values = np.asarray(array[key])
    except Exception as error:  # a torn shard fails in any way: checksums, lengths, codecs
        return f"{name} cannot be read ({type(error).__name__}: {error})"
    return None if digest(values) == expected else f"{name} is not what was written"
