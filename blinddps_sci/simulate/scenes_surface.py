"""Scenes of surfaces that fill the frame: the Moon's craters, the Sun's granulation.

They stand for what lucky imaging and solar telescopes restore from bursts; like all scenes they
are sharp, linear in flux and have mean one.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from blinddps_sci.simulate.arguments import check_shape
from blinddps_sci.simulate.textures import (
    Image,
    Range,
    Rng,
    draw,
    draw_log,
    finish,
    pixel_grid,
    power_law_field,
    soft_step,
)
from blinddps_sci.simulate.voronoi import cells

__all__ = ["granulation", "lunar"]


def lunar(
    shape: tuple[int, int],
    rng: Rng,
    *,
    elevation: Range = (8.0, 50.0),
    crater_density: Range = (3.0, 20.0),
    largest: Range = (0.1, 0.45),
    roughness: Range = (0.3, 2.5),
) -> Image:
    """Cratered terrain under a low sun, with shadows and patches of mare.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    elevation : tuple of float
        The Sun's height above the horizon in degrees.
    crater_density : tuple of float
        Craters per 1000 pixels; numbers fall as N(>d) ~ d^(-2).
    largest : tuple of float
        Largest crater radius as a share of the shorter side.
    roughness : tuple of float
        Standard deviation of the hills in pixels per 100 pixels of frame.

    Returns
    -------
    ndarray, (H, W), float32
        Non-negative, mean one.

    Notes
    -----
    Reflectance after Lommel and Seeliger: albedo mu0 / (mu0 + mu) (Hapke 2012, Theory of
    Reflectance and Emittance Spectroscopy, 2nd ed., 8.5, doi:10.1017/CBO9781139025683).
    """
    shape = check_shape(shape)
    height = (
        power_law_field(shape, rng, rng.uniform(4.0, 5.0)) * draw_log(rng, roughness) * min(shape) / 100.0
    )
    count = int(draw_log(rng, crater_density) * shape[0] * shape[1] / 1000.0)
    top = draw_log(rng, largest) * min(shape)
    low = 1.2
    # N(>d) ~ d^-2 between `low` and `top`.
    radii = low / np.sqrt(1.0 - rng.random(count) * (1.0 - (low / max(top, 2.0)) ** 2))
    for size in np.sort(radii)[::-1]:
        _add_crater(height, rng, float(size))
    sun, around = math.radians(draw(rng, elevation)), rng.uniform(0.0, 2.0 * math.pi)
    slope_y, slope_x = np.gradient(height)
    mu = 1.0 / np.sqrt(1.0 + slope_x**2 + slope_y**2)
    towards = np.array([math.sin(around), math.cos(around)])
    mu0 = mu * (math.sin(sun) - math.cos(sun) * (slope_y * towards[0] + slope_x * towards[1]))
    mu0 = np.maximum(mu0, 0.0) * _lit(height, towards, math.tan(sun))
    albedo = 1.0 + 0.08 * power_law_field(shape, rng, 2.0)
    if rng.random() < 0.5:
        albedo = albedo * (
            1.0 - rng.uniform(0.2, 0.5) * soft_step(6.0 * power_law_field(shape, rng, 3.6), 3.0)
        )
    return finish(np.maximum(albedo, 0.1) * (mu0 / (mu0 + mu) + 0.004))


def granulation(
    shape: tuple[int, int],
    rng: Rng,
    *,
    cell: Range = (7.0, 26.0),
    contrast: Range = (0.1, 0.35),
    spot: float = 0.3,
) -> Image:
    """Solar granulation with dark lanes and bright points, sometimes a sunspot.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    cell : tuple of float
        Distance of granules in pixels (about 1.4 arcsec on the Sun).
    contrast : tuple of float
        Brightness difference between granules and lanes.
    spot : float
        Probability of a sunspot.

    Returns
    -------
    ndarray, (H, W), float32
        Non-negative, mean one.
    """
    shape = check_shape(shape)
    spacing = draw_log(rng, cell)
    warp = rng.uniform(0.08, 0.18) * spacing
    nearest, second, wall = cells(shape, rng, spacing, warp=warp, regularity=rng.uniform(0.0, 0.4))
    own = rng.normal(1.0, 0.3, int(max(nearest.max(), second.max())) + 1)
    uneven = np.clip(1.0 + 0.5 * power_law_field(shape, rng, 2.5), 0.2, 2.0)
    lane = np.exp(-0.5 * (wall / (rng.uniform(0.07, 0.13) * spacing) * uneven) ** 2)
    dome = np.tanh(wall / (rng.uniform(0.12, 0.25) * spacing))
    depth = draw(rng, contrast)
    image = 1.0 + depth * (own[nearest] * dome - lane) + 0.25 * depth * power_law_field(shape, rng, 2.8)
    points = lane * np.maximum(power_law_field(shape, rng, 1.8) - 1.8, 0.0)
    image = gaussian_filter(image + rng.uniform(0.0, 0.5) * points, 0.6)
    if rng.random() < spot:
        image = _add_spot(image, shape, rng)
    return finish(np.maximum(image, 0.03))


def _add_crater(height: Image, rng: Rng, radius: float) -> None:
    """Dig a crater with a raised rim into a height map, in place."""
    middle = rng.uniform(-0.1, 1.1, 2) * height.shape
    half = math.ceil(2.5 * radius) + 1
    y0, x0 = (max(0, int(c) - half) for c in middle)
    y1, x1 = (min(side, int(c) + half + 1) for side, c in zip(height.shape, middle, strict=True))
    if y0 >= y1 or x0 >= x1:
        return
    y, x = pixel_grid((y1 - y0, x1 - x0))
    s = np.hypot(y - (middle[0] - y0), x - (middle[1] - x0)) / radius
    fresh = rng.beta(1.2, 1.5)
    depth, rim = radius * (0.06 + 0.3 * fresh), radius * (0.02 + 0.06 * fresh)
    # Large craters have flat floors and central peaks.
    floor = -depth * (0.55 if radius > 10.0 else 1.0)
    bowl = np.maximum(rim + (s**2 - 1.0) * (depth + rim), floor)
    if radius > 10.0:
        bowl = bowl + 0.25 * depth * np.exp(-((s / 0.15) ** 2))
    shape = np.where(s < 1.0, bowl, rim * np.maximum(s, 1.0) ** -4.0 - rim * 2.5**-4.0)
    box = height[y0:y1, x0:x1]
    inside = np.clip(1.0 - s, 0.0, 0.3) / 0.3
    level = float(np.average(box, weights=np.exp(-(s**2))))
    box += np.where(s < 2.5, shape, 0.0) + 0.7 * inside * (level - box)


def _lit(height: Image, towards: Image, slope: float) -> Image:
    """1 where the Sun is seen, 0 in cast shadow, soft in between."""
    rows, columns = height.shape
    steps = int(min(max(rows, columns) / 2, np.ptp(height) / max(slope, 0.02) + 1))
    lit = np.ones_like(height)
    for step in range(1, steps + 1):
        dy, dx = (round(float(c) * step) for c in towards)
        if abs(dy) >= rows or abs(dx) >= columns:
            break
        here = (slice(max(-dy, 0), rows - max(dy, 0)), slice(max(-dx, 0), columns - max(dx, 0)))
        there = (slice(max(dy, 0), rows + min(dy, 0)), slice(max(dx, 0), columns + min(dx, 0)))
        clear = height[here] + step * slope - height[there]
        lit[here] = np.minimum(lit[here], np.clip(clear / (0.3 + 0.5 * slope) + 0.5, 0.0, 1.0))
    return lit


def _add_spot(image: Image, shape: tuple[int, int], rng: Rng) -> Image:
    """Dark umbra and a penumbra of radial filaments."""
    y, x = pixel_grid(shape)
    middle = rng.uniform(0.1, 0.9, 2) * shape
    dy, dx = y - middle[0], x - middle[1]
    ragged = 1.0 + 0.12 * power_law_field(shape, rng, 3.4)
    radius = np.hypot(dy, dx) * ragged
    umbra = rng.uniform(0.06, 0.25) * min(shape)
    penumbra = umbra * rng.uniform(1.0, 2.4)
    rows = 64
    around = (np.arctan2(dy, dx) + math.pi) / (2.0 * math.pi)
    fibres = power_law_field((rows, 256), rng, 2.2, stretch=10.0, angle=math.pi / 2, periodic=True)
    where = [np.clip(radius / (penumbra + 1.0), 0.0, 1.0) * (rows - 1), around * 256.0]
    fibre = map_coordinates(fibres, where, order=1, mode="grid-wrap")
    middle_tone = rng.uniform(0.5, 0.75) + 0.15 * fibre
    dark = rng.uniform(0.08, 0.25) + 0.02 * power_law_field(shape, rng, 2.5)
    inner, outer = (soft_step(edge + 0.08 * umbra * fibre - radius, 2.5) for edge in (umbra, penumbra))
    return np.asarray(image * (1.0 - outer) + outer * (middle_tone * (1.0 - inner) + dark * inner))
