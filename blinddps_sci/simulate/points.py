"""Points of light: stars, knots, vesicles, with a given width and luminosity function.

The scenes place them at sub-pixel positions; a point is a Gaussian integrated over pixels, so that the
pixel grid can hold it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from blinddps_sci.simulate.textures import Array, Image, Rng

__all__ = ["add_points", "luminosities", "scatter"]


def add_points(
    image: Image, y: npt.ArrayLike, x: npt.ArrayLike, flux: npt.ArrayLike, sigma: npt.ArrayLike
) -> None:
    """Add points of light in place, each a Gaussian integrated over pixels.

    Parameters
    ----------
    image : ndarray, (H, W), float32
        Changed in place.
    y, x : array_like, (N,)
        Positions in pixels; points outside lend their wings.
    flux : array_like, (N,)
        Total flux of each point.
    sigma : array_like, scalar or (N,)
        Standard deviations in pixels.
    """
    spread = np.broadcast_arrays(*(np.atleast_1d(a) for a in (y, x, flux, sigma)))
    y, x, flux, sigma = (np.asarray(a, dtype=np.float64) for a in spread)
    if y.size == 0:
        return
    half = math.ceil(3.5 * float(sigma.max()) + 0.5)
    reach = np.arange(-half, half + 1)
    rows, columns = np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)
    profile_y = _pixel_profile(reach - (y - rows)[:, None], sigma)
    profile_x = _pixel_profile(reach - (x - columns)[:, None], sigma)
    stamps = (flux[:, None] * profile_y)[:, :, None] * profile_x[:, None, :]
    height, width = image.shape
    to_y = np.broadcast_to((rows[:, None] + reach)[:, :, None], stamps.shape)
    to_x = np.broadcast_to((columns[:, None] + reach)[:, None, :], stamps.shape)
    inside = (to_y >= 0) & (to_y < height) & (to_x >= 0) & (to_x < width)
    where = to_y[inside] * width + to_x[inside]
    image += np.bincount(where, stamps[inside], height * width).reshape(height, width).astype(np.float32)


def scatter(density: npt.ArrayLike, count: int, rng: Rng) -> tuple[Array, Array]:
    """Draw positions with a probability that follows an image.

    Parameters
    ----------
    density : array_like, (H, W)
        Non-negative, not all zero.
    count : int
        Number of positions.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    y, x : ndarray, (count,), float64
        In pixels, uniform within each pixel.
    """
    values = np.asarray(density, dtype=np.float64)
    total = np.cumsum(values.ravel())
    picks = np.minimum(np.searchsorted(total, rng.random(count) * total[-1], "right"), total.size - 1)
    y, x = np.divmod(picks, values.shape[1])
    return y + rng.uniform(-0.5, 0.5, count), x + rng.uniform(-0.5, 0.5, count)


def _pixel_profile(distance: Array, sigma: Array) -> Array:
    """Integral over unit pixels of a Gaussian centred at zero."""
    scale = math.sqrt(2.0) * sigma[:, None]
    return np.asarray(0.5 * (erf((distance + 0.5) / scale) - erf((distance - 0.5) / scale)))


def luminosities(count: int, rng: Rng, slope: float, contrast: float) -> Array:
    """Draw fluxes with N(>F) ~ F^(-slope) between 1 and `contrast`."""
    share = rng.random(count) * (1.0 - contrast**-slope)
    return np.asarray((1.0 - share) ** (-1.0 / slope))
