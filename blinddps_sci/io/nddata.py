"""Astropy's `CCDData` and `NDData` as stacks.

Uncertainty becomes variance, mask stays mask, WCS and metadata become the attributes that a FITS
file would have given.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from astropy import units
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from astropy.nddata import (
    InverseVariance,
    NDData,
    NDUncertainty,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.wcs import WCS

from blinddps_sci.errors import InputError
from blinddps_sci.io.arrays import wrap_array
from blinddps_sci.io.axes import layout_of, plain_axes
from blinddps_sci.io.header import cards, detector
from blinddps_sci.io.values import inverse, squared
from blinddps_sci.io.wcs import pixel_scale, wcs_text

__all__ = ["open_nddata"]


def open_nddata(source: NDData) -> xr.Dataset:
    """Open an `NDData` or `CCDData` as a stack.

    Parameters
    ----------
    source : astropy.nddata.NDData
        (y, x), (t, y, x) or (t, c, y, x).

    Returns
    -------
    xarray.Dataset
        `data`, with `variance` and `mask` if the source has uncertainty and mask.

    Raises
    ------
    InputError
        If the uncertainty is of an unknown type or unit, the mask does not fit, or the image is too
        small or not real.
    """
    data = np.asarray(source.data)
    layout = layout_of(plain_axes(data.ndim, "the NDData"), data.shape, "the NDData")
    header = _header(source.meta)
    unit = "" if source.unit is None else _unit_text(source.unit)
    text = _wcs_text(source.wcs)
    scale, scale_unit = pixel_scale(text, [header])
    attrs: dict[str, Any] = {
        "source": [], "format": "nddata", "unit": unit, "pixel_scale": scale, "pixel_unit": scale_unit,
        "header": cards(header), **detector([header], unit),
    }  # fmt: skip
    if text:
        attrs["wcs_header"] = text
    return wrap_array(
        data, layout, attrs, variance=_variance(source, data.shape), mask=_mask(source.mask, data.shape)
    )


def _variance(source: NDData, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[Any]] | None:
    """Variance in the data's unit squared."""
    uncertainty: NDUncertainty | None = source.uncertainty
    if uncertainty is None or isinstance(uncertainty, UnknownUncertainty):
        if uncertainty is None:
            return None
        raise InputError(
            "the uncertainty does not say what it is (UnknownUncertainty); use StdDevUncertainty, "
            "VarianceUncertainty or InverseVariance"
        )
    values = np.asarray(uncertainty.array)
    if isinstance(uncertainty, StdDevUncertainty):
        power, variance = 2, squared(values)
    elif isinstance(uncertainty, VarianceUncertainty):
        power, variance = 1, values.astype(np.float64)
    elif isinstance(uncertainty, InverseVariance):
        power, variance = -1, inverse(values)
    else:
        raise InputError(
            f"an uncertainty of type {type(uncertainty).__name__} cannot be read; use StdDevUncertainty, "
            "VarianceUncertainty or InverseVariance"
        )
    if source.unit is not None and uncertainty.unit is not None:
        try:
            variance = variance * (uncertainty.unit**power).to(source.unit**2)
        except units.UnitConversionError as error:
            raise InputError(
                f"the uncertainty has unit {uncertainty.unit}, which does not go with data in {source.unit}"
            ) from error
    return _fitted(variance, shape, "uncertainty")


def _mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[Any]] | None:
    """Boolean mask in the data's shape."""
    return None if mask is None else _fitted(np.asarray(mask) != 0, shape, "mask")


def _fitted(values: Any, shape: tuple[int, ...], what: str) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        return np.broadcast_to(values, shape)
    except ValueError as error:
        raise InputError(
            f"the {what} has shape {np.shape(values)}, the data {shape}; they must be the same"
        ) from error


def _header(meta: Any) -> fits.Header:
    """Metadata as a header; entries that a card cannot hold are left out."""
    if isinstance(meta, fits.Header):
        return meta
    header = fits.Header()
    with warnings.catch_warnings():
        # Long keywords become HIERARCH cards, long comments are cut.
        warnings.simplefilter("ignore", VerifyWarning)
        for key, value in dict(meta or {}).items():
            if isinstance(value, bool | int | float | str | np.bool_ | np.number) and str(key).isprintable():
                try:
                    header[str(key)] = value
                except ValueError:
                    continue
    return header


def _unit_text(unit: units.UnitBase) -> str:
    """Write a unit as BUNIT does, or in astropy's own words."""
    try:
        return str(unit.to_string("fits"))
    except ValueError:
        return str(unit)


def _wcs_text(wcs: Any) -> str:
    """Cards of a FITS WCS; other coordinate models have none."""
    wcs = getattr(wcs, "low_level_wcs", wcs)
    if not isinstance(wcs, WCS):
        return ""
    return wcs_text(wcs.to_header(relax=True))
