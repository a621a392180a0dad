"""The tilt fields of the published method: not a model of the air, but what its problem is posed with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from blinddps_sci.simulate.arguments import check_size

__all__ = ["patchwise_tilt"]

_HALF = 32
_PATCHES = 500
_SIDE = 256
"""Half the side of a patch, and how many there are on a field of so many pixels."""


def patchwise_tilt(size: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Draw displacements (2, n, n), dy and dx in pixels, of small patches of smoothed noise.

    Patches of 64 pixels at random places each add white noise under a Gaussian of one pixel, of a strength
    between 0.1 and 0.4. The field has a deviation of half a pixel and a correlation length of two: it is
    nearly white, which the tilts of the atmosphere are not. As many patches fall on a pixel in the middle of
    the paper's field of 256 pixels fall on every pixel here, up to the border.

    Parameters
    ----------
    size : int
        Side n in pixels.
    rng : numpy.random.Generator

    References
    ----------
    H. Chung et al., "Parallel diffusion models of operator and image for blind inverse problems", CVPR 2023,
    arXiv:2211.10656, supplement E.2, after W. H. Chak, C. P. Lau, L. M. Lui, "Subsampled turbulence removal
    network", arXiv:1807.04418.
    """
    size = check_size(size, smallest=4)
    side = size + 4 * _HALF
    field = np.zeros((2, side, side))
    density = _PATCHES / (_SIDE - 2 * _HALF) ** 2
    for _ in range(round(density * (side - 2 * _HALF) ** 2)):
        y, x = rng.integers(0, side - 2 * _HALF + 1, 2)
        noise = rng.normal(size=(2, 2 * _HALF, 2 * _HALF))
        field[:, y : y + 2 * _HALF, x : x + 2 * _HALF] += rng.uniform(0.1, 0.4) * gaussian_filter(
            noise, (0, 1, 1), truncate=3.0, mode="constant"
        )
    inner = slice(2 * _HALF, -2 * _HALF)
    return field[:, inner, inner].astype(np.float32)
