"""The shipped priors by name, and any other by path."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

from blinddps_sci.errors import PriorError
from blinddps_sci.priors import store
from blinddps_sci.priors.pilot import Pilot
from blinddps_sci.priors.store import PriorCard, load_denoiser, read_card
from blinddps_sci.priors.wrap import Denoiser

__all__ = ["SHIPPED", "find", "load_pilot", "load_prior", "shipped"]

SHIPPED: dict[str, str] = {
    "image": "image-small",
    "kernel": "kernel-small",
    "tilt": "tilt-small",
    "pilot": "pilot-small",
}
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
        ``image``, ``kernel``, ``tilt`` or ``pilot``.

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
    return _load(path, label, role, _written(path))


def load_pilot(name: str) -> tuple[Pilot, PriorCard]:
    """Return the pilot that ``name`` means, ``shipped`` or a path, and its card; as `load_prior`."""
    path, _ = find(name, "pilot")
    return _load_pilot(path, _written(path))


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


@lru_cache(maxsize=8)
def _load(path: Path, label: str | None, role: str, written: int) -> tuple[Denoiser, PriorCard]:
    _check_role(path, role)
    denoiser, card = load_denoiser(path)
    return (denoiser.labelled(label) if label else denoiser), card


@lru_cache(maxsize=2)
def _load_pilot(path: Path, written: int) -> tuple[Pilot, PriorCard]:
    _check_role(path, "pilot")
    return store.load_pilot(path)


def _check_role(path: Path, role: str) -> None:
    found = read_card(path).role
    if found != role:
        raise PriorError(f"{path} is a prior of the {found}; a prior of the {role} is needed")
