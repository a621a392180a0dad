"""An image as TIFF, for ImageJ or with OME-XML, written piece by piece; see `blinddps_sci.io.save`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from blinddps_sci.errors import OutputError
from blinddps_sci.io.axes import Axis
from blinddps_sci.io.output_path import replacing
from blinddps_sci.io.tiff_export import CLASSIC_LIMIT, tile_sides, tiles

__all__ = ["save_tiff"]

_IMAGEJ_TYPES = ("uint8", "uint16", "float32")
_IMAGEJ_ORDER = "tzcyx"
_IMAGEJ_UNITS = {"micrometer": "um", "arcsec": "arcsec"}
_OME_UNITS = {"micrometer": "µm", "second": "s"}


def save_tiff(
    image: Any, target: Path, axes: Sequence[Axis], dtype: np.dtype[Any], *, overwrite: bool
) -> None:
    """Write a TIFF file; it has its name once it is whole.

    Parameters
    ----------
    image : array_like
        As `blinddps_sci.io.save.save_image`.
    target : Path
        ``.tif``, or ``.ome.tif`` for OME-XML.
    axes : sequence of Axis
        In the order t, c, z, y, x.
    dtype : dtype
        What is stored.
    overwrite : bool
        Whether a file may be replaced.

    Raises
    ------
    OutputError
        If the file exists, cannot be written, or cannot say the size of a pixel.
    """
    size = math.prod(image.shape) * dtype.itemsize
    imagej = dtype.name in _IMAGEJ_TYPES and size < CLASSIC_LIMIT and ".ome." not in target.name.lower()
    space = {axis.name: axis for axis in axes if axis.name in "zyx"}
    if len({axis.unit for axis in space.values()}) > 1:
        raise OutputError(f"{target} cannot be written: TIFF has one unit for z, y and x; choose .zarr")
    if not imagej and space["x"].unit not in ("micrometer", "pixel"):
        raise OutputError(
            f"{target} cannot be written: OME-TIFF has no {space['x'].unit} for the size of a pixel; choose "
            "another format (.zarr, .fits), or .tif for an image of 8 or 16 bits or float32"
        )
    if not imagej and dtype.name in ("int64", "uint64"):
        raise OutputError(
            f"{target} cannot be written: OME-TIFF has no {dtype}; choose .zarr, or other numbers"
        )
    import tifffile

    with replacing(target, overwrite=overwrite) as partial:
        if imagej:
            with tifffile.TiffWriter(partial, imagej=True) as writer:
                _write_imagej(writer, image, axes, dtype)
        else:
            with tifffile.TiffWriter(partial, ome=True, bigtiff=size > CLASSIC_LIMIT) as writer:
                _write_ome(writer, image, axes, dtype)


def _write_imagej(writer: Any, image: Any, axes: Sequence[Axis], dtype: np.dtype[Any]) -> None:
    """Write a hyperstack: planes in the order t, z, c."""
    by_name = {axis.name: axis for axis in axes}
    dims = [axis.name for axis in axes]
    order = [name for name in _IMAGEJ_ORDER if name in by_name]
    metadata: dict[str, Any] = {"axes": "".join(order).upper()}
    unit = _IMAGEJ_UNITS.get(by_name["x"].unit)
    if unit is not None:
        metadata["unit"] = unit
        if "z" in by_name:
            metadata["spacing"] = by_name["z"].step
    if "t" in by_name and by_name["t"].unit == "second":
        metadata["finterval"] = by_name["t"].step
    resolution = tuple(1.0 / by_name[name].step for name in "xy")
    planes = _planes(image, [dims.index(name) for name in order[:-2]], dtype)
    writer.write(
        planes,
        shape=tuple(int(image.shape[dims.index(name)]) for name in order),
        dtype=dtype,
        photometric="minisblack",
        resolution=resolution if unit is not None else None,
        metadata=metadata,
    )


def _planes(
    image: Any, order: Sequence[int], dtype: np.dtype[Any]
) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
    """Read plane by plane, the last of the axes in `order` fastest."""
    for position in np.ndindex(*(image.shape[axis] for axis in order)):
        where = dict(zip(order, position, strict=True))
        index = tuple(where[axis] for axis in range(len(order)))
        yield np.ascontiguousarray(np.asarray(image[index]), dtype)


def _write_ome(writer: Any, image: Any, axes: Sequence[Axis], dtype: np.dtype[Any]) -> None:
    """Write tiles, with the sizes in OME-XML."""
    metadata: dict[str, Any] = {"axes": "".join(axis.name for axis in axes).upper()}
    for axis in axes:
        key = {"t": "TimeIncrement", "z": "PhysicalSizeZ", "y": "PhysicalSizeY", "x": "PhysicalSizeX"}.get(
            axis.name
        )
        if key is not None and axis.unit in _OME_UNITS:
            metadata |= {key: axis.step, f"{key}Unit": _OME_UNITS[axis.unit]}
    sides = tile_sides(image.shape)
    writer.write(
        tiles(image, sides, dtype),
        shape=image.shape,
        dtype=dtype,
        tile=sides,
        photometric="minisblack",
        metadata=metadata,
    )
