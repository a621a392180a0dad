"""Fourier ring correlation: the resolution that two independent images of one scene support.

It needs no truth (two halves of a burst, two noise realisations, two posterior samples) and with
a truth it says up to which frequency a restoration follows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blinddps_sci.errors import InputError
from blinddps_sci.metrics.pair import as_image

__all__ = ["RingCorrelation", "resolution", "ring_correlation"]


@dataclass(frozen=True)
class RingCorrelation:
    """Correlation of two images in rings of spatial frequency.

    Parameters
    ----------
    frequency : ndarray, float64, (n,)
        Mean frequency of each ring in cycles per pixel, rising, at most 0.5.
    correlation : ndarray, float64, (n,)
        In [-1, 1]; 0 where a ring holds no power.
    count : ndarray, int64, (n,)
        Fourier coefficients in each ring (of a real image half of them are independent).
    """

    frequency: NDArray[np.float64]
    correlation: NDArray[np.float64]
    count: NDArray[np.int64]


def ring_correlation(
    first: ArrayLike, second: ArrayLike, *, ring_width: float = 1.0, window: bool = True
) -> RingCorrelation:
    """Correlate two images ring by ring in Fourier space.

    Parameters
    ----------
    first, second : array_like, real, (y, x)
        Two registered images of one scene, in any units, of one shape, not necessarily square.
    ring_width : float
        Width of a ring in Fourier pixels of the shorter axis, at least 1.
    window : bool
        Multiply both by a Hann window after subtracting their means. Without it, images that do
        not continue periodically correlate through their borders.

    Returns
    -------
    RingCorrelation
        From the first ring outside zero frequency to 0.5 cycles per pixel.

    Raises
    ------
    InputError
        If the images are not (y, x), finite, of one shape and at least 8 pixels a side, or
        `ring_width` is below 1.

    Notes
    -----
    ``FRC(r) = Re sum F1 conj(F2) / sqrt(sum |F1|^2 sum |F2|^2)`` over the ring r.

    References
    ----------
    Saxton, Baumeister, "The correlation averaging of a regularly arranged bacterial cell envelope
    protein", 1982, doi:10.1111/j.1365-2818.1982.tb00405.x.
    Nieuwenhuizen et al., "Measuring image resolution in optical nanoscopy", 2013,
    doi:10.1038/nmeth.2448.
    """
    images = [as_image(first, "first image"), as_image(second, "second image")]
    shape = images[0].shape
    if images[1].shape != shape or min(shape) < 8:
        raise InputError(
            f"the images have shapes {shape} and {images[1].shape}; "
            "give one shape of at least 8 pixels a side"
        )
    if not ring_width >= 1:
        raise InputError(f"ring_width is {ring_width}; give at least one Fourier pixel")
    taper = np.outer(*(np.hanning(size + 2)[1:-1] for size in shape)) if window else np.ones(shape)
    spectra = [np.fft.fft2((image - image.mean()) * taper) for image in images]
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :])
    rings = np.rint(frequency * min(shape) / ring_width).astype(np.int64)
    kept = (rings > 0) & (frequency <= 0.5)
    labels, size = rings[kept], int(rings[kept].max()) + 1

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(labels, weights=values[kept], minlength=size)[1:].astype(np.float64)

    count = np.bincount(labels, minlength=size)[1:]
    power = np.sqrt(total(np.abs(spectra[0]) ** 2) * total(np.abs(spectra[1]) ** 2))
    cross = total((spectra[0] * np.conj(spectra[1])).real)
    correlation = np.divide(cross, power, out=np.zeros_like(cross), where=power > 0)
    filled = count > 0
    return RingCorrelation(
        total(frequency)[filled] / count[filled], np.clip(correlation[filled], -1, 1), count[filled]
    )


def resolution(curve: RingCorrelation, *, threshold: float = 1 / 7) -> float:
    """Finest period that two images share.

    Parameters
    ----------
    curve : RingCorrelation
        As `ring_correlation` returns it.
    threshold : float
        The correlation that counts as shared, in (0, 1); 1/7 is the usual value.

    Returns
    -------
    float
        Pixels per cycle where the curve first falls below the threshold, interpolated linearly.
        The last ring's period (2 px) where it never does; infinite where the first ring is
        below already.

    Raises
    ------
    InputError
        If the threshold is not between 0 and 1.

    References
    ----------
    Nieuwenhuizen et al. 2013, doi:10.1038/nmeth.2448 (threshold 1/7); Rosenthal, Henderson 2003,
    doi:10.1016/j.jmb.2003.07.013 (1/7 = 0.143 of half data sets).
    """
    if not 0 < threshold < 1:
        raise InputError(f"threshold is {threshold}; give a correlation between 0 and 1 (1/7 is usual)")
    below = np.flatnonzero(curve.correlation < threshold)
    if below.size == 0:
        return float(1.0 / curve.frequency[-1])
    last = int(below[0])
    if last == 0:
        return float("inf")
    high, low = curve.correlation[last - 1], curve.correlation[last]
    share = (high - threshold) / (high - low)
    crossing = curve.frequency[last - 1] + share * (curve.frequency[last] - curve.frequency[last - 1])
    return float(1.0 / crossing)
