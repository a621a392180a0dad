"""An image as OME-Zarr 0.5 with its pyramid, written some rows at a time; see `blinddps_sci.io.save`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from blinddps_sci.io.axes import Axis
from blinddps_sci.io.ngff import TYPES, UNITS, VERSION
from blinddps_sci.io.output_path import new_folder
from blinddps_sci.io.pyramid import halve, level_sizes

__all__ = ["save_zarr"]

_CHUNK = 512


def save_zarr(image: Any, target: Path, axes: Sequence[Axis], dtype: np.dtype[Any], unit: str) -> None:
    """Write a new Zarr group; it has its name once it is whole.

    Parameters
    ----------
    image : array_like
        As `blinddps_sci.io.save.save_image`.
    target : Path
        The folder, which does not exist.
    axes : sequence of Axis
        In the order t, c, z, y, x.
    dtype : dtype
        What is stored.
    unit : str
        Of the values.

    Raises
    ------
    OutputError
        If something of that name exists, or it cannot be written.
    """
    with new_folder(target) as folder:
        _write(image, folder, axes, dtype, unit)


def _write(image: Any, folder: Path, axes: Sequence[Axis], dtype: np.dtype[Any], unit: str) -> None:
    """Write all levels and what they mean."""
    dims = [axis.name for axis in axes]
    levels = level_sizes(dict(zip(dims, image.shape, strict=True)))
    root = zarr.create_group(
        str(folder), zarr_format=3, attributes={"ome": _attributes(_title(folder), axes, len(levels))}
    )
    for number, sizes in enumerate(levels):
        shape = tuple(sizes.values())
        array = root.create_array(
            str(number),
            shape=shape,
            dtype=dtype,
            chunks=tuple(min(n, _CHUNK) if dim in "yx" else 1 for dim, n in sizes.items()),
            dimension_names=tuple(dims),
            attributes={"units": unit} if unit else {},
        )
        rows = _CHUNK * max(1, _chunk_rows(image) // _CHUNK) if number == 0 else _CHUNK
        finer: Any = root[str(number - 1)] if number else None
        for where in _bands(shape, rows):
            if finer is None:
                array[where] = np.asarray(image[where]).astype(dtype)
            else:
                *plane, y, x = where
                array[where] = _rounded(halve(np.asarray(finer[(*plane, _doubled(y), x)])), dtype)


def _doubled(y: slice) -> slice:
    return slice(2 * y.start, 2 * y.stop)


def _rounded(means: Any, dtype: np.dtype[Any]) -> Any:
    """Turn means into the image's own type."""
    if dtype.kind == "f":
        return means.astype(dtype)
    # A float32 can be above the largest integer that it is the mean of.
    below = np.nextafter(float(np.iinfo(dtype).max) + 1.0, 0.0)
    return np.minimum(np.rint(means.astype(np.float64)), below).astype(dtype)


def _title(partial: Path) -> str:
    """Name of the image behind the hidden name of its unfinished folder."""
    return partial.name.removeprefix(".").removesuffix(".partial").removesuffix(".zarr").removesuffix(".ome")


def _attributes(name: str, axes: Sequence[Axis], levels: int) -> dict[str, Any]:
    """Value of the attribute ``ome``."""
    described = []
    for axis in axes:
        entry = {"name": axis.name, "type": TYPES[axis.name]}
        if axis.unit != "pixel":
            entry["unit"] = UNITS.get(axis.unit, axis.unit)
        described.append(entry)
    datasets = []
    for level in range(levels):
        factors = [2.0**level if axis.name in "yx" else 1.0 for axis in axes]
        steps = [axis.step * factor for axis, factor in zip(axes, factors, strict=True)]
        # A pixel's centre lies behind that of the first one it covers; see `ngff.multiscale`.
        first = [a.origin + a.step * (factor - 1.0) / 2.0 for a, factor in zip(axes, factors, strict=True)]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": steps}]
        if any(first):
            transforms.append({"type": "translation", "translation": first})
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    image = {"name": name, "axes": described, "datasets": datasets, "type": "mean"}
    return {"version": VERSION, "multiscales": [image]}


def _bands(shape: tuple[int, ...], rows: int) -> Iterator[tuple[Any, ...]]:
    """Index every plane some rows at a time."""
    for plane in np.ndindex(*shape[:-2]):
        for start in range(0, shape[-2], rows):
            yield (*plane, slice(start, min(start + rows, shape[-2])), slice(None))


def _chunk_rows(image: Any) -> int:
    """Rows that are computed together anyway: those of a chunk of a dask array."""
    chunks = getattr(image, "chunks", None)
    return int(chunks[-2][0]) if chunks and isinstance(chunks[-2], tuple) else 1
