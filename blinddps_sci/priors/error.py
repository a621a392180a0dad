"""How wrong a denoiser is: the covariance of the clean unknown about its estimate.

A sampler that draws the clean unknown given a noisy state needs more than the estimate
``E[x0 | x]``: it needs the spread about it. An exact Gaussian prior knows it; of a network it is
measured once on examples held out from its training and kept in its card as an `ErrorTable`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

__all__ = ["ErrorTable", "Root", "UncertainPrior", "activity", "error_root", "frequencies"]

_ASSUMED_VARIANCE = 0.25
"""Variance of an unknown of which nothing is known, on a domain of [-1, 1]."""


@dataclass(frozen=True, eq=False)
class Root:
    """A square root L of a covariance ``L L^T``, as a linear map of (B, C, H, W).

    Parameters
    ----------
    apply, adjoint : callable
        L and its transpose. ``apply`` of white noise has the covariance.
    """

    apply: Callable[[Tensor], Tensor]
    adjoint: Callable[[Tensor], Tensor]


@runtime_checkable
class UncertainPrior(Protocol):
    """A prior that knows the covariance of the clean unknown about its estimate."""

    def error_root(self, estimate: Tensor, sigma: float) -> Root:
        """Return the root for an estimate (B, C, H, W) made at noise level ``sigma``."""
        ...


def error_root(prior: object, estimate: Tensor, sigma: float) -> Root:
    """Return the prior's own root, or that of independent values of unit range.

    ``variance = v sigma^2 / (v + sigma^2)`` with v = 0.25 for a prior that knows nothing of its error.
    """
    if isinstance(prior, UncertainPrior):
        return prior.error_root(estimate, sigma)
    variance = _ASSUMED_VARIANCE * sigma**2 / (_ASSUMED_VARIANCE + sigma**2)
    return _scaling(torch.full_like(estimate, variance**0.5))


_STRAYED = 1.5
"""Factor by which a chain's variance exceeds a measured one that is alike everywhere: its states are not
exactly an example plus noise. Chosen on images held out from training; where the variance is known to grow
with the activity it is taken as measured. The split sampler may widen either by what the data say."""


_SMOOTH, _REACH = 1.5, 5
"""Deviation of the Gaussian under which `activity` is a mean, and where it ends, pixels."""


@dataclass(frozen=True)
class ErrorTable:
    """Measured variance of a denoiser's error, by noise level.

    Parameters
    ----------
    kind : 'frequency' or 'value'
        What the second axis is: spatial frequency in cycles per pixel, of a stationary error, or the
        value of the estimate, of an error that is independent from pixel to pixel.
    sigmas : sequence of float, (S,)
        Noise levels, rising.
    bins : sequence of float, (N,)
        Middles of the bins of the second axis, rising.
    variance : sequence of (sequence of float), (S, N)
        Mean squared error (of one orthonormal Fourier coefficient, or of one pixel); positive.
    activities : sequence of float, (A,)
        Values of `activity`, rising, by which an error by frequency grows; empty for one that is the same
        everywhere.
    factors : sequence of (sequence of float), (S, A)
        Deviation of the error there, over what ``variance`` says; positive.
    """

    kind: Literal["frequency", "value"]
    sigmas: tuple[float, ...]
    bins: tuple[float, ...]
    variance: tuple[tuple[float, ...], ...]
    activities: tuple[float, ...] = ()
    factors: tuple[tuple[float, ...], ...] = ()

    def at(self, sigma: float) -> np.ndarray:
        """Return the logarithm of the variance in each bin, (N,), at a noise level between the tabled."""
        return self._between(self.variance, sigma)

    @property
    def digest(self) -> str:
        """Digest of the table, which decides what is drawn as the weights do."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]

    def _between(self, rows: Sequence[Sequence[float]], sigma: float) -> np.ndarray:
        """Return the logarithms of rows (S, N) at a noise level, (N,)."""
        where = np.log(np.asarray(self.sigmas))
        return np.array([np.interp(np.log(sigma), where, column) for column in np.log(np.asarray(rows)).T])

    def root(self, estimate: Tensor, sigma: float) -> Root:
        """Return the root of the covariance about an estimate (B, C, H, W) in a chain."""
        strayed = 1.0 if self.activities else math.sqrt(_STRAYED)
        if self.kind == "value":
            return _scaling(strayed * _interpolated(estimate, self.bins, self.at(sigma)).mul(0.5).exp())
        height, width = estimate.shape[-2:]
        # FFTs of a length with a large prime factor are slow; zeros beyond the end keep it symmetric.
        size = next_fast_len(height, real=True), next_fast_len(width, real=True)
        spectrum = strayed * _spectral_root(self, sigma, *size).to(estimate)

        def filtered(values: Tensor) -> Tensor:
            product = spectrum * torch.fft.rfft2(values, s=size)
            result: Tensor = torch.fft.irfft2(product, s=size)
            return result[..., :height, :width]

        if not self.activities:
            return Root(filtered, filtered)
        lively = activity(estimate).clamp(min=self.activities[0]).log()
        bins = tuple(np.log(self.activities).tolist())
        local = _interpolated(lively, bins, self._between(self.factors, sigma)).exp()
        return Root(lambda values: local * filtered(values), lambda values: filtered(local * values))


def activity(image: Tensor) -> Tensor:
    """Return how lively images (..., H, W) are about each pixel: their rms gradient, per pixel.

    Errors of a denoiser are small where an image is flat, and several times larger along its edges. The
    mean is taken under a Gaussian with a deviation of 1.5 pixels; beyond its borders the image is continued
    as it is there.
    """
    squares = torch.zeros_like(image)
    for axis in (-2, -1):
        last = image.narrow(axis, image.shape[axis] - 1, 1)
        squares += torch.diff(image, dim=axis, append=last).square()
    for axis in (-2, -1):
        squares = _smoothed(squares, axis)
    return squares.sqrt()


def _smoothed(values: Tensor, axis: int) -> Tensor:
    """Return values smoothed along an axis. Sums in a fixed order: a convolution's depends on the batch."""
    offsets = np.arange(-_REACH, _REACH + 1)
    weights = np.exp(-0.5 * (offsets / _SMOOTH) ** 2)
    length = values.shape[axis]
    places = torch.arange(length, device=values.device)
    total = torch.zeros_like(values)
    for offset, weight in zip(offsets.tolist(), (weights / weights.sum()).tolist(), strict=True):
        total += weight * values.index_select(axis, (places + offset).clamp(0, length - 1))
    return total


def frequencies(height: int, width: int) -> np.ndarray:
    """Return the length of each wave vector of ``rfft2``, (H, W // 2 + 1), cycles per pixel."""
    lengths: np.ndarray = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    return lengths


@lru_cache(maxsize=256)
def _spectral_root(table: ErrorTable, sigma: float, height: int, width: int) -> Tensor:
    half = 0.5 * np.interp(frequencies(height, width), table.bins, table.at(sigma))
    return torch.from_numpy(np.exp(half))


def _interpolated(values: Tensor, bins: tuple[float, ...], rows: np.ndarray) -> Tensor:
    """Interpolate ``rows`` (N,) over ``bins`` (N,) at every value, constant beyond the ends."""
    grid, row = (torch.as_tensor(part, dtype=values.dtype, device=values.device) for part in (bins, rows))
    inside = values.clamp(bins[0], bins[-1]).contiguous()
    upper = torch.searchsorted(grid, inside).clamp(1, len(bins) - 1)
    weight = (inside - grid[upper - 1]) / (grid[upper] - grid[upper - 1])
    return torch.lerp(row[upper - 1], row[upper], weight)


def _scaling(deviation: Tensor) -> Root:
    def scaled(values: Tensor) -> Tensor:
        return deviation * values

    return Root(scaled, scaled)
