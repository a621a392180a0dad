"""Weights on disk: safetensors with everything needed to use and to trust them.

The metadata holds the architecture, how the network was trained, on what and under which
licence, and a digest of the tensors; nothing in a file is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from blinddps_sci.errors import OutputError, PriorError
from blinddps_sci.priors.card import Parameterisation, PriorCard, with_notes
from blinddps_sci.priors.error import ErrorTable
from blinddps_sci.priors.novelty import LEVELS, NoveltyTable, Usual
from blinddps_sci.priors.pilot import Pilot, PilotConfig
from blinddps_sci.priors.unet import UNet, UNetConfig
from blinddps_sci.priors.wrap import Denoiser, EDMDenoiser, VPDenoiser

__all__ = ["PriorCard", "load_denoiser", "load_pilot", "read_card", "save_denoiser", "save_pilot"]

Network = TypeVar("Network", bound=nn.Module)

_FORMAT = "blinddps-prior-1"
_DTYPES = (torch.float16, torch.float32)


def _digest_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def save_denoiser(
    path: Path, denoiser: Denoiser, card: PriorCard, dtype: torch.dtype = torch.float16
) -> PriorCard:
    """Write a denoiser's network and its card to ``path``, atomically; return the card with its digest.

    Raises
    ------
    OutputError
        If the folder does not exist.
    """
    return _save(path, denoiser.net, card, dtype)


def save_pilot(path: Path, pilot: Pilot, card: PriorCard) -> PriorCard:
    """Write a pilot as `save_denoiser` writes a denoiser."""
    return _save(path, pilot, card, torch.float16)


def _save(path: Path, network: nn.Module, card: PriorCard, dtype: torch.dtype) -> PriorCard:
    if not path.parent.is_dir():
        raise OutputError(f"folder {path.parent} does not exist; create it or choose another output")
    tensors = {
        name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in network.state_dict().items()
    }
    card = PriorCard(**{**asdict(card), "sha256": _digest(tensors)})
    partial = path.with_name(f".{path.name}.partial")
    text = json.dumps(asdict(card))
    metadata = {"format": _FORMAT, "card": text, "card_sha256": _digest_of_text(text)}
    save_file(tensors, partial, metadata=metadata)
    partial.chmod(0o644)  # safetensors makes it readable by its owner only
    os.replace(partial, path)
    return card


def read_card(path: Path) -> PriorCard:
    """Return the card of a weights file, with the notes beside it, without loading the weights.

    Raises
    ------
    PriorError
        If the file is missing, damaged or not one of ours, or the notes are damaged.
    """
    if not path.is_file():
        raise PriorError(f"no weights at {path}; `blinddps priors` lists the shipped ones")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise PriorError(f"{path} is damaged or not a safetensors file ({error})") from None
    if metadata.get("format") != _FORMAT:
        raise PriorError(f"{path} has no description of its network; `blinddps convert` makes a usable file")
    text = metadata.get("card", "")
    expected = _digest_of_text(text)
    # Files written before descriptions had a checksum carry none.
    if metadata.get("card_sha256", expected) != expected:
        raise PriorError(f"the description in {path} does not match its checksum; fetch the file again")
    try:
        card = PriorCard(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise PriorError(f"the description in {path} is damaged ({error})") from None
    return with_notes(card, path)


def load_denoiser(path: Path) -> tuple[Denoiser, PriorCard]:
    """Return the denoiser at ``path``, ready to use, in float32, with its card.

    Raises
    ------
    PriorError
        If the file is missing or damaged, or the tensors do not fit the architecture or digest.
    """
    net, card = _load(path, lambda card: UNet(UNetConfig(**card.net)))
    denoiser = (
        EDMDenoiser(net, card.labels, sigma_data=card.sigma_data)
        if card.parameterisation == "edm"
        else VPDenoiser(net, card.labels, steps=card.vp_steps)
    )
    denoiser.error = None if card.error is None else _error_table(path, card.error)
    denoiser.novelty = None if card.novelty is None else _novelty_table(path, card.novelty)
    return denoiser, card


def load_pilot(path: Path) -> tuple[Pilot, PriorCard]:
    """Return the pilot at ``path``, ready to use, in float32, with its card; errors as of `load_denoiser`."""
    return _load(path, lambda card: Pilot(PilotConfig(**card.net)))


def _load(path: Path, build: Callable[[PriorCard], Network]) -> tuple[Network, PriorCard]:
    """Return a network with the weights at ``path``, and their card."""
    card = read_card(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise PriorError(f"{path} is damaged or not a safetensors file ({error})") from None
    if any(tensor.dtype not in _DTYPES for tensor in tensors.values()) or _digest(tensors) != card.sha256:
        raise PriorError(f"the weights in {path} do not match their checksum; fetch the file again")
    try:
        net = build(card)
        net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        raise PriorError(f"the weights in {path} do not fit its architecture: {error}") from None
    if card.parameterisation not in get_args(Parameterisation):
        raise PriorError(
            f"{path} is of the parameterisation {card.parameterisation!r}; known are "
            f"{', '.join(get_args(Parameterisation))}: update the package or fetch the file again"
        )
    # Convolutions are faster with the channels last, and as exact.
    net.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net, card


def _error_table(path: Path, fields: Mapping[str, Any]) -> ErrorTable:
    try:
        table = ErrorTable(
            fields["kind"],
            tuple(fields["sigmas"]),
            tuple(fields["bins"]),
            tuple(tuple(row) for row in fields["variance"]),
            tuple(fields.get("activities", ())),
            tuple(tuple(row) for row in fields.get("factors", ())),
        )
        if table.kind not in ("frequency", "value"):
            raise ValueError(f"its kind is {table.kind!r}")
        if np.shape(table.variance) != (len(table.sigmas), len(table.bins)) or not _positive(table.variance):
            raise ValueError("a positive variance is needed for every level and bin")
        shape = (len(table.sigmas), len(table.activities)) if table.activities else (0,)
        if np.shape(table.factors) != shape or not _positive(table.factors) or not _rising(table.activities):
            raise ValueError(
                "a positive factor is needed for every level and activity, and these have to rise"
            )
        if not _positive(table.sigmas) or not all(map(_rising, (table.sigmas, table.bins))):
            raise ValueError("levels, which are positive, and bins have to rise")
    except (KeyError, TypeError, ValueError) as error:
        raise PriorError(f"the table of errors in {path} is damaged ({error})") from None
    return table


def _positive(values: Sequence[Any]) -> bool:
    """Return whether all of them are positive and finite; NaN is neither."""
    array = np.asarray(values)
    return bool(np.all((array > 0) & (array < np.inf)))


def _rising(values: Sequence[float]) -> bool:
    return bool(np.isfinite(values).all() and (np.diff(values) > 0).all())


def _novelty_table(path: Path, fields: Mapping[str, Any]) -> NoveltyTable:
    try:
        labels = {
            label: Usual(
                tuple(map(float, usual["error"])),
                float(usual["limit"]),
                float(usual["false_alarms"]),
                int(usual["images"]),
            )
            for label, usual in fields["labels"].items()
        }
        if not all(len(u.error) == len(LEVELS) and _positive((*u.error, u.limit)) for u in labels.values()):
            raise ValueError("a positive error is needed at every level, and a positive limit")
        if not all(0 <= usual.false_alarms <= 1 for usual in labels.values()):
            raise ValueError("false alarms are a share")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PriorError(f"the table of what is usual in {path} is damaged ({error})") from None
    return NoveltyTable(labels)
