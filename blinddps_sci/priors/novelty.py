"""Whether data look like the images that a denoiser was trained on: by how well it denoises them.

A denoiser is good at what it has seen. Its error is measured on the data themselves, without their
truth, and compared with its error on images held out from its training; the table for that is in the
card of its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["LEVELS", "UNTOLD", "NoveltyTable", "Usual", "denoising_errors", "novelty_score"]

LEVELS = (0.25, 0.5, 1.0)
"""Standard deviations of the noise on the network's domain, the data's own included."""

UNTOLD = ""
"""Label of a network that has none."""

_TOO_NOISY = 0.8
"""Largest share of a level that the data's own noise may be."""

_LEAST = 0.05
"""A measured error may come out negative; below this share of the usual one it says no more."""


@dataclass(frozen=True)
class Usual:
    """A denoiser's error on held-out images under one label.

    Parameters
    ----------
    error : sequence of float, (L,)
        Median over the images of the mean squared error at each of `LEVELS`, on the network's domain.
    limit : float
        Score above which data are called unlike them; 98 % of them stay below it.
    false_alarms : float
        Share of one half of the images above the limit that the other half would set.
    images : int
        How many.
    """

    error: tuple[float, ...]
    limit: float
    false_alarms: float
    images: int


@dataclass(frozen=True)
class NoveltyTable:
    """What is usual under each label.

    Parameters
    ----------
    labels : mapping of str to Usual
        By the label's name, `UNTOLD` for a network without labels.
    """

    labels: Mapping[str, Usual]

    def under(self, label: str) -> Usual | None:
        """Return what is usual under a label; None if that was not measured."""
        return self.labels.get(label)


@torch.no_grad()
def denoising_errors(
    denoise: Callable[[Tensor, Tensor], Tensor], images: Tensor, noise: Tensor, seed: int = 0
) -> np.ndarray:
    """Measure a denoiser's mean squared error on noisy images without knowing their truth.

    Parameters
    ----------
    denoise : callable
        From (B, 1, H, W) and noise levels (B,) to estimates.
    images : Tensor, (B, 1, H, W)
        On the network's domain.
    noise : Tensor, (B, 1, H, W)
        Standard deviation of their own white noise, on the domain; infinite where a pixel must not count.
    seed : int
        Of the noise that is added.

    Returns
    -------
    ndarray of float64, (L,)
        At each of `LEVELS`, over all images; its expectation is the error about the scene without noise. NaN
        at a level that is not well above the noise of half of the pixels.

    Notes
    -----
    With ``y = x + e``, e of deviation d, and standard normal n, ``y + a n`` has the noise ``s^2 = d^2 + a^2``
    and that of ``y - (d^2 / a) n`` is uncorrelated with it. So the squared distance of the estimate from the
    latter exceeds its error by ``d^2 + d^4 / a^2``, whatever the scene is.

    References
    ----------
    T. Pang et al., "Recorrupted-to-recorrupted: unsupervised deep learning for image denoising", CVPR 2021.
    """
    drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)).to(images)
    found = []
    for level in LEVELS:
        counted = noise < _TOO_NOISY * level
        if counted.double().mean() < 0.5:
            found.append(np.nan)
            continue
        own = torch.where(counted, noise, 0.0) ** 2
        added = (level**2 - own).sqrt()
        estimate = denoise(images + added * drawn, torch.full((len(images),), level, device=images.device))
        apart = (estimate - images + own / added * drawn) ** 2 - own - (own / added) ** 2
        found.append(float(apart[counted].double().mean()))
    return np.array(found)


def novelty_score(errors: np.ndarray, usual: tuple[float, ...]) -> float:
    """Return how many times the usual error a denoiser has, the geometric mean over the levels.

    Parameters
    ----------
    errors : ndarray, (L,)
        From `denoising_errors`.
    usual : sequence of float, (L,)
        Positive.

    Returns
    -------
    float
        Positive; NaN if no level was measured.
    """
    ratios = np.maximum(errors / np.asarray(usual), _LEAST)
    known = np.log(ratios[~np.isnan(ratios)])
    return float(np.exp(known.mean())) if known.size else float("nan")
