"""The numbers of `Uncertainty`, fitted to the errors of restorations whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

from blinddps_sci.engine.uncertainty import Uncertainty

__all__ = ["fit_uncertainty"]

Row = dict[str, Any]

_LEVELS = (0.68, 0.95)
_RANGE = (-9.0, 4.0)
"""Least and largest logarithm of scale, edge and tail that is tried."""

_STARTS = ((1.0, 2.0, 3.0), (1.5, 0.1, 3.0))
"""Scale, edge and tail from which the search begins: a sum of two terms may have two optima."""


@dataclass(frozen=True, eq=False)
class _Sample:
    """Pixels of one restoration: errors about the posterior mean, variances, squared gradients."""

    error: np.ndarray
    variance: np.ndarray
    gradient: np.ndarray

    @classmethod
    def of(cls, row: Row) -> _Sample:
        parts = {name: np.array(row["pixels"][name]) for name in ("error", "variance", "gradient")}
        return cls(parts["error"] / np.sqrt(1 + 1 / row["draws"]), parts["variance"], parts["gradient"])

    def stated(self, uncertainty: Uncertainty) -> np.ndarray:
        found: np.ndarray = np.sqrt(np.maximum(uncertainty.variance(self.variance, self.gradient), 1e-24))
        return found

    def score(self, uncertainty: Uncertainty) -> float:
        """Return the mean of the logarithm of the density of the errors."""
        assert uncertainty.tail is not None
        scale = self.stated(uncertainty) / uncertainty.one_sigma
        return float(np.mean(stats.t.logpdf(self.error, uncertainty.tail, scale=scale)))

    def coverage(self, uncertainty: Uncertainty) -> list[float]:
        """Return the shares of pixels in the intervals of 68 and 95 %."""
        ratio = np.abs(self.error) / self.stated(uncertainty)
        return [float(np.mean(ratio <= uncertainty.half_width(level))) for level in _LEVELS]


def fit_uncertainty(runs: Sequence[Sequence[Row]]) -> tuple[Uncertainty, list[list[float]]]:
    """Choose scale, edge and tail under which the errors are most likely.

    Parameters
    ----------
    runs : sequence of (sequence of dict)
        Rows of `run_calibration`, of one method: of one preset or of several. Every run counts alike, and
        of a run every restoration.

    Returns
    -------
    Uncertainty, list of list of float
        The most likely, and of each run the mean coverages of its intervals of 68 and 95 %.
    """
    samples = [[_Sample.of(row) for row in run] for run in runs]

    def loss(logarithms: np.ndarray) -> float:
        tried = _of(logarithms)
        return -float(np.mean([np.mean([sample.score(tried) for sample in run]) for run in samples]))

    found = [optimize.minimize(loss, np.log(start), method="Nelder-Mead") for start in _STARTS]
    chosen = _of(min(found, key=lambda each: float(each.fun)).x)
    return chosen, [np.mean([each.coverage(chosen) for each in run], axis=0).tolist() for run in samples]


def _of(logarithms: np.ndarray) -> Uncertainty:
    scale, edge, tail = (float(value) for value in np.exp(np.clip(logarithms, *_RANGE)))
    return Uncertainty(scale, edge, max(tail, 1.0))
