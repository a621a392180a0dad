"""Whether the stated uncertainty is honest: how often the truth lies where the posterior says.

Two forms, for what a result holds: posterior samples (intervals from their order statistics) or a
mean and a standard deviation (intervals of a Gaussian).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from blinddps_sci.errors import InputError
from blinddps_sci.metrics.pair import as_pair

__all__ = ["coverage", "gaussian_coverage", "z_scores"]


def coverage(
    samples: ArrayLike, truth: ArrayLike, level: float = 0.68, *, mask: ArrayLike | None = None
) -> float:
    """Share of the truth inside the central interval of posterior samples.

    Parameters
    ----------
    samples : array_like, real, (S, ...)
        Posterior samples, the first axis running over them.
    truth : array_like, real, (...)
        The true values, in the samples' unit.
    level : float
        Probability of the central interval, in (0, 1).
    mask : array_like of bool, (...), optional
        True marks an unusable pixel.

    Returns
    -------
    float
        In [0, 1]; its expectation is `level` where the truth is one more draw of the posterior.

    Raises
    ------
    InputError
        If shapes do not fit, a usable value is not finite, `level` is not allowed, or there are
        too few samples to bound the interval: ``S >= 2 / (1 - level) - 1`` is needed.

    Notes
    -----
    The interval's ends are the quantiles ``(1 -+ level) / 2`` at the plotting position
    ``p (S + 1)``: of S draws the i-th smallest has expected probability ``i / (S + 1)``, so the
    interval is not too narrow for small S as the usual sample quantile is.

    References
    ----------
    Hyndman, Fan, "Sample quantiles in statistical packages", 1996,
    doi:10.1080/00031305.1996.10473566, definition 6.
    """
    _check_level(level)
    drawn = np.asarray(samples, dtype=np.float64)
    if drawn.ndim == 0 or drawn.shape[1:] != np.shape(truth):
        raise InputError(
            f"samples have shape {drawn.shape} and the truth {np.shape(truth)}; give (S, ...) and (...)"
        )
    needed = int(np.ceil(2.0 / (1.0 - level) - 1.0 - 1e-9))
    if len(drawn) < needed:
        raise InputError(
            f"{len(drawn)} samples cannot bound a {level:.0%} interval; draw at least {needed}, "
            "or use the mean and standard deviation with gaussian_coverage"
        )
    usable = as_pair(truth, truth, mask).usable
    values, true = drawn[:, usable], np.asarray(truth, dtype=np.float64)[usable]
    if not np.isfinite(values).all():
        raise InputError("the samples have NaN or infinite values; mark them True in `mask`")
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail], axis=0, method="weibull")
    return float(np.mean((low <= true) & (true <= high)))


def z_scores(
    mean: ArrayLike, std: ArrayLike, truth: ArrayLike, *, mask: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Distance of the truth from the posterior mean in standard deviations.

    Parameters
    ----------
    mean, std, truth : array_like, real, one shape
        Posterior mean, posterior standard deviation and true values, in one unit.
    mask : array_like of bool, the same shape, optional
        True marks an unusable pixel.

    Returns
    -------
    ndarray, float64, the same shape
        ``(truth - mean) / std``, NaN where masked. Of a calibrated Gaussian posterior they have
        mean 0 and standard deviation 1.

    Raises
    ------
    InputError
        If shapes differ, a usable value is not finite, or a usable standard deviation is not positive.

    Notes
    -----
    With mean and standard deviation from S samples, ``z sqrt(S / (S + 1))`` follows Student's
    distribution of ``S - 1`` degrees of freedom: wider than the Gaussian for small S.
    """
    pair = as_pair(mean, truth, mask)
    spread = as_pair(std, truth, mask).estimate
    flat = int(np.count_nonzero(pair.usable & (spread <= 0)))
    if flat:
        raise InputError(
            f"the standard deviation is not positive in {flat} usable pixels; mark them True in `mask`"
        )
    scores = np.full(pair.truth.shape, np.nan)
    np.divide(pair.truth - pair.estimate, spread, out=scores, where=pair.usable)
    return scores


def gaussian_coverage(z: ArrayLike, level: float = 0.68) -> float:
    """Share of z-scores inside the central interval of a standard Gaussian.

    Parameters
    ----------
    z : array_like, real, any shape
        As `z_scores` returns them; NaN does not count.
    level : float
        Probability of the central interval, in (0, 1).

    Returns
    -------
    float
        In [0, 1]; expected to be `level` for a calibrated Gaussian posterior.

    Raises
    ------
    InputError
        If `level` is not allowed or no score counts.
    """
    _check_level(level)
    scores = np.asarray(z, dtype=np.float64)
    scores = scores[~np.isnan(scores)]
    if scores.size == 0:
        raise InputError("no z-score counts (all are NaN); unmask some pixels")
    return float(np.mean(np.abs(scores) <= special.ndtri((1.0 + level) / 2.0)))


def _check_level(level: float) -> None:
    """Refuse what is not a probability strictly between 0 and 1."""
    if not 0 < level < 1:
        raise InputError(f"level is {level}; give a probability between 0 and 1, such as 0.68")
