"""Families of kernels: for each kind of blur, how its parameters are drawn.

`blinddps_sci.simulate.psf` draws from this table; the ranges follow what cameras, amateur and
professional telescopes and microscopes show, limited to what a kernel of K pixels can hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft

from blinddps_sci.simulate.analytic import gaussian, moffat
from blinddps_sci.simulate.atmosphere import long_exposure, short_exposure
from blinddps_sci.simulate.centring import Kernel, normalise
from blinddps_sci.simulate.microscope import microscope_psf
from blinddps_sci.simulate.motion import camera_motion, tracking_error
from blinddps_sci.simulate.pupil import Pupil, pupil_psf

__all__ = ["Family", "convolve_kernels", "family_table"]

Rng = np.random.Generator

# lambda / D in pixels. A fixed set, so that pupils and Zernike modes are computed once.
_SAMPLING = tuple(float(q) for q in np.geomspace(0.8, 6.0, 20))

# NA and refractive index of common objectives (immersion oil, silicone, water, air).
_OBJECTIVES = ((1.4, 1.515), (1.3, 1.406), (1.2, 1.333), (0.95, 1.0), (0.8, 1.0), (0.75, 1.0), (0.45, 1.0))


@dataclass(frozen=True)
class Family:
    """One kind of blur.

    Attributes
    ----------
    description : str
        One line for people.
    weight : float
        Relative frequency in `random_kernel`.
    draw : callable
        ``draw(size, reach, rng) -> (K, K) kernel``; `reach` <= size is the number of pixels
        that the blur may fill, smaller where two kernels are to be convolved.
    """

    description: str
    weight: float
    draw: Callable[[int, float, Rng], Kernel]


def convolve_kernels(first: Kernel, second: Kernel) -> Kernel:
    """Kernel of two blurs in a row, cut to the size of the first.

    Parameters
    ----------
    first, second : ndarray, (K, K), float32
        Kernels of the same size, centre at ``K // 2``.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one, centre at ``K // 2``.
    """
    size = first.shape[0]
    start = size // 2
    n = int(fft.next_fast_len(2 * size, real=True))
    full = fft.irfft2(fft.rfft2(first, (n, n)) * fft.rfft2(second, (n, n)), (n, n))
    return normalise(full[start : start + size, start : start + size])


def family_table() -> dict[str, Family]:
    """Return the families by name.

    Returns
    -------
    dict of str to Family
    """
    return {
        "gaussian": Family("elliptical Gaussian, from a near-delta (0.3 px) to K/7", 1.2, _gaussian),
        "moffat": Family("Moffat seeing disc with wings, beta 1.8 to 6", 0.8, _moffat),
        "diffraction": Family(
            "telescope at its diffraction limit, obscuration and spider", 0.6, _diffraction
        ),
        "aberrated": Family("telescope with Noll-Zernike aberrations 4 to 15", 1.0, _aberrated),
        "defocus": Family("defocused telescope or lens, up to a ring", 0.8, _defocus),
        "microscope": Family("fluorescence microscope: NA, defocus, aberrations, confocal", 1.4, _microscope),
        "motion": Family("smooth random camera path, up to 0.8 K", 1.6, _motion),
        "tracking": Family("telescope tracking: drift, periodic error, wind shake", 0.9, _tracking),
        "long-exposure": Family("long exposure through von Karman turbulence", 0.8, _long_exposure),
        "short-exposure": Family("speckles of a short exposure, D/r0 1 to 12", 1.5, _short_exposure),
        "adaptive": Family("exposure after partial adaptive-optics correction", 0.6, _adaptive),
        "mixture": Family("two families convolved, e.g. atmosphere and tracking", 1.4, _mixture),
    }


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(max(high, low)))))


def _angle(rng: Rng) -> float:
    return float(rng.uniform(0.0, 2.0 * math.pi))


def _sampling(rng: Rng, high: float) -> float:
    """Draw lambda / D in pixels, at most `high`."""
    allowed = [q for q in _SAMPLING if q <= high] or [_SAMPLING[0]]
    return allowed[int(rng.integers(len(allowed)))]


def _telescope(rng: Rng, high: float) -> Pupil:
    """Refractor, reflector or reflector with a spider."""
    q = _sampling(rng, high)
    if rng.random() < 0.35:
        return Pupil(q)
    hole = float(rng.uniform(0.1, 0.42))
    if rng.random() < 0.5:
        return Pupil(q, hole)
    arms = int(rng.choice([3, 4]))
    return Pupil(q, hole, arms, float(rng.uniform(0.005, 0.03)), _angle(rng))


def _gaussian(size: int, reach: float, rng: Rng) -> Kernel:
    wide = _log_uniform(rng, 0.3, reach / 7.0)
    narrow = max(wide * float(rng.uniform(0.35, 1.0)), 0.25)
    return gaussian(size, narrow, wide, _angle(rng))


def _moffat(size: int, reach: float, rng: Rng) -> Kernel:
    fwhm = _log_uniform(rng, 1.0, reach / 4.0)
    beta = _log_uniform(rng, 1.8, 6.0)
    return moffat(size, fwhm, beta, float(rng.uniform(0.0, 0.5)), _angle(rng))


def _diffraction(size: int, reach: float, rng: Rng) -> Kernel:
    return pupil_psf(size, _telescope(rng, reach / 6.0), centred=True)


def _aberrations(rng: Rng, rms: float, highest: int = 15) -> dict[int, float]:
    """Random Noll modes from 4 on, amplitude falling as 1 / n, scaled to `rms` waves."""
    modes = np.arange(4, highest + 1)
    order = np.floor((np.sqrt(8.0 * modes - 7.0) - 1.0) / 2.0)
    values = rng.standard_normal(modes.size) / order
    # Now and then one mode dominates: a collimation error, a pinched lens.
    if rng.random() < 0.3:
        values[int(rng.integers(modes.size))] *= 4.0
    values *= rms / math.sqrt(float(np.sum(values**2)))
    return {int(j): float(value) for j, value in zip(modes, values, strict=True)}


def _aberrated(size: int, reach: float, rng: Rng) -> Kernel:
    pupil = _telescope(rng, reach / 9.0)
    # An rms of w waves spreads light over about 10 w lambda / D.
    rms = float(rng.uniform(0.03, min(0.6, reach / (22.0 * pupil.q))))
    return pupil_psf(size, pupil, _aberrations(rng, rms), centred=True)


def _defocus(size: int, reach: float, rng: Rng) -> Kernel:
    pupil = _telescope(rng, reach / 12.0)
    # Geometrical radius of the disc: 8 sqrt(3) c_4 lambda / D.
    widest = 0.42 * reach / (8.0 * math.sqrt(3.0) * pupil.q)
    waves = float(rng.uniform(0.05, min(widest, 2.0))) * float(rng.choice([-1.0, 1.0]))
    zernikes = _aberrations(rng, float(rng.uniform(0.0, 0.1)), 11)
    zernikes[4] = waves
    return pupil_psf(size, pupil, zernikes, centred=True)


def _microscope(size: int, reach: float, rng: Rng) -> Kernel:
    na, index = _OBJECTIVES[int(rng.integers(len(_OBJECTIVES)))]
    # lambda / (2 NA) is twice Nyquist's pixel; 0.5 to 1.2 of that pixel, or a camera too coarse.
    q = _sampling(rng, min(4.0, reach / 8.0))
    wavelength = float(rng.uniform(0.43, 0.75))
    pixel = wavelength / (2.0 * na * q)
    confocal = bool(rng.random() < 0.25)
    tangent = na / math.sqrt(index**2 - na**2)
    depth = min(2.0 * wavelength * index / na**2, 0.35 * reach * pixel / tangent)
    rms = min(abs(float(rng.normal(0.0, 0.1))) + 0.005, 0.35, reach / (22.0 * q))
    return microscope_psf(
        size,
        na=na,
        wavelength=wavelength,
        pixel=pixel,
        refractive_index=index,
        defocus=float(rng.uniform(-depth, depth)) if rng.random() < 0.7 else 0.0,
        zernikes=_aberrations(rng, rms),
        confocal=confocal,
        centred=True,
    )


def _motion(size: int, reach: float, rng: Rng) -> Kernel:
    return camera_motion(
        size,
        rng,
        extent=float(rng.uniform(1.5, 0.8 * reach)),
        bend=float(rng.uniform(0.0, 3.0)) * float(rng.random() < 0.85),
        unsteady=float(rng.uniform(0.0, 0.9)),
        tremor=float(rng.uniform(0.0, 0.06)) * float(rng.random() < 0.5),
        width=_log_uniform(rng, 0.25, 1.0),
    )


def _tracking(size: int, reach: float, rng: Rng) -> Kernel:
    used = rng.random(3) < (0.7, 0.6, 0.6)
    return tracking_error(
        size,
        rng,
        drift=float(used[0]) * _log_uniform(rng, 0.5, 0.6 * reach),
        periodic=float(used[1]) * _log_uniform(rng, 0.3, 0.25 * reach),
        cycles=_log_uniform(rng, 0.1, 5.0),
        shake=float(used[2]) * _log_uniform(rng, 0.1, 0.08 * reach),
        angle=_angle(rng),
        width=_log_uniform(rng, 0.4, 1.8),
    )


def _turbulence(reach: float, rng: Rng, *, widest: float = 0.4) -> tuple[Pupil, float]:
    """Telescope and D / r0 whose seeing disc, 0.98 q D / r0 pixels, fits."""
    strength = _log_uniform(rng, 1.0, 12.0)
    return _telescope(rng, max(widest * reach / strength, _SAMPLING[0])), strength


def _long_exposure(size: int, reach: float, rng: Rng) -> Kernel:
    pupil, strength = _turbulence(reach, rng, widest=0.3)
    strength = min(strength, 0.3 * reach / pupil.q)
    return long_exposure(size, pupil, strength, outer_scale=_log_uniform(rng, 3.0, 100.0))


def _short_exposure(size: int, reach: float, rng: Rng) -> Kernel:
    pupil, strength = _turbulence(reach, rng)
    steps = int(rng.choice([1, 1, 3, 5]))
    return short_exposure(
        size,
        pupil,
        min(strength, 0.45 * reach / pupil.q),
        rng,
        outer_scale=_log_uniform(rng, 3.0, 100.0),
        wind=float(rng.uniform(0.05, 0.6)) if steps > 1 else 0.0,
        steps=steps,
    )


def _adaptive(size: int, reach: float, rng: Rng) -> Kernel:
    pupil, strength = _turbulence(reach, rng, widest=0.6)
    return short_exposure(
        size,
        pupil,
        min(strength, 0.6 * reach / pupil.q),
        rng,
        outer_scale=_log_uniform(rng, 3.0, 100.0),
        wind=float(rng.uniform(0.2, 1.0)),
        steps=int(rng.choice([1, 4])),
        corrected=int(rng.choice([6, 10, 15, 21])),
        residual=float(rng.uniform(0.1, 0.5)),
    )


def _mixture(size: int, reach: float, rng: Rng) -> Kernel:
    """Convolve a still blur (optics, atmosphere) with a moving or a defocused one."""
    still = (_moffat, _diffraction, _aberrated, _long_exposure, _short_exposure, _microscope, _gaussian)
    moving = (_tracking, _motion, _motion, _gaussian, _defocus)
    share = float(rng.uniform(0.3, 0.7))
    first = still[int(rng.integers(len(still)))](size, share * reach, rng)
    second = moving[int(rng.integers(len(moving)))](size, (1.0 - share) * reach, rng)
    return convolve_kernels(first, second)
