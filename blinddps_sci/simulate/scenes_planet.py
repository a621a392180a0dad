"""Scenes of planets: discs with belts or markings, phases, rings and moons.

They stand for what lucky imaging restores from bursts; like all scenes they are sharp, linear in
flux and have mean one.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import map_coordinates

from blinddps_sci.simulate.arguments import check_shape
from blinddps_sci.simulate.points import add_points
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

__all__ = ["planet"]


def planet(
    shape: tuple[int, int],
    rng: Rng,
    *,
    radius: Range = (0.15, 0.6),
    phase: Range = (0.0, 1.2),
    minnaert: Range = (0.5, 1.0),
    sky: Range = (1e-4, 0.02),
) -> Image:
    """Planet with belts or markings, limb darkening, a terminator, sometimes rings and moons.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    radius : tuple of float
        Radius as a share of the shorter side.
    phase : tuple of float
        Angle Sun - planet - observer in radians.
    minnaert : tuple of float
        Exponent k of Minnaert's law.
    sky : tuple of float
        Brightness of the sky relative to the disc.

    Returns
    -------
    ndarray, (H, W), float32
        Non-negative, mean one.

    Notes
    -----
    Minnaert (1941, ApJ 93, 403, doi:10.1086/144279): I = albedo mu0^k mu^(k-1).
    """
    shape = check_shape(shape)
    y, x = pixel_grid(shape)
    size = draw_log(rng, radius) * min(shape)
    place = rng.uniform(0.35, 0.65, 2) * shape
    tilt = rng.uniform(0.0, 2.0 * math.pi)
    dx, dy = (x - place[1]) / size, (y - place[0]) / size
    u, v = dx * math.cos(tilt) + dy * math.sin(tilt), dy * math.cos(tilt) - dx * math.sin(tilt)
    v = v / rng.uniform(0.92, 1.0)
    r = np.hypot(u, v)
    mu = np.sqrt(np.clip(1.0 - r * r, 0.0, 1.0))
    angle, around = draw(rng, phase) * float(rng.random() < 0.6), rng.uniform(0.0, 2.0 * math.pi)
    sun = math.sin(angle) * (u * math.cos(around) + v * math.sin(around)) + math.cos(angle) * mu
    k = draw(rng, minnaert)
    disc = soft_step((1.0 - r) * size, 0.8)
    shade = np.clip(sun, 0.0, 1.0) ** k * np.maximum(mu, 0.15) ** (k - 1.0)
    image = disc * shade * _albedo(u, v, mu, size, rng)
    if rng.random() < 0.25:
        image = _add_rings(image, u, v, disc, size, rng)
    image = np.asarray(image + draw_log(rng, sky), dtype=np.float32)
    moons = int(rng.integers(0, 4))
    away = rng.uniform(1.2, 3.0, moons) * size * rng.choice([-1.0, 1.0], moons)
    bright = 10 ** rng.uniform(-0.5, 1.0, moons)
    add_points(image, place[0] + away * math.sin(tilt), place[1] + away * math.cos(tilt), bright, 0.75)
    return finish(image)


def _albedo(u: Image, v: Image, mu: Image, size: float, rng: Rng) -> Image:
    """Belts of a gas giant, or markings of a rocky planet."""
    latitude = np.arcsin(np.clip(v, -1.0, 1.0))
    longitude = np.arctan2(u, mu + 1e-6)
    rows = max(32, int(2.5 * size))
    giant = rng.random() < 0.6
    stretch = float(rng.uniform(4.0, 9.0)) if giant else 1.2
    texture = power_law_field((rows, rows), rng, rng.uniform(2.4, 3.2), stretch=stretch)
    where = [(rows - 1) * (0.5 + angle / math.pi) for angle in (latitude, longitude)]
    cloud = map_coordinates(texture, np.clip(where, 0, rows - 1), order=1)
    if not giant:
        caps = soft_step((np.abs(latitude) - rng.uniform(1.0, 1.5)) * size, 2.0) * float(rng.random() < 0.5)
        return np.asarray(np.maximum(1.0 + rng.uniform(0.1, 0.35) * cloud, 0.1) + 0.8 * caps)
    waves = np.arange(2, 12)
    weight = rng.normal(0.0, 1.0, waves.size) / np.sqrt(waves)
    wavy = latitude + rng.uniform(0.0, 0.04) * cloud
    belts = np.zeros_like(wavy)
    for k, a in zip(waves, weight, strict=True):
        belts += a * np.cos(2.0 * k * wavy + rng.uniform(0.0, 2.0 * math.pi))
    image = 1.0 + rng.uniform(0.05, 0.25) * np.tanh(1.5 * belts) + rng.uniform(0.02, 0.1) * cloud
    for _ in range(int(rng.integers(0, 4))):
        storm = ((latitude - rng.uniform(-0.8, 0.8)) / 0.08) ** 2 + (
            (longitude - rng.uniform(-1, 1)) / 0.15
        ) ** 2
        image = image + rng.uniform(-0.4, 0.4) * np.exp(-storm / rng.uniform(0.3, 2.0))
    return np.asarray(np.maximum(image, 0.1))


def _add_rings(image: Image, u: Image, v: Image, disc: Image, size: float, rng: Rng) -> Image:
    """Rings seen at an angle: behind the planet above its equator, before it below."""
    opening = rng.uniform(0.1, 0.5)
    radius = np.hypot(u, v / opening)
    inner, outer = rng.uniform(1.2, 1.5), rng.uniform(1.9, 2.3)
    gap = inner + 0.7 * (outer - inner)
    edge = size * math.sqrt(opening)
    ring = soft_step((radius - inner) * edge) * soft_step((outer - radius) * edge)
    ring = ring * (1.0 - 0.9 * np.exp(-(((radius - gap) / 0.035) ** 2)))
    ring = ring * (0.8 + 0.2 * np.sin(9.0 * radius + rng.uniform(0.0, 6.0))) * (1.0 - 0.4 * (radius > gap))
    before = v > 0.0
    return np.asarray(image * (1.0 - 0.7 * ring * before) + 0.7 * ring * np.where(before, 1.0, 1.0 - disc))
