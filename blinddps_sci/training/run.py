"""`blinddps train`: from a folder of examples to a weights file, by one command.

The folder that is trained in holds the checkpoint, the log, a sheet of samples and, after
every checkpoint, the weights in the form that ``--prior`` and ``--kernel-prior`` take.
"""

from __future__ import annotations

import platform
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.priors.store import PriorCard, load_denoiser, save_denoiser
from blinddps_sci.simulate import random_kernels
from blinddps_sci.training.calibrate import image_error, kernel_error
from blinddps_sci.training.images import Pack
from blinddps_sci.training.kernels import kernel_batches
from blinddps_sci.training.loop import Batches, Trainer
from blinddps_sci.training.preview import write_preview
from blinddps_sci.training.recipe import Recipe, load_recipe

__all__ = ["train"]

Role = Literal["image", "kernel"]


def _image_batches(recipe: Recipe, data: Path, folder: Path, step: int) -> Batches:
    pack_file = data if data.suffix == ".npz" else folder / "pack.npz"
    if pack_file.is_file():
        pack = Pack.load(pack_file)
    else:
        pack = Pack.read(data, size=recipe.size, scenes=recipe.examples)
        pack.save(pack_file)
    return pack.batches(recipe.batch, recipe.size, [0, step])


def _kernel_batches(recipe: Recipe, folder: Path, step: int) -> Batches:
    stored = folder / "kernels.npy"
    if not stored.is_file():
        np.save(stored, random_kernels(recipe.examples, recipe.size, 1).astype(np.float16))
    return kernel_batches(np.load(stored, mmap_mode="r"), recipe.batch, [0, step])


def train(
    role: Role,
    folder: Path,
    *,
    minutes: float,
    data: Path | None = None,
    recipe: str | None = None,
    start_from: Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    licence: str = "not stated",
) -> Path:
    """Train a network by denoising score matching.

    Parameters
    ----------
    role : 'image' or 'kernel'
        The unknown to denoise.
    folder : Path
        Where checkpoints, log, samples and weights go.
    minutes : float
        Wall time to spend.
    data : Path, optional
        Folder of images, or a pack written by an earlier run; an image network needs one.
    recipe : str, optional
        Name of a recipe or a TOML file; the small one of the role by default.
    start_from : Path, optional
        Weights of the recipe's network to begin with: to fine-tune a prior on one's own data.
    resume : bool
        Go on from the folder's checkpoint.
    device : str
        ``cpu`` or ``cuda``.
    licence : str
        Licence of the weights, for the card.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    ConfigError
        If data or checkpoint are missing, or the folder already holds a run and ``resume`` is false.
    """
    name = recipe or f"{role}-small"
    chosen = load_recipe(name)
    trainer = Trainer(chosen, folder, device=device)
    if resume:
        trainer.resume()
    elif trainer.checkpoint.exists():
        raise ConfigError(f"{folder} already holds a run; give --resume to go on, or another --output")
    if start_from is not None and not resume:
        trainer.start_from(load_denoiser(start_from)[0])
    if role == "image" and (data is None or not data.exists()):
        raise ConfigError("an image network needs --data FOLDER with images, or a pack.npz")
    folder.mkdir(parents=True, exist_ok=True)
    if data is not None and role == "image":
        batches = _image_batches(chosen, data, folder, trainer.step)
    else:
        batches = _kernel_batches(chosen, folder, trainer.step)
    weights = folder / f"{Path(name).stem}.safetensors"

    def publish(trainer: Trainer) -> None:
        write_preview(trainer.average, chosen.size, folder / "samples.png")
        card = _card(role, trainer, name, _stated_data(role, data, chosen), licence)
        save_denoiser(weights, trainer.average, card)

    trainer.run(batches, minutes, on_save=publish)
    _calibrate(role, weights, data)
    return weights


def _calibrate(role: Role, weights: Path, data: Path | None) -> None:
    """Measure the error of the finished network and write it into its card.

    A pack has no held-out images and a small folder may have none, so that a network trained on one
    keeps the card without.
    """
    denoiser, card = load_denoiser(weights)
    if role == "kernel":
        table = kernel_error(denoiser, card.size)
    elif data is not None and data.is_dir():
        try:
            table = image_error(denoiser, data)
        except InputError:
            return
    else:
        return
    save_denoiser(weights, denoiser, replace(card, error=asdict(table)))


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
        domain="amplitude" if role == "kernel" else "linear",
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


def _stated_data(role: str, data: Path | None, recipe: Recipe) -> str:
    if role == "kernel":
        return f"{recipe.examples} simulated kernels of all families of blinddps_sci.simulate.psf"
    return f"images of {data.name if data else 'a pack'} and {recipe.examples} simulated scenes"
