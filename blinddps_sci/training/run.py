"""`blinddps train`: from a folder of examples to a weights file, by one command.

The folder that is trained in holds the examples with what they were made of, the checkpoint, the log, a sheet
of samples and, after every checkpoint, the weights in the form that ``--prior``, ``--kernel-prior`` and
``--pilot`` take.
"""

from __future__ import annotations

import platform
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.priors.pilot import Pilot
from blinddps_sci.priors.registry import load_pilot, load_prior
from blinddps_sci.priors.store import PriorCard, load_denoiser, save_denoiser, save_pilot
from blinddps_sci.training.calibrate import image_error, kernel_error, tilt_error
from blinddps_sci.training.examples import Role, examples, family_of
from blinddps_sci.training.loader import load
from blinddps_sci.training.loop import Trainer
from blinddps_sci.training.novelty import image_novelty
from blinddps_sci.training.preview import write_kernels, write_preview
from blinddps_sci.training.recipe import Recipe, load_recipe

__all__ = ["begin", "train"]


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
    """Train a denoiser by score matching, or a pilot by examples of what is to be told from blurred data.

    Parameters
    ----------
    role : 'image', 'kernel', 'tilt' or 'pilot'
        The unknown to denoise, or the pilot.
    folder : Path
        Where checkpoints, log, samples and weights go.
    minutes : float
        Wall time to spend.
    data : Path, optional
        Folder of images, or a pack written by an earlier run; an image network and a pilot need one.
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
    source = examples(role, chosen, data, folder, workers)
    batches = load(source, [0, trainer.step], workers=workers, pinned=device == "cuda")
    weights = folder / f"{Path(name).stem}.safetensors"

    def publish(trainer: Trainer) -> None:
        card = _card(role, trainer, name, _stated_data(role, data, chosen), licence)
        if isinstance(trainer.average, Pilot):
            write_kernels(trainer.average, next(batches), folder / "samples.png")
            save_pilot(weights, trainer.average, card)
        else:
            write_preview(trainer.average, chosen.size, folder / "samples.png")
            save_denoiser(weights, trainer.average, card)

    trainer.run(batches, minutes, on_save=publish)
    if role != "pilot":
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
        load = load_pilot if role == "pilot" else partial(load_prior, role=role)
        trainer.start_from(load(str(start_from))[0])


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
        table = tilt_error(denoiser, card.size, family_of(recipe))
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
        parameterisation="direct" if role == "pilot" else "edm",
        size=recipe.kernel_size if role == "pilot" else recipe.size,
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
    return "relative" if role == "tilt" and family_of(recipe) == "atmosphere" else "linear"


def _stated_data(role: str, data: Path | None, recipe: Recipe) -> str:
    if role == "tilt":
        return f"{recipe.examples} fields of blinddps_sci.training.tilts: {family_of(recipe)}"
    if role == "kernel":
        families = ", ".join(recipe.families) or "all families"
        return f"{recipe.examples} kernels of blinddps_sci.simulate.psf: {families}"
    images = f"images of {data.name if data else 'a pack'} and {recipe.examples} simulated scenes"
    if role == "pilot":
        return f"{images}, blurred by {recipe.kernels} kernels of blinddps_sci.simulate.psf"
    return images
