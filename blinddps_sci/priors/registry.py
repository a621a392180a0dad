"""The shipped priors by name, and any other by path."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

from blinddps_sci.errors import PriorError
from blinddps_sci.priors.store import PriorCard, load_denoiser, read_card
from blinddps_sci.priors.wrap import Denoiser

__all__ = ["SHIPPED", "find", "load_prior", "shipped"]

SHIPPED: dict[str, str] = {"image": "image-small", "kernel": "kernel-small", "tilt": "tilt-small"}
"""The shipped network of each role."""


def _folder() -> Path:
    return Path(str(resources.files("blinddps_sci.priors") / "weights"))


def shipped() -> dict[str, PriorCard]:
    """Return the cards of the shipped networks by name."""
    return {path.stem: read_card(path) for path in sorted(_folder().glob("*.safetensors"))}


def find(name: str, role: str) -> tuple[Path, str | None]:
    """Return the weights file that ``name`` means for a role, and the label it asks for.

    Parameters
    ----------
    name : str
        ``shipped``, the name of a shipped network, a domain label of the shipped image network,
        or the path of a safetensors file.
    role : str
        ``image``, ``kernel`` or ``tilt``.

    Raises
    ------
    PriorError
        If it is none of these.
    """
    cards = shipped()
    default = SHIPPED.get(role)
    if name == "shipped" and default in cards:
        return _folder() / f"{default}.safetensors", None
    if name in cards:
        return _folder() / f"{name}.safetensors", None
    if default in cards and name in cards[default].labels:
        return _folder() / f"{default}.safetensors", name
    if Path(name).suffix == ".safetensors" or Path(name).is_file():
        return Path(name), None
    labels = cards[default].labels if default in cards else []
    allowed = [*labels, *(key for key, card in cards.items() if card.role == role)]
    raise PriorError(
        f"unknown {role} prior {name!r}; give one of {', '.join(allowed) or 'none shipped'} "
        "or the path of a .safetensors file"
    )


def load_prior(name: str, role: str) -> tuple[Denoiser, PriorCard]:
    """Return the network that ``name`` means for a role, with its label chosen, and its card.

    Loaded once per process, and again if its file has been written anew.

    Raises
    ------
    PriorError
        If there is no such network, it is damaged, or it denoises another unknown.
    """
    path, label = find(name, role)
    return _load(path, label, role, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=8)
def _load(path: Path, label: str | None, role: str, written: int) -> tuple[Denoiser, PriorCard]:
    denoiser, card = load_denoiser(path)
    if card.role != role:
        raise PriorError(f"{path} is a prior of the {card.role}; a prior of the {role} is needed")
    return (denoiser.labelled(label) if label else denoiser), card
