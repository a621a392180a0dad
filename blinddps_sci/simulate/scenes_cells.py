"""Scenes of fluorescence microscopy made of cells: nuclei, membranes, bacteria.

Each function draws one sharp specimen in linear flux, before blur and noise; distances are in pixels,
as the pixel is what a restoration sees.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from blinddps_sci.simulate.arguments import check_shape
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
)
from blinddps_sci.simulate.voronoi import cells

__all__ = ["bacteria", "membranes", "nuclei"]


def nuclei(
    shape: tuple[int, int],
    rng: Rng,
    *,
    radius: Range = (5.0, 20.0),
    density: Range = (0.1, 0.7),
    texture: Range = (0.1, 0.5),
    haze: Range = (0.005, 0.1),
) -> Image:
    """Stained nuclei: overlapping, textured, with nucleoli and the occasional mitosis.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    radius : tuple of float
        Mean radius of a nucleus in pixels.
    density : tuple of float
        Covered share of the frame, overlaps counted twice.
    texture : tuple of float
        Standard deviation of the logarithm of the chromatin's density.
    haze : tuple of float
        Background relative to the brightness of a nucleus.

    Returns
    -------
    ndarray, (H, W), float32
        Non-negative, mean one.
    """
    shape = check_shape(shape)
    image = np.zeros(shape, dtype=np.float32)
    mean_radius = min(draw_log(rng, radius), min(shape) / 3.0)
    count = max(1, round(draw(rng, density) * shape[0] * shape[1] / (math.pi * mean_radius**2)))
    grain = np.exp(draw(rng, texture) * power_law_field(shape, rng, rng.uniform(1.8, 2.8)))
    for i in range(count):
        low, high = (0.2, 0.8) if i == 0 else (-0.05, 1.05)
        _add_nucleus(image, grain, rng, rng.uniform(low, high, 2) * shape, mean_radius)
    cytoplasm = gaussian_filter(image, 0.8 * mean_radius, truncate=2.5)
    return finish(image + 0.05 * cytoplasm + draw_log(rng, haze))


def membranes(
    shape: tuple[int, int],
    rng: Rng,
    *,
    cell: Range = (12.0, 48.0),
    width: Range = (0.6, 1.6),
    interior: Range = (0.02, 0.35),
) -> Image:
    """Sheet of cells with stained walls of uneven brightness.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    cell : tuple of float
        Distance of cell centres in pixels.
    width : tuple of float
        Standard deviation of a wall's cross-section in pixels.
    interior : tuple of float
        Brightness of the cells' inside relative to the walls.

    Returns
    -------
    ndarray, (H, W), float32
        Non-negative, mean one.
    """
    shape = check_shape(shape)
    spacing = min(draw_log(rng, cell), min(shape) / 1.5)
    warp = rng.uniform(0.02, 0.12) * spacing
    nearest, second, wall = cells(shape, rng, spacing, warp=warp, regularity=rng.uniform(0.4, 0.8))
    total = int(max(nearest.max(), second.max())) + 1
    own = np.exp(rng.normal(0.0, 0.4, total))
    pair = np.exp(rng.normal(0.0, 0.45, total * total))
    edge = pair[np.minimum(nearest, second) * total + np.maximum(nearest, second)]
    uneven = np.exp(rng.uniform(0.1, 0.6) * power_law_field(shape, rng, 2.0))
    image = edge * uneven * np.exp(-0.5 * (wall / draw(rng, width)) ** 2)
    inside = own[nearest] * np.exp(rng.uniform(0.1, 0.5) * power_law_field(shape, rng, 2.5))
    image = image + draw_log(rng, interior) * inside
    image = np.asarray(image, dtype=np.float32)
    if rng.random() < 0.35:
        _add_cell_nuclei(image, rng, nearest, 0.22 * spacing)
    return finish(image)


def bacteria(
    shape: tuple[int, int],
    rng: Rng,
    *,
    width: Range = (2.0, 6.0),
    density: Range = (0.05, 0.5),
    haze: Range = (0.01, 0.15),
) -> Image:
    """Rod-shaped cells, filled or with bright walls, single or in chains.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    width : tuple of float
        Radius of the rods in pixels.
    density : tuple of float
        Covered share of the frame.
    haze : tuple of float
        Background relative to the rods.

    Returns
    -------
    ndarray, (H, W), float32
        Non-negative, mean one.
    """
    shape = check_shape(shape)
    radius = draw_log(rng, width)
    count = min(150, max(1, round(draw(rng, density) * shape[0] * shape[1] / (10.0 * radius**2))))
    walls = rng.random() < 0.35
    image = np.zeros(shape, dtype=np.float32)
    common = rng.uniform(0.0, math.pi)
    order = rng.uniform(0.1, 2.0)
    for i in range(count):
        low, high = (0.2, 0.8) if i == 0 else (0.0, 1.0)
        place = rng.uniform(low, high, 2) * shape
        _add_rod(image, rng, place, radius, common + order * float(rng.standard_normal()), walls)
    grain = np.exp(rng.uniform(0.05, 0.35) * power_law_field(shape, rng, 2.0))
    return finish(image * grain + draw_log(rng, haze))


def _box(shape: tuple[int, ...], place: Array, half: int) -> tuple[slice, slice] | None:
    """Part of the frame within `half` pixels of a place."""
    y0, x0 = (max(0, int(c) - half) for c in place)
    y1, x1 = (min(side, int(c) + half + 1) for side, c in zip(shape, place, strict=True))
    return (slice(y0, y1), slice(x0, x1)) if y0 < y1 and x0 < x1 else None


def _add_nucleus(image: Image, grain: Image, rng: Rng, place: Array, mean_radius: float) -> None:
    """Add one nucleus in place."""
    mitosis = rng.random() < 0.06
    radius = mean_radius * rng.lognormal(0.0, 0.18) * (0.6 if mitosis else 1.0)
    box = _box(image.shape, place, math.ceil(1.9 * radius) + 2)
    if box is None:
        return
    y, x = pixel_grid((box[0].stop - box[0].start, box[1].stop - box[1].start))
    dy, dx = y - (place[0] - box[0].start), x - (place[1] - box[1].start)
    angle, ratio = rng.uniform(0.0, math.pi), rng.uniform(0.3, 0.45) if mitosis else rng.uniform(0.6, 1.0)
    u = (dx * math.cos(angle) + dy * math.sin(angle)) * math.sqrt(ratio)
    v = (dy * math.cos(angle) - dx * math.sin(angle)) / math.sqrt(ratio)
    polar = np.arctan2(v, u)
    edge = np.ones_like(polar)
    for k in (2, 3, 4, 5):
        edge = edge + rng.normal(0.0, 0.06 / k) * np.cos(k * polar + rng.uniform(0.0, 2.0 * math.pi))
    s = np.hypot(u, v) / (radius * edge)
    thick = np.clip(1.0 - s * s, 0.0, 1.0) ** rng.uniform(0.05, 0.5)
    body = soft_step((1.0 - s) * radius, 1.0) * (0.25 + 0.75 * thick)
    for _ in range(0 if mitosis else int(rng.integers(0, 4))):
        spot = rng.uniform(-0.5, 0.5, 2) * radius
        size = rng.uniform(0.1, 0.25) * radius
        body = body * (
            1.0 - rng.uniform(0.3, 0.8) * np.exp(-((v - spot[0]) ** 2 + (u - spot[1]) ** 2) / size**2)
        )
    part = image[box]
    part += (rng.lognormal(0.0, 0.35) * (2.5 if mitosis else 1.0) * body * grain[box]).astype(np.float32)


def _add_cell_nuclei(image: Image, rng: Rng, labels: npt.NDArray[np.intp], radius: float) -> None:
    """Add a nucleus to the middle of each cell, in place."""
    area = np.bincount(labels.ravel())
    y, x = (
        np.bincount(labels.ravel(), np.broadcast_to(c, labels.shape).ravel()) for c in pixel_grid(image.shape)
    )
    grain = np.exp(0.3 * power_law_field(image.shape, rng, 2.2)) * np.float32(rng.uniform(0.2, 1.0))
    for i in np.flatnonzero(area > 4.0 * radius**2):
        _add_nucleus(image, grain, rng, np.array([y[i], x[i]]) / area[i], radius)


def _add_rod(image: Image, rng: Rng, place: Array, radius: float, angle: float, walls: bool) -> None:
    """Add one rod in place; later rods lie on top of earlier ones."""
    half_length = radius * rng.uniform(0.6, 3.5)
    box = _box(image.shape, place, math.ceil(half_length + radius) + 3)
    if box is None:
        return
    y, x = pixel_grid((box[0].stop - box[0].start, box[1].stop - box[1].start))
    dy, dx = y - (place[0] - box[0].start), x - (place[1] - box[1].start)
    u, v = dx * math.cos(angle) + dy * math.sin(angle), dy * math.cos(angle) - dx * math.sin(angle)
    v = v + rng.normal(0.0, 0.02) * u * u / radius
    s = np.hypot(np.maximum(np.abs(u) - half_length, 0.0), v)
    cover = soft_step(radius - s, 0.9)
    if walls:
        light = 0.2 + np.exp(-0.5 * ((s - radius + 0.8) / 0.8) ** 2)
    else:
        light = 0.4 + 0.6 * np.sqrt(np.clip(1.0 - (s / radius) ** 2, 0.0, 1.0))
    if rng.random() < 0.2:
        light = light * (1.0 - 0.5 * np.exp(-((u / 1.2) ** 2)))
    part = image[box]
    part *= (1.0 - 0.8 * cover).astype(np.float32)
    part += (rng.lognormal(0.0, 0.3) * cover * light).astype(np.float32)
