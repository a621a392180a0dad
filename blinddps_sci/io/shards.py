"""Writing whole keys of a Zarr array, the only way in which a store is ever written.

A key is a shard, or a chunk of an array without shards; each has one writer, so that processes never
meet. Everything that `ResultStore` writes goes through `write_keys`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from blinddps_sci.errors import OutputError

__all__ = ["key_slices", "write_keys"]


def key_slices(shape: Sequence[int], sides: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield the block of every key of an array, the last axis fastest.

    Parameters
    ----------
    shape : sequence of int
        Of the array.
    sides : sequence of int
        Of a key.
    """
    spans = (
        [slice(start, min(start + side, size)) for start in range(0, size, side)]
        for size, side in zip(shape, sides, strict=True)
    )
    return itertools.product(*spans)


def write_keys(folder: Path, array: Any, key: tuple[int | slice, ...], values: ArrayLike) -> None:
    """Replace a block of whole keys.

    Parameters
    ----------
    folder : Path
        Where the array lies.
    array : zarr.Array
        The same array, writable.
    key : tuple of int and slice
        One entry per axis; slices are half-open, inside the array and without a step.
    values : array_like
        Of the slices' shape; converted to the array's type.

    Raises
    ------
    OutputError
        If the block does not consist of whole keys, lies outside the array, has another shape than
        the values, or cannot be written.

    Notes
    -----
    The keys are deleted first. Zarr-Python 3.1 reads an old shard before it overwrites it, even
    whole, and refuses a torn one; at the edge of an array later versions do so, too. Without the
    key there is nothing to read. Values that are all fill leave no key, which reads the same.
    """
    name = folder.name
    sides = array.shards or array.chunks
    dims = array.metadata.dimension_names or tuple(f"axis {i}" for i in range(array.ndim))
    spans = [
        _span(f"{name}: {dim}", part, size, side)
        for dim, part, size, side in zip(dims, key, array.shape, sides, strict=True)
    ]
    block = np.asarray(values, array.dtype)
    expected = tuple(
        stop - start for (start, stop), part in zip(spans, key, strict=True) if isinstance(part, slice)
    )
    if block.shape != expected:
        raise OutputError(
            f"values of shape {block.shape} do not fill the block of {name} of shape {expected}"
        )
    keys = (range(start // side, -(-stop // side)) for (start, stop), side in zip(spans, sides, strict=True))
    try:
        for position in itertools.product(*keys):
            (folder / array.metadata.encode_chunk_key(position)).unlink(missing_ok=True)
        array[key] = block
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error


def _span(what: str, part: int | slice, size: int, side: int) -> tuple[int, int]:
    """Check one axis of a block and return its half-open range."""
    if isinstance(part, slice):
        start = 0 if part.start is None else int(part.start)
        stop = size if part.stop is None else int(part.stop)
        step = part.step or 1
    else:
        start, stop, step = int(part), int(part) + 1, 1
    if step != 1 or not 0 <= start < stop <= size:
        raise OutputError(f"{what} = {start}:{stop} does not lie in 0:{size}")
    if start % side or (stop % side and stop != size):
        raise OutputError(f"{what} = {start}:{stop} cuts a shard; one begins every {side} in 0:{size}")
    return start, stop
