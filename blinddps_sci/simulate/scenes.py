"""Synthetic scenes: the public face of the scene simulators.

Training draws `random_scenes` from here by kind or by the domain label of the image prior; blur
(`blinddps_sci.simulate.blur`) and a detector (`blinddps_sci.simulate.detector`) turn them into data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.arguments import check_between, check_choice, check_shape
from blinddps_sci.simulate.scenes_cells import bacteria, membranes, nuclei
from blinddps_sci.simulate.scenes_fibres import filaments, vesicles
from blinddps_sci.simulate.scenes_galaxies import galaxies
from blinddps_sci.simulate.scenes_planet import planet
from blinddps_sci.simulate.scenes_sky import nebula, star_field
from blinddps_sci.simulate.scenes_surface import granulation, lunar
from blinddps_sci.simulate.textures import Image

__all__ = [
    "SCENES",
    "SceneKind",
    "bacteria",
    "filaments",
    "galaxies",
    "granulation",
    "lunar",
    "membranes",
    "nebula",
    "nuclei",
    "planet",
    "random_scene",
    "random_scenes",
    "star_field",
    "vesicles",
]


class SceneKind(NamedTuple):
    """What is known about a kind of scene: the domain label and one line of description."""

    domain: str
    description: str


_DRAW: dict[str, Callable[[tuple[int, int], np.random.Generator], Image]] = {
    "stars": star_field,
    "galaxies": galaxies,
    "nebula": nebula,
    "planet": planet,
    "lunar": lunar,
    "granulation": granulation,
    "nuclei": nuclei,
    "filaments": filaments,
    "membranes": membranes,
    "vesicles": vesicles,
    "bacteria": bacteria,
}

#: Kinds of scenes by name: (domain label 'astro' or 'micro', description).
SCENES: dict[str, SceneKind] = {
    "stars": SceneKind("astro", "star fields and clusters with a power-law luminosity function"),
    "galaxies": SceneKind(
        "astro", "elliptical, disc, spiral and irregular galaxies, near or in a deep field"
    ),
    "nebula": SceneKind("astro", "turbulent gas with filaments, dark lanes and stars"),
    "planet": SceneKind("astro", "planets with belts or markings, phases, rings and moons"),
    "lunar": SceneKind("astro", "cratered terrain under a low sun"),
    "granulation": SceneKind("astro", "solar granulation, bright points and sunspots"),
    "nuclei": SceneKind("micro", "stained nuclei, overlapping and textured"),
    "filaments": SceneKind("micro", "cytoskeleton: curved fibres of varying brightness"),
    "membranes": SceneKind("micro", "sheets of cells with stained walls"),
    "vesicles": SceneKind("micro", "puncta and hollow vesicles gathered in cells"),
    "bacteria": SceneKind("micro", "rod-shaped cells, filled or with bright walls"),
}


def random_scene(
    shape: tuple[int, int], rng: np.random.Generator, kind: str | Sequence[str] | None = None
) -> Image:
    """Draw a scene.

    Parameters
    ----------
    shape : tuple of int
        (H, W), at least 8 pixels each.
    rng : numpy.random.Generator
        Source of all randomness.
    kind : str or sequence of str, optional
        Names out of `SCENES`, or the domain labels ``astro`` and ``micro``; by default all kinds,
        equally often.

    Returns
    -------
    ndarray, (H, W), float32
        Flux, linear, non-negative, mean one.

    Raises
    ------
    ConfigError
        If a kind is not known or a side is too small.

    Examples
    --------
    >>> import numpy as np
    >>> from blinddps_sci.simulate.scenes import random_scene
    >>> random_scene((64, 64), np.random.default_rng(1), "nebula").shape
    (64, 64)
    """
    shape = check_shape(shape)
    names = _names(kind)
    return _DRAW[names[int(rng.integers(len(names)))]](shape, rng)


def random_scenes(
    n: int, shape: tuple[int, int], seed: int, kinds: str | Sequence[str] | None = None
) -> Image:
    """Draw `n` scenes; the i-th depends on `seed`, `shape` and i only.

    Parameters
    ----------
    n : int
        Number of scenes.
    shape : tuple of int
        (H, W), at least 8 pixels each.
    seed : int
        Non-negative.
    kinds : str or sequence of str, optional
        As for `random_scene`.

    Returns
    -------
    ndarray, (n, H, W), float32
        Flux, linear, non-negative, mean one each.

    Raises
    ------
    ConfigError
        If a number is negative, a kind is not known or a side is too small.
    """
    count = int(check_between("n", n, 0))
    seed = int(check_between("seed", seed, 0))
    shape = check_shape(shape)
    scenes = np.empty((count, *shape), dtype=np.float32)
    for i in range(count):
        scenes[i] = random_scene(shape, np.random.default_rng([seed, i]), kinds)
    return scenes


def _names(kind: str | Sequence[str] | None) -> list[str]:
    """Names of kinds; domain labels stand for all kinds of their domain."""
    if kind is None:
        return list(SCENES)
    wanted = [kind] if isinstance(kind, str) else list(kind)
    if not wanted:
        msg = f"kinds: the list is empty; name some of {', '.join(SCENES)}, or give none for all"
        raise ConfigError(msg)
    domains = {scene.domain for scene in SCENES.values()}
    names: list[str] = []
    for word in wanted:
        check_choice("kind of scene", word, [*SCENES, *domains])
        names += [word] if word in SCENES else [name for name, s in SCENES.items() if s.domain == word]
    return names
