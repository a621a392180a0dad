"""Scenes of galaxies: one at large among companions, or a deep field.

Like all scenes they are sharp, linear in flux and have mean one; blur and noise come later.
"""

from __future__ import annotations

import math

import numpy as np

from blinddps_sci.simulate.arguments import check_shape
from blinddps_sci.simulate.points import add_points, luminosities, scatter
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
)

__all__ = ["galaxies"]


def galaxies(
    shape: tuple[int, int],
    rng: Rng,
    *,
    main_radius: Range = (0.06, 0.2),
    field_radius: Range = (0.7, 5.0),
    field_density: Range = (0.3, 3.0),
    background: Range = (0.01, 0.5),
) -> Image:
    """One large galaxy with companions, or a deep field of small ones, with some stars.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    main_radius : tuple of float
        Effective radius of a large galaxy as a share of the shorter side.
    field_radius : tuple of float
        Effective radii of the small galaxies in pixels.
    field_density : tuple of float
        Small galaxies per 1000 pixels.
    background : tuple of float
        Sky as a share of the total flux.

    Returns
    -------
    ndarray, (H, W), float32
        Non-negative, mean one.

    References
    ----------
    Sersic profile: Graham & Driver 2005, PASA 22, 118, doi:10.1071/AS05001.
    """
    shape = check_shape(shape)
    image = np.zeros(shape, dtype=np.float32)
    area = shape[0] * shape[1]
    large = rng.random() < 0.6
    if large:
        radius = draw_log(rng, main_radius) * min(shape)
        place = rng.uniform(0.25, 0.75, 2) * shape
        _add_galaxy(image, rng, place, radius, 1.0)
    count = max(
        0 if large else 3, int(rng.poisson(draw_log(rng, field_density) * area / 1000.0 / (1 + 2 * large)))
    )
    total = rng.uniform(0.05, 0.5) if large else 1.0
    flux = luminosities(count, rng, rng.uniform(0.6, 1.2), 100.0)
    for share in flux / max(float(flux.sum()), 1e-12):
        radius = draw_log(rng, field_radius) * (1.0 + share)
        _add_galaxy(image, rng, rng.uniform(0.0, 1.0, 2) * shape, radius, total * float(share))
    stars = int(rng.poisson(area / 2500.0))
    flux = luminosities(stars, rng, 0.8, 300.0) * 10 ** rng.uniform(-3.5, -1.5)
    add_points(image, rng.uniform(0, shape[0], stars), rng.uniform(0, shape[1], stars), flux, 0.7)
    share = draw(rng, background)
    return finish(image + float(image.mean()) * share / (1.0 - min(share, 0.95)))


def _add_galaxy(image: Image, rng: Rng, place: Array, radius: float, flux: float) -> None:
    """Add a galaxy of one of four kinds, in place, computed on the box that it fills."""
    half = math.ceil(9.0 * radius + 4.0)
    y0, x0 = (max(0, int(c) - half) for c in place)
    y1, x1 = (min(side, int(c) + half + 1) for side, c in zip(image.shape, place, strict=True))
    if y0 >= y1 or x0 >= x1:
        return
    y, x = pixel_grid((y1 - y0, x1 - x0))
    dy, dx = y - (place[0] - y0), x - (place[1] - x0)
    angle = rng.uniform(0.0, math.pi)
    along, across = dx * math.cos(angle) + dy * math.sin(angle), dy * math.cos(angle) - dx * math.sin(angle)
    kind = rng.choice(4, p=[0.3, 0.25, 0.35, 0.1])
    if kind == 0:
        disc = _sersic(along, across / rng.uniform(0.5, 1.0), radius, rng.uniform(2.0, 5.0))
    else:
        disc = _disc_galaxy(along, across, radius, rng, kind)
    # Nothing at the radius of the box, so that it leaves no edge.
    disc = disc * np.clip(2.0 - 2.0 * np.hypot(dy, dx) / half, 0.0, 1.0) ** 2
    box = image[y0:y1, x0:x1]
    box += np.float32(flux) * (disc / max(float(disc.sum()), 1e-12)).astype(np.float32)


def _disc_galaxy(along: Image, across: Image, radius: float, rng: Rng, kind: int) -> Image:
    """Bulge and disc; kind 2 with spiral arms, dust and knots, kind 3 irregular."""
    flat = rng.uniform(0.15, 1.0) if kind == 1 else rng.uniform(0.45, 1.0)
    v = across / flat
    disc = _sersic(along, v, radius, 1.0)
    disc = disc / max(float(disc.sum()), 1e-12)
    bulge = _sersic(along, across / math.sqrt(flat), 0.2 * radius + 0.4, rng.uniform(1.5, 4.0))
    share = rng.uniform(0.02, 0.4) * (kind != 3)
    if kind >= 2 and radius > 2.5:
        texture = np.exp(rng.uniform(0.2, 0.6) * power_law_field(along.shape, rng, 2.9))
        disc = disc * texture * (_arms(along, v, radius, rng) if kind == 2 else texture**2)
        disc = disc / max(float(disc.sum()), 1e-12)
        knots = int(rng.integers(0, 60))
        ky, kx = scatter(disc, knots, rng)
        lights = luminosities(knots, rng, 0.9, 50.0) * rng.uniform(0.0005, 0.003)
        add_points(disc, ky, kx, lights, rng.uniform(0.6, 1.4, knots))
    return np.asarray((1.0 - share) * disc + share * bulge / max(float(bulge.sum()), 1e-12), dtype=np.float32)


def _arms(u: Image, v: Image, radius: float, rng: Rng) -> Image:
    """Brightness modulation of logarithmic spiral arms with a dust lane at their inner edge."""
    r = np.hypot(u, v) + 0.1 * radius
    pitch = math.tan(math.radians(rng.uniform(10.0, 35.0))) * rng.choice([-1.0, 1.0])
    count = int(rng.choice([2, 2, 2, 3, 4]))
    phase = count * (np.arctan2(v, u) - np.log(r / radius) / pitch) + 0.5 * power_law_field(u.shape, rng, 3.5)
    crest = (0.5 + 0.5 * np.cos(phase)) ** rng.uniform(1.0, 4.0)
    lane = (0.5 + 0.5 * np.cos(phase - 0.9)) ** 6
    weight = np.clip(r / radius - 0.2, 0.0, 1.0)
    arms = 1.0 + weight * (rng.uniform(1.0, 4.0) * crest - 0.5)
    return np.asarray(arms * np.exp(-rng.uniform(0.0, 1.2) * weight * lane), dtype=np.float32)


def _sersic(u: Image, v: Image, radius: float, index: float) -> Image:
    """exp{-b [(r / R_e)^(1/n) - 1]}, softened by a third of a pixel at the centre."""
    b = 2.0 * index - 1.0 / 3.0 + 4.0 / (405.0 * index)
    r = np.sqrt(u * u + v * v + 0.12) / radius
    return np.asarray(np.exp(-b * (r ** (1.0 / index) - 1.0)), dtype=np.float32)
