"""A result as an OME-TIFF of two images: the restored one and its standard deviation.

Tiles are read from the store and written one after the other; `blinddps_sci.io.export` offers this to
users.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from blinddps_sci.io.fits_export import strips
from blinddps_sci.io.ngff import IMAGES
from blinddps_sci.io.output_path import replacing
from blinddps_sci.io.provenance import summary
from blinddps_sci.io.result_store import ResultStore

__all__ = ["CLASSIC_LIMIT", "export_tiff", "tile_sides", "tiles"]

_TILE = 256
# It addresses 4 GiB, tags and OME-XML included.
CLASSIC_LIMIT = 2**32 - 2**26
"""Bytes of pixels that fit into a TIFF which is not BigTIFF."""


def export_tiff(store: ResultStore, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a result as OME-TIFF.

    Parameters
    ----------
    store : ResultStore
        The result; of a run that has not finished, what there is.
    path : str or os.PathLike
        The file, ``.tif`` or ``.ome.tif``. It appears by atomic rename once it is whole.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        If the file exists, its folder is missing, or writing fails; an existing file is then untouched.

    Notes
    -----
    Both images are float32 in the data's unit, tiled, not compressed; a file above 4 GiB is BigTIFF.
    PhysicalSize is written in micrometres where the pixel size is a length; provenance is in the
    Description. Bursts and channels keep their axes.
    """
    import tifffile

    record, status = store.attrs, store.status
    image = store.array("scale0/image")
    metadata: dict[str, Any] = {
        "axes": "".join(store.dims).upper(),
        "Description": summary(record, status),
        **_physical_size(record, store.dims),
    }
    if "c" in store.dims and len(record.get("channel_names") or []) == image.shape[store.dims.index("c")]:
        metadata["Channel"] = {"Name": [str(name) for name in record["channel_names"]]}
    tile = tile_sides(image.shape)
    big = 2 * 4 * math.prod(image.shape) > CLASSIC_LIMIT
    with (
        replacing(path, overwrite=overwrite) as partial,
        tifffile.TiffWriter(partial, bigtiff=big, ome=True) as writer,
    ):
        for name, title in IMAGES.items():
            array = store.array(f"scale0/{name}")
            writer.write(
                tiles(array, tile, np.dtype(np.float32)),
                shape=array.shape,
                dtype="float32",
                tile=tile,
                photometric="minisblack",
                metadata={**metadata, "Name": title},
            )


def tile_sides(shape: Sequence[int]) -> tuple[int, int]:
    """Sides of the tiles of a TIFF: multiples of 16.

    Parameters
    ----------
    shape : sequence of int
        (..., y, x).

    Returns
    -------
    (int, int)
        256, or less for a smaller image.
    """
    height, width = (min(_TILE, 16 * math.ceil(n / 16)) for n in shape[-2:])
    return height, width


def tiles(
    image: Any, sides: tuple[int, int], dtype: np.dtype[Any]
) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
    """Cut an image into tiles, plane by plane and row by row.

    Parameters
    ----------
    image : array_like, (..., y, x)
        Read one row of tiles at a time.
    sides : (int, int)
        From `tile_sides`.
    dtype : dtype
        Of the tiles.

    Yields
    ------
    ndarray
        Of these sides; the last ones are padded with NaN, or with zeros if the type has none.
    """
    width = image.shape[-1]
    rows, columns = sides
    for band in strips(image, rows):
        full = np.full(
            (rows, columns * math.ceil(width / columns)), np.nan if dtype.kind == "f" else 0, dtype
        )
        full[: len(band), :width] = band
        for x in range(0, full.shape[1], columns):
            yield np.ascontiguousarray(full[:, x : x + columns])


def _physical_size(record: dict[str, Any], dims: tuple[str, ...]) -> dict[str, Any]:
    """OME's pixel size; other units than lengths have no place in it."""
    if record.get("pixel_unit") != "micrometer":
        return {}
    y, x = record["pixel_scale"]
    sizes = {"PhysicalSizeY": y, "PhysicalSizeX": x}
    if "z" in dims and record.get("z_scale"):
        sizes["PhysicalSizeZ"] = record["z_scale"]
    units = {f"{name}Unit": "µm" for name in sizes}
    return {**sizes, **units}
