"""The examples of a training run, made or read once and kept in its folder with what they were made of."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from blinddps_sci import __version__
from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate import random_kernels
from blinddps_sci.training.images import Pack, trained_on
from blinddps_sci.training.kernels import kernel_batches
from blinddps_sci.training.loader import Source, spread
from blinddps_sci.training.pilots import pilot_batches
from blinddps_sci.training.recipe import Recipe
from blinddps_sci.training.tilts import TILT_FAMILIES, random_tilts, tilt_batches

__all__ = ["Role", "examples", "family_of"]

Role = Literal["image", "kernel", "tilt", "pilot"]

_AT_ONCE = 500
_SEED = 1
"""Of the simulated kernels and tilts."""


def examples(role: Role, recipe: Recipe, data: Path | None, folder: Path, workers: int) -> Source:
    """Return the batches of a role.

    Parameters
    ----------
    role : 'image', 'kernel', 'tilt' or 'pilot'
        What is trained.
    recipe : Recipe
        How.
    data : Path, optional
        Folder of images, or a pack written by an earlier run.
    folder : Path
        Where the examples are kept.
    workers : int
        Processes that make them.

    Raises
    ------
    ConfigError
        If there are no images and they are needed, or the recipe does not say what is to be simulated.
    """
    needs_images = role in ("image", "pilot")
    if needs_images and (data is None or not data.exists()):
        raise ConfigError(f"training the {role} network needs --data FOLDER with images, or a pack.npz")
    folder.mkdir(parents=True, exist_ok=True)
    if role == "kernel":
        return partial(kernel_batches, _kernels(recipe, recipe.examples, folder, workers), recipe.batch)
    if role == "tilt":
        return partial(tilt_batches, _tilts(recipe, folder, workers), recipe.batch)
    assert data is not None
    pack = _pack(recipe, data, folder, workers)
    if role == "image":
        return partial(pack.batches, recipe.batch, recipe.size, large=recipe.large)
    kernels = _kernels(recipe, recipe.kernels, folder, workers)
    noise = (recipe.sigma_mean, recipe.sigma_spread)
    return partial(pilot_batches, pack, kernels, recipe.batch, recipe.size, noise)


def family_of(recipe: Recipe) -> str:
    """Return the family of a recipe's tilts.

    Raises
    ------
    ConfigError
        If it does not say one.
    """
    if len(recipe.families) != 1:
        raise ConfigError(f"a recipe of tilts has one family, of {', '.join(TILT_FAMILIES)}")
    return recipe.families[0]


def _pack(recipe: Recipe, data: Path, folder: Path, workers: int) -> Pack:
    """Return the images below a folder and simulated scenes, or the pack that is given."""
    if data.suffix == ".npz":
        return Pack.load(data)
    pack_file = folder / "pack.npz"
    made_of = {"size": recipe.size, "scenes": recipe.examples, "seed": 0}
    files = [
        (str(path.relative_to(data)), domain, path.stat().st_size, path.stat().st_mtime_ns)
        for path, domain in trained_on(data)
    ]

    def write(file: BinaryIO) -> None:
        Pack.read(data, workers=workers, **made_of).save(file)

    _keep(pack_file, {**made_of, "files": files}, write)
    return Pack.load(pack_file)


def _kernels(recipe: Recipe, count: int, folder: Path, workers: int) -> np.ndarray:
    draw = partial(_some_kernels, recipe.kernel_size, recipe.families or None)
    return _simulated(folder / "kernels.npy", draw, count, recipe.kernel_size, recipe.families, workers)


def _tilts(recipe: Recipe, folder: Path, workers: int) -> np.ndarray:
    draw = partial(_some_tilts, recipe.size, family_of(recipe))
    return _simulated(folder / "tilts.npy", draw, recipe.examples, recipe.size, recipe.families, workers)


def _simulated(
    stored: Path,
    draw: Callable[[int, int], np.ndarray],
    count: int,
    size: int,
    families: Sequence[str],
    workers: int,
) -> np.ndarray:
    """Return simulated examples, which are drawn once."""
    starts = range(0, count, _AT_ONCE)
    counts = [min(_AT_ONCE, count - start) for start in starts]

    def write(file: BinaryIO) -> None:
        np.save(file, np.concatenate(spread(draw, counts, starts, workers=workers)))

    _keep(stored, {"count": count, "size": size, "families": families, "seed": _SEED}, write)
    found: np.ndarray = np.load(stored, mmap_mode="r")
    return found


def _some_kernels(size: int, families: Sequence[str] | None, count: int, first: int) -> np.ndarray:
    return random_kernels(count, size, _SEED, families, first=first).astype(np.float16)


def _some_tilts(size: int, family: str, count: int, first: int) -> np.ndarray:
    return random_tilts(count, size, _SEED, family, first=first).astype(np.float16)


def _keep(path: Path, made_of: dict[str, Any], write: Callable[[BinaryIO], None]) -> None:
    """Write examples, unless the file holds them already: what it was made of is said beside it, as JSON."""
    said = path.with_suffix(".json")
    text = json.dumps({"version": __version__, **made_of})
    if path.is_file() and said.is_file() and said.read_text(encoding="utf-8") == text:
        return
    said.unlink(missing_ok=True)  # so that a run that is killed from here on leaves nothing to be believed
    unfinished = path.with_name(f".{path.name}.partial")
    try:
        with unfinished.open("wb") as file:
            write(file)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    said.write_text(text, encoding="utf-8")
