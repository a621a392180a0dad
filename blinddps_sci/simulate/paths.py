"""Paths in time of a moving image: a hand-held camera, a telescope's tracking.

`blinddps_sci.simulate.motion` turns them into kernels by the time spent in each pixel.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from blinddps_sci.simulate.arguments import check_between

__all__ = ["camera_path", "tracking_path"]

Array = npt.NDArray[np.float64]


def camera_path(
    rng: np.random.Generator,
    *,
    extent: float,
    bend: float = 1.5,
    unsteady: float = 0.5,
    tremor: float = 0.02,
    steps: int = 256,
) -> Array:
    """Smooth random path of a moving camera.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    extent : float
        Largest distance of two corners of the path's bounding box, in pixels.
    bend : float
        Standard deviation of the heading's slow change, radians: 0 straight, 3 winding.
    unsteady : float
        Standard deviation of the logarithm of the speed; slow parts are bright.
    tremor : float
        Amplitude of fast trembling divided by `extent`.
    steps : int
        Instants.

    Returns
    -------
    ndarray, (steps, 2), float64
        (y, x) in pixels, mean zero.

    Raises
    ------
    ConfigError
        If a parameter is negative.
    """
    extent = check_between("extent", extent, 0.0, unit="pixels")
    bend = check_between("bend", bend, 0.0, unit="radians")
    unsteady = check_between("unsteady", unsteady, 0.0)
    tremor = check_between("tremor", tremor, 0.0)
    heading = rng.uniform(0.0, 2.0 * math.pi) + bend * _smooth_noise(steps, 5, rng)
    speed = np.exp(unsteady * _smooth_noise(steps, 8, rng))
    velocity = speed[:, None] * np.stack([np.sin(heading), np.cos(heading)], axis=1)
    path = np.cumsum(velocity, axis=0)
    path *= 1.0 / max(float(np.hypot(*np.ptp(path, axis=0))), 1e-12)
    if tremor > 0.0:
        path += tremor * np.stack([_smooth_noise(steps, 40, rng, 0.5) for _ in range(2)], axis=1)
    path *= extent / max(float(np.hypot(*np.ptp(path, axis=0))), 1e-12)
    return np.asarray(path - path.mean(axis=0))


def tracking_path(
    rng: np.random.Generator,
    *,
    drift: float = 2.0,
    periodic: float = 1.0,
    cycles: float = 1.0,
    shake: float = 0.3,
    angle: float = 0.0,
    steps: int = 512,
) -> Array:
    """Path of a star during an exposure of an imperfect mount.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness (phases, direction of the drift, wind).
    drift : float
        Length of the linear drift in pixels, e.g. from polar misalignment.
    periodic : float
        Amplitude in pixels of the worm gear's error along right ascension, with harmonics.
    cycles : float
        Turns of the worm during the exposure.
    shake : float
        Standard deviation in pixels of wind shake, a damped oscillation driven by noise.
    angle : float
        Direction of right ascension in radians, from +x towards +y.
    steps : int
        Instants.

    Returns
    -------
    ndarray, (steps, 2), float64
        (y, x) in pixels, mean zero.

    Raises
    ------
    ConfigError
        If a parameter is negative.
    """
    for name, value in (("drift", drift), ("periodic", periodic), ("cycles", cycles), ("shake", shake)):
        check_between(name, value, 0.0)
    t = np.linspace(0.0, 1.0, steps)
    direction = rng.uniform(0.0, 2.0 * math.pi)
    path = drift * t[:, None] * np.array([math.sin(direction), math.cos(direction)])
    worm = np.zeros(steps)
    for harmonic, weight in ((1, 1.0), (2, 0.3 * rng.random()), (3, 0.15 * rng.random())):
        phase = rng.uniform(0.0, 2.0 * math.pi)
        worm += weight * np.sin(2.0 * math.pi * harmonic * cycles * t + phase)
    path += periodic * worm[:, None] * np.array([math.sin(angle), math.cos(angle)])
    if shake > 0.0:
        path += shake * _wind_shake(steps, rng)
    return np.asarray(path - path.mean(axis=0))


def _smooth_noise(steps: int, modes: int, rng: np.random.Generator, decay: float = 1.0) -> Array:
    """Random cosine series of about unit standard deviation, amplitude ~ frequency^(-decay)."""
    k = np.arange(1, modes + 1)
    weight = k**-decay
    weight = weight * math.sqrt(2.0) / math.sqrt(float(np.sum(weight**2)))
    waves = np.cos(
        math.pi * np.linspace(0.0, 1.0, steps)[:, None] * k + rng.uniform(0.0, 2.0 * math.pi, modes)
    )
    return np.asarray(waves @ (weight * rng.standard_normal(modes)))


def _wind_shake(steps: int, rng: np.random.Generator) -> Array:
    """Two axes of a damped oscillator driven by white noise, unit standard deviation.

    Made in the frequency domain from the oscillator's response 1 / (1 - (f/f0)^2 + 2 i z f/f0).
    """
    f = np.fft.rfftfreq(steps, 1.0 / steps)[:, None]
    resonance = rng.uniform(3.0, 40.0)
    damping = rng.uniform(0.02, 0.3)
    ratio = f / resonance
    response = 1.0 / (1.0 - ratio**2 + 2j * damping * ratio)
    response[0] = 0.0
    drive = rng.standard_normal((len(f), 2)) + 1j * rng.standard_normal((len(f), 2))
    motion = np.fft.irfft(drive * response * rng.uniform(0.3, 1.0, 2), steps, axis=0)
    return np.asarray(motion / max(float(motion.std()), 1e-12))
