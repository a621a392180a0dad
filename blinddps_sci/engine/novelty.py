"""Whether the data look like what the image prior was trained on, told before a run begins.

A prior that has not seen the like makes up what it has seen. Chi-squared does not tell: what is made up
agrees with the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from torch import Tensor

from blinddps_sci.engine.channels import Channel
from blinddps_sci.engine.job import Job
from blinddps_sci.io import Window, read_window
from blinddps_sci.priors.novelty import denoising_errors, novelty_score
from blinddps_sci.priors.wrap import Denoiser

__all__ = ["Novelty", "novelty_of"]

_SIDE = 96
"""Side of the windows that are looked at, those in which the usual error was measured."""

_BOX, _SEEN = 5, 6.0
"""Something is seen where the mean of a box of so many pixels is so many deviations from the median."""


@dataclass(frozen=True)
class Novelty:
    """How unlike the prior's training images the data are.

    Parameters
    ----------
    score : float
        The prior's error on the data over its usual one; NaN where the noise is too high to tell.
    limit : float
        The score that 98 % of held-out images stay below.
    seen : bool
        Whether the data show anything but noise.
    """

    score: float
    limit: float
    seen: bool

    @property
    def unlike(self) -> bool:
        """Whether the user should be told."""
        return not self.seen or self.score > self.limit

    @property
    def sentence(self) -> str:
        """What the user is told, one line."""
        if not self.seen:
            return (
                "the data show nothing above their noise; what the result shows comes from the prior alone "
                "(if something is to be seen in them, give --noise)"
            )
        if np.isnan(self.score):
            return "the noise is too high to tell whether the data look like images that the prior knows"
        if not self.unlike:
            return "the data look like images that the prior knows"
        return (
            f"the data look unlike the images that the prior was trained on: its error on them is "
            f"{self.score:.1f} times the usual (2 in 100 of such images have more than {self.limit:.1f} "
            "times); do not trust fine detail, and compare with another --prior"
        )

    @property
    def as_dict(self) -> dict[str, Any]:
        """What a result store keeps of it."""
        score = None if np.isnan(self.score) else round(self.score, 3)
        return {
            "score": score,
            "limit": round(self.limit, 3),
            "unlike": self.unlike,
            "sentence": self.sentence,
        }


def novelty_of(job: Job) -> Novelty | None:
    """Compare a job's data with what its image prior knows.

    Up to four windows of the middle plane are denoised, as they are, at three levels of noise.

    Returns
    -------
    Novelty or None
        None if the prior is no network, its card does not say what is usual, or no pixel of the windows
        was measured.
    """
    prior = job.image_prior
    usual = prior.usual if isinstance(prior, Denoiser) else None
    if usual is None or not isinstance(prior, Denoiser):
        return None
    middle = _middle(job)
    channel = job.channels[middle.get("c", 0)]
    windows = [window for window in _windows(job, middle) if not window.mask.all()]
    if not windows:
        return None
    shown = [_on_domain(channel, window, job.device) for window in windows]
    images, noise = (torch.cat(part) for part in zip(*shown, strict=True))
    seen = any(
        _seen(image[0].cpu().numpy(), own[0].cpu().numpy()) for image, own in zip(images, noise, strict=True)
    )
    score = novelty_score(denoising_errors(prior, images, noise), usual.error)
    return Novelty(score, usual.limit, seen)


def _middle(job: Job) -> dict[str, int]:
    """Return the position of the middle plane, a burst's frames being planes, too."""
    sizes = job.dataset["data"].sizes
    return {str(dim): size // 2 for dim, size in sizes.items() if dim not in ("y", "x")}


def _windows(job: Job, index: Mapping[str, int]) -> Iterator[Window]:
    """Yield windows of one size from a plane: one, or two along an axis that has room for two."""
    sizes = job.dataset["data"].sizes
    for y in _spans(sizes["y"]):
        for x in _spans(sizes["x"]):
            yield read_window(job.dataset, index, y, x)


def _spans(length: int) -> list[slice]:
    side = min(_SIDE, length)
    middles = [length // 2] if length < 2 * side else [length // 4, length - length // 4]
    starts = [min(max(middle - side // 2, 0), length - side) for middle in middles]
    return [slice(start, start + side) for start in starts]


def _on_domain(channel: Channel, window: Window, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return a window and its noise, both (1, 1, h, w), on the network's domain."""
    level = float(np.median(window.data[~window.mask]))
    data = torch.from_numpy(np.where(window.mask, np.float32(level), window.data))[None, None].to(device)
    likelihood = channel.noise.likelihood(window, device)
    image = channel.stretch.forward(data)
    # Zero where nothing was measured, whose noise is without limit.
    whitening = likelihood.whitening(data, data)
    return image, 1 / (whitening * channel.stretch.slope(image))


def _seen(image: np.ndarray, noise: np.ndarray) -> bool:
    """Return whether an image (h, w) shows anything but its noise, infinite where nothing was measured."""
    known = np.isfinite(noise)
    above = np.where(known, image - np.median(image[known]), 0.0)
    deviation = np.sqrt(np.mean(noise[known] ** 2)) / _BOX
    return bool(np.abs(uniform_filter(above, _BOX, mode="nearest")).max() > _SEEN * deviation)
