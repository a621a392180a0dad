"""Training tilts: fields of one exposure each, from the physics or as the published method draws them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from blinddps_sci.errors import ConfigError
from blinddps_sci.priors.tilt import PUBLISHED_RANGE, TiltField
from blinddps_sci.simulate import patchwise_tilt

__all__ = ["TILT_FAMILIES", "random_tilts", "tilt_batches"]

TILT_FAMILIES = ("atmosphere", "published")

_DRAWS = 16
"""Fields of each setting of the atmosphere."""

_LEAST, _MOST = np.log([0.003, 1.0]), np.log([0.999, 60.0])
_OUTER_SCALES = (10.0, 25.0, 60.0)
"""Settings: the share of layers beyond the aperture and their scale on the field in nodes, between these; and
the outer scale in diameters."""


def random_tilts(count: int, size: int, seed: int, family: str, *, first: int = 0) -> np.ndarray:
    """Draw tilts on the domain of a network, (N, 2, n, n) float32; the i-th depends on seed and i only.

    Parameters
    ----------
    count, first : int
        How many, and the i of the first.
    size : int
        Side n: nodes (``atmosphere``) or pixels (``published``).
    seed : int
    family : str
        ``atmosphere``: Gaussian fields of the covariance of `TiltField` in units of twice their standard
        deviation; every 16 share a setting. ``published``: `patchwise_tilt` over 2.5 pixels, cut off there.

    Raises
    ------
    ConfigError
        If there is no such family.
    """
    if family not in TILT_FAMILIES:
        raise ConfigError(f"no family of tilts {family!r}; give one of {', '.join(TILT_FAMILIES)}")
    numbers = range(first, first + count)
    if family == "published":
        fields = (patchwise_tilt(size, np.random.default_rng([seed, i])) / PUBLISHED_RANGE for i in numbers)
        return np.stack([field.clip(-1, 1) for field in fields]).astype(np.float32)
    result, root = np.empty((count, 2, size, size), dtype=np.float32), np.empty((0, 0))
    for place, i in enumerate(numbers):
        setting, draw = divmod(i, _DRAWS)
        if draw == 0 or place == 0:
            root = _root(size, np.random.default_rng([seed, setting]))
        white = np.random.default_rng([seed, setting, draw]).normal(size=len(root))
        result[place] = (root @ white).reshape(2, size, size) / 2
    return result


def _root(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return the root of the covariance of a field of unit variance, (2 n n, 2 n n)."""
    share, scale = (float(value) for value in np.exp(rng.uniform(_LEAST, _MOST)))
    field = TiltField(1.0, [(1 - share, np.inf), (share, scale)], float(rng.choice(_OUTER_SCALES)))
    nodes = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), axis=-1)
    # Correlations are interpolated, so that the least of the variances are below zero by rounding.
    variance, axes = np.linalg.eigh(field.covariance(nodes.reshape(-1, 2)))
    return np.asarray(axes * np.sqrt(variance.clip(min=0)))


def tilt_batches(
    tilts: np.ndarray, count: int, seed: Sequence[int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches for ever: tilts (B, 2, m, m) with m from n / 4 to n, and labels (B,), all zero.

    Parameters
    ----------
    tilts : ndarray, (N, 2, n, n)
        From `random_tilts`; parts of them are cut out, and all symmetries of the square are drawn.
    count : int
        Batch size B.
    seed : sequence of int
    """
    rng = np.random.default_rng(seed)
    size = tilts.shape[-1]
    while True:
        chosen = np.asarray(tilts[rng.integers(0, len(tilts), count)], dtype=np.float32)
        part = 4 * int(rng.integers(max(size // 16, 1), size // 4 + 1))
        y, x = rng.integers(0, size - part + 1, 2)
        turned = np.stack([_turned(field[:, y : y + part, x : x + part], rng) for field in chosen])
        yield turned, np.zeros(count, dtype=np.int64)


def _turned(field: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a field of vectors (dy, dx) mirrored along each axis and transposed, or not."""
    for axis in (0, 1):
        if rng.random() < 0.5:
            field = np.flip(field, axis + 1) * np.where(np.arange(2) == axis, -1.0, 1.0)[:, None, None]
    if rng.random() < 0.5:
        field = field[::-1].transpose(0, 2, 1)
    return field.astype(np.float32)
