"""What a unit of work has found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blinddps_sci.engine.job import Job
from blinddps_sci.tiling.plan import Unit

__all__ = ["UnitResult"]


@dataclass(frozen=True)
class UnitResult:
    """What a unit found, of F frames of a burst or of one.

    Parameters
    ----------
    unit : Unit
        Which.
    images : ndarray of float32, (S, h, w)
        Draws of the image over the unit's data box, in data units; none if no pixel was measured.
    kernels, kernels_std : ndarray of float32, (F, N, K, K)
        Posterior mean of the kernel of each frame and tile, and its standard deviation; NaN for a single
        draw, and of a frame that was left out.
    chi2 : ndarray of float32, (F, N)
        Reduced chi-squared of the draws over each tile, averaged over the draws.
    mask : ndarray of bool, (h, w)
        Pixels that were not used in any frame.
    saturated : ndarray of bool, (h, w)
        Pixels that are lower limits.
    tilt : ndarray of float32, (F, 2, n_y, n_x), optional
        Posterior mean of the displacements (dy, dx) at the nodes of a burst, pixels.
    """

    unit: Unit
    images: np.ndarray
    kernels: np.ndarray
    kernels_std: np.ndarray
    chi2: np.ndarray
    mask: np.ndarray
    saturated: np.ndarray
    tilt: np.ndarray | None = None

    @property
    def figures(self) -> dict[str, np.ndarray]:
        """Figures (F, N) of each frame and tile: ``chi2``, and of a burst ``weight``.

        A frame tells as much of the scene as its kernel lets through, summed over all frequencies: the sum of
        the kernel's squares. Its weight is that over the mean of the frames, and zero if it was left out.
        """
        if self.tilt is None:
            return {"chi2": self.chi2}
        power = (self.kernels.astype(np.float64) ** 2).sum(axis=(-2, -1))
        told = np.isfinite(power)
        mean = np.where(told, power, 0).sum(axis=0) / np.maximum(told.sum(axis=0), 1)
        weight = np.where(told, power, 0) / np.where(mean > 0, mean, np.nan)
        return {"chi2": self.chi2, "weight": weight.astype(np.float32)}

    @classmethod
    def nothing(cls, job: Job, unit: Unit, mask: np.ndarray) -> UnitResult:
        """Return the result of a unit of which no pixel was measured."""
        frames, tiles, size = job.frames or 1, job.plan.tiles(unit), job.plan.kernel_size
        unknown = np.full((frames, len(tiles), size, size), np.nan, dtype=np.float32)
        shape = (len({tile.index[0] for tile in tiles}), len({tile.index[1] for tile in tiles}))
        return cls(
            unit=unit,
            images=np.zeros((0, *mask.shape), dtype=np.float32),
            kernels=unknown,
            kernels_std=unknown,
            chi2=np.full((frames, len(tiles)), np.nan, dtype=np.float32),
            mask=mask,
            saturated=np.zeros(mask.shape, dtype=bool),
            tilt=np.full((frames, 2, *shape), np.nan, dtype=np.float32) if job.frames else None,
        )
