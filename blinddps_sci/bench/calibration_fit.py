"""The two numbers of `Uncertainty`, fitted to the errors of restorations whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy import special

from blinddps_sci.engine.uncertainty import Uncertainty

__all__ = ["fit_uncertainty"]

Row = dict[str, Any]

_LEVELS = (0.68, 0.95)
_EDGES = np.concatenate([[0.0], np.geomspace(0.05, 20, 36)])
_SCALES = np.geomspace(0.3, 4, 53)


@dataclass(frozen=True, eq=False)
class _Sample:
    """Pixels of one restoration: squared errors over ``1 + 1 / S``, variances, squared gradients."""

    error: np.ndarray
    variance: np.ndarray
    gradient: np.ndarray

    @classmethod
    def of(cls, row: Row) -> _Sample:
        parts = {name: np.array(row["pixels"][name]) for name in ("error", "variance", "gradient")}
        return cls(parts["error"] ** 2 / (1 + 1 / row["draws"]), parts["variance"], parts["gradient"])

    def coverage(self, uncertainty: Uncertainty) -> list[float]:
        """Return the shares of pixels in the intervals of 68 and 95 %."""
        ratio = self.error / np.maximum(uncertainty.variance(self.variance, self.gradient), 1e-24)
        return [float(np.mean(ratio <= special.ndtri((1 + level) / 2) ** 2)) for level in _LEVELS]


def fit_uncertainty(rows: Sequence[Row]) -> tuple[Uncertainty, list[float]]:
    """Choose scale and edge so that intervals of 68 and 95 % hold 68 and 95 % of the pixels.

    Parameters
    ----------
    rows : sequence of dict
        Of `run_calibration`, of one method. Every restoration counts alike.

    Returns
    -------
    Uncertainty, list of float
        The pair of a grid for which the mean coverages are closest, in least squares, and these.
    """
    samples = [_Sample.of(row) for row in rows]
    best, chosen, reached = np.inf, Uncertainty(), [0.0, 0.0]
    for edge, scale in product(_EDGES, _SCALES):
        tried = Uncertainty(float(scale), float(edge))
        mean = np.mean([sample.coverage(tried) for sample in samples], axis=0)
        off = float(np.sum((mean - _LEVELS) ** 2))
        if off < best:
            best, chosen, reached = off, tried, mean.tolist()
    return chosen, reached
