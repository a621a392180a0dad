"""Windows of a stack as plain arrays: the last step of reading, shared by every consumer.

A unit of work reads its canvas with `read_window`; normalisation looks at `overview`; a run starts
with `check_finite`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from blinddps_sci.errors import InputError

__all__ = ["Window", "check_finite", "overview", "read_window"]

_SCAN_SIDE = 1024
_SAMPLE_SIDE = 256
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True)
class Window:
    """Pixels of one window, safe to compute with.

    Attributes
    ----------
    data : ndarray, float32, (..., h, w)
        In the data's unit; finite everywhere, zero where the stored value is not.
    variance : ndarray, float32, (..., h, w), or None
        In the data's unit squared; positive and finite everywhere, one where masked.
    mask : ndarray of bool, (..., h, w)
        True marks an unusable pixel: flagged, not finite, or without a positive finite variance.
    """

    data: np.ndarray[Any, np.dtype[np.float32]]
    variance: np.ndarray[Any, np.dtype[np.float32]] | None
    mask: np.ndarray[Any, np.dtype[np.bool_]]


def read_window(dataset: xr.Dataset, index: Mapping[str, int], y: slice, x: slice) -> Window:
    """Read one window of a stack.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `open_stack`.
    index : mapping of str to int
        Position on the axes t, c and z that are present; an axis left out is kept whole.
    y, x : slice
        Rows and columns, half-open, inside the image, without a step.

    Returns
    -------
    Window
        Arrays of the axes left out of `index`, then rows and columns.

    Raises
    ------
    InputError
        If the window or an index lies outside the image, or the file cannot be read.
    """
    where = _indexers(dataset, index, y, x)
    data = np.array(dataset["data"].isel(where).values, np.float32)
    bad = ~np.isfinite(data)
    if "mask" in dataset:
        bad |= dataset["mask"].isel(where).values.astype(bool)
    variance = None
    if "variance" in dataset:
        variance = np.array(dataset["variance"].isel(where).values, np.float32)
        bad |= ~(np.isfinite(variance) & (variance > 0))
        variance[bad] = 1.0
    data[~np.isfinite(data)] = 0.0
    return Window(data, variance, bad)


def overview(
    dataset: xr.Dataset, max_pixels: int = 2**22, *, plain: bool = True
) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Sample the usable values of every channel of a stack, for one normalisation of each.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `open_stack`.
    max_pixels : int
        Most pixels read of each channel.
    plain : bool
        Whether blocks of a single value count, where there are others.

    Returns
    -------
    list of ndarray, float32, (n,)
        For each channel, one of a stack without channels, finite, unmasked values in the data's unit: of
        every pixel where a channel has no more than `max_pixels`, else of blocks of at most 256 x 256 spread
        over all other axes by a low-discrepancy sequence. The same stack gives the same values.

    Raises
    ------
    InputError
        If `max_pixels` is not positive or the file cannot be read.
    """
    if max_pixels < 1:
        raise InputError(f"max_pixels is {max_pixels}; it must be at least 1")
    sizes = dataset["data"].sizes
    total = math.prod(sizes.values()) // sizes.get("c", 1)
    if total <= max_pixels:
        blocks = _blocks(dataset, _SCAN_SIDE, _SCAN_SIDE, "c")
    else:
        side = max(1, min(_SAMPLE_SIDE, math.isqrt(max(1, max_pixels // 64))))
        blocks = itertools.islice(_blocks(dataset, side, side, "c"), max(1, max_pixels // side**2))
    channels = zip(*(_usable(dataset, index, y, x) for index, y, x in blocks), strict=True)
    return [_together(values, plain) for values in channels]


def _together(
    blocks: Sequence[np.ndarray[Any, np.dtype[np.float32]]], plain: bool
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the values of all blocks, or of those with more than one value, if there are any."""
    varied = blocks if plain else [block for block in blocks if block.size and block.min() < block.max()]
    return np.concatenate(varied or blocks)


def check_finite(dataset: xr.Dataset) -> None:
    """Refuse a stack without a single usable pixel.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `open_stack`. It is read block by block, far-apart blocks first, until a finite and
        unmasked pixel is found; only a hopeless stack is read to its end.

    Raises
    ------
    InputError
        If every pixel is NaN, infinite or masked.
    """
    height, width = _block_shape(dataset)
    for index, y, x in _blocks(dataset, height, width):
        if _usable(dataset, index, y, x)[0].size:
            return
    names = ", ".join(dataset.attrs.get("source", [])) or "the input"
    raise InputError(f"{names} has no usable pixel: all are NaN, infinite or masked")


def _usable(
    dataset: xr.Dataset, index: Mapping[str, int], y: slice, x: slice
) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Finite, unmasked values of one window, of each channel that the index leaves whole."""
    where = {**index, "y": y, "x": x}
    data = np.asarray(dataset["data"].isel(where).values, np.float32)
    good = np.isfinite(data)
    if "mask" in dataset:
        good &= ~dataset["mask"].isel(where).values.astype(bool)
    planes = (-1, *data.shape[-2:])
    return [values[usable] for values, usable in zip(data.reshape(planes), good.reshape(planes), strict=True)]


def _blocks(
    dataset: xr.Dataset, height: int, width: int, whole: str = ""
) -> Iterator[tuple[dict[str, int], slice, slice]]:
    """Every block of a stack once, in an order whose every beginning is spread over the stack.

    The axis `whole`, if there is one of that name, is not cut.

    Notes
    -----
    Block number ``i s mod n`` with s near n times the golden ratio and coprime to n: an additive
    recurrence, so nothing of the length of the stack is held in memory.
    """
    sizes = dataset["data"].sizes
    lead = [str(dim) for dim in dataset["data"].dims if dim not in (whole, "y", "x")]
    grid = (*(sizes[dim] for dim in lead), math.ceil(sizes["y"] / height), math.ceil(sizes["x"] / width))
    count = math.prod(grid)
    step = max(1, round(count * _GOLDEN))
    while math.gcd(step, count) != 1:
        step += 1
    for i in range(count):
        *position, row, column = (int(n) for n in np.unravel_index(i * step % count, grid))
        y = slice(row * height, min((row + 1) * height, sizes["y"]))
        x = slice(column * width, min((column + 1) * width, sizes["x"]))
        yield dict(zip(lead, position, strict=True)), y, x


def _block_shape(dataset: xr.Dataset) -> tuple[int, int]:
    """Blocks of about a million pixels that do not cut the file's own chunks in many pieces."""
    chunks = dataset["data"].encoding.get("preferred_chunks", {})
    sides = []
    for dim in ("y", "x"):
        chunk = int(chunks.get(dim, 1))
        whole = max(1, _SCAN_SIDE // chunk) * chunk
        sides.append(whole if whole <= 4 * _SCAN_SIDE else _SCAN_SIDE)
    return sides[0], sides[1]


def _indexers(dataset: xr.Dataset, index: Mapping[str, int], y: slice, x: slice) -> dict[str, int | slice]:
    """Check a window against the image."""
    sizes = dataset["data"].sizes
    for name, span in (("y", y), ("x", x)):
        start, stop = span.start, span.stop
        if (
            start is None
            or stop is None
            or span.step not in (None, 1)
            or not 0 <= start < stop <= sizes[name]
        ):
            raise InputError(
                f"the window {name} = {start}:{stop} does not lie in 0:{sizes[name]}; "
                "give start < stop inside it"
            )
    for name, position in index.items():
        if name in ("y", "x") or name not in sizes:
            raise InputError(f"the stack has no axis {name!r} to index; it has {tuple(sizes)}")
        if not 0 <= position < sizes[name]:
            raise InputError(f"{name} = {position} does not lie in 0:{sizes[name]}")
    return {**{name: int(position) for name, position in index.items()}, "y": y, "x": x}
