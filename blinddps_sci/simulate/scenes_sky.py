"""Scenes of the night sky: star fields and nebulae.

Each function draws one sharp scene in linear flux, before any blur and noise; its ranges are
keywords, so that training and tests can narrow them.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from blinddps_sci.simulate.arguments import check_shape
from blinddps_sci.simulate.points import add_points, luminosities
from blinddps_sci.simulate.textures import (
    Array,
    Image,
    Range,
    Rng,
    draw,
    draw_log,
    finish,
    pixel_grid,
    power_law_field,
    soft_step,
    swirl,
)

__all__ = ["nebula", "star_field"]


def star_field(
    shape: tuple[int, int],
    rng: Rng,
    *,
    density: Range = (1.0, 60.0),
    slope: Range = (0.5, 1.3),
    contrast: Range = (1e2, 1e4),
    background: Range = (0.01, 0.6),
    sigma: Range = (0.6, 0.8),
) -> Image:
    """Stars at sub-pixel positions, now and then a cluster, on a faint sky.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    density : tuple of float
        Stars per 1000 pixels.
    slope : tuple of float
        Exponent a of the luminosity function N(>F) ~ F^(-a); 1.5 for an unbounded Euclidean
        space, less in the Galaxy.
    contrast : tuple of float
        Brightest possible over faintest star.
    background : tuple of float
        Sky as a share of the total flux.
    sigma : tuple of float
        Width of a star in pixels: just enough to be sampled.

    Returns
    -------
    ndarray, (H, W), float32
        Non-negative, mean one.
    """
    shape = check_shape(shape)
    count = max(3, round(draw_log(rng, density) * shape[0] * shape[1] / 1000.0))
    image = np.zeros(shape, dtype=np.float32)
    y, x = rng.uniform(-2.0, shape[0] + 1.0, count), rng.uniform(-2.0, shape[1] + 1.0, count)
    if rng.random() < 0.3:
        members = rng.random(count) < rng.uniform(0.3, 0.9)
        y, x = _plummer(shape, rng, y, x, members)
    # One star is always inside: a frame must not be empty.
    y[0], x[0] = rng.uniform(0.1, 0.9, 2) * shape
    flux = luminosities(count, rng, draw(rng, slope), draw_log(rng, contrast))
    add_points(image, y, x, flux, draw(rng, sigma))
    share = draw(rng, background)
    sky = float(image.mean()) * share / (1.0 - min(share, 0.95))
    ripple = 1.0 + rng.uniform(0.0, 0.2) * power_law_field(shape, rng, 3.0)
    return finish(image + sky * np.maximum(ripple, 0.0))


def nebula(
    shape: tuple[int, int],
    rng: Rng,
    *,
    slope: Range = (3.0, 4.2),
    depth: Range = (0.5, 1.3),
    filaments: Range = (0.0, 1.5),
    extinction: Range = (0.0, 2.5),
    stars: Range = (0.3, 12.0),
) -> Image:
    """Turbulent gas with filaments, dark lanes and embedded stars.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    slope : tuple of float
        Exponent of the power spectrum: 2.7 to 3.7 is seen in the interstellar medium, steeper where
        smooth emission dominates.
    depth : tuple of float
        Standard deviation of the logarithm of the emission.
    filaments : tuple of float
        Brightness of the filaments relative to the diffuse gas.
    extinction : tuple of float
        Optical depth scale of the dark lanes.
    stars : tuple of float
        Stars per 1000 pixels.

    Returns
    -------
    ndarray, (H, W), float32
        Non-negative, mean one.
    """
    shape = check_shape(shape)
    steep = draw(rng, slope)
    carried = rng.uniform(0.02, 0.12) * min(shape)
    gas = swirl(power_law_field(shape, rng, steep), rng, carried)
    image = np.exp(draw(rng, depth) * gas)
    strength = draw(rng, filaments)
    for _ in range(int(rng.integers(2, 6))):
        image = image + strength * _filaments(shape, rng, carried) * (0.3 + image)
    if rng.random() < 0.4:
        # An ionisation front: a sharp rim on one side of a cloud.
        cloud = swirl(power_law_field(shape, rng, 3.8), rng, carried) - rng.uniform(-0.5, 1.0)
        inside = soft_step(rng.uniform(1.5, 8.0) * cloud, 1.0)
        rim = np.exp(-np.maximum(cloud, 0.0) / rng.uniform(0.05, 0.3)) * inside
        image = image * (1.0 - rng.uniform(0.3, 0.9) * inside) + rng.uniform(0.0, 1.5) * rim
    # Dust lies in front of part of the gas, so a floor of light remains in the dark lanes.
    dust = np.maximum(swirl(power_law_field(shape, rng, steep), rng, carried) - rng.uniform(-0.3, 1.0), 0.0)
    image = image * (0.03 + 0.97 * np.exp(-draw(rng, extinction) * dust))
    if rng.random() < 0.4:
        image = image * _glow(shape, rng)
    image = np.asarray(image / image.mean(), dtype=np.float32)
    count = int(rng.poisson(draw_log(rng, stars) * shape[0] * shape[1] / 1000.0))
    flux = luminosities(count, rng, rng.uniform(0.6, 1.2), 1e3) * 10 ** rng.uniform(-0.3, 1.0)
    add_points(image, rng.uniform(0, shape[0], count), rng.uniform(0, shape[1], count), flux, 0.7)
    return finish(image)


def _plummer(
    shape: tuple[int, int], rng: Rng, y: Array, x: Array, members: npt.NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Move the members into a cluster with Plummer's surface density."""
    middle = rng.uniform(0.2, 0.8, 2) * shape
    share = rng.uniform(0.0, 0.97, members.size)
    radius = rng.uniform(0.06, 0.25) * min(shape) * np.sqrt(share / (1.0 - share))
    angle = rng.uniform(0.0, 2.0 * math.pi, members.size)
    return (
        np.where(members, middle[0] + radius * np.sin(angle), y),
        np.where(members, middle[1] + radius * np.cos(angle), x),
    )


def _filaments(shape: tuple[int, int], rng: Rng, carried: float) -> Image:
    """Thin bright curves: zero crossings of a smooth random field, in patches."""
    angle, stretch = float(rng.uniform(0.0, math.pi)), float(rng.uniform(1.0, 4.0))
    field = power_law_field(shape, rng, rng.uniform(3.8, 4.6), stretch=stretch, angle=angle)
    crossing = swirl(field, rng, 0.5 * carried)
    steepness = np.hypot(*np.gradient(crossing)) + 0.3 / min(shape)
    # Distance to the crossing in pixels, so that the width does not depend on the field's slope.
    away = np.abs(crossing) / steepness
    width = rng.uniform(0.8, 3.0)
    patch = 1.0 / (1.0 + np.exp(-4.0 * (power_law_field(shape, rng, 3.4) - rng.uniform(0.0, 1.0))))
    return np.asarray(np.exp(-0.5 * (away / width) ** 2) * patch, dtype=np.float32)


def _glow(shape: tuple[int, int], rng: Rng) -> Image:
    """Light that falls off from an exciting star."""
    y, x = pixel_grid(shape)
    middle = rng.uniform(0.0, 1.0, 2) * shape
    scale = rng.uniform(0.15, 0.6) * min(shape)
    return np.asarray(0.1 + 1.0 / (1.0 + ((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / scale**2))
