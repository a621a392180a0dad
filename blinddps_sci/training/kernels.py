"""Training kernels: the simulated PSF families, scaled to the network's domain.

Kernels are stretched to a peak of one and mapped to [-1, 1], as the published sampler
expects; all symmetries of the square are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from blinddps_sci.simulate import centre

__all__ = ["kernel_batches"]


def kernel_batches(
    kernels: np.ndarray, count: int, seed: Sequence[int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches for ever: kernels (B, 1, K, K) on [-1, 1] and labels (B,), all zero.

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
        chosen = np.stack([_turned(kernel, rng) for kernel in chosen])
        chosen /= chosen.max(axis=(1, 2), keepdims=True)
        yield 2 * chosen[:, None] - 1, np.zeros(count, dtype=np.int64)


def _turned(kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    turned = np.rot90(kernel, int(rng.integers(4)))
    if rng.random() < 0.5:
        turned = turned.T
    # An even kernel's centre is off the square's, so turning moves it by a pixel.
    return centre(turned) if len(kernel) % 2 == 0 else turned
