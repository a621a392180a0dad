"""Commands for the networks: training, conversion, and what is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blinddps_sci.cli.base import Add
from blinddps_sci.errors import ConfigError

__all__ = ["add_networks"]


def add_networks(add: Add) -> None:
    """Add `train`, `convert` and `priors`."""
    train = add("train", _train, "Train a prior by denoising score matching, or the pilot.")
    train.add_argument("role", choices=("image", "kernel", "tilt", "pilot"))
    train.add_argument("--data", type=Path, help="folder of images, or a pack.npz of an earlier run")
    train.add_argument("--recipe", help="name or TOML file")
    train.add_argument("--minutes", type=float, required=True)
    train.add_argument("--output", type=Path, default=Path("runs"), help="folder of the run")
    train.add_argument(
        "--start-from", metavar="WEIGHTS", help="trained weights to begin with: a file, or shipped"
    )
    train.add_argument("--resume", action="store_true")
    train.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    train.add_argument("--compile", dest="compiled", action="store_true", help="compile the network")
    train.add_argument("--workers", type=int, default=0, help="processes that make the batches")
    train.add_argument("--batch", type=int, help="items per step, if not as many as the recipe says")
    train.add_argument("--licence", default="not stated", help="licence of the weights, for their card")

    convert = add("convert", _convert, "Turn a public .pt checkpoint into safetensors, safely.")
    convert.add_argument("source", type=Path)
    convert.add_argument("-o", "--output", type=Path, required=True)
    convert.add_argument("--licence", default="not stated")
    convert.add_argument("--overwrite", action="store_true")

    priors = add("priors", _priors, "List the shipped priors, show one, or measure how wrong one is.")
    priors.add_argument("action", nargs="?", choices=("list", "show", "measure"), default="list")
    priors.add_argument("name", nargs="?", help="of a shipped prior, or a file of weights")
    priors.add_argument(
        "--data", type=Path, help="measure: the folder of the training images, of which a tenth was held out"
    )


def _train(role: Any, output: Path, **options: Any) -> None:
    from blinddps_sci.training.run import train

    print(train(role, output, **options))


def _convert(source: Path, output: Path, licence: str, overwrite: bool) -> None:
    from blinddps_sci.priors.convert import convert

    card = convert(source, output, licence=licence, overwrite=overwrite)
    print(f"{output}: {card.description}, sha256 {card.sha256}")


def _priors(action: str, name: str | None, data: Path | None) -> None:
    from blinddps_sci.engine.summary import describe_priors

    if action != "list" and name is None:
        raise ConfigError(f"priors {action} needs the name of a prior; `blinddps priors` lists them")
    if (action == "measure") != (data is not None):
        raise ConfigError("priors measure, and nothing else, needs --data FOLDER, the training images")
    print(describe_priors(name) if data is None or name is None else _measured(name, data))


def _measured(name: str, data: Path) -> str:
    """Measure the error of an image network and what is usual for it, and write both beside its weights."""
    from dataclasses import asdict

    from blinddps_sci.priors.card import write_notes
    from blinddps_sci.priors.registry import find, load_prior
    from blinddps_sci.training.calibrate import image_error
    from blinddps_sci.training.novelty import image_novelty

    denoiser, card = load_prior(name, "image")
    table, error = image_novelty(denoiser, data), image_error(denoiser, data)
    lines = [
        f"{label or 'all images'}: limit {usual.limit:.2f} times the usual error, of {usual.images} images; "
        f"{usual.false_alarms:.1%} of as many others are above"
        for label, usual in table.labels.items()
    ]
    written = write_notes(card, find(name, "image")[0], novelty=asdict(table), error=asdict(error))
    return "\n".join([*lines, f"written: {written}"])
