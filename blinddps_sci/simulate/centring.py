"""The kernel's grid and its gauge: sum one, centroid on the centre pixel.

All point-spread functions of `blinddps_sci.simulate` are normalised and centred here,
so that the kernel prior never has to learn a shift that the tilt already carries.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from blinddps_sci.errors import InputError

__all__ = ["centre", "centroid", "normalise", "offsets", "shift"]

Kernel = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

_TOLERANCE = 1e-9
_ROUNDS = 200


def offsets(size: int, oversampling: int = 1) -> Array:
    """Positions of the (sub)pixel centres relative to the kernel's centre pixel.

    Parameters
    ----------
    size : int
        Side K of the kernel in pixels.
    oversampling : int
        Points per pixel; they are symmetric within each pixel.

    Returns
    -------
    ndarray, (size * oversampling,), float64
        Positions in pixels; 0 is the middle of pixel ``size // 2``.
    """
    fine = np.arange(size * oversampling, dtype=np.float64)
    return (fine + 0.5) / oversampling - 0.5 - size // 2


def normalise(kernel: npt.ArrayLike) -> Kernel:
    """Clip below at zero and divide by the sum.

    Parameters
    ----------
    kernel : array_like, (K, K)
        Any real array; small negative values are rounding errors of an FFT.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one.

    Raises
    ------
    InputError
        If the array is not two-dimensional or has no positive finite sum.
    """
    values = np.maximum(np.asarray(kernel, dtype=np.float64), 0.0)
    total = float(values.sum())
    if values.ndim != 2 or not 0.0 < total < np.inf:
        msg = (
            f"kernel of shape {values.shape} with sum {total:g}: a kernel is (K, K), finite, and has a "
            "positive sum; check the file or the parameters that it was made from"
        )
        raise InputError(msg)
    return (values / total).astype(np.float32)


def centroid(kernel: npt.ArrayLike) -> tuple[float, float]:
    """Centre of mass relative to the centre pixel.

    Parameters
    ----------
    kernel : array_like, (K, K)
        Non-negative; the sum need not be one.

    Returns
    -------
    tuple of float
        (y, x) in pixels; (0, 0) is the middle of pixel (K//2, K//2).
    """
    values = np.asarray(kernel, dtype=np.float64)
    rows, columns = values.sum(axis=1), values.sum(axis=0)
    y = float(rows @ offsets(rows.size) / rows.sum())
    x = float(columns @ offsets(columns.size) / columns.sum())
    return y, x


def shift(kernel: npt.ArrayLike, dy: float, dx: float) -> Array:
    """Move a kernel by a fraction of a pixel; what leaves the grid is lost.

    Parameters
    ----------
    kernel : array_like, (K, K)
        Non-negative.
    dy, dx : float
        Displacement in pixels, positive towards larger indices.

    Returns
    -------
    ndarray, (K, K), float64
        Non-negative, not renormalised.

    Notes
    -----
    Linear interpolation. Of all non-negative filters on the pixel grid whose mean is
    the fraction f, the two taps (1 - f, f) have the smallest variance, f (1 - f) square
    pixels: no other exact, non-negative shift blurs a kernel less.
    """
    moved = _shift_rows(np.asarray(kernel, dtype=np.float64), dy)
    return _shift_rows(moved.T, dx).T


def centre(kernel: npt.ArrayLike) -> Kernel:
    """Shift a kernel so that its centroid lies on the middle of pixel (K//2, K//2).

    Parameters
    ----------
    kernel : array_like, (K, K)
        Real; negative values are clipped first.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one, centroid zero to float32 rounding (about 1e-6 pixel).

    Raises
    ------
    InputError
        If the array is not two-dimensional or has no positive finite sum.

    Notes
    -----
    Mass that a shift moves off the grid moves the centroid again. The total shift s is
    therefore found by the fixed point s <- s - c(s), where c(s) is the centroid of the
    *original* kernel shifted by s; only one interpolation ever touches the kernel.
    """
    original = normalise(kernel).astype(np.float64)
    dy = dx = 0.0
    moved = original
    for _ in range(_ROUNDS):
        y, x = centroid(moved)
        if max(abs(y), abs(x)) < _TOLERANCE:
            break
        dy, dx = dy - y, dx - x
        moved = shift(original, dy, dx)
    return normalise(moved)


def _shift_rows(values: Array, distance: float) -> Array:
    """Linear shift along the first axis with zeros beyond the border."""
    whole = int(np.floor(distance))
    fraction = distance - whole
    moved = (1.0 - fraction) * _roll_rows(values, whole)
    if fraction > 0.0:
        moved += fraction * _roll_rows(values, whole + 1)
    return moved


def _roll_rows(values: Array, steps: int) -> Array:
    """Shift by whole rows with zeros beyond the border."""
    moved = np.zeros_like(values)
    rows = values.shape[0]
    if abs(steps) < rows:
        moved[max(steps, 0) : rows + min(steps, 0)] = values[max(-steps, 0) : rows - max(steps, 0)]
    return moved
