"""The card of a network as text for a person."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from blinddps_sci.priors.card import PriorCard

__all__ = ["describe_card"]

_WIDTH, _INDENT = 100, 4

_DOMAINS = {
    "linear": "the unknown itself",
    "amplitude": "the square root of a kernel",
    "relative": "tilts in units of twice their standard deviation",
}


def describe_card(name: str, card: PriorCard) -> str:
    """Return what is known of a network, a few paragraphs of lines of 100 characters."""
    return "\n".join(_lines(name, card))


def _lines(name: str, card: PriorCard) -> Iterator[str]:
    yield from (f"name: {name}", f"role: {card.role}", f"licence: {card.licence}")
    yield from _paragraph("what it is", card.description)
    yield from _paragraph("intended for", card.intended)
    yield from _paragraph("training data", card.training_data)
    yield from _paragraph("training", _training(card.training))
    yield from _paragraph("network", _network(card))
    yield from _list("limits", card.limits)
    yield from _list("known failures", card.failures)
    if card.role != "pilot":
        yield from _paragraph("error on held-out examples", _error(card.error))
    yield from _list("data unlike its training", _novelty(card.novelty))
    yield from _list("standard deviations", _uncertainty(card.uncertainty))
    yield f"sha256: {card.sha256}"


def _paragraph(title: str, text: str) -> Iterator[str]:
    if text:
        yield f"{title}:"
        margin = " " * _INDENT
        yield from textwrap.wrap(text, _WIDTH, initial_indent=margin, subsequent_indent=margin)


def _list(title: str, texts: Sequence[str]) -> Iterator[str]:
    if texts:
        yield f"{title}:"
    for text in texts:
        first, more = " " * (_INDENT - 2) + "- ", " " * _INDENT
        yield from textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=more)


def _network(card: PriorCard) -> str:
    if card.role == "pilot":
        return (
            f"pilot of {card.net.get('stages')} stages and {card.net.get('features')} features, "
            f"from images to kernels of {card.size} pixels"
        )
    return (
        f"UNet of {card.net.get('model_channels')} channels times {card.net.get('channel_mult')}, "
        f"{card.parameterisation}, for examples of {card.size} pixels; [-1, 1] stands for "
        f"{_DOMAINS[card.domain]}; labels: {', '.join(card.labels) or 'none'}"
    )


def _training(training: Mapping[str, Any]) -> str:
    return "; ".join(f"{key}: {value}" for key, value in training.items())


def _error(error: Mapping[str, Any] | None) -> str:
    if error is None:
        return "not measured"
    means = (sum(row) / len(row) for row in error["variance"])
    shown = ", ".join(
        f"{mean**0.5:.3f} at {sigma:.2g}" for sigma, mean in zip(error["sigmas"], means, strict=True)
    )
    return f"measured by {error['kind']}; rms on [-1, 1], all bins alike, by the level of noise: {shown}"


def _novelty(table: Mapping[str, Any] | None) -> list[str]:
    if table is None:
        return []
    return [
        f"{f'label {label}' if label else 'all images'}: told above {usual['limit']:.2f} times the usual "
        f"error, which 2 % of {usual['images']} held-out examples have; by the limit of one half of them, "
        f"{usual['false_alarms']:.1%} of the other half would be told of"
        for label, usual in table["labels"].items()
    ]


def _uncertainty(fields: Mapping[str, Any] | None) -> list[str]:
    if fields is None:
        return []
    lines = [
        f"PSF {psf}: {fields[psf]['scale']} times the draws', and the geometric mean of theirs and of the "
        f"image's gradient times {fields[psf]['edge']} pixels" + _tail(fields[psf].get("tail"))
        for psf in ("blind", "known")
        if psf in fields
    ]
    return [*lines, *([f"measured by `{fields['command']}`"] if "command" in fields else [])]


def _tail(degrees: float | None) -> str:
    return "" if degrees is None else f"; errors have Student's distribution, {degrees} degrees of freedom"
