"""From the spread of a few draws to the standard deviation of the truth about their mean.

Three things are done: neighbouring pixels lend each other draws, the error of the mean is added, and what
the draws do not know is added by two numbers. A third says how much more often than a Gaussian's large errors
are. The three were measured on images held out from training and are in the card of the image prior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import digamma, ndtr, ndtri, stdtr, stdtrit

from blinddps_sci.errors import PriorError

__all__ = ["REACH", "Uncertainty", "read_uncertainty"]

_WINDOW = 1.5
"""Standard deviation of the window in which pixels lend each other draws, pixels."""

_TRUNCATE = 3.0

_LARGEST = 100.0
"""Above any factor, and any displacement in pixels, that is meant."""

_BELOW_SIGMA = float(ndtr(1.0))
"""Probability below one standard deviation of a Gaussian."""

REACH = int(_TRUNCATE * _WINDOW + 0.5) + 1
"""How far, in pixels, a deviation depends on draws around it."""


@dataclass(frozen=True)
class Uncertainty:
    """What the spread of draws lacks.

    Parameters
    ----------
    scale : float
        Factor on the draws' standard deviation.
    edge : float
        Length, in pixels, that says how much more the draws miss where the image is steep.
    tail : float, optional
        Degrees of freedom of Student's distribution of the errors; without it they are Gaussian.

    Notes
    -----
    With S draws of variance ``s^2``, 68 % of the truths are taken to be nearer to their mean ``m`` than the
    root of

    ``(1 + 1 / S) (scale^2 v + edge |grad m| sqrt(v))``

    where v is a geometric mean of ``s^2`` over a Gaussian window of 1.5 pixels, corrected for the expectation
    of the logarithm of a chi-squared of S - 1 degrees of freedom, and the squared gradient is averaged over
    the same window. The geometric mean keeps the variance of a star from its surroundings. The factor
    ``1 + 1 / S`` is the error of the mean of S draws.

    The second term is the geometric mean of the draws' variance and of what edges displaced by ``edge`` would
    make. Displacements alone, ``edge^2 |grad m|^2``, state far too much at strong edges, where the data say
    where the edge is and the draws agree on it.

    Whether the draws miss little or much at a pixel cannot be told: errors over deviations are a mixture of
    Gaussians, for which Student's distribution stands. What is stated is half its central interval of
    68.27 %, which of a Gaussian is the standard deviation.

    References
    ----------
    G. K. Smyth, "Linear models and empirical Bayes methods", 2004, doi:10.2202/1544-6115.1027, section 6
    (the logarithm of a sample variance and its expectation).
    """

    scale: float = 1.0
    edge: float = 0.0
    tail: float | None = None

    @property
    def one_sigma(self) -> float:
        """What is stated, half the interval of 68.27 %, over the scale of the errors' distribution."""
        return 1.0 if self.tail is None else float(stdtrit(self.tail, _BELOW_SIGMA))

    def half_width(self, level: float) -> float:
        """Return half the central interval that holds the truth with a probability, over what is stated."""
        above = (1 + level) / 2
        return float(ndtri(above) if self.tail is None else stdtrit(self.tail, above) / self.one_sigma)

    @property
    def as_dict(self) -> dict[str, float | None]:
        """What a result store keeps of it, with half the interval of 95 % over what is stated."""
        return {**asdict(self), "interval_95": round(self.half_width(0.95), 3)}

    def normal(self, errors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the standard normal deviates that are as likely as errors over what is stated."""
        if self.tail is None:
            return errors.astype(np.float64)
        beyond = ndtri(stdtr(self.tail, -self.one_sigma * np.abs(errors)))
        deviates: NDArray[np.float64] = -np.sign(errors) * beyond
        return deviates

    def std(self, draws: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the standard deviation of the truth about the mean of draws, as is stated.

        Parameters
        ----------
        draws : ndarray, (S, h, w)
            In data units.

        Returns
        -------
        ndarray of float64, (h, w)
            In data units; NaN for a single draw.
        """
        count = len(draws)
        if count == 1:
            return np.full(draws.shape[1:], np.nan)
        gradient = squared_gradient(draws.mean(axis=0)) if self.edge else np.zeros(draws.shape[1:])
        return np.sqrt((1 + 1 / count) * self.variance(pooled_variance(draws), gradient))

    def variance(self, pooled: NDArray[np.float64], gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the square of what is stated, about the posterior mean itself.

        Parameters
        ----------
        pooled : ndarray, any shape
            Of the draws, from `pooled_variance`.
        gradient : ndarray, the same shape
            Squared, from `squared_gradient`.
        """
        found: NDArray[np.float64] = self.scale**2 * pooled + self.edge * np.sqrt(pooled * gradient)
        return found


def pooled_variance(draws: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the variance of draws (S, h, w), to which neighbouring pixels contribute, (h, w)."""
    own: NDArray[np.float64] = draws.var(axis=0, ddof=1, dtype=np.float64)
    largest = own.max(initial=0.0)
    if largest == 0:
        return own
    freedom = (len(draws) - 1) / 2
    # Pixels on which all draws agree have no logarithm, and would take those around them along.
    logarithm = np.log(np.maximum(own / largest, np.finfo(np.float32).eps ** 2))
    pooled = _smooth(logarithm) - digamma(freedom) + np.log(freedom)
    found: NDArray[np.float64] = largest * np.exp(pooled)
    return found


def squared_gradient(image: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the squared gradient of an image (h, w) per pixel, averaged over the window, (h, w)."""
    rows, columns = np.gradient(image.astype(np.float64))
    return _smooth(np.asarray(rows**2 + columns**2))


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = gaussian_filter(values, _WINDOW, mode="nearest", truncate=_TRUNCATE)
    return found


def read_uncertainty(fields: Mapping[str, Any], psf: str) -> Uncertainty:
    """Return what the card of a prior says of the draws' spread, if the PSF is ``blind`` or ``known``.

    Raises
    ------
    PriorError
        If it is damaged.
    """
    try:
        found = Uncertainty(**{name: float(value) for name, value in fields[psf].items()})
        tail = 1.0 if found.tail is None else found.tail
        if not (0 < found.scale < _LARGEST and 0 <= found.edge < _LARGEST and tail >= 1):
            raise ValueError(str(found))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PriorError(f"the uncertainty in the prior's card is damaged ({error})") from None
    return found
