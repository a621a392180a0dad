"""Kernels of motion during an exposure, by the time that a path spends in each pixel.

The paths, smooth random curves or a mount's errors, come from `blinddps_sci.simulate.paths`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from blinddps_sci.errors import InputError
from blinddps_sci.simulate.arguments import check_between, check_size
from blinddps_sci.simulate.centring import Kernel, centre, normalise
from blinddps_sci.simulate.paths import camera_path, tracking_path

__all__ = ["camera_motion", "path_kernel", "tracking_error"]

Array = npt.NDArray[np.float64]

_SUBPIXELS = 3
_STEP = 0.2  # pixels between samples of a path: no gaps on the sub-pixel grid


def path_kernel(size: int, path: npt.ArrayLike, *, width: float = 0.0) -> Kernel:
    """Kernel of an image that moves along a path at constant brightness.

    Parameters
    ----------
    size : int
        Side K in pixels.
    path : array_like, (T, 2)
        Positions (y, x) in pixels relative to the kernel's centre, equidistant in time;
        straight lines join them. What leaves the kernel is lost.
    width : float
        Standard deviation in pixels of a Gaussian that the path is blurred with (the optics).

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one; not centred.

    Raises
    ------
    InputError
        If the path is not (T, 2), or lies wholly outside the kernel.
    ConfigError
        If `size` or `width` is not allowed.
    """
    size = check_size(size)
    width = check_between("width", width, 0.0, unit="pixels")
    points = np.asarray(path, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 1:
        msg = f"path of shape {points.shape}: give (T, 2) positions (y, x) in pixels"
        raise InputError(msg)
    fine = _splat(_densify(points), size)
    if width > 0.0:
        fine = gaussian_filter(fine, width * _SUBPIXELS, mode="constant", truncate=3.5)
    return normalise(fine.reshape(size, _SUBPIXELS, size, _SUBPIXELS).sum(axis=(1, 3)))


def camera_motion(
    size: int,
    rng: np.random.Generator,
    *,
    extent: float,
    bend: float = 1.5,
    unsteady: float = 0.5,
    tremor: float = 0.02,
    width: float = 0.4,
) -> Kernel:
    """Kernel of a smooth random camera path (see `camera_path`, `path_kernel`).

    Parameters
    ----------
    size : int
        Side K in pixels.
    rng : numpy.random.Generator
        Source of all randomness.
    extent, bend, unsteady, tremor
        As for `camera_path`. A path that would leave the kernel is made smaller.
    width : float
        Standard deviation of the optics' Gaussian in pixels.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one, centroid on pixel ``K // 2``.
    """
    path = camera_path(rng, extent=extent, bend=bend, unsteady=unsteady, tremor=tremor)
    return centre(path_kernel(size, _fit(path, size, width), width=width))


def tracking_error(
    size: int,
    rng: np.random.Generator,
    *,
    drift: float = 2.0,
    periodic: float = 1.0,
    cycles: float = 1.0,
    shake: float = 0.3,
    angle: float = 0.0,
    width: float = 0.7,
) -> Kernel:
    """Kernel of a mount's tracking error (see `tracking_path`, `path_kernel`).

    Parameters
    ----------
    size : int
        Side K in pixels.
    rng : numpy.random.Generator
        Source of all randomness.
    drift, periodic, cycles, shake, angle
        As for `tracking_path`. A path that would leave the kernel is made smaller.
    width : float
        Standard deviation of the optics' Gaussian in pixels.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one, centroid on pixel ``K // 2``.
    """
    path = tracking_path(rng, drift=drift, periodic=periodic, cycles=cycles, shake=shake, angle=angle)
    return centre(path_kernel(size, _fit(path, size, width), width=width))


def _fit(path: Array, size: int, width: float) -> Array:
    """Make a centred path smaller if it would leave the kernel."""
    room = max(size / 2 - 1.5 - 2.0 * width, 0.5)
    return path * min(1.0, room / max(float(np.abs(path).max()), 1e-12))


def _densify(points: Array) -> Array:
    """Sample the polyline so finely that neighbouring samples share a sub-pixel."""
    longest = float(np.hypot(*np.diff(points, axis=0).T).max()) if len(points) > 1 else 0.0
    repeat = max(1, math.ceil(longest / _STEP))
    if repeat == 1:
        return points
    knots = np.arange(len(points))
    instants = (np.arange((len(points) - 1) * repeat) + 0.5) / repeat
    return np.stack([np.interp(instants, knots, axis) for axis in points.T], axis=1)


def _splat(points: Array, size: int) -> Array:
    """Bilinear histogram of positions on the sub-pixel grid."""
    side = size * _SUBPIXELS
    place = (points + size // 2 + 0.5) * _SUBPIXELS - 0.5
    corner = np.floor(place).astype(np.intp)
    part = place - corner
    total = np.zeros(side * side)
    for a in (0, 1):
        for b in (0, 1):
            y, x = corner[:, 0] + a, corner[:, 1] + b
            weight = np.abs(1 - a - part[:, 0]) * np.abs(1 - b - part[:, 1])
            inside = (y >= 0) & (y < side) & (x >= 0) & (x < side)
            total += np.bincount(y[inside] * side + x[inside], weight[inside], side * side)
    return total.reshape(side, side)
