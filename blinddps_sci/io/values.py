"""From raw numbers to values: scaling, missing values, uncertainties and quality flags.

Each step is a small callable that pickles; `blinddps_sci.io.lazy.LazyArray` applies a chain of
them to every window it reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Flagged", "Scaled", "inverse", "squared"]

Array = np.ndarray[Any, np.dtype[Any]]

# float32 is exact for 16-bit integers and their sums with the usual zero points.
_EXACT_IN_FLOAT32 = 2


@dataclass(frozen=True)
class Scaled:
    """Physical values of stored numbers: ``scale * raw + zero``, missing ones as NaN.

    Attributes
    ----------
    scale, zero : float
        BSCALE and BZERO of FITS; scale_factor and add_offset of CF.
    blank : float or None
        Raw number that stands for a missing value: BLANK of FITS, _FillValue of CF.
    """

    scale: float = 1.0
    zero: float = 0.0
    blank: float | None = None

    def __call__(self, raw: Array) -> Array:
        """Convert one window.

        Parameters
        ----------
        raw : ndarray
            Stored numbers of any real type and byte order.

        Returns
        -------
        ndarray
            float32 where that is exact or is the stored precision, else float64.
        """
        identity = self.scale == 1.0 and self.zero == 0.0
        small = raw.dtype.itemsize <= _EXACT_IN_FLOAT32 and self.scale == 1.0 and abs(self.zero) <= 2**15
        narrow = small or (identity and raw.dtype.kind == "f" and raw.dtype.itemsize <= np.float32().itemsize)
        values: Array = raw.astype(np.float32 if narrow else np.float64)
        if not identity:
            np.multiply(values, self.scale, out=values)
            np.add(values, self.zero, out=values)
        if self.blank is not None:
            values[raw == self.blank] = np.nan
        return values


def squared(sigma: Array) -> Array:
    """Variance of a standard deviation.

    Parameters
    ----------
    sigma : ndarray
        Standard deviations.

    Returns
    -------
    ndarray, float64
        Their squares, NaN where `sigma` is not positive (an unknown uncertainty).
    """
    wide = sigma.astype(np.float64)
    return _float32_safe(np.where(wide > 0, wide * wide, np.nan))


def inverse(weight: Array) -> Array:
    """Variance of an inverse variance.

    Parameters
    ----------
    weight : ndarray
        Inverse variances; zero means no information.

    Returns
    -------
    ndarray, float64
        Their reciprocals, NaN where `weight` is not positive.
    """
    wide = weight.astype(np.float64)
    return _float32_safe(1.0 / np.where(wide > 0, wide, np.nan))


@dataclass(frozen=True)
class Flagged:
    """Mask of a quality plane.

    Attributes
    ----------
    bits : int or None
        Flags that make a pixel unusable; None for any.
    zero : int
        BZERO of the plane: the value of a stored zero.
    """

    bits: int | None = None
    zero: int = 0

    def __call__(self, quality: Array) -> Array:
        """Convert one window.

        Parameters
        ----------
        quality : ndarray
            Stored flags; of a floating-point plane NaN counts as a flag.

        Returns
        -------
        ndarray of bool
            True marks an unusable pixel.
        """
        if self.bits is None:
            return np.not_equal(quality, -self.zero)
        flags = (quality.astype(np.int64) + self.zero) & self.bits
        bad: Array = np.not_equal(flags, 0)
        return bad


def _float32_safe(variance: Array) -> Array:
    """Keep positive variances positive in float32: in cgs units they may underflow to zero."""
    floor = float(np.finfo(np.float32).smallest_subnormal)
    return np.where((variance > 0) & (variance < floor), floor, variance)
