"""A copy of an input that only this process has, from which every process of a run can read.

The driver makes it in the folder of the run, before the first task; a stack that was opened from a file
needs none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from blinddps_sci.errors import InputError, OutputError
from blinddps_sci.io.lazy import LazyArray, to_dataset
from blinddps_sci.io.ome_zarr import ZarrReader
from blinddps_sci.io.result_layout import blocks
from blinddps_sci.io.shards import key_slices, write_keys

__all__ = ["open_spool", "spool"]

_STACK = "stack"
_SIDE = 2048
_CHUNK = 256


def spool(dataset: xr.Dataset, folder: Path) -> None:
    """Write a stack to a Zarr store, one shard after the other.

    Parameters
    ----------
    dataset : Dataset
        From `blinddps_sci.io.open_stack`. Of a lazy array no more than a shard is computed at once: 16 MiB,
        or one of the array's own chunks if that is larger.
    folder : Path
        The new store; one that is there is replaced.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        root = zarr.create_group(str(folder), attributes={_STACK: dict(dataset.attrs)}, overwrite=True)
        for name, variable in dataset.variables.items():
            shards, chunks = _sides(variable)
            array = root.create_array(
                str(name),
                shape=variable.shape,
                dtype=variable.dtype,
                shards=shards,
                chunks=chunks,
                fill_value=np.nan if variable.dtype.kind == "f" else 0,
                dimension_names=tuple(str(dim) for dim in variable.dims),
            )
            for key in key_slices(variable.shape, shards):
                write_keys(folder / str(name), array, key, variable[key].values)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error


def open_spool(folder: Path) -> xr.Dataset:
    """Open the copy of a stack: the same variables and attributes as those of the stack, lazily.

    Raises
    ------
    InputError
        If it is not there.
    """
    try:
        root = zarr.open_group(str(folder), mode="r")
    except FileNotFoundError:
        raise InputError(
            f"the run's copy of its input, {folder}, is not there; it is removed once the run is complete: "
            "restore the array again"
        ) from None
    data: Any = root["data"]
    dims = data.metadata.dimension_names
    arrays = {
        name: LazyArray(ZarrReader.of(folder / name), array.dtype, name=str(folder))
        for name, array in root.arrays()
    }
    stack: Any = root.attrs[_STACK]
    return to_dataset(arrays, dims, stack, dict(zip(dims, data.chunks, strict=True)))


def _sides(variable: xr.Variable) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return shards and chunks of an array: whole chunks of its own, so that none is computed twice."""
    own = variable.encoding.get("preferred_chunks", {})
    room = _SIDE**2
    sides = []
    for dim, length in reversed(variable.sizes.items()):
        chunk = own.get(dim, _CHUNK if dim in ("y", "x") else 1)
        wanted = min(room, _SIDE) if dim == "x" else room
        side, chunk = blocks(length, max(wanted // chunk, 1) * chunk, chunk)
        room = max(room // side, 1)
        sides.append((side, chunk))
    shards, chunks = zip(*reversed(sides), strict=True)
    return shards, chunks
