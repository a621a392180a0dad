"""Turbulent wavefronts: phase screens and their structure function.

Screens follow von Karman's spectrum with sub-harmonics; `blinddps_sci.simulate.atmosphere` makes kernels
of them.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.special import gamma, kv

from blinddps_sci.simulate.arguments import check_between, check_size

__all__ = ["phase_screen", "structure_function"]

Array = npt.NDArray[np.float64]

# 2^(1/6) Gamma(11/6) / pi^(8/3) * (24/5 Gamma(6/5))^(5/6), the amplitude of von Karman's
# structure function, and its limit Gamma(5/6) / 2^(1/6) of the bracket at infinity.
_AMPLITUDE = 2 ** (1 / 6) * gamma(11 / 6) / math.pi ** (8 / 3) * (24 / 5 * gamma(6 / 5)) ** (5 / 6)
_PLATEAU = gamma(5 / 6) / 2 ** (1 / 6)
# The bracket's series for small x, a x^(5/3) - b x^2, from that of the Bessel function.
_SINE = math.pi / (2.0 * math.sin(5 * math.pi / 6))
_SERIES = (_SINE * 2 ** (-5 / 6) / gamma(11 / 6), _SINE * 2 ** (5 / 6) / gamma(1 / 6) * 6 / 4)
_KOLMOGOROV = 2.0 * (24 / 5 * gamma(6 / 5)) ** (5 / 6)  # 6.8839


def structure_function(separation: npt.ArrayLike, r0: float, outer_scale: float = math.inf) -> Array:
    """Mean squared phase difference between two points of a wavefront.

    Parameters
    ----------
    separation : array_like
        Distance, in the unit of `r0`.
    r0 : float
        Fried's parameter.
    outer_scale : float
        L0 in the unit of `r0`; infinity is Kolmogorov's case.

    Returns
    -------
    ndarray, float64
        Square radians.

    Raises
    ------
    ConfigError
        If `r0` or `outer_scale` is not positive.

    Notes
    -----
    Kolmogorov: 6.884 (r/r0)^(5/3). von Karman: (L0/r0)^(5/3) A [B - x^(5/6) K_(5/6)(x)],
    x = 2 pi r / L0, A = 2^(1/6) Gamma(11/6) pi^(-8/3) [24/5 Gamma(6/5)]^(5/6), B = Gamma(5/6) / 2^(1/6).

    References
    ----------
    Fried 1966, doi:10.1364/JOSA.56.001372; Jenkins 1998, MNRAS 294, L69,
    doi:10.1046/j.1365-8711.1998.01331.x.
    """
    r0 = check_between("r0", r0, 0.0, open_low=True)
    scale = check_between("outer_scale", outer_scale, 0.0, open_low=True)
    r = np.abs(np.asarray(separation, dtype=np.float64))
    if scale == math.inf:
        return np.asarray(_KOLMOGOROV * (r / r0) ** (5.0 / 3.0))
    nodes, bracket = _bracket_table()
    x = 2.0 * math.pi * r / scale
    values = np.interp(np.log(np.maximum(x, math.exp(nodes[0]))), nodes, bracket)
    small = _SERIES[0] * x ** (5.0 / 3.0) - _SERIES[1] * x**2
    values = np.where(x < math.exp(nodes[0]), small, values)
    return np.asarray(_AMPLITUDE * (scale / r0) ** (5.0 / 3.0) * values)


def phase_screen(
    n: int,
    step: float,
    r0: float,
    rng: np.random.Generator,
    *,
    outer_scale: float = 25.0,
    inner_scale: float = 0.0,
    subharmonics: int = 8,
) -> Array:
    """Draw a random wavefront with von Karman's spectrum.

    Parameters
    ----------
    n : int
        Side in samples.
    step : float
        Distance of samples, in metres (or any unit common to all lengths).
    r0 : float
        Fried's parameter at the wavelength of the phase.
    rng : numpy.random.Generator
        Source of all randomness.
    outer_scale, inner_scale : float
        L0 (finite, 10 to 50 m at observatories) and l0.
    subharmonics : int
        Levels of three-times lower frequencies added below the grid's lowest.

    Returns
    -------
    ndarray, (n, n), float64
        Radians; the mean is removed.

    Raises
    ------
    ConfigError
        If a length is not positive, or L0 is infinite.

    Notes
    -----
    Phi(f) = 0.0229 r0^(-5/3) (f^2 + L0^(-2))^(-11/6) exp[-(2 pi f l0 / 5.92)^2], f in cycles per
    metre. The structure function follows theory within a few per cent up to a quarter of the side.

    References
    ----------
    Lane, Glindemann & Dainty 1992, Waves in Random Media 2, 209, doi:10.1088/0959-7174/2/3/003.
    """
    n = check_size(n)
    step = check_between("step", step, 0.0, open_low=True)
    r0 = check_between("r0", r0, 0.0, open_low=True)
    scale = check_between("outer_scale", outer_scale, 0.0, 1e6 * n * step, open_low=True)
    inner = check_between("inner_scale", inner_scale, 0.0)
    df = 1.0 / (n * step)
    squared = _squared_frequency(n) * df**2
    root = np.sqrt(0.0229 * r0 ** (-5.0 / 3.0)) * (squared + scale**-2.0) ** (-11.0 / 12.0)
    if inner > 0.0:
        root *= np.exp(-0.5 * squared * (2.0 * math.pi * inner / 5.92) ** 2)
    root[0, 0] = 0.0
    draws = rng.standard_normal((2, n, n), dtype=np.float32)
    spectrum = (draws[0] + 1j * draws[1]) * (root * (df * n * n)).astype(np.float32)
    screen = fft.ifft2(spectrum).real.astype(np.float64)
    screen += _low_frequencies(n, step, r0, scale, rng, subharmonics)
    return np.asarray(screen - screen.mean())


def _low_frequencies(
    n: int, step: float, r0: float, outer_scale: float, rng: np.random.Generator, levels: int
) -> Array:
    """Sum of the sub-harmonics: nine frequencies without the middle one, per level."""
    line = (np.arange(n) - n / 2) * step
    total = np.zeros((n, n))
    for level in range(1, levels + 1):
        spacing = 1.0 / (n * step * 3.0**level)
        f = spacing * np.array([-1.0, 0.0, 1.0])
        root = (f[:, None] ** 2 + f[None, :] ** 2 + outer_scale**-2.0) ** (-11.0 / 12.0)
        root *= math.sqrt(0.0229) * r0 ** (-5.0 / 6.0) * spacing
        root[1, 1] = 0.0
        draws = rng.standard_normal((2, 3, 3))
        wave = np.exp(2j * math.pi * f[:, None] * line[None, :])
        total += (wave.T @ ((draws[0] + 1j * draws[1]) * root) @ wave).real
    return total


@lru_cache(maxsize=64)
def _squared_frequency(n: int) -> Array:
    """Squared frequencies in units of the grid's lowest, in the order of the FFT."""
    line = np.fft.fftfreq(n, 1.0 / n)
    squared = line[:, None] ** 2 + line[None, :] ** 2
    squared.flags.writeable = False
    return np.asarray(squared)


@lru_cache(maxsize=1)
def _bracket_table() -> tuple[Array, Array]:
    """B - x^(5/6) K_(5/6)(x) on a logarithmic grid (Bessel functions are slow)."""
    nodes = np.linspace(math.log(1e-3), math.log(60.0), 4096)
    x = np.exp(nodes)
    return nodes, np.asarray(_PLATEAU - x ** (5.0 / 6.0) * kv(5.0 / 6.0, x))
