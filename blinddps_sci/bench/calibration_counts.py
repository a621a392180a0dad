"""What one restoration says of its own errors, as counts that add up over restorations.

Groups are made by what is known without the truth: given the truth, a calibrated posterior need not cover
it (of the brightest true pixels most are brighter than was thought).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from scipy.signal.windows import hann

from blinddps_sci.engine.uncertainty import Uncertainty, pooled_variance, squared_gradient
from blinddps_sci.metrics import align, aperture_flux

__all__ = [
    "LEVELS",
    "Z_EDGES",
    "Compared",
    "compared",
    "count_fluxes",
    "count_frequencies",
    "count_pixels",
    "z_histogram",
]

Image = NDArray[np.float64]
Counts = dict[str, list[int]]

LEVELS = (0.5, 0.68, 0.95)
"""Probabilities of the central intervals."""

BRIGHTNESS = (0.2, 0.4, 0.6, 0.8)
"""Limits of the groups by brightness, on the scale of [0, 1]."""

ACTIVITY = (0.01, 0.03, 0.1)
"""Limits of the groups by the length of the image's gradient, per pixel."""

FREQUENCIES = (0.05, 0.1, 0.2, 0.3)
"""Limits of the bands, cycles per pixel."""

Z_EDGES = tuple(np.linspace(-6, 6, 25).tolist())
"""Edges of the histogram of normal scores; those beyond are counted at its ends."""

_BORDER, _MAX_SHIFT = 12, 4
_RADIUS, _PITCH = 4.0, 12
_PIXELS = 400


@dataclass(frozen=True, eq=False)
class Compared:
    """Draws and their truth on the same pixels, on the scale of [0, 1].

    Parameters
    ----------
    draws : ndarray, (S, n, n)
        Draws of the image.
    truth : ndarray, (n, n)
        Moved onto their mean: image and kernel of a blind method may have moved against each other.
    std, variance, gradient : ndarray, (n, n)
        The standard deviation that is stated, and the two parts of which `Uncertainty` makes it.
    uncertainty : Uncertainty
        What makes it, and how errors over it are distributed.
    """

    draws: Image
    truth: Image
    std: Image
    variance: Image
    gradient: Image
    uncertainty: Uncertainty

    @property
    def error(self) -> Image:
        """Truth minus the mean of the draws, (n, n)."""
        error: Image = self.truth - self.draws.mean(axis=0)
        return error

    @property
    def own(self) -> Image:
        """Deviations at which the draws, each pixel by itself, make a normal deviate of the error, (n, n).

        With S draws of a calibrated posterior ``error / s sqrt(S / (S + 1))`` follows Student's t.
        """
        count = len(self.draws)
        spread = np.maximum(self.draws.std(axis=0, ddof=1), 1e-12)
        return _normal(self.error / spread, count)

    @property
    def stated(self) -> Image:
        """Normal deviates as likely, by what is stated, as the errors, (n, n)."""
        return self.uncertainty.normal(self.error / np.maximum(self.std, 1e-12))

    def pixels(self) -> dict[str, list[float]]:
        """Return error, variance and gradient of some pixels, spread evenly, from which to fit."""
        step = max(1, round((self.truth.size / _PIXELS) ** 0.5))
        parts = {"error": self.error, "variance": self.variance, "gradient": self.gradient}
        return {
            name: [float(f"{value:.4g}") for value in part[::step, ::step].ravel()]
            for name, part in parts.items()
        }


def compared(draws: np.ndarray, truth: np.ndarray, uncertainty: Uncertainty) -> Compared:
    """Bring a truth (N, N) onto draws (S, N, N) and cut off the border."""
    whole = draws.astype(np.float64)
    mean = whole.mean(axis=0)

    def inside(values: np.ndarray) -> np.ndarray:
        return values[..., _BORDER:-_BORDER, _BORDER:-_BORDER]

    # The truth is moved and not the mean: interpolation would average the errors of neighbours.
    found = align(inside(truth), inside(mean), _MAX_SHIFT)
    margin = (len(inside(mean)) - len(found.truth)) // 2

    def core(values: np.ndarray) -> np.ndarray:
        return inside(values)[..., margin : margin + len(found.truth), margin : margin + len(found.truth)]

    return Compared(
        draws=core(whole),
        truth=found.estimate,
        std=core(uncertainty.std(whole)),
        variance=core(pooled_variance(whole)),
        gradient=core(squared_gradient(mean)),
        uncertainty=uncertainty,
    )


def count_pixels(case: Compared) -> dict[str, dict[str, Counts]]:
    """Count the pixels whose intervals hold the truth, by group: of the draws, and as stated.

    Returns
    -------
    dict
        For ``draws`` and ``stated``: for ``all``, ``brightness`` and ``activity``: for each of their groups,
        by the upper limit: pixels in all, and in the intervals of `LEVELS`.
    """
    mean = case.draws.mean(axis=0)
    groups = {
        "all": np.zeros(mean.shape, dtype=int),
        "brightness": np.digitize(mean, BRIGHTNESS),
        "activity": np.digitize(np.sqrt(case.gradient), ACTIVITY),
    }
    kinds = {"draws": case.own, "stated": case.stated}
    return {kind: {name: _counts(z, places) for name, places in groups.items()} for kind, z in kinds.items()}


def count_frequencies(case: Compared) -> Counts:
    """Count the Fourier coefficients, both parts of them, whose interval by the draws holds the truth."""
    side = len(case.truth)
    window = np.outer(hann(side), hann(side))
    spectra = np.fft.rfft2(window * np.concatenate([case.draws, case.truth[None]]))
    parts = np.stack([spectra.real, spectra.imag])
    draws, truth = parts[:, :-1], parts[:, -1]
    spread = np.maximum(draws.std(axis=1, ddof=1), 1e-12)
    z = _normal((truth - draws.mean(axis=1)) / spread, len(case.draws))
    lengths = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    # The lowest column is real by symmetry: its imaginary part says nothing new.
    used = np.broadcast_to(np.fft.rfftfreq(side) > 0, lengths.shape)
    return _counts(z[:, used], np.digitize(lengths, FREQUENCIES)[used][None].repeat(2, axis=0))


def count_fluxes(case: Compared) -> dict[str, list[int]]:
    """Rank the true flux of apertures among those of the draws.

    Returns
    -------
    dict
        ``ranks``: how many apertures have 0, 1, ... S draws below the truth; ``inside``: apertures in all,
        and in the intervals of `LEVELS`.
    """
    side = len(case.truth)
    places = np.arange(_RADIUS + 1, side - _RADIUS - 1, _PITCH)
    centres = np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1).reshape(-1, 2)
    draws = np.stack([aperture_flux(draw, centres, _RADIUS) for draw in case.draws])
    truth = aperture_flux(case.truth, centres, _RADIUS)
    spread = np.maximum(draws.std(axis=0, ddof=1), 1e-12)
    z = _normal((truth - draws.mean(axis=0)) / spread, len(draws))
    ranks = np.bincount((draws < truth).sum(axis=0), minlength=len(draws) + 1)
    return {"ranks": ranks.tolist(), "inside": _counts(z, np.zeros(z.shape, dtype=int))["0"]}


def _normal(z: np.ndarray, count: int) -> np.ndarray:
    """Return the normal deviates of errors in units of the deviation of as many draws."""
    tail = stats.t.sf(np.abs(z) * np.sqrt(count / (count + 1)), count - 1)
    normal: np.ndarray = -special.ndtri(tail)
    return normal


def _counts(z: np.ndarray, places: np.ndarray) -> Counts:
    """Count deviates in all and in the intervals, for each number of a group."""
    limits = special.ndtri((1 + np.array(LEVELS)) / 2)
    found = {}
    for place in np.unique(places):
        own = np.abs(z[places == place])
        found[str(place)] = [own.size, *(int((own <= limit).sum()) for limit in limits)]
    return found


def z_histogram(case: Compared) -> dict[str, Any]:
    """Return the histogram of the stated normal deviates, and their sums of powers 0, 1 and 2."""
    z = case.stated
    counts, _ = np.histogram(np.clip(z, Z_EDGES[0], Z_EDGES[-1]), Z_EDGES)
    return {"counts": counts.tolist(), "sums": [z.size, float(z.sum()), float((z**2).sum())]}
