"""Scenes of fluorescence microscopy made of fine structure: filaments and vesicles.

Each function draws one sharp specimen in linear flux, before blur and noise; distances are in pixels,
as the pixel is what a restoration sees.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter

from blinddps_sci.simulate.arguments import check_shape
from blinddps_sci.simulate.points import add_points, scatter
from blinddps_sci.simulate.textures import (
    Array,
    Image,
    Range,
    Rng,
    draw,
    draw_log,
    finish,
    power_law_field,
)

__all__ = ["filaments", "vesicles"]


def filaments(
    shape: tuple[int, int],
    rng: Rng,
    *,
    density: Range = (5.0, 45.0),
    persistence: Range = (20.0, 400.0),
    width: Range = (0.55, 1.1),
    haze: Range = (0.01, 0.25),
) -> Image:
    """Cytoskeleton: curved fibres of varying brightness, free, bundled or from one centre.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    density : tuple of float
        Length of fibres in pixels per 100 pixels of area.
    persistence : tuple of float
        Persistence length of the fibres in pixels.
    width : tuple of float
        Standard deviation of a fibre's cross-section in pixels.
    haze : tuple of float
        Out-of-focus background as a share of the mean.

    Returns
    -------
    ndarray, (H, W), float32
        Non-negative, mean one.
    """
    shape = check_shape(shape)
    reach = float(max(shape))
    length = rng.uniform(0.5, 1.4) * reach
    count = max(4, round(draw_log(rng, density) * shape[0] * shape[1] / 100.0 / length))
    y, x = _fibres(shape, rng, count, length, draw_log(rng, persistence))
    along = np.linspace(0.0, 1.0, y.shape[1])
    bright = np.exp(rng.normal(0.0, 0.6, (count, 1)))
    beads = 1.0 + rng.uniform(0.0, 0.6) * np.sin(
        2 * math.pi * (rng.uniform(2, 30, (count, 1)) * along + rng.random((count, 1)))
    )
    fade = np.clip((1.0 - along) * rng.uniform(1.0, 12.0), 0.0, 1.0)
    image = _trace(shape, y, x, bright * beads * fade)
    image = gaussian_filter(image, draw(rng, width), truncate=3.5)
    grain = np.exp(rng.uniform(0.0, 0.4) * power_law_field(shape, rng, 1.5))
    out_of_focus = gaussian_filter(image, rng.uniform(4.0, 10.0), truncate=2.5)
    share = draw_log(rng, haze)
    floor = float(image.mean()) * share
    return finish(image * grain + share * out_of_focus + floor)


def vesicles(
    shape: tuple[int, int],
    rng: Rng,
    *,
    density: Range = (1.5, 30.0),
    size: Range = (0.55, 2.2),
    rings: Range = (0.0, 0.4),
    haze: Range = (0.02, 0.5),
) -> Image:
    """Puncta of all sizes, some of them hollow, gathered in cells.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    rng : numpy.random.Generator
        Source of all randomness.
    density : tuple of float
        Vesicles per 1000 pixels.
    size : tuple of float
        Standard deviations of the spots in pixels.
    rings : tuple of float
        Share of hollow vesicles.
    haze : tuple of float
        Diffuse light of the cells as a share of the total.

    Returns
    -------
    ndarray, (H, W), float32
        Non-negative, mean one.
    """
    shape = check_shape(shape)
    count = max(3, round(draw_log(rng, density) * shape[0] * shape[1] / 1000.0))
    body = 1.0 / (1.0 + np.exp(-rng.uniform(1.0, 6.0) * power_law_field(shape, rng, 3.6)))
    y, x = scatter(body**2, count, rng)
    spread = np.exp(rng.uniform(math.log(size[0]), math.log(draw_log(rng, size)), count))
    flux = np.exp(rng.normal(0.0, 0.8, count)) * spread
    hollow = rng.random(count) < draw(rng, rings)
    image = np.zeros(shape, dtype=np.float32)
    add_points(image, y[~hollow], x[~hollow], flux[~hollow], spread[~hollow])
    for i in np.flatnonzero(hollow)[:40]:
        around = np.linspace(0.0, 2.0 * math.pi, 24, endpoint=False)
        radius = 1.5 * spread[i] + 1.2
        ring_y, ring_x = y[i] + radius * np.sin(around), x[i] + radius * np.cos(around)
        add_points(image, ring_y, ring_x, 2.0 * flux[i] / 24.0, 0.6)
    share = draw_log(rng, haze)
    diffuse = body * np.exp(0.3 * power_law_field(shape, rng, 2.5)) + 0.02
    return finish(image + float(image.mean()) * share / (1.0 - min(share, 0.95)) * diffuse / diffuse.mean())


def _fibres(
    shape: tuple[int, int], rng: Rng, count: int, length: float, persistence: float
) -> tuple[Array, Array]:
    """Worm-like chains: the heading diffuses by one radian over about the persistence length."""
    step = 0.4
    steps = math.ceil(length / step)
    place = rng.uniform(-0.2, 1.2, (count, 2)) * shape
    # One fibre always starts inside: a frame must not be empty.
    place[0] = rng.uniform(0.3, 0.7, 2) * shape
    heading = rng.uniform(0.0, 2.0 * math.pi, (count, 1))
    layout = rng.choice(3, p=[0.5, 0.25, 0.25])
    if layout == 1:
        place = rng.uniform(0.2, 0.8, 2) * shape + rng.normal(0.0, 0.03 * min(shape), (count, 2))
    elif layout == 2:
        heading = heading[:1] + rng.normal(0.0, 0.25, (count, 1)) + math.pi * rng.integers(0, 2, (count, 1))
    # The curvature is itself correlated, so that a fibre bends smoothly.
    memory = np.exp(-np.arange(40) / 12.0)
    kicks = np.apply_along_axis(
        np.convolve, 1, rng.standard_normal((count, steps)), memory / memory.sum(), "same"
    )
    heading = heading + np.cumsum(kicks, axis=1) * math.sqrt(2.0 * step / persistence)
    y = place[:, :1] + step * np.cumsum(np.sin(heading), axis=1)
    x = place[:, 1:] + step * np.cumsum(np.cos(heading), axis=1)
    return y, x


def _trace(shape: tuple[int, int], y: Array, x: Array, light: Array) -> Image:
    """Bilinear histogram of light along the fibres."""
    rows, columns = shape
    y, x, light = y.ravel(), x.ravel(), np.broadcast_to(light, y.shape).ravel()
    inside = (y >= 0.0) & (y < rows - 1.0) & (x >= 0.0) & (x < columns - 1.0)
    y, x, light = y[inside], x[inside], light[inside]
    top, left = y.astype(np.intp), x.astype(np.intp)
    total = np.zeros(rows * columns)
    for a in (0, 1):
        for b in (0, 1):
            weight = light * np.abs(1 - a - (y - top)) * np.abs(1 - b - (x - left))
            total += np.bincount((top + a) * columns + left + b, weight, rows * columns)
    return total.reshape(shape).astype(np.float32)
