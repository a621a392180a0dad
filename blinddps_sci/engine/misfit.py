"""Whether a restoration explains its data, as a sentence for the user where it does not."""

from __future__ import annotations

import numpy as np

__all__ = ["describe_misfit"]

_MEAN, _TILE = 2.0, 5.0
"""Reduced chi-squared from which all tiles together, or one of them, are not explained: the noise would have
to be larger by 1.4, or by 2.2."""


def describe_misfit(chi2: np.ndarray) -> str | None:
    """Return what is wrong with a restoration and what may be done; None if it explains the data.

    Parameters
    ----------
    chi2 : ndarray, any shape
        Reduced chi-squared of the draws over each tile (of each frame); NaN where nothing was measured.
    """
    known = chi2[np.isfinite(chi2)]
    if not known.size or (known.mean() <= _MEAN and known.max() <= _TILE):
        return None
    bad = int((known > _MEAN).sum())
    return (
        f"the restoration does not explain the data: reduced chi-squared is {known.mean():.3g} on average "
        f"and {known.max():.3g} at the most, where 1 is expected (above {_MEAN:g} in {bad} of {known.size} "
        "tiles). Either the noise is larger than was assumed (--noise), or the blur is wider than the PSF "
        "may be (--psf-size), or sources are so bright that no estimated PSF is exact enough for them: "
        "mask their cores, or give the saturation level"
    )
