"""Ramps whose sum is one: the weights with which neighbouring tiles and units are joined.

All windows are products of one-dimensional ones, so only those are ever stored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ramp", "window"]

Window = NDArray[np.float32]


def ramp(width: int) -> Window:
    """Return a rise from zero to one whose mirror image is its complement.

    Parameters
    ----------
    width : int
        Number of pixels.

    Returns
    -------
    ndarray, (width,), float32
        ``r[i] = sin^2(pi/2 (i + 1/2) / width)``, so that ``r + r[::-1] = 1`` to rounding.
    """
    phase = (np.arange(width) + 0.5) / max(width, 1)
    return (np.sin(0.5 * np.pi * phase) ** 2).astype(np.float32)


def window(
    start: int, stop: int, rise: tuple[int, int] | None = None, fall: tuple[int, int] | None = None
) -> Window:
    """Return a plateau of one between two ramps.

    Parameters
    ----------
    start, stop : int
        First pixel of the result and the one after its last.
    rise, fall : (centre, half width), optional
        A ramp covers the pixels from centre - half width to before centre + half width; the
        window is zero outside of it. None leaves the plateau run to the end.

    Returns
    -------
    ndarray, (stop - start,), float32, not writable
        In [0, 1].
    """
    values = np.ones(stop - start, dtype=np.float32)
    if rise is not None:
        low, high = rise[0] - rise[1] - start, rise[0] + rise[1] - start
        values[:low] = 0.0
        values[low:high] = ramp(high - low)
    if fall is not None:
        low, high = fall[0] - fall[1] - start, fall[0] + fall[1] - start
        values[low:high] = ramp(high - low)[::-1]
        values[high:] = 0.0
    values.setflags(write=False)
    return values
