"""The error of a trained denoiser, measured on examples that it was not trained on.

The table goes into the card of the weights; the split sampler takes from it how far a clean image or
kernel lies from its estimate.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from blinddps_sci.errors import InputError
from blinddps_sci.priors.error import ErrorTable, activity, frequencies
from blinddps_sci.priors.wrap import Denoiser
from blinddps_sci.simulate import random_kernels
from blinddps_sci.training.images import LABELS, held_out_planes, independent
from blinddps_sci.training.kernels import amplitudes
from blinddps_sci.training.tilts import random_tilts

__all__ = ["image_error", "kernel_error", "tilt_error"]

_SIGMAS = np.geomspace(0.01, 8.0, 14)
_SIDE = 128
_PER_DOMAIN = 12
_BANDS = np.linspace(0.0, 0.72, 19)
_VALUES = np.array([-1.5, -0.99, -0.97, -0.93, -0.85, -0.7, -0.5, -0.2, 0.1, 0.4, 0.7, 2.0])
_ACTIVITIES = np.geomspace(0.003, 0.3, 13)
_SEEN = 500
"""Pixels that tell of the error at an activity."""

_KERNELS = 400
_NEW_SEED = 987_654
"""The kernels and the tilts of training have the seed 1."""


def image_error(denoiser: Denoiser, data: Path) -> ErrorTable:
    """Measure the error on the images below ``data`` that training passes over, by activity and by frequency.

    Raises
    ------
    InputError
        If none of them is large enough.
    """
    patches, labels = [], []
    for domain, planes in independent(held_out_planes(data), _SIDE).items():
        for plane in planes[:_PER_DOMAIN]:
            y, x = ((side - _SIDE) // 2 for side in plane.shape)
            patches.append(2 * plane[y : y + _SIDE, x : x + _SIDE] - 1)
            labels.append(LABELS.index(domain))
    if not patches:
        raise InputError(f"{data} has no image of {_SIDE} pixels that is held out from training")
    clean = torch.from_numpy(np.stack(patches)[:, None].astype(np.float32))
    return _local_spectrum(denoiser, clean, torch.tensor(labels) if denoiser.labels else None)


def kernel_error(denoiser: Denoiser, size: int) -> ErrorTable:
    """Measure the error, by the value of the estimate, on kernels simulated anew."""
    kernels = random_kernels(_KERNELS, size, _NEW_SEED)
    clean = torch.from_numpy(amplitudes(kernels)[:, None])
    rows = []
    for sigma in _SIGMAS:
        error, estimate = _errors_and_estimates(denoiser, clean, float(sigma), None)
        bins = np.digitize(estimate.numpy(), _VALUES) - 1
        squares = error.numpy() ** 2
        overall = float(squares.mean())
        rows.append(
            [
                # A bin that no estimate falls into borrows the error of all.
                float(squares[bins == index].mean()) if (bins == index).sum() > _KERNELS else overall
                for index in range(len(_VALUES) - 1)
            ]
        )
    return _table("value", _VALUES.clip(-1, 1), rows)


def tilt_error(denoiser: Denoiser, size: int, family: str) -> ErrorTable:
    """Measure the error's spectrum on tilts (2, n, n) simulated anew, of a family of `random_tilts`."""
    tilts = random_tilts(_KERNELS, size, _NEW_SEED, family)
    return _spectrum(denoiser, tilts, np.linspace(0.0, 0.72, size // 2 + 1), None)


def _local_spectrum(denoiser: Denoiser, clean: Tensor, labels: Tensor | None) -> ErrorTable:
    """Measure how the error on clean images (N, 1, n, n) grows with `activity`, and the rest's spectrum."""
    powers, factors = [], []
    for sigma in _SIGMAS:
        error, estimate = _errors_and_estimates(denoiser, clean, float(sigma), labels)
        lively = np.log(activity(estimate).numpy().clip(_ACTIVITIES[0]))
        growth = _growth(lively, error.numpy())
        even = error.numpy() / np.exp(np.interp(lively, np.log(_ACTIVITIES), np.log(growth)))
        powers.append(_by_band(even, _BANDS))
        factors.append(tuple(growth.tolist()))
    return replace(
        _table("frequency", _BANDS, powers), activities=tuple(_ACTIVITIES.tolist()), factors=tuple(factors)
    )


def _growth(lively: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return the rms of the error at each of `_ACTIVITIES`, over that of all; too few pixels borrow."""
    nearest = np.rint(np.interp(lively, np.log(_ACTIVITIES), np.arange(len(_ACTIVITIES)))).astype(int).ravel()
    pixels = np.bincount(nearest, minlength=len(_ACTIVITIES))
    squares = np.bincount(nearest, weights=error.ravel() ** 2, minlength=len(_ACTIVITIES))
    known = pixels >= min(_SEEN, pixels.max())
    mean = np.log(np.maximum(squares[known] / pixels[known], 1e-12))
    places = np.arange(len(_ACTIVITIES))
    overall = max(float((error**2).mean()), 1e-12)
    return np.asarray(np.exp(0.5 * np.interp(places, places[known], mean)) / overall**0.5)


def _spectrum(denoiser: Denoiser, clean: np.ndarray, edges: np.ndarray, labels: Tensor | None) -> ErrorTable:
    """Measure the power of the error on clean examples (N, C, n, n) between the edges of frequency bands."""
    errors = (_errors(denoiser, torch.from_numpy(clean), float(sigma), labels) for sigma in _SIGMAS)
    return _table("frequency", edges, [_by_band(error.numpy(), edges) for error in errors])


def _by_band(error: np.ndarray, edges: np.ndarray) -> list[float]:
    """Return the mean power of an error (N, C, n, n) between the edges of frequency bands."""
    bands = np.digitize(frequencies(*error.shape[-2:]), edges) - 1
    power = (np.abs(np.fft.rfft2(error, norm="ortho")) ** 2).mean(axis=(0, 1))
    return [float(power[bands == band].mean()) for band in range(len(edges) - 1)]


def _table(kind: str, edges: np.ndarray, rows: list[list[float]]) -> ErrorTable:
    middles = (edges[1:] + edges[:-1]) / 2
    floored = tuple(tuple(max(value, 1e-8) for value in row) for row in rows)
    return ErrorTable(
        "frequency" if kind == "frequency" else "value",
        tuple(_SIGMAS.tolist()),
        tuple(middles.tolist()),
        floored,
    )


def _errors(denoiser: Denoiser, clean: Tensor, sigma: float, label: Tensor | None) -> Tensor:
    return _errors_and_estimates(denoiser, clean, sigma, label)[0]


@torch.no_grad()
def _errors_and_estimates(
    denoiser: Denoiser, clean: Tensor, sigma: float, label: Tensor | None
) -> tuple[Tensor, Tensor]:
    device = next(denoiser.parameters()).device
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    levels = torch.full((len(clean),), sigma, device=device)
    noisy = (clean + sigma * noise).to(device)
    estimate = denoiser(noisy, levels, None if label is None else label.to(device)).cpu()
    return estimate - clean, estimate
