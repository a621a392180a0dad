"""Whether the noise of neighbouring pixels was made alike: by interpolation, or by compression in blocks.

The likelihoods take pixels for independent. Noise that is not white is small where it is easily
measured, near the highest frequency, and the restoration would believe every block and every blob.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

__all__ = ["block_noise", "interpolation"]

Array = NDArray[np.floating[Any]]

_SHARP = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
_SOFT = np.array([1.0, -2.0, 1.0])
_SIDE = 24
"""Side of the patches that are compared, pixels."""

_CALM = 0.25
_FALLING, _COARSE = 1.15, 1.6
"""From where on a spectrum is not flat up to its end: of an octave's noise near the corner, and of the next
octave's, over that at the corner. White noise on blurred scenes gives up to 1.1, interpolation from 1.15 on
and from 1.6 on."""

_STEEPEST = (1.35, 2.3)
"""Of interpolated noise the second of these ratios is at most so many times this power of the first: found by
linear and cubic interpolation at shifts of 0.2 and 0.5 pixels and at a magnification of 1.5."""

_BLOCK = 8
_STEP = 1.25
_ODD = 5.0
"""Blocks are there if one of eight columns has steps whose square is so much larger than the others', and
so many times their scatter."""


def interpolation(image: Array, counted: NDArray[np.bool_]) -> float:
    """Return by how much the noise exceeds what is left of it at the highest frequency.

    Parameters
    ----------
    image : ndarray, (H, W)
        Finite everywhere.
    counted : ndarray of bool, (H, W)
        Where it was measured.

    Returns
    -------
    float
        One for white noise; of noise that was interpolated, its standard deviation at half the resolution,
        on the calmest quarter of patches, over that at the corner of the spectrum.
    """
    sharp, soft = (np.where(counted, _filtered(image, taps), np.nan) for taps in (_SHARP, _SOFT))
    coarse = 2.0 * _filtered(_halved(image), _SHARP)
    coarse = np.where(_halved(counted.astype(np.float64)) == 1.0, coarse, np.nan)
    fine, softer, coarser = (
        _patches(detail, side) for detail, side in ((sharp, _SIDE), (soft, _SIDE), (coarse, _SIDE // 2))
    )
    known = np.isfinite(fine) & np.isfinite(softer) & np.isfinite(coarser) & (fine > 0)
    if not known.any():
        return 1.0
    calm = known & (coarser <= np.quantile(coarser[known], _CALM))
    at_corner, before, octave = (float(np.median(each[calm])) for each in (fine, softer, coarser))
    if before <= _FALLING * at_corner or octave <= _COARSE * at_corner:
        return 1.0
    # A scene that is sharp has more in the next octave than its fall near the corner tells.
    steepest: float = _STEEPEST[0] * (before / at_corner) ** _STEEPEST[1]
    return min(octave / at_corner, steepest)


def block_noise(image: Array) -> float:
    """Return the standard deviation of the noise of compression in blocks of 8 x 8, as of JPEG.

    Parameters
    ----------
    image : ndarray, (H, W)
        NaN where masked.

    Returns
    -------
    float
        In data units: the excess of the steps between blocks over those within. Zero if there are no blocks.

    Notes
    -----
    Each block is off by an error of its own, of which the lowest frequencies matter. The variance of a step
    between two blocks has twice that of the error on top of the scene's.
    """
    found = [_excess(image), _excess(image.T)]
    return float(np.sqrt(np.mean(found) / 2.0)) if min(found) > 0 else 0.0


def _excess(image: Array) -> float:
    """Return by how much the variance of steps across the columns' block borders exceeds the others'."""
    if image.shape[1] < 4 * _BLOCK:
        return 0.0
    steps = np.diff(image.astype(np.float64), axis=1)
    # A step beyond what goes on before and behind it, so that slopes of the scene drop out.
    beyond = (steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2.0) ** 2
    known = np.isfinite(beyond)
    columns = np.where(known, beyond, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    # The median over the blocks: the few columns with a star do not make a block.
    phases = np.array([np.median(columns[phase::_BLOCK]) for phase in range(_BLOCK)])
    border = int(phases.argmax())
    others = np.delete(phases, border)
    usual = float(np.median(others))
    scatter = 1.4826 * float(np.median(np.abs(others - usual)))
    excess = float(phases[border]) - usual
    return excess if phases[border] > _STEP * usual and excess > _ODD * scatter else 0.0


def _filtered(image: Array, taps: Array) -> Array:
    """Return the image filtered along both axes, so that white noise keeps its standard deviation."""
    return np.asarray(convolve1d(convolve1d(image, taps, 0), taps, 1) / (taps**2).sum())


def _halved(image: Array) -> Array:
    """Return the means of 2 x 2 pixels."""
    height, width = (side // 2 for side in image.shape)
    return np.asarray(image[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3)))


def _patches(detail: Array, side: int) -> Array:
    """Return the robust standard deviation of square patches, NaN where nothing was measured, (N,)."""
    height, width = (max(length // side, 0) for length in detail.shape)
    cut = detail[: height * side, : width * side].reshape(height, side, width, side)
    patches = cut.transpose(0, 2, 1, 3).reshape(height * width, side * side)
    known = np.isfinite(patches).sum(axis=1) > side * side // 4
    found = np.full(height * width, np.nan)
    found[known] = np.nanmedian(np.abs(patches[known]), axis=1) / 0.6745
    return found
