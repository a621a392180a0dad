"""The card of a network: what it is, how it was made, and what may be expected of it.

Most of it is written when the network is trained and lies in the file of its weights. What is learned
later, by measurement or by use, lies beside them as JSON: it can be read and changed without them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from blinddps_sci.errors import OutputError, PriorError

__all__ = ["NOTES", "Parameterisation", "PriorCard", "notes_beside", "with_notes", "write_notes"]

Parameterisation = Literal["edm", "vp", "direct"]

NOTES = ("intended", "limits", "failures", "training", "error", "novelty", "uncertainty")
"""Fields of a card that notes may give; those of `training` are added to what is there."""


@dataclass(frozen=True)
class PriorCard:
    """What is known of a network.

    Parameters
    ----------
    role : 'image', 'kernel', 'tilt' or 'pilot'
        The unknown it denoises; a pilot estimates kernels.
    net : dict
        Fields of its `UNetConfig` or `PilotConfig`.
    parameterisation : 'edm', 'vp' or 'direct'
        How it was trained, which decides the wrapper; a pilot is used directly.
    size : int
        Side of the training examples, of a pilot those of the kernels, pixels.
    labels : list of str
        Domain labels.
    sigma_data : float
        Of the EDM preconditioning.
    vp_steps : int
        Length of a VP network's schedule.
    domain : 'linear', 'amplitude' or 'relative'
        What [-1, 1] stands for: the unknown itself, the square root of a kernel, or tilts in units of twice
        their standard deviation.
    error : dict, optional
        Fields of the `ErrorTable` measured on held-out examples.
    description, training_data, licence : str
        For the reader.
    training : dict
        Steps, seconds, hardware, last loss.
    sha256 : str
        Digest of the tensors.
    intended : str
        What it is for.
    limits, failures : list of str
        Where it ends, and where it is known to fail.
    novelty : dict, optional
        Fields of the `NoveltyTable` measured on held-out images.
    uncertainty : dict, optional
        How the draws' spread is calibrated, of image networks: see `blinddps_sci.engine.uncertainty`.
    """

    role: str
    net: dict[str, Any]
    parameterisation: Parameterisation
    size: int
    labels: list[str] = field(default_factory=list)
    sigma_data: float = 0.5
    vp_steps: int = 1000
    domain: Literal["linear", "amplitude", "relative"] = "linear"
    error: dict[str, Any] | None = None
    description: str = ""
    training_data: str = "not stated"
    licence: str = "not stated"
    training: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    intended: str = ""
    limits: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    novelty: dict[str, Any] | None = None
    uncertainty: dict[str, Any] | None = None


def notes_beside(path: Path) -> Path:
    """Return where the notes on weights lie."""
    return path.with_suffix(".json")


def with_notes(card: PriorCard, path: Path) -> PriorCard:
    """Return the card of the weights at ``path`` with the notes beside them.

    Notes name the digest of the weights that they are about. Those about other weights, left behind when
    a network was trained anew, are passed over.

    Raises
    ------
    PriorError
        If the notes are damaged.
    """
    file = notes_beside(path)
    if not file.is_file():
        return card
    try:
        notes = dict(json.loads(file.read_text()))
        if notes.pop("sha256") != card.sha256:
            return card
        unknown = notes.keys() - set(NOTES)
        if unknown:
            raise ValueError(f"it has {', '.join(sorted(unknown))}; allowed are {', '.join(NOTES)}")
        notes["training"] = {**card.training, **notes.get("training", {})}
        return replace(card, **notes)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise PriorError(f"the notes {file} are damaged ({error}); mend or remove them") from None


def write_notes(card: PriorCard, path: Path, **fields: Any) -> Path:
    """Write fields into the notes beside the weights at ``path``; return the notes' path.

    Other fields stay, if the notes are about these weights.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    file = notes_beside(path)
    known: dict[str, Any] = {}
    if file.is_file():
        found = json.loads(file.read_text())
        known = found if found.get("sha256") == card.sha256 else {}
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_text(json.dumps({"sha256": card.sha256, **known, **fields}, indent=1) + "\n")
        os.replace(partial, file)
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror}") from None
    return file
