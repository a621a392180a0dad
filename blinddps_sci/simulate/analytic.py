"""Point-spread functions with a closed form: Gaussian, Moffat, Airy.

They serve as seeing-limited and diffraction-limited kernels for the kernel prior and as
yardsticks for the wave-optical ones in `blinddps_sci.simulate.pupil`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import j1

from blinddps_sci.simulate.arguments import check_between, check_size
from blinddps_sci.simulate.centring import Kernel, normalise, offsets

__all__ = ["airy", "gaussian", "moffat"]

ARCSEC = math.pi / 180.0 / 3600.0
_MOST_POINTS = 15

Array = npt.NDArray[np.float64]


def gaussian(size: int, sigma_y: float, sigma_x: float | None = None, angle: float = 0.0) -> Kernel:
    """Elliptical Gaussian, integrated over pixels.

    Parameters
    ----------
    size : int
        Side K in pixels.
    sigma_y, sigma_x : float
        Standard deviations in pixels along y and x before the rotation; `sigma_x`
        defaults to `sigma_y`.
    angle : float
        Rotation in radians, from +x towards +y.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one, peak at ``K // 2``.

    Raises
    ------
    ConfigError
        If a width is not positive or `size` is not a whole number of at least 3.
    """
    size = check_size(size)
    sigma_x = sigma_y if sigma_x is None else sigma_x
    sy = check_between("sigma_y", sigma_y, 0.0, open_low=True, unit="pixels")
    sx = check_between("sigma_x", sigma_x, 0.0, open_low=True, unit="pixels")
    points, weights = _quadrature(1.5 / min(sy, sx) + 2.0)
    u, v = _rotated(size, points, angle)
    return _integrate(np.exp(-0.5 * ((u / sx) ** 2 + (v / sy) ** 2)), weights)


def moffat(size: int, fwhm: float, beta: float = 3.0, ellipticity: float = 0.0, angle: float = 0.0) -> Kernel:
    """Moffat profile, integrated over pixels: a seeing disc with power-law wings.

    Parameters
    ----------
    size : int
        Side K in pixels.
    fwhm : float
        Full width at half maximum in pixels, the geometric mean of both axes.
    beta : float
        Exponent of the wings, above 1 (total flux is finite); 2.5 to 4.8 in good seeing.
    ellipticity : float
        1 - (minor axis / major axis), in [0, 1).
    angle : float
        Direction of the major axis in radians, from +x towards +y.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one (within the grid), peak at ``K // 2``.

    Raises
    ------
    ConfigError
        If a parameter is outside its range.

    Notes
    -----
    I(r) = [1 + (r / a)^2]^(-beta) with a = fwhm / (2 sqrt(2^(1/beta) - 1)).

    References
    ----------
    Moffat 1969, A&A 3, 455. Trujillo et al. 2001, MNRAS 328, 977,
    doi:10.1046/j.1365-8711.2001.04937.x.
    """
    size = check_size(size)
    fwhm = check_between("fwhm", fwhm, 0.0, open_low=True, unit="pixels")
    beta = check_between("beta", beta, 1.0, open_low=True)
    ratio = 1.0 - check_between("ellipticity", ellipticity, 0.0, 0.99)
    radius = fwhm / (2.0 * math.sqrt(2.0 ** (1.0 / beta) - 1.0))
    points, weights = _quadrature(4.0 / (fwhm * math.sqrt(ratio)) + 2.0)
    u, v = _rotated(size, points, angle)
    squared = (u * u * ratio + v * v / ratio) / radius**2
    return _integrate((1.0 + squared) ** -beta, weights)


def airy(
    size: int, wavelength: float, diameter: float, pixel_scale: float, obscuration: float = 0.0
) -> Kernel:
    """Diffraction pattern of a circular, centrally obscured aperture, integrated over pixels.

    Parameters
    ----------
    size : int
        Side K in pixels.
    wavelength : float
        Metres.
    diameter : float
        Diameter D of the aperture in metres.
    pixel_scale : float
        Arcseconds per pixel.
    obscuration : float
        Diameter of the central obscuration divided by D, in [0, 0.95].

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one (within the grid), peak at ``K // 2``.

    Raises
    ------
    ConfigError
        If a parameter is outside its range.

    Notes
    -----
    I(v) = [2 J1(v)/v - e^2 2 J1(e v)/(e v)]^2 / (1 - e^2)^2 with v = pi D sin(theta) / lambda;
    first zero at 1.2197 lambda / D for e = 0.

    References
    ----------
    Born & Wolf, Principles of Optics (7th ed.), 8.5.2 and 8.6.2; Rivolta 1986,
    Appl. Opt. 25, 2404, doi:10.1364/AO.25.002404.
    """
    size = check_size(size)
    wavelength = check_between("wavelength", wavelength, 0.0, open_low=True, unit="m")
    diameter = check_between("diameter", diameter, 0.0, open_low=True, unit="m")
    scale = check_between("pixel_scale", pixel_scale, 0.0, open_low=True, unit="arcsec per pixel")
    hole = check_between("obscuration", obscuration, 0.0, 0.95)
    q = wavelength / diameter / (scale * ARCSEC)
    points, weights = _quadrature(4.0 / q + 2.0)
    u, v = _rotated(size, points, 0.0)
    argument = np.pi * np.hypot(u, v) / q
    amplitude = _jinc(argument)
    if hole > 0.0:
        amplitude = amplitude - hole**2 * _jinc(hole * argument)
    return _integrate(amplitude**2, weights)


def _jinc(argument: Array) -> Array:
    """2 J1(v) / v with its limit 1 at the origin."""
    safe = np.where(argument < 1e-9, 1e-9, argument)
    return np.asarray(2.0 * j1(safe) / safe, dtype=np.float64)


def _quadrature(wanted: float) -> tuple[Array, Array]:
    """Gauss-Legendre points and weights across a pixel: about `wanted` of them, 4 to 15."""
    points, weights = np.polynomial.legendre.leggauss(min(max(math.ceil(wanted), 4), _MOST_POINTS))
    return points / 2.0, weights / 2.0


def _rotated(size: int, points: Array, angle: float) -> tuple[Array, Array]:
    """Coordinates along and across the direction `angle`, in pixels."""
    line = (offsets(size)[:, None] + points).ravel()
    y, x = line[:, None], line[None, :]
    c, s = math.cos(angle), math.sin(angle)
    return x * c + y * s, y * c - x * s


def _integrate(fine: Array, weights: Array) -> Kernel:
    """Weighted sum over the points of each pixel."""
    count = weights.size
    size = fine.shape[0] // count
    return normalise(np.einsum("iajb,a,b->ij", fine.reshape(size, count, size, count), weights, weights))
