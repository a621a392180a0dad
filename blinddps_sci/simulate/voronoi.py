"""Voronoi cells with curved walls: granules of the Sun, sheets of cells.

The scenes of surfaces and tissues colour what this module divides.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from blinddps_sci.simulate.textures import Array, Image, Rng

__all__ = ["cells"]


def cells(
    shape: tuple[int, int], rng: Rng, spacing: float, *, warp: float = 0.0, regularity: float = 0.5
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Image]:
    """Voronoi cells with curved walls.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    spacing : float
        Mean distance of neighbouring cells in pixels.
    warp : float
        Standard deviation in pixels of the walls' smooth displacement.
    regularity : float
        0: centres at random; 1: on a hexagonal lattice.

    Returns
    -------
    nearest, second : ndarray, (H, W), intp
        Numbers of the cell and of the next one.
    wall : ndarray, (H, W), float32
        Distance to the wall between the two, in pixels.
    """
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    if warp > 0.0:
        for share, scale in ((1.0, spacing / 2.5), (0.4, spacing / 8.0)):
            y += share * warp * _smooth(shape, rng, scale)
            x += share * warp * _smooth(shape, rng, scale)
    centres = _lattice(shape, rng, spacing)
    centres += spacing * (1.0 - regularity) * rng.uniform(-0.9, 0.9, centres.shape)
    distance, index = cKDTree(centres).query(np.stack([y.ravel(), x.ravel()], axis=1), k=2)
    apart = np.hypot(*(centres[index[:, 0]] - centres[index[:, 1]]).T)
    wall = (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2.0 * np.maximum(apart, 1e-6))
    nearest, second = (index[:, i].reshape(shape).astype(np.intp) for i in (0, 1))
    return nearest, second, wall.reshape(shape).astype(np.float32)


def _lattice(shape: tuple[int, int], rng: Rng, spacing: float) -> Array:
    """Hexagonal lattice, turned and shifted at random, that covers the frame and two cells around."""
    reach = 0.5 * math.hypot(*shape) + 2.5 * spacing
    count = math.ceil(reach / spacing) + 1
    row, column = np.mgrid[-2 * count : 2 * count + 1, -count : count + 1].astype(np.float64)
    y, x = row * math.sqrt(0.75), column + 0.5 * (row % 2)
    points = spacing * (np.stack([y.ravel(), x.ravel()], axis=1) + rng.uniform(-0.5, 0.5, 2))
    angle = rng.uniform(0.0, math.pi)
    c, s = math.cos(angle), math.sin(angle)
    points = points @ np.array([[c, -s], [s, c]])
    return np.asarray(points[np.hypot(*points.T) < reach] + np.array(shape) / 2.0)


def _smooth(shape: tuple[int, int], rng: Rng, scale: float) -> Array:
    """White noise smoothed over `scale` pixels, standard deviation one."""
    field = gaussian_filter(rng.standard_normal(shape), scale, mode="wrap", truncate=3.0)
    return np.asarray(field / max(float(field.std()), 1e-12))
