"""Ingredients of synthetic scenes: ranges, random fields, soft edges.

The scenes of astronomy and microscopy are put together from these, from `blinddps_sci.simulate.points` and
from `blinddps_sci.simulate.voronoi`.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.ndimage import map_coordinates

from blinddps_sci.errors import ConfigError

__all__ = ["Range", "draw", "draw_log", "finish", "pixel_grid", "power_law_field", "soft_step", "swirl"]

Image = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]

Rng = np.random.Generator

#: Lowest and highest value of a parameter of a scene.
Range = tuple[float, float]


def draw(rng: Rng, limits: Range) -> float:
    """Draw uniformly from a range.

    Raises
    ------
    ConfigError
        If the range is not (low, high) with low <= high.
    """
    low, high = _ordered(limits)
    return float(rng.uniform(low, high))


def draw_log(rng: Rng, limits: Range) -> float:
    """Draw uniformly in the logarithm from a range of positive numbers.

    Raises
    ------
    ConfigError
        If the range is not (low, high) with 0 < low <= high.
    """
    low, high = _ordered(limits)
    if low <= 0.0:
        msg = f"range {limits!r}: it is drawn on a logarithmic scale, so both limits must be positive"
        raise ConfigError(msg)
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def pixel_grid(shape: tuple[int, int]) -> tuple[Image, Image]:
    """Coordinates y of shape (H, 1) and x of shape (1, W), float32, in pixels."""
    y = np.arange(shape[0], dtype=np.float32)[:, None]
    x = np.arange(shape[1], dtype=np.float32)[None, :]
    return y, x


def power_law_field(
    shape: tuple[int, int],
    rng: Rng,
    slope: float,
    *,
    stretch: float = 1.0,
    angle: float = 0.0,
    periodic: bool = False,
) -> Image:
    """Gaussian random field with an isotropic or stretched power-law spectrum.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    slope : float
        P(f) ~ f^(-slope): 0 white, 2 to 3 clouds, 11/3 Kolmogorov, 4 smooth.
    stretch : float
        Ratio of correlation lengths along and across `angle`.
    angle : float
        Direction of the longer correlation in radians, from +x towards +y.
    periodic : bool
        Whether opposite borders are to match; else the field is cut from a larger one.

    Returns
    -------
    ndarray, (H, W), float32
        Mean zero, standard deviation one over the frame.
    """
    rows, columns = shape
    if not periodic:
        rows, columns = (int(fft.next_fast_len(side + side // 3, real=True)) for side in shape)
    noise = rng.standard_normal((rows, columns), dtype=np.float32)
    if stretch == 1.0:
        weight = _isotropic(rows, columns, round(slope, 6))
    else:
        weight = _stretched(rows, columns, slope, stretch, angle)
    field = fft.irfft2(fft.rfft2(noise) * weight, (rows, columns))[: shape[0], : shape[1]]
    field = field - field.mean()
    return np.asarray(field / max(float(field.std()), 1e-12), dtype=np.float32)


def soft_step(distance: npt.ArrayLike, width: float = 0.7) -> Image:
    """Edge that rises from 0 (distance << 0) to 1 (distance >> 0) over about `width` pixels."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(np.asarray(distance) / (0.4 * width), -40.0, 40.0))))


def swirl(field: npt.ArrayLike, rng: Rng, distance: float) -> Image:
    """Carry a field along a smooth random flow, which draws clouds out into wisps.

    Parameters
    ----------
    field : array_like, (H, W)
        What is carried.
    rng : numpy.random.Generator
        Source of all randomness.
    distance : float
        Standard deviation of the displacement in pixels.

    Returns
    -------
    ndarray, (H, W), float32
    """
    values = np.asarray(field, dtype=np.float32)
    shape = (values.shape[0], values.shape[1])
    y, x = pixel_grid(shape)
    # The flow is the curl of a stream function: it neither gathers nor thins the gas.
    flow_y, flow_x = np.gradient(power_law_field(shape, rng, 7.0))
    scale = distance / max(float(np.hypot(flow_y, flow_x).std()), 1e-12)
    where = np.stack([y + scale * flow_x, x - scale * flow_y])
    return np.asarray(map_coordinates(values, where, order=1, mode="mirror"), dtype=np.float32)


def finish(flux: npt.ArrayLike) -> Image:
    """Clip below at zero and scale to mean one.

    Returns
    -------
    ndarray, (H, W), float32
    """
    image = np.maximum(np.asarray(flux, dtype=np.float32), np.float32(0.0))
    return np.asarray(image / max(float(image.mean(dtype=np.float64)), 1e-20), dtype=np.float32)


def _ordered(limits: Range) -> Range:
    low, high = limits
    if not -math.inf < low <= high < math.inf:
        msg = f"range {limits!r}: give (low, high) with low <= high, both finite"
        raise ConfigError(msg)
    return low, high


@lru_cache(maxsize=64)
def _isotropic(rows: int, columns: int, slope: float) -> Image:
    """Square root of the power spectrum on the half plane of `rfft2`."""
    return _stretched(rows, columns, slope, 1.0, 0.0)


def _stretched(rows: int, columns: int, slope: float, stretch: float, angle: float) -> Image:
    fy = np.fft.fftfreq(rows)[:, None]
    fx = np.fft.rfftfreq(columns)[None, :]
    along = (fx * math.cos(angle) + fy * math.sin(angle)) * math.sqrt(stretch)
    across = (fy * math.cos(angle) - fx * math.sin(angle)) / math.sqrt(stretch)
    squared = along**2 + across**2
    squared[0, 0] = 1.0
    weight = squared ** (-slope / 4.0)
    weight[0, 0] = 0.0
    return np.asarray(weight, dtype=np.float32)
