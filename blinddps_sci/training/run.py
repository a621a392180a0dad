"""`blinddps train`: from a folder of examples to a weights file, by one command.

The folder that is trained in holds the examples with what they were made of, the checkpoint, the log, a sheet
of samples and, after every checkpoint, the weights in the form that ``--prior`` and ``--kernel-prior`` take.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch

from blinddps_sci import __version__
from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.priors.registry import load_prior
from blinddps_sci.priors.store import PriorCard, load_denoiser, save_denoiser
from blinddps_sci.simulate import random_kernels
from blinddps_sci.training.calibrate import image_error, kernel_error, tilt_error
from blinddps_sci.training.images import Pack, trained_on
from blinddps_sci.training.kernels import kernel_batches
from blinddps_sci.training.loader import Source, load, spread
from blinddps_sci.training.loop import Trainer
from blinddps_sci.training.novelty import image_novelty
from blinddps_sci.training.preview import write_preview
from blinddps_sci.training.recipe import Recipe, load_recipe
from blinddps_sci.training.tilts import TILT_FAMILIES, random_tilts, tilt_batches

__all__ = ["begin", "train"]

Role = Literal["image", "kernel", "tilt"]


_AT_ONCE = 500
_SEED = 1
"""Of the simulated kernels and tilts."""


def _examples(role: Role, recipe: Recipe, data: Path | None, folder: Path, workers: int) -> Source:
    """Return the batches of a role, whose examples are kept in the folder of the run."""
    if role == "image" and (data is None or not data.exists()):
        raise ConfigError("an image network needs --data FOLDER with images, or a pack.npz")
    folder.mkdir(parents=True, exist_ok=True)
    if data is not None and role == "image":
        return _images(recipe, data, folder, workers)
    return _simulated(role, recipe, folder, workers)


def _images(recipe: Recipe, data: Path, folder: Path, workers: int) -> Source:
    if data.suffix == ".npz":
        pack_file = data
    else:
        pack_file = folder / "pack.npz"
        made_of = {"size": recipe.size, "scenes": recipe.examples, "seed": 0}
        files = [
            (str(path.relative_to(data)), domain, path.stat().st_size, path.stat().st_mtime_ns)
            for path, domain in trained_on(data)
        ]

        def write(file: BinaryIO) -> None:
            Pack.read(data, workers=workers, **made_of).save(file)

        _keep(pack_file, {**made_of, "files": files}, write)
    return partial(Pack.load(pack_file).batches, recipe.batch, recipe.size, large=recipe.large)


def _simulated(role: Role, recipe: Recipe, folder: Path, workers: int) -> Source:
    """Return the batches of kernels or tilts, which are simulated once."""
    stored = folder / f"{role}s.npy"
    draw = _some_tilts if role == "tilt" else _some_kernels
    starts = range(0, recipe.examples, _AT_ONCE)
    counts = [min(_AT_ONCE, recipe.examples - start) for start in starts]

    def write(file: BinaryIO) -> None:
        np.save(file, np.concatenate(spread(partial(draw, recipe), counts, starts, workers=workers)))

    made_of = {"count": recipe.examples, "size": recipe.size, "families": recipe.families, "seed": _SEED}
    _keep(stored, made_of, write)
    batches = tilt_batches if role == "tilt" else kernel_batches
    return partial(batches, np.load(stored, mmap_mode="r"), recipe.batch)


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


def _some_kernels(recipe: Recipe, count: int, first: int) -> np.ndarray:
    return random_kernels(count, recipe.size, _SEED, recipe.families or None, first=first).astype(np.float16)


def _some_tilts(recipe: Recipe, count: int, first: int) -> np.ndarray:
    return random_tilts(count, recipe.size, _SEED, _family(recipe), first=first).astype(np.float16)


def _family(recipe: Recipe) -> str:
    """Return the family of a recipe's tilts.

    Raises
    ------
    ConfigError
        If it does not say one.
    """
    if len(recipe.families) != 1:
        raise ConfigError(f"a recipe of tilts has one family, of {', '.join(TILT_FAMILIES)}")
    return recipe.families[0]


def train(
    role: Role,
    folder: Path,
    *,
    minutes: float,
    data: Path | None = None,
    recipe: str | None = None,
    start_from: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    compiled: bool = False,
    workers: int = 0,
    batch: int | None = None,
    licence: str = "not stated",
) -> Path:
    """Train a network by denoising score matching.

    Parameters
    ----------
    role : 'image', 'kernel' or 'tilt'
        The unknown to denoise.
    folder : Path
        Where checkpoints, log, samples and weights go.
    minutes : float
        Wall time to spend.
    data : Path, optional
        Folder of images, or a pack written by an earlier run; an image network needs one.
    recipe : str, optional
        Name of a recipe or a TOML file; the small one of the role by default.
    start_from : str or Path, optional
        Weights of the recipe's network to begin with, as `load_prior` takes them: ``shipped``, to fine-tune.
    resume : bool
        Go on from the folder's checkpoint.
    device : str
        ``cpu`` or ``cuda``.
    compiled : bool
        Compile the network: a minute at first, then faster on a GPU.
    workers : int
        Processes that make the batches, beside the one that trains.
    batch : int, optional
        Items per step, if not as many as the recipe says.
    licence : str
        Licence of the weights, for the card.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    ConfigError, PriorError
        If data, checkpoint or weights are missing or of another network, or the folder holds a run already.
    """
    name = recipe or f"{role}-small"
    chosen = _recipe(name, batch)
    trainer = Trainer(chosen, folder, device=device, compiled=compiled)
    begin(trainer, role, resume=resume, start_from=start_from)
    source = _examples(role, chosen, data, folder, workers)
    batches = load(source, [0, trainer.step], workers=workers, pinned=device == "cuda")
    weights = folder / f"{Path(name).stem}.safetensors"

    def publish(trainer: Trainer) -> None:
        write_preview(trainer.average, chosen.size, folder / "samples.png")
        card = _card(role, trainer, name, _stated_data(role, data, chosen), licence)
        save_denoiser(weights, trainer.average, card)

    trainer.run(batches, minutes, on_save=publish)
    _calibrate(role, weights, data, chosen)
    return weights


def _recipe(name: str, batch: int | None) -> Recipe:
    """Return a recipe, with a batch of its own if one is given."""
    found = load_recipe(name)
    return found if batch is None else replace(found, batch=batch)


def begin(
    trainer: Trainer, role: Role, *, resume: bool = False, start_from: str | Path | None = None
) -> None:
    """Let a trainer go on from its checkpoint, or begin with trained weights or with none; see `train`."""
    if resume:
        trainer.resume()
        return
    if trainer.checkpoint.exists():
        folder = trainer.checkpoint.parent
        raise ConfigError(f"{folder} already holds a run; give --resume to go on, or another --output")
    if start_from is not None:
        trainer.start_from(load_prior(str(start_from), role)[0])


def _calibrate(role: Role, weights: Path, data: Path | None, recipe: Recipe) -> None:
    """Measure the error of the finished network, and what is usual for it, and write both into its card.

    A pack has no held-out images and a small folder may have none, so that a network trained on one
    keeps the card without.
    """
    denoiser, card = load_denoiser(weights)
    novelty = None
    if role == "kernel":
        table = kernel_error(denoiser, card.size)
    elif role == "tilt":
        table = tilt_error(denoiser, card.size, _family(recipe))
    elif data is not None and data.is_dir():
        try:
            table, novelty = image_error(denoiser, data), image_novelty(denoiser, data)
        except InputError:
            return
    else:
        return
    usual = None if novelty is None else asdict(novelty)
    save_denoiser(weights, denoiser, replace(card, error=asdict(table), novelty=usual))


def _card(role: Role, trainer: Trainer, name: str, training_data: str, licence: str) -> PriorCard:
    """Return the card of the network as it is now."""
    recipe = trainer.recipe
    return PriorCard(
        role=role,
        net=recipe.net.as_dict(),
        parameterisation="edm",
        size=recipe.size,
        labels=list(recipe.labels),
        sigma_data=recipe.sigma_data,
        domain=_domain(role, recipe),
        description=f"trained with the recipe {name}",
        training_data=training_data,
        licence=licence,
        training={
            "steps": trainer.step,
            "batch": recipe.batch,
            "minutes": round(trainer.seconds / 60, 1),
            "hardware": torch.cuda.get_device_name() if trainer.device == "cuda" else platform.machine(),
        },
    )


def _domain(role: Role, recipe: Recipe) -> Literal["linear", "amplitude", "relative"]:
    """Return what [-1, 1] stands for."""
    if role == "kernel":
        return "amplitude"
    return "relative" if role == "tilt" and _family(recipe) == "atmosphere" else "linear"


def _stated_data(role: str, data: Path | None, recipe: Recipe) -> str:
    if role == "tilt":
        return f"{recipe.examples} fields of blinddps_sci.training.tilts: {_family(recipe)}"
    if role == "kernel":
        families = ", ".join(recipe.families) or "all families"
        return f"{recipe.examples} kernels of blinddps_sci.simulate.psf: {families}"
    return f"images of {data.name if data else 'a pack'} and {recipe.examples} simulated scenes"
