"""A result as one FITS file: SCI, ERR, DQ, PSFGRID, PSFPOS, CHI2, WEIGHT and TILT.

The store is read in strips and streamed out by one process; `blinddps_sci.io.export` offers this to
users.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np
from astropy.io import fits

from blinddps_sci.io.fits_header import image_header, primary_header, world_header
from blinddps_sci.io.fits_stream import write_image, write_primary, write_table
from blinddps_sci.io.output_path import replacing
from blinddps_sci.io.provenance import interval_95
from blinddps_sci.io.result_layout import DQ_BITS
from blinddps_sci.io.result_store import ResultStore

__all__ = ["export_fits", "has_spread", "odd_kernels", "strips"]

Array = np.ndarray[Any, np.dtype[Any]]


def export_fits(store: ResultStore, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a result as FITS.

    Parameters
    ----------
    store : ResultStore
        The result; of a run that has not finished, what there is.
    path : str or os.PathLike
        The file. It appears by atomic rename once it is whole.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        If the file exists, its folder is missing, or writing fails; an existing file is then untouched.

    Notes
    -----
    ==========  ==========================================================================
    primary     no data; the original primary header, provenance and its HISTORY
    SCI         restored image, float32, with the original header and WCS
    ERR         how far the truth may be from SCI: 68 % are nearer, 95 % than CI95 of it, float32; not there
                if it is known nowhere (`has_spread`)
    DQ          int16, bits: 1 masked in the input, 2 saturated, 4 no result
    PSFGRID     PSFs, float32, ([frame,] [channel,] node, ky, kx), each of sum one; K is odd, the
                centre pixel is (K - 1) / 2
    PSFPOS      table x, y: 0-based pixels of SCI, one row a node of PSFGRID
    CHI2        reduced chi-squared, float32, ([frame,] [channel,] tile_y, tile_x)
    WEIGHT      how much each frame tells, shaped as CHI2; bursts only
    TILT        displacement, float32, (frame, node_y, node_x, 2) as (dy, dx), with TILTPOS; bursts only
    ==========  ==========================================================================

    Axes in brackets are there if they are longer than one. `astropy.io.fits.getdata` without an
    extension gives SCI. Memory is that of one row of chunks.
    """
    with replacing(path, overwrite=overwrite) as partial, partial.open("wb") as stream:
        _write_images(stream, store)
        _write_psf(stream, store)
        _write_figures(stream, store)


def strips(array: Any, rows: int | None = None) -> Iterator[Array]:
    """Read an image in C order, some rows at a time.

    Parameters
    ----------
    array : zarr.Array
        (..., y, x).
    rows : int, optional
        Rows of a strip; by default those of a chunk.

    Yields
    ------
    ndarray, (rows, x)
        Consecutive strips of consecutive planes; the last of a plane may have fewer rows.
    """
    height, step = array.shape[-2], rows or array.chunks[-2]
    for plane in np.ndindex(*array.shape[:-2]):
        for start in range(0, height, step):
            yield np.asarray(array[(*plane, slice(start, min(start + step, height)), slice(None))])


def has_spread(store: ResultStore) -> bool:
    """Say whether the standard deviation is known anywhere: of a single draw it is not.

    What reads an uncertainty of nothing but NaN, astropy or a restoration, takes every pixel for unknown;
    without one it goes by the image.
    """
    return any(bool(np.isfinite(strip).any()) for strip in strips(store.array("scale0/std")))


def odd_kernels(kernels: Array) -> Array:
    """Normalise kernels and pad them to an odd side.

    Parameters
    ----------
    kernels : ndarray, (..., K, K)
        Centre at ``K // 2``.

    Returns
    -------
    ndarray, float32, (..., K', K')
        Sum one and ``K' = K`` or ``K + 1``, odd: zeros behind the last row and column put the centre,
        where it was, in the middle. A kernel without a positive sum is NaN.
    """
    wide = np.asarray(kernels, np.float64)
    even = 1 - wide.shape[-1] % 2
    wide = np.pad(wide, [(0, 0)] * (wide.ndim - 2) + [(0, even), (0, even)])
    total = wide.sum(axis=(-2, -1), keepdims=True)
    usable = total > 0
    return np.where(usable, wide / np.where(usable, total, 1.0), np.nan).astype(np.float32)


def _write_images(stream: IO[bytes], store: ResultStore) -> None:
    """Primary header, SCI, ERR if there is a standard deviation, and DQ."""
    record, status = store.attrs, store.status
    image = store.array("scale0/image")
    sizes: Mapping[str, int] = dict(zip(store.dims, image.shape, strict=True))
    write_primary(stream, primary_header(record, status))
    header = image_header(record, sizes, status)
    write_image(stream, "SCI", image.shape, "float32", strips(image), header)
    world = world_header(record, sizes)
    if has_spread(store):
        error = world.copy()
        if "BUNIT" in header:
            error["BUNIT"] = (header["BUNIT"], "unit of the image")
        if wide := interval_95(record):
            error["CI95"] = (wide, "half the interval of 95 %, over ERR")
        write_image(stream, "ERR", image.shape, "float32", strips(store.array("scale0/std")), error)
    for name, bit in DQ_BITS.items():
        world.add_comment(f"bit {bit}: {name.replace('_', ' ')}")
    write_image(stream, "DQ", image.shape, "int16", strips(store.array("scale0/dq")), world)


def _write_psf(stream: IO[bytes], store: ResultStore) -> None:
    """PSFGRID and PSFPOS."""
    kernels = store.array("psf/kernel")
    frames, channels, rows, columns, size, _ = kernels.shape
    side = size + 1 - size % 2
    lead = tuple(n for n in (frames, channels) if n > 1)
    header = fits.Header([("PSFCENY", (side - 1) // 2, "centre pixel, 0-based"),
                          ("PSFCENX", (side - 1) // 2, "centre pixel, 0-based"),
                          ("NODESY", rows, "rows of the grid of nodes"),
                          ("NODESX", columns, "nodes in a row, which vary fastest")])  # fmt: skip
    blocks = (odd_kernels(np.asarray(kernels[where])) for where in np.ndindex(frames, channels, rows))
    write_image(stream, "PSFGRID", (*lead, rows * columns, side, side), "float32", blocks, header)
    write_table(stream, "PSFPOS", _columns(store.array("psf/position")))


def _write_figures(stream: IO[bytes], store: ResultStore) -> None:
    """CHI2, and of a burst WEIGHT and TILT with TILTPOS."""
    burst = store.tilt() is not None
    for name in ("chi2", "weight") if burst else ("chi2",):
        values = store.array(f"quality/{name}")
        shape = tuple(n for n in values.shape[:2] if n > 1) + values.shape[2:]
        planes = (np.asarray(values[where]) for where in np.ndindex(*values.shape[:2]))
        write_image(stream, name.upper(), shape, "float32", planes)
    if not burst:
        return
    tilt = store.array("tilt/displacement")
    unit = fits.Header([("BUNIT", "pixel", "(dy, dx) on the first axis")])
    write_image(
        stream, "TILT", tilt.shape, "float32", (np.asarray(tilt[i]) for i in range(tilt.shape[0])), unit
    )
    write_table(stream, "TILTPOS", _columns(store.array("tilt/position")))


def _columns(position: Any) -> dict[str, tuple[Array, str]]:
    """Table columns of the nodes' positions, in the order of the kernels."""
    yx = np.asarray(position[...]).reshape(-1, 2)
    return {"x": (yx[:, 1], "pixel"), "y": (yx[:, 0], "pixel")}
