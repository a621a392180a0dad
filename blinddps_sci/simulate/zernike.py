"""Zernike polynomials in Noll's order and their covariance in Kolmogorov turbulence.

They describe the aberrations of a pupil in `blinddps_sci.simulate.pupil` and the modes
that adaptive optics takes out in `blinddps_sci.simulate.atmosphere`.
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial, pi, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import gamma

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.arguments import check_between

__all__ = ["noll_covariance", "noll_index", "polar_grid", "zernike", "zernike_basis"]

Array = npt.NDArray[np.float64]


def noll_index(j: int) -> tuple[int, int]:
    """Radial order n and signed azimuthal order m of Noll's mode j.

    Parameters
    ----------
    j : int
        Noll's index, from 1 (piston); 2, 3 tilts, 4 defocus, 5, 6 astigmatism, 7, 8 coma.

    Returns
    -------
    tuple of int
        (n, m): m > 0 is the cosine, m < 0 the sine.

    Raises
    ------
    ConfigError
        If `j` is below 1.
    """
    if j < 1 or int(j) != j:
        msg = f"Noll index {j!r}: modes are counted from 1 (piston); 4 is defocus"
        raise ConfigError(msg)
    n = int((sqrt(8 * j - 7) - 1) / 2)
    place = j - n * (n + 1) // 2 - 1
    m = 2 * ((place + 1) // 2) if n % 2 == 0 else 2 * (place // 2) + 1
    return n, m if j % 2 == 0 else -m


def zernike(j: int, rho: npt.ArrayLike, theta: npt.ArrayLike) -> Array:
    """Evaluate Noll's Zernike polynomial Z_j (also beyond the unit disc).

    Parameters
    ----------
    j : int
        Noll's index, from 1.
    rho : array_like
        Radius divided by the pupil's radius.
    theta : array_like
        Angle in radians from +x towards +y.

    Returns
    -------
    ndarray, float64
        Orthonormal over the unit disc: (1/pi) Int Z_i Z_j d^2 rho = delta_ij, so a
        coefficient is the rms of its mode.

    References
    ----------
    Noll 1976, J. Opt. Soc. Am. 66, 207, doi:10.1364/JOSA.66.000207.
    """
    n, m = noll_index(j)
    radius = np.asarray(rho, dtype=np.float64)
    radial = np.polyval(_radial_coefficients(n, abs(m)), radius)
    if m == 0:
        return np.asarray(sqrt(n + 1) * radial, dtype=np.float64)
    angle = abs(m) * np.asarray(theta, dtype=np.float64)
    return np.asarray(sqrt(2 * (n + 1)) * radial * (np.cos(angle) if m > 0 else np.sin(angle)))


@lru_cache(maxsize=256)
def zernike_basis(samples: float, highest: int, lowest: int = 1) -> npt.NDArray[np.float32]:
    """Noll modes `lowest` to `highest` on the square around a pupil (cached, read-only).

    Parameters
    ----------
    samples : float
        Pupil diameter in grid steps; need not be whole.
    highest, lowest : int
        Range of Noll's indices, both included.

    Returns
    -------
    ndarray, (highest - lowest + 1, M, M), float32
        M = 2 ceil(samples / 2) + 1; the pupil's centre is the middle pixel M // 2.
        Values beyond the pupil's edge are those at the edge.
    """
    rho, theta = polar_grid(samples)
    inside = np.minimum(rho, 1.0)
    modes = np.stack([zernike(j, inside, theta) for j in range(lowest, highest + 1)])
    basis = modes.astype(np.float32)
    basis.flags.writeable = False
    return basis


@lru_cache(maxsize=256)
def polar_grid(samples: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Radius (in pupil radii) and angle on the square around a pupil (cached, read-only)."""
    half = int(np.ceil(samples / 2))
    line = np.arange(-half, half + 1) / (samples / 2)
    rho = np.hypot(line[:, None], line[None, :]).astype(np.float32)
    theta = np.arctan2(line[:, None], line[None, :]).astype(np.float32)
    rho.flags.writeable = theta.flags.writeable = False
    return rho, theta


def noll_covariance(highest: int, d_over_r0: float, lowest: int = 2) -> Array:
    """Covariance of Zernike coefficients in Kolmogorov turbulence.

    Parameters
    ----------
    highest, lowest : int
        Range of Noll's indices, both included; piston has no finite variance.
    d_over_r0 : float
        Pupil diameter divided by Fried's parameter at the wavelength of the phase.

    Returns
    -------
    ndarray, (highest - lowest + 1,) * 2, float64
        In square radians.

    Raises
    ------
    ConfigError
        If the range contains piston or `d_over_r0` is negative.

    References
    ----------
    Noll 1976, doi:10.1364/JOSA.66.000207, eq. 25 (corrected in Roddier 1990,
    Opt. Eng. 29, 1174, doi:10.1117/12.55712).
    """
    if not 2 <= lowest <= highest:
        msg = f"Noll modes {lowest} to {highest}: give 2 <= lowest <= highest (piston has no finite variance)"
        raise ConfigError(msg)
    strength = check_between("d_over_r0", d_over_r0, 0.0) ** (5.0 / 3.0)
    modes = range(lowest, highest + 1)
    return np.asarray(strength * np.array([[_noll_term(i, j) for j in modes] for i in modes]))


def _noll_term(i: int, j: int) -> float:
    """<a_i a_j> for D / r0 = 1."""
    (n, m), (k, p) = noll_index(i), noll_index(j)
    if abs(m) != abs(p) or (m != 0 and (i - j) % 2):
        return 0.0
    sign = -1.0 if ((n + k - 2 * abs(m)) // 2) % 2 else 1.0
    lower = gamma((n - k + 17 / 3) / 2) * gamma((k - n + 17 / 3) / 2) * gamma((n + k + 23 / 3) / 2)
    upper = gamma(14 / 3) * gamma((n + k - 5 / 3) / 2)
    return float(0.0072 * pi ** (8 / 3) * sign * sqrt((n + 1) * (k + 1)) * upper / lower)


@lru_cache(maxsize=1024)
def _radial_coefficients(n: int, m: int) -> tuple[float, ...]:
    """Coefficients of R_n^m, highest power first, as `numpy.polyval` wants them."""
    powers = [0.0] * (n + 1)
    for k in range((n - m) // 2 + 1):
        divisor = factorial(k) * factorial((n + m) // 2 - k) * factorial((n - m) // 2 - k)
        powers[2 * k] = (-1) ** k * factorial(n - k) / divisor
    return tuple(powers)
