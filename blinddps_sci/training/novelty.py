"""What is usual for a denoiser of images: its error on pictures that it was not trained on.

The table goes into the card of the weights; a restoration compares its data with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from blinddps_sci.errors import InputError
from blinddps_sci.priors.novelty import UNTOLD, NoveltyTable, Usual, denoising_errors, novelty_score
from blinddps_sci.priors.wrap import Denoiser
from blinddps_sci.simulate import random_kernel
from blinddps_sci.simulate.blur import blur, valid_origin
from blinddps_sci.training.images import LABELS, held_out_planes, independent

__all__ = ["image_novelty"]

_SIDE = 96
_KERNEL = 32
_NOISES = (0.005, 0.02)
"""Least and largest noise of the examples, as a share of their range."""

_WINDOWS = 48
"""Examples of each domain."""

_FLAT = 0.05
"""Least range of a window, of that of its picture: in one with less there is nothing to be seen."""

_FEWEST = 10
"""Examples that each half must have."""

_BELOW = 0.98
"""Share of the examples whose score stays below the limit."""


def image_novelty(denoiser: Denoiser, data: Path) -> NoveltyTable:
    """Measure the error of a denoiser on the images below ``data`` that training passes over.

    Examples are as data are: half of them blurred by a random kernel, all of them noisy, and stretched to
    the domain by their own percentiles. The labels of a domain are measured on its images, the others on
    those of all domains.

    Raises
    ------
    InputError
        If none of the images is large enough.
    """
    pictures = independent(held_out_planes(data), _SIDE + _KERNEL - 1)
    if not pictures:
        raise InputError(
            f"{data} has no image of {_SIDE + _KERNEL - 1} pixels that is held out from training"
        )
    found = {}
    for label in denoiser.labels or (UNTOLD,):
        own = [label] if label in LABELS[:2] else list(pictures)
        usual = _usual(denoiser, label, [pictures[domain] for domain in own if domain in pictures])
        if usual is not None:
            found[label] = usual
    return NoveltyTable(found)


def _usual(denoiser: Denoiser, label: str, domains: list[list[np.ndarray]]) -> Usual | None:
    """Return what is usual under a label on pictures of some domains, all domains counting alike."""
    device = next(denoiser.parameters()).device
    index = torch.tensor([denoiser.labels.index(label)], device=device) if label else None
    halves: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for number, pictures in enumerate(domains):
        for half, image, noise in _examples(pictures, np.random.default_rng(number)):
            errors = denoising_errors(
                lambda x, sigma: denoiser(x, sigma, index),
                torch.from_numpy(image)[None, None].to(device),
                torch.full((1, 1, *image.shape), noise, device=device),
            )
            halves[half].append(errors)
    if min(map(len, halves)) < _FEWEST:
        return None
    measured = np.array([*halves[0], *halves[1]])
    error = tuple(np.median(measured, axis=0).clip(min=1e-6).tolist())
    scores = np.array([novelty_score(errors, error) for errors in measured])
    first, second = scores[: len(halves[0])], scores[len(halves[0]) :]
    return Usual(
        error,
        float(np.quantile(scores, _BELOW)),
        # Of the images of each half, above the limit that the other half alone would set.
        float(np.mean([*(first > np.quantile(second, _BELOW)), *(second > np.quantile(first, _BELOW))])),
        len(scores),
    )


def _examples(
    pictures: list[np.ndarray], rng: np.random.Generator
) -> Iterator[tuple[int, np.ndarray, float]]:
    """Yield a half, 0 or 1, to which a picture belongs, a window of it on the domain, and its noise there."""
    side, first = _SIDE + _KERNEL - 1, valid_origin(_KERNEL)
    for number in range(_WINDOWS):
        place = number % len(pictures)
        picture = pictures[place]
        y, x = (int(rng.integers(length - side + 1)) for length in picture.shape)
        scene = picture[y : y + side, x : x + side]
        kernel = random_kernel(_KERNEL, rng)
        sharp = scene[first : first + _SIDE, first : first + _SIDE]
        exact = blur(scene, kernel) if rng.random() < 0.5 else sharp
        low, high = np.percentile(exact, [0.1, 99.9])
        if high - low < _FLAT:
            continue
        noise = 2 * float(np.exp(rng.uniform(*np.log(_NOISES))))
        shown = 2 * (exact - low) / (high - low) - 1 + noise * rng.standard_normal(exact.shape)
        yield (place if len(pictures) > 1 else number) % 2, shown.astype(np.float32), noise
