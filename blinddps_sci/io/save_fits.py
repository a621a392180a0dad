"""An image as FITS, written some rows at a time; see `blinddps_sci.io.save`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from blinddps_sci.errors import OutputError
from blinddps_sci.io.axes import Axis
from blinddps_sci.io.fits_export import strips
from blinddps_sci.io.fits_header import safe_header, world_header
from blinddps_sci.io.fits_stream import write_image, write_primary
from blinddps_sci.io.output_path import replacing

__all__ = ["save_fits"]

_ROWS = 256
_UNITS = {"micrometer": "um", "arcsec": "arcsec", "second": "s"}
_LABELS = {"t": "TIME", "c": "CHANNEL", "z": "DEPTH"}
# FITS has unsigned bytes and signed longer integers; the others are kept shifted by BZERO.
_SHIFTED = {"int8": ("uint8", -(2**7)), "uint16": ("int16", 2**15), "uint32": ("int32", 2**31)}


def save_fits(
    image: Any,
    target: Path,
    axes: Sequence[Axis],
    dtype: np.dtype[Any],
    *,
    unit: str = "",
    wcs: str = "",
    overwrite: bool,
) -> None:
    """Write a FITS file with one extension, SCI; it has its name once it is whole.

    Parameters
    ----------
    image : array_like
        As `blinddps_sci.io.save.save_image`.
    target : Path
        The file.
    axes : sequence of Axis
        In the order t, c, z, y, x.
    dtype : dtype
        What is stored.
    unit : str
        Of the values.
    wcs : str
        Cards of a WCS of the image's planes, one on a line.
    overwrite : bool
        Whether a file may be replaced.

    Raises
    ------
    OutputError
        If the file exists or cannot be written.
    """
    if dtype.name == "uint64":
        raise OutputError(f"{target} cannot be written: readers of FITS lose digits of {dtype}; choose .zarr")
    header = _header(axes, image.shape, wcs)
    stored, shift = _SHIFTED.get(dtype.name, (dtype.name, 0))
    if shift:
        header["BSCALE"], header["BZERO"] = 1, shift
    if unit:
        header.extend(safe_header([["BUNIT", unit, "unit of the image"]]))
    with replacing(target, overwrite=overwrite) as partial, partial.open("wb") as stream:
        write_primary(stream, fits.Header())
        bands = _bands(image, dtype, np.dtype(stored))
        write_image(stream, "SCI", image.shape, stored, bands, header)


def _header(axes: Sequence[Axis], shape: Sequence[int], wcs: str) -> fits.Header:
    """World coordinates: those given, or a linear scale along each axis."""
    header = fits.Header()
    if wcs:
        sizes = {axis.name: int(n) for axis, n in zip(axes, shape, strict=True)}
        header = world_header({"wcs_header": wcs}, sizes)
    for number, axis in enumerate(reversed(axes), start=1):
        if wcs and number <= 2:
            continue
        if axis.name in _LABELS:
            header[f"CTYPE{number}"] = _LABELS[axis.name]
        if axis.unit in _UNITS and not wcs:
            header[f"CUNIT{number}"] = _UNITS[axis.unit]
            header[f"CRPIX{number}"] = 1.0
            header[f"CRVAL{number}"] = axis.origin
            header[f"CDELT{number}"] = axis.step
    return header


def _bands(image: Any, dtype: np.dtype[Any], stored: np.dtype[Any]) -> Iterator[np.ndarray[Any, Any]]:
    """Read some rows at a time, integers shifted to the range of their signed or unsigned twin."""
    for band in strips(image, _ROWS):
        values = np.ascontiguousarray(band, dtype)
        if stored.name == dtype.name:
            yield values
        else:
            # Adding half of the range, modulo the range, flips the highest bit.
            yield (values.view(f"u{dtype.itemsize}") ^ (1 << (8 * dtype.itemsize - 1))).view(stored)
