"""What the image prior is compared with as a denoiser: three methods of scikit-image, with their parameters.

They are given what the prior is given: the noise's standard deviation and the domain of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from skimage.restoration import cycle_spin, denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

__all__ = [
    "CANDIDATES",
    "METHODS",
    "SIGMAS",
    "TUNED",
    "Classical",
    "NonLocalMeans",
    "TotalVariation",
    "Wavelets",
]

SIGMAS = (0.1, 0.25, 0.5)
"""Standard deviations of the noise on the scale of [0, 1]."""

METHODS = ("non-local means", "total variation", "wavelets")

_SHIFTS = 3
"""Wavelets are averaged over shifts by 0 to 3 pixels along each axis, so that their grid does not show."""

_MARGIN = 16
"""Pixels by which wavelets continue an image, which they take for periodic, by reflection."""


class Classical(Protocol):
    """A denoiser with its parameters."""

    def __call__(self, noisy: np.ndarray, sigma: float) -> np.ndarray:
        """Return the denoised image (N, N) of a noisy one (N, N), whose noise has the deviation ``sigma``."""
        ...


@dataclass(frozen=True)
class NonLocalMeans:
    """Means over patches that look alike.

    Parameters
    ----------
    patch, distance : int
        Side of the patches, and how far they are looked for, pixels.
    strength : float
        Cut-off of their distance in units of the noise.
    """

    patch: int
    distance: int
    strength: float

    def __call__(self, noisy: np.ndarray, sigma: float) -> np.ndarray:
        """See `Classical`."""
        found = denoise_nl_means(
            noisy, self.patch, self.distance, h=self.strength * sigma, fast_mode=False, sigma=sigma
        )
        return np.asarray(found)


@dataclass(frozen=True)
class TotalVariation:
    """Chambolle's minimum of total variation and distance from the data.

    Parameters
    ----------
    strength : float
        Of total variation, in units of the noise.
    """

    strength: float

    def __call__(self, noisy: np.ndarray, sigma: float) -> np.ndarray:
        """See `Classical`."""
        return np.asarray(
            denoise_tv_chambolle(noisy, weight=self.strength * sigma, eps=1e-5, max_num_iter=300)
        )


@dataclass(frozen=True)
class Wavelets:
    """Soft thresholds on wavelet coefficients by BayesShrink, averaged over shifts (cycle spinning).

    Parameters
    ----------
    wavelet : str
        As PyWavelets names it.
    levels : int
        Of the decomposition.
    strength : float
        Factor on the noise from which they are chosen.
    """

    wavelet: str
    levels: int
    strength: float

    def __call__(self, noisy: np.ndarray, sigma: float) -> np.ndarray:
        """See `Classical`."""
        options = {
            "sigma": self.strength * sigma,
            "wavelet": self.wavelet,
            "wavelet_levels": self.levels,
            "method": "BayesShrink",
        }
        wide = np.pad(noisy, _MARGIN, mode="reflect")
        found = cycle_spin(wide, denoise_wavelet, max_shifts=_SHIFTS, func_kw=options)
        return np.asarray(found[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN])


_PATCHES = ((7, 6), (7, 11), (9, 6))

CANDIDATES: Mapping[str, Sequence[Classical]] = {
    "non-local means": [
        NonLocalMeans(*patch, strength) for patch, strength in product(_PATCHES, (0.6, 0.75, 0.9, 1.1, 1.35))
    ],
    "total variation": [TotalVariation(round(0.5 * 1.15**i, 2)) for i in range(14)],
    "wavelets": [Wavelets(*each) for each in product(("db2", "sym4"), (3, 4), (0.7, 0.85, 1.0, 1.2, 1.5))],
}
"""What `tune_classical` chooses from."""


def _tuned(*methods: Classical) -> dict[str, Classical]:
    return dict(zip(METHODS, methods, strict=True))


TUNED: Mapping[tuple[str, float], Mapping[str, Classical]] = {
    ("astro", 0.1): _tuned(
        NonLocalMeans(patch=9, distance=6, strength=0.9),
        TotalVariation(strength=0.87),
        Wavelets(wavelet="db2", levels=4, strength=1.0),
    ),
    ("astro", 0.25): _tuned(
        NonLocalMeans(patch=9, distance=6, strength=0.75),
        TotalVariation(strength=1.33),
        Wavelets(wavelet="db2", levels=4, strength=1.0),
    ),
    ("astro", 0.5): _tuned(
        NonLocalMeans(patch=9, distance=6, strength=1.1),
        TotalVariation(strength=1.33),
        Wavelets(wavelet="db2", levels=4, strength=1.0),
    ),
    ("generic", 0.1): _tuned(
        NonLocalMeans(patch=7, distance=6, strength=0.9),
        TotalVariation(strength=0.76),
        Wavelets(wavelet="db2", levels=4, strength=1.0),
    ),
    ("generic", 0.25): _tuned(
        NonLocalMeans(patch=9, distance=6, strength=0.75),
        TotalVariation(strength=0.87),
        Wavelets(wavelet="db2", levels=4, strength=1.0),
    ),
    ("generic", 0.5): _tuned(
        NonLocalMeans(patch=9, distance=6, strength=0.9),
        TotalVariation(strength=1.01),
        Wavelets(wavelet="sym4", levels=4, strength=1.0),
    ),
    ("micro", 0.1): _tuned(
        NonLocalMeans(patch=9, distance=6, strength=0.9),
        TotalVariation(strength=0.76),
        Wavelets(wavelet="sym4", levels=4, strength=1.0),
    ),
    ("micro", 0.25): _tuned(
        NonLocalMeans(patch=9, distance=6, strength=0.75),
        TotalVariation(strength=0.87),
        Wavelets(wavelet="sym4", levels=4, strength=1.0),
    ),
    ("micro", 0.5): _tuned(
        NonLocalMeans(patch=9, distance=6, strength=0.9),
        TotalVariation(strength=1.01),
        Wavelets(wavelet="db2", levels=4, strength=1.0),
    ),
}
"""By domain and noise level, those with the highest mean PSNR on images that training leaves out; printed by

``blinddps bench denoising --held-out --data FOLDER --tune --images 12 --size 96``
"""
