"""The smaller levels of a result, made from the written ones for viewers.

Each level is the mean of two by two pixels of the level before, read and written one shard at a
time, so that memory does not grow with the image.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import zarr

from blinddps_sci.io.ngff import IMAGES
from blinddps_sci.io.result_layout import make_level
from blinddps_sci.io.shards import key_slices

__all__ = ["SMALLEST", "add_levels", "damaged_levels", "halve", "level_sizes"]

SMALLEST = 512
"""The pyramid ends with the first level whose sides are no longer than this, in pixels."""

Array = np.ndarray[Any, np.dtype[np.float32]]


def level_sizes(sizes: Mapping[str, int]) -> list[dict[str, int]]:
    """Sizes of every level.

    Parameters
    ----------
    sizes : mapping of str to int
        Axes and lengths of the full resolution.

    Returns
    -------
    list of dict
        The first is `sizes`; each following has sides y and x half as long, rounded up.
    """
    levels = [dict(sizes)]
    while max(levels[-1]["y"], levels[-1]["x"]) > SMALLEST:
        levels.append({**levels[-1], **{dim: (levels[-1][dim] + 1) // 2 for dim in ("y", "x")}})
    return levels


def halve(image: Array) -> Array:
    """Average two by two pixels.

    Parameters
    ----------
    image : ndarray, float32, (..., h, w)
        NaN where there is no value.

    Returns
    -------
    ndarray, float32, (..., ceil(h / 2), ceil(w / 2))
        Mean of the pixels that are there; NaN where there is none of the four.
    """
    *lead, height, width = image.shape
    total = np.zeros((*lead, -(-height // 2), -(-width // 2)))
    count = np.zeros(total.shape, np.uint8)
    for y, x in itertools.product((0, 1), repeat=2):
        corner = image[..., y::2, x::2]
        there = ~np.isnan(corner)
        # At odd borders the last pixels have no second row or column.
        part = (..., slice(corner.shape[-2]), slice(corner.shape[-1]))
        np.add(total[part], corner, out=total[part], where=there)
        count[part] += there
    with np.errstate(invalid="ignore"):
        return (total / count).astype(np.float32)


def add_levels(root: zarr.Group, facts: Mapping[str, Any], shard: int, chunk: int) -> int:
    """Make the pyramid of a result, replacing one that is there.

    Parameters
    ----------
    root : zarr.Group
        Writable, with the group ``scale0``.
    facts : mapping
        Attributes of the stack, for units.
    shard, chunk : int
        Sides in pixels.

    Returns
    -------
    int
        Number of levels, the full resolution included.

    Notes
    -----
    A level of `std` is the mean standard deviation, which is what a viewer should show; it is not
    the standard deviation of the mean.
    """
    base: Any = root["scale0/image"]
    dims = [str(name) for name in base.metadata.dimension_names]
    levels = level_sizes(dict(zip(dims, base.shape, strict=True)))
    # Asked for by name: listing a folder warns of every foreign file in it.
    for name in itertools.takewhile(root.__contains__, (f"scale{level}" for level in itertools.count(1))):
        del root[name]
    for level, sizes in enumerate(levels[1:], start=1):
        make_level(root, level, sizes, shard, chunk, facts)
        for variable in IMAGES:
            target: Any = root[f"scale{level}/{variable}"]
            for window, values in _halved(root, level, variable):
                target[window] = values
    return len(levels)


def damaged_levels(root: zarr.Group) -> Iterator[tuple[str, str]]:
    """Yield the arrays of a pyramid that are not the means of the level before, and what is wrong.

    Parameters
    ----------
    root : zarr.Group
        With a pyramid, as `add_levels` made it.
    """
    for level in itertools.takewhile(lambda n: f"scale{n}" in root, itertools.count(1)):
        for variable in IMAGES:
            name = f"scale{level}/{variable}"
            try:
                array: Any = root[name]
                halved = _halved(root, level, variable)
                if not all(np.array_equal(array[window], v, equal_nan=True) for window, v in halved):
                    yield name, f"it is not the mean of scale{level - 1}"
            except Exception as error:  # a torn shard fails in any way: checksums, lengths, codecs
                yield name, f"it cannot be read ({type(error).__name__}: {error})"


def _halved(root: zarr.Group, level: int, variable: str) -> Iterator[tuple[tuple[slice, ...], Array]]:
    """Yield the windows of a level, shard by shard, and their values by the level before."""
    source: Any = root[f"scale{level - 1}/{variable}"]
    target: Any = root[f"scale{level}/{variable}"]
    for window in key_slices(target.shape, target.shards):
        finer = (*window[:-2], *_doubled(window[-2:], source.shape[-2:]))
        yield window, halve(np.asarray(source[finer]))


def _doubled(window: tuple[slice, ...], limits: tuple[int, ...]) -> tuple[slice, ...]:
    """Pixels of the level before that a window covers."""
    return tuple(slice(2 * span.start, min(2 * span.stop, n)) for span, n in zip(window, limits, strict=True))
