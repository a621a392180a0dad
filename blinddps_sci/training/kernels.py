"""Training kernels: the simulated PSF families, scaled to the network's domain.

The network sees amplitudes, the square roots of the kernels, with a peak of one and mapped to
[-1, 1]: halos and wings of a hundredth of the peak, which hold much of the light, then are a tenth
of it and not lost in the noise. All symmetries of the square are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from blinddps_sci.simulate import centre

__all__ = ["amplitudes", "kernel_batches", "turned"]


def kernel_batches(
    kernels: np.ndarray, count: int, seed: Sequence[int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches for ever: amplitudes (B, 1, K, K) on [-1, 1] and labels (B,), all zero.

    Parameters
    ----------
    kernels : ndarray, (N, K, K)
        Non-negative kernels with their centroid at K // 2.
    count : int
        Batch size B.
    seed : sequence of int
        Seed of the order and of the symmetries.
    """
    rng = np.random.default_rng(seed)
    while True:
        chosen = kernels[rng.integers(0, len(kernels), count)].astype(np.float32)
        chosen = np.stack([turned(kernel, rng) for kernel in chosen])
        yield amplitudes(chosen)[:, None], np.zeros(count, dtype=np.int64)


def turned(kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a kernel (K, K) under a random symmetry of the square, its centroid at K // 2."""
    found = np.rot90(kernel, int(rng.integers(4)))
    if rng.random() < 0.5:
        found = found.T
    # An even kernel's centre is off the square's, so turning moves it by a pixel.
    return centre(found) if len(kernel) % 2 == 0 else found


def amplitudes(kernels: np.ndarray) -> np.ndarray:
    """Return the square roots of kernels (N, K, K), their peaks at one, on [-1, 1], float32."""
    scaled = kernels / kernels.max(axis=(-2, -1), keepdims=True)
    return np.asarray(2 * np.sqrt(scaled) - 1, dtype=np.float32)
