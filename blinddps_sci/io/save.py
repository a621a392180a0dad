"""Saving one image with its scale, its units and the names of its axes: what `open_stack` reads back.

Results have exporters of their own, `blinddps_sci.io.export`; this is for any other image, such as a
layer of a viewer.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from blinddps_sci.errors import InputError
from blinddps_sci.io.axes import AXES, Axis
from blinddps_sci.io.output_path import output_kind

__all__ = ["Axis", "save_image"]

_UNITS = ("micrometer", "arcsec", "second", "pixel")


def save_image(
    image: Any,
    path: str | os.PathLike[str],
    axes: Sequence[Axis],
    *,
    unit: str = "",
    wcs: str = "",
    overwrite: bool = False,
) -> None:
    r"""Write an image as OME-Zarr 0.5, TIFF or FITS.

    Parameters
    ----------
    image : array_like
        A numpy, dask or Zarr array of integers, floats or booleans. It is read a few rows at a time.
    path : str or os.PathLike
        ``.zarr``, ``.tif``, ``.ome.tif`` or ``.fits``: the suffix chooses the format. What is there
        appears once it is whole.
    axes : sequence of Axis
        One for each axis of the image, in the order t, c, z, y, x.
    unit : str
        Unit of the values, kept by OME-Zarr and FITS.
    wcs : str
        Cards of a WCS, one on a line, as `open_stack` keeps them in `wcs_header`; FITS only. They say
        the pixel size instead of `axes`.
    overwrite : bool
        Whether a file may be replaced. A folder (OME-Zarr) never is.

    Raises
    ------
    OutputError
        If the path exists and may not be replaced, cannot be written, or has none of the suffixes; or
        if the format has no place for the image's unit. Nothing is changed then.
    InputError
        If the axes do not fit the image, or its numbers are not real.

    Notes
    -----
    Integers and floats keep their type, but float16, which becomes float32; booleans become uint8. TIFF is an
    ImageJ hyperstack where ImageJ knows the type (uint8, uint16, float32) and the file is below 4 GiB,
    else, and for ``.ome.tif``, OME-TIFF. TIFF keeps no origin.

    Examples
    --------
    >>> import numpy as np
    >>> axes = [Axis("y", 0.1, "micrometer"), Axis("x", 0.1, "micrometer")]
    >>> save_image(np.zeros((64, 64), np.uint16), "cells.ome.zarr", axes)  # doctest: +SKIP
    """
    kind = output_kind(path)
    target = Path(path).expanduser().absolute()
    dtype = _check(image, axes)
    if kind == "zarr":
        from blinddps_sci.io.save_zarr import save_zarr

        save_zarr(image, target, axes, dtype, unit)
    elif kind == "tiff":
        from blinddps_sci.io.save_tiff import save_tiff

        save_tiff(image, target, axes, dtype, overwrite=overwrite)
    else:
        from blinddps_sci.io.save_fits import save_fits

        save_fits(image, target, axes, dtype, unit=unit, wcs=wcs, overwrite=overwrite)


def _check(image: Any, axes: Sequence[Axis]) -> np.dtype[Any]:
    """Refuse what is no image with these axes; return the type that is written."""
    names, shape = [axis.name for axis in axes], tuple(int(n) for n in image.shape)
    if names != [name for name in AXES if name in names] or names[-2:] != ["y", "x"]:
        raise InputError(f"the axes are {names}; an image has y and x, before them t, c and z, in this order")
    if len(names) != len(shape) or 0 in shape:
        raise InputError(f"the image has shape {shape}, which does not go with the axes {names}")
    for axis in axes:
        if axis.unit not in _UNITS:
            raise InputError(f"the unit of axis {axis.name} is {axis.unit!r}; it is one of {_UNITS}")
        if not (math.isfinite(axis.step) and axis.step > 0 and math.isfinite(axis.origin)):
            raise InputError(f"the scale of axis {axis.name} is {axis.step:g}; it must be positive")
    dtype = np.dtype(image.dtype).newbyteorder("=")
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise InputError(
            f"the image has dtype {dtype}; integers, floats up to 64 bits and booleans are saved"
        )
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if dtype == np.float16 else dtype
