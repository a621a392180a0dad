"""A detector: photon noise, read noise, saturation, digitisation and bad pixels.

It turns a blurred scene into a frame together with what a restoration needs to know: the true
variance, the bad pixels and where the well was full.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.simulate.arguments import check_between

__all__ = ["Exposure", "add_gaussian", "expose"]

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Exposure:
    """A frame and its noise.

    Attributes
    ----------
    frame : ndarray, (..., H, W), float32
        Data units; background and offset are part of it.
    variance : ndarray, (..., H, W), float32
        True variance of `frame` before saturation, data units squared.
    mask : ndarray, (..., H, W), bool
        True: bad pixel, not to be used.
    saturated : ndarray, (..., H, W), bool
        True: the well or the converter was full; the frame is a lower limit there.
    """

    frame: Image
    variance: Image
    mask: Mask
    saturated: Mask


def expose(
    flux: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    gain: float = 1.0,
    read_noise: float = 0.0,
    background: float = 0.0,
    saturation: float | None = None,
    bits: int | None = None,
    bad_pixels: float = 0.0,
    offset: float = 0.0,
) -> Exposure:
    """Expose a detector to a blurred scene.

    Parameters
    ----------
    flux : array_like, (..., H, W)
        Expected signal in data units, non-negative and finite.
    rng : numpy.random.Generator
        Source of all randomness.
    gain : float
        Electrons per data unit.
    read_noise : float
        Standard deviation in data units.
    background : float
        Uniform sky or dark signal in data units; it has photon noise and is not subtracted.
    saturation : float, optional
        Largest value in data units.
    bits : int, optional
        Depth of the converter, 1 to 32, whose full scale is `saturation`; negative values become 0.
    bad_pixels : float
        Share of pixels that are dead (half of them) or hot.
    offset : float
        Bias level in data units, without noise.

    Raises
    ------
    InputError
        If `flux` is negative or not finite somewhere.
    ConfigError
        If a number is outside its range, or `bits` comes without `saturation`.

    Notes
    -----
    frame = Poisson(g (flux + b)) / g + N(0, r^2) + offset, clipped at the saturation s and
    rounded to steps of s / (2^bits - 1). Its variance is (flux + b) / g + r^2 + step^2 / 12
    (EMVA Standard 1288, release 4.0, 2021, section 3).
    """
    signal = _checked(flux)
    gain = check_between("gain", gain, 0.0, open_low=True, unit="electrons per data unit")
    noise = check_between("read_noise", read_noise, 0.0, unit="data units")
    level = signal + check_between("background", background, 0.0, unit="data units")
    share = check_between("bad_pixels", bad_pixels, 0.0, 1.0)
    limit = np.inf if saturation is None else saturation
    full = check_between("saturation", limit, 0.0, open_low=True, unit="data units")
    step = _step(bits, full)
    # Read noise is drawn even if it is zero, so that it does not move the later draws.
    frame = rng.poisson(level * gain) / gain + noise * rng.standard_normal(level.shape) + offset
    saturated = frame >= full
    frame = np.minimum(frame, full)
    if step > 0.0:
        frame = np.maximum(np.rint(frame / step) * step, 0.0)
    # Without a saturation a hot pixel is simply much brighter than the scene.
    top = full if np.isfinite(full) else offset + 10.0 * (float(level.max(initial=0.0)) + noise)
    frame, mask = _spoil(frame, rng, share, offset, top)
    variance = level / gain + noise**2 + step**2 / 12.0
    return Exposure(frame.astype(np.float32), variance.astype(np.float32), mask, saturated & ~mask)


def add_gaussian(flux: npt.ArrayLike, rng: np.random.Generator, sigma: float) -> Exposure:
    """Add white Gaussian noise.

    Parameters
    ----------
    flux : array_like, (..., H, W)
        Expected signal in data units, finite; may be negative.
    rng : numpy.random.Generator
        Source of all randomness.
    sigma : float
        Standard deviation in data units.

    Returns
    -------
    Exposure
        Constant variance ``sigma**2``, nothing masked or saturated.

    Raises
    ------
    InputError
        If `flux` is not finite somewhere.
    ConfigError
        If `sigma` is negative.
    """
    signal = _checked(flux, negative=True)
    sigma = check_between("sigma", sigma, 0.0, unit="data units")
    frame = signal + sigma * rng.standard_normal(signal.shape)
    nothing = np.zeros(signal.shape, dtype=np.bool_)
    variance = np.full(signal.shape, sigma**2, dtype=np.float32)
    return Exposure(frame.astype(np.float32), variance, nothing, nothing.copy())


def _checked(flux: npt.ArrayLike, *, negative: bool = False) -> npt.NDArray[np.float64]:
    """Return the flux as float64 if it can be exposed."""
    signal = np.asarray(flux, dtype=np.float64)
    if not np.isfinite(signal).all() or (not negative and (signal < 0.0).any()):
        wanted = "finite" if negative else "finite and non-negative"
        bad = int(np.sum(~np.isfinite(signal) | ((signal < 0.0) & (not negative))))
        msg = (
            f"flux of shape {signal.shape} has {bad} pixels that are not {wanted}; clip or replace them first"
        )
        raise InputError(msg)
    return signal


def _spoil(
    frame: npt.NDArray[np.float64], rng: np.random.Generator, share: float, dead: float, hot: float
) -> tuple[npt.NDArray[np.float64], Mask]:
    """Replace a share of the pixels by dead and hot ones; returns the frame and where."""
    mask = rng.random(frame.shape) < share
    values = np.where(rng.random(frame.shape) < 0.5, hot, dead)
    return np.where(mask, values, frame), mask


def _step(bits: int | None, full: float) -> float:
    """Width of one step of the converter in data units; 0 without a converter."""
    if bits is None:
        return 0.0
    depth = check_between("bits", bits, 1, 32)
    if not np.isfinite(full) or depth != int(depth):
        msg = f"bits {bits!r}, saturation {full:g}: give whole bits and a finite saturation (the full scale)"
        raise ConfigError(msg)
    return float(full / (2 ** int(depth) - 1))
