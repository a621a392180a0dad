"""How frames of a burst differ from their mean as wholes, in place and brightness: where it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift
from skimage.registration import phase_cross_correlation

from blinddps_sci.engine.exposure import exposures

__all__ = ["Registration", "displacement", "filled", "laid_on", "register", "register_patches"]

Frames = NDArray[np.float32]

_ROUNDS = 3
_SEEN = 1.0
"""Gaussian (pixels) under which sharpness is taken: with detail that a telescope passes, and little noise."""

_FINE = 20
"""Fraction of a pixel, as its inverse, to which displacements are measured."""


@dataclass(frozen=True, eq=False)
class Registration:
    """Frames laid on each other.

    Parameters
    ----------
    tilt : ndarray, (F, 2)
        Pixels (dy, dx): at p a frame sees the mean's p + tilt. The frames' mean is zero, unless `about` was
        called.
    exposure : ndarray, (F,)
        Brightness over that of the mean, one on average, unless `about` was called.
    moved : ndarray, (F, h, w)
        The frames, each moved back and with the mean's brightness.
    mean : ndarray, (h, w)
        Their mean.
    alike : ndarray, (F,)
        Correlation of each frame, moved back, with the sum of the others at equal contrast; one of a single
        frame, zero of one without contrast.
    sharpness : ndarray, (F,)
        Energy of each frame's gradient over that of the mean's, at equal brightness.
    """

    tilt: NDArray[np.float64]
    exposure: NDArray[np.float64]
    moved: Frames
    mean: Frames
    alike: NDArray[np.float64]
    sharpness: NDArray[np.float64]

    def about(self, tilt: NDArray[np.float64], exposure: float) -> Registration:
        """Return the frames laid on another scene, which the mean sees at p + tilt, that much fainter."""
        moved = np.stack([_moved(frame, tilt) for frame in self.moved]) / np.float32(exposure)
        return replace(
            self,
            tilt=self.tilt + tilt,
            exposure=self.exposure * exposure,
            moved=moved,
            mean=moved.mean(axis=0),
        )


def filled(frame: Frames, mask: NDArray[np.bool_]) -> Frames:
    """Return a frame with its median in place of what is masked."""
    return np.where(mask, np.median(frame[~mask]), frame).astype(np.float32)


def register(frames: Frames) -> Registration:
    """Register frames (F, h, w), finite everywhere, by whole displacements, and make them equally bright."""
    tilt = np.zeros((len(frames), 2))
    moved = frames
    for _ in range(_ROUNDS if len(frames) > 1 else 0):
        mean = moved.mean(axis=0)
        tilt = np.stack([displacement(mean, frame) for frame in frames])
        tilt -= tilt.mean(axis=0)
        moved = np.stack([_moved(frame, by) for frame, by in zip(frames, tilt, strict=True)])
    exposure = exposures(moved)
    moved = (moved / exposure[:, None, None]).astype(np.float32)
    mean = moved.mean(axis=0)
    energy = np.array([_gradient_energy(frame) for frame in (*frames, mean)])
    return Registration(
        tilt=tilt,
        exposure=exposure,
        moved=moved,
        mean=mean,
        alike=_alike(moved),
        sharpness=energy[:-1] / exposure**2 / max(energy[-1], np.finfo(float).tiny),
    )


def register_patches(found: Registration, boxes: Sequence[tuple[slice, slice]]) -> NDArray[np.float64]:
    """Return how parts of the frames are displaced, (F, 2, N) pixels with a mean over the frames of zero.

    Parameters
    ----------
    found : Registration
        Of the frames.
    boxes : sequence of (slice, slice), length N
        The parts, rows and columns.
    """
    result = np.empty((len(found.moved), 2, len(boxes)))
    for f, frame in enumerate(found.moved):
        for n, box in enumerate(boxes):
            result[f, :, n] = found.tilt[f] + displacement(found.mean[box], frame[box])
    result -= result.mean(axis=0)
    return result


def _moved(frame: Frames, by: NDArray[np.float64]) -> Frames:
    """Return a frame moved by (dy, dx) pixels."""
    moved: Frames = shift(frame, by, order=3, mode="nearest")
    return moved


def laid_on(reference: Frames, frame: Frames) -> Frames:
    """Return a frame moved so that it lies on a reference."""
    return _moved(frame, displacement(reference, frame))


def displacement(reference: Frames, frame: Frames) -> NDArray[np.float64]:
    """Return the (dy, dx) by which a frame has to be moved to lie on a reference."""
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in reference.shape))
    one, other = ((image - np.average(image, weights=window)) * window for image in (reference, frame))
    if not (one.any() and other.any()):
        return np.zeros(2)
    moved, _, _ = phase_cross_correlation(one, other, upsample_factor=_FINE, normalization=None)
    return np.array([float(moved[0]), float(moved[1])])


def _gradient_energy(image: Frames) -> float:
    """Return the mean square of the gradient under a Gaussian, which leaves a twentieth of white noise's."""
    gradient = np.gradient(gaussian_filter(image.astype(np.float64), _SEEN))
    return float(sum((part**2).mean() for part in gradient))


def _alike(frames: Frames) -> NDArray[np.float64]:
    """Return how alike each frame (F, h, w) is to the others."""
    if len(frames) == 1:
        return np.ones(1)
    flat = frames.reshape(len(frames), -1).astype(np.float64)
    scaled = flat - flat.mean(axis=1, keepdims=True)
    scaled /= np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), np.finfo(float).tiny)
    others = scaled.sum(axis=0) - scaled
    size = np.maximum(np.linalg.norm(others, axis=1), np.finfo(float).tiny)
    return np.asarray((scaled * others).sum(axis=1) / size)
