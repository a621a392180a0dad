"""Noise measured on one image: its variance as a straight line over the brightness, the photon transfer.

Of a blurred scene nothing is left near the highest frequency, so that a filter which passes that alone
sees the noise; where it was kept from being white, `blinddps_sci.likelihoods.correlated` says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, convolve1d, gaussian_filter, gaussian_gradient_magnitude

from blinddps_sci.likelihoods.correlated import interpolation

__all__ = ["NoiseCurve", "noise_curve"]

Array = NDArray[np.floating[Any]]

_TAPS = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
"""Fourth difference along each axis: it passes the corner of the spectrum and nothing of a smooth scene."""

_LEVEL_WIDTH, _ROUGH_WIDTH = 1.5, 2.0
"""Gaussians (pixels) under which brightness and roughness of the scene are taken: too wide to see the noise
that the filter sees, so that the choice of pixels does not favour any noise."""

_CALM = 0.25
"""Share of the pixels of a brightness whose noise counts: where the scene is smoothest."""

_LEAST = 60
"""Pixels of a brightness that count at least."""

_WIDER = (0.5, 1.0)
"""Shares that count instead where structure does not show in them: more pixels say it better."""

_SHOWS = 3.0
"""Standard errors of the calm pixels' variance by which structure raises that of a larger share."""

_MODEL_ERROR = 0.1
"""Relative error of a variance by what is left of the scene."""

_ABOVE = 1.5
"""Standard deviations above the line from which a brightness counts less: structure only ever adds."""

_LOWEST = 0.5
"""Share of the 10 % quantile of the variances that is taken for the least."""

_SURE = 4.0
_MATTERS = 1.5
"""A slope is one of photons if it is so many times its error, and if the variance changes by this factor."""


@dataclass(frozen=True)
class NoiseCurve:
    """Variance of the noise as a function of the brightness, ``slope * level + intercept``.

    Parameters
    ----------
    slope : float
        One over the gain, data units per electron; zero or less without photon noise.
    intercept : float
        Variance at level zero, data units squared; negative where the data have a pedestal.
    error : float
        Standard error of the slope.
    low, high : float
        Darkest and brightest level of the image (0.1 and 99.9 percentiles), data units.
    constant : float
        Variance that fits best if it is the same at all levels.
    least : float
        Variance that all levels of the image have, though a line through few pixels may miss it.
    stretch : float
        Standard deviation of the noise over that at the highest frequency: one if it is white.
    """

    slope: float
    intercept: float
    error: float
    low: float
    high: float
    constant: float
    least: float = 0.0
    stretch: float = 1.0

    def variance(self, level: float) -> float:
        """Return the variance at a level, not negative."""
        return max(self.slope * level + self.intercept, 0.0)

    @property
    def rises(self) -> bool:
        """Whether the noise grows with the brightness, beyond doubt and by much."""
        dark, bright = self.variance(self.low), self.variance(self.high)
        return self.slope > _SURE * self.error and bright > _MATTERS * dark


def noise_curve(image: Array, slope: float | None = None) -> NoiseCurve:
    """Measure the noise of an image.

    Parameters
    ----------
    image : ndarray, (H, W)
        NaN where masked or saturated.
    slope : float, optional
        Slope that is known, from the gain of a header.

    Returns
    -------
    NoiseCurve
        By the differences of neighbours if few 5 x 5 pixels are without a masked one, and then flat
        unless the slope is given; no noise besides that without neighbours.

    Notes
    -----
    Pixels are sorted by brightness into bins; of each bin those count about which the scene is smoothest, or
    more where these show no more variance, and the median absolute fourth difference of them is their
    standard deviation. A line is put through the variances, bins above it counting less.

    References
    ----------
    J. R. Janesick, "Photon Transfer", SPIE Press 2007 (the line). A. Foi et al., "Practical
    Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE Trans. Image Process.
    17, 1737 (2008), doi:10.1109/TIP.2008.2001399 (of one image, by level). F. R. Hampel, JASA 69, 383
    (1974), doi:10.1080/01621459.1974.10482962 (the median absolute deviation).
    """
    usable = np.isfinite(image)
    if not usable.any():
        return NoiseCurve(slope or 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    low, high = (float(value) for value in np.percentile(image[usable], [0.1, 99.9]))
    filled = np.where(usable, image, np.median(image[usable])).astype(np.float64)
    inside = np.zeros(image.shape, dtype=bool)
    inside[2:-2, 2:-2] = True
    counted = inside & ~binary_dilation(~usable, np.ones((5, 5)))
    if np.count_nonzero(counted) < _LEAST:
        variance, middle = _of_neighbours(image), float(np.median(image[usable]))
        return NoiseCurve(slope or 0.0, variance - (slope or 0.0) * middle, 0.0, low, high, variance)
    levels, variances, counts = _by_brightness(filled, counted)
    constant = _line(levels, variances, counts, 0.0)[1]
    stretch = interpolation(filled, counted)
    # A slope that is known is that of the noise before anything was done to it.
    given = slope if slope is None else slope / stretch**2
    if given is None and np.ptp(levels) == 0.0:
        given = 0.0
    found, intercept, error = _line(levels, variances, counts, given)
    least = _LOWEST * float(np.quantile(variances, 0.1))
    curve = NoiseCurve(found, intercept, error, low, high, constant, least, stretch)
    return replace(
        curve,
        slope=found * stretch**2,
        intercept=intercept * stretch**2,
        error=error * stretch**2,
        constant=constant * stretch**2,
        least=least * stretch**2,
    )


def _of_neighbours(image: Array) -> float:
    """Return the variance by the differences of pixels side by side, zero without any."""
    steps = np.diff(image.astype(np.float64), axis=1)
    known = steps[np.isfinite(steps)]
    return _variance(known) / 2.0 if known.size else 0.0


def _by_brightness(image: Array, counted: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Return levels, variances and numbers of pixels of bins of brightness."""
    detail = (convolve1d(convolve1d(image, _TAPS, 0), _TAPS, 1) / (_TAPS**2).sum())[counted]
    level = gaussian_filter(image, _LEVEL_WIDTH)[counted]
    rough = gaussian_gradient_magnitude(image, _ROUGH_WIDTH)[counted]
    order = np.argsort(level)
    found = []
    for first, last in _bins(order.size):
        members = order[first:last]
        members = members[np.argsort(rough[members])]
        least = min(max(int(_CALM * members.size), _LEAST), members.size)
        calm = members[: _smooth(detail[members], least)]
        # The weight is that of the calmest alone: of the others it is not sure that they are.
        found.append((level[calm].mean(), _variance(detail[calm]), least))
    levels, variances, counts = np.array(found).T
    return levels, variances, counts


def _smooth(detail: Array, least: int) -> int:
    """Return how many values, the calmest first and ``least`` at least, show no structure."""
    limit = _variance(detail[:least]) * (1.0 + _SHOWS * _scatter(least))
    count = least
    for share in _WIDER:
        wider = max(int(share * detail.size), least)
        if _variance(detail[:wider]) > limit:
            break
        count = wider
    return count


def _variance(detail: Array) -> float:
    """Return the variance by the median absolute deviation from zero."""
    return float((np.median(np.abs(detail)) / 0.6745) ** 2)


def _scatter(count: Array | int) -> Any:
    """Return the relative standard error of `_variance`, where neighbours share most of what they see."""
    return np.sqrt(5.0 / count)


def _bins(count: int) -> list[tuple[int, int]]:
    """Split so many sorted pixels evenly, and their brightest tenth ever more finely: stars are few."""
    coarse = int(np.clip(count // (4 * _LEAST), 1, 10))
    shares = np.linspace(0.0, 0.9, coarse) if coarse > 1 else np.zeros(1)
    top = 1.0 - 0.1 * 0.5 ** np.arange(1, 40)
    shares = np.concatenate([shares, top[(1.0 - top) * count >= 2.5 * _LEAST], [1.0]])
    edges = np.unique((shares * count).astype(int))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _line(levels: Array, variances: Array, counts: Array, slope: float | None) -> tuple[float, float, float]:
    """Return slope, intercept and the slope's error of the line along the lower side of variances.

    The slope is fitted unless it is given.
    """
    seen = variances > 0  # black that was cut off says nothing
    if not seen.any():
        return slope or 0.0, 0.0, 0.0
    x, v, n = levels[seen], variances[seen], counts[seen]
    expected, trust = np.full(v.shape, np.median(v)), np.ones(v.shape)
    found, spread = slope or 0.0, 0.0
    for _ in range(20):
        deviation = expected * np.hypot(_scatter(n), _MODEL_ERROR)
        weight = trust / deviation**2
        middle, height = np.average(x, weights=weight), np.average(v, weights=weight)
        spread = float((weight * (x - middle) ** 2).sum())
        if slope is None:
            found = float((weight * (x - middle) * (v - height)).sum()) / spread if spread else 0.0
        expected = np.maximum(height + found * (x - middle), 1e-3 * np.median(v))
        above = np.maximum((v - expected) / deviation, _ABOVE)
        trust = (_ABOVE / above) ** 2
    return found, float(height - found * middle), spread**-0.5 if slope is None and spread else 0.0
