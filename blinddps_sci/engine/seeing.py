"""How wide the kernels of a burst are, and how flat its frames, told before anything is restored.

Frames that lie on each other differ by their kernels alone. What speckles hold differs from frame to frame;
what all kernels share, the part of the light that stays together, does not. The frequency at which the frames
begin to differ is therefore that of the blur, whatever the scene is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["blur_width", "contrast"]

Array = NDArray[np.floating[Any]]

_SHARED = 0.42
"""Full width at half maximum of the mean kernel, times the frequency at which frames share half their power.

Simulated exposures without tilt have 0.39 to 0.55 for D / r0 from 3.2 to 10. At 3 and below some have 0.6 to
1.1: their frames hardly differ up to the telescope's own limit, and the width found is too small."""

_SEEN = 0.6
"""The same for the frequency beyond which there is noise alone, of frames that are alike all the way."""

_RESOLVED, _STEEPNESS = 0.45, 0.5
"""Width times the highest frequency seen, of frames as rich in contrast as their scene, and the power by
which the contrast of a scene over theirs rises with that product. Of 31 simulated bursts (D / r0 from 1 to
9, five telescopes, four kinds of scenes) two in three had a contrast within a third of what is found."""

_FLOOR = 0.5
"""Cycles per pixel from which on, in the corners of the spectrum, there is noise alone."""


def blur_width(frames: Array) -> float:
    """Return the full width at half maximum of the mean kernel, pixels; infinity if there is only noise.

    Parameters
    ----------
    frames : ndarray, (F, h, w)
        At least two, finite everywhere, laid on each other.

    References
    ----------
    O. von der Luehe, "Estimating Fried's parameter from a time series of an arbitrary resolved object imaged
    through atmospheric turbulence", J. Opt. Soc. Am. A 1, 510 (1984), doi:10.1364/JOSAA.1.000510 (the
    spectral ratio).
    """
    frequency, ratio = _seen(frames)
    if ratio.size == 0:
        return float("inf")
    # The first frequency is that of the whole field, whose brightness and borders change, too.
    below = np.flatnonzero(ratio[1:] < 0.5) + 1
    if below.size == 0:
        return _SEEN / float(frequency[-1])
    i = int(below[0])
    before = max(float(ratio[i - 1]), 0.5)
    part = (before - 0.5) / (before - ratio[i])
    return _SHARED / float(frequency[i - 1] + part * (frequency[i] - frequency[i - 1]))


def contrast(frames: Array) -> float:
    """Return by how much the range of the scene exceeds that of its frames; at least one.

    Where kernels are compact, light from afar does not veil the scene. Kernels of many speckles do veil it,
    and are told by detail much finer than the kernels are wide.

    Parameters
    ----------
    frames : ndarray, (F, h, w)
        As of `blur_width`.
    """
    frequency, _ = _seen(frames)
    if frequency.size == 0:
        return 1.0
    ratio = blur_width(frames) * float(frequency[-1]) / _RESOLVED
    return float(max(1.0, ratio**_STEEPNESS))


def _seen(frames: Array) -> tuple[Array, Array]:
    """Return the frequencies at which there is more than noise, and the share of power that frames share."""
    frequency, shared, power, noise = _spectra(frames)
    seen = power > noise
    # From the first frequency without signal on, what looks like signal is chance.
    end = len(seen) if seen.all() else int(np.argmin(seen))
    return frequency[:end], shared[:end] / power[:end]


def _spectra(frames: Array) -> tuple[Array, Array, Array, float]:
    """Return, by frequency (cycles per pixel), the power that frames share, their power and that of noise."""
    count, height, width = frames.shape
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    level = np.average(frames.mean(axis=0), weights=window)
    spectra = fft.rfft2((frames - level) * window)
    own = (np.abs(spectra) ** 2).mean(axis=0)
    mean = np.abs(spectra.mean(axis=0)) ** 2
    frequency = np.hypot(fft.fftfreq(height)[:, None], fft.rfftfreq(width)[None])
    noise = float(own[frequency >= _FLOOR].mean())
    # Without bias: the mean of a few frames still has a part of what is not shared.
    shared = (count * mean - own) / (count - 1)
    bins = np.arange(1, min(height, width) // 2) / min(height, width)
    place = np.digitize(frequency.ravel(), bins)
    number = np.maximum(np.bincount(place, minlength=len(bins) + 1), 1)

    def radial(values: Array) -> Array:
        return np.asarray(np.bincount(place, values.ravel(), minlength=len(bins) + 1) / number)[1:-1]

    return radial(frequency), radial(shared), radial(own - noise), noise
