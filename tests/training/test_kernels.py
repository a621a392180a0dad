"""Kernel batches: amplitudes with a peak of one, all symmetries, the centroid where it was."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from blinddps_sci.simulate import centroid, random_kernels
from blinddps_sci.training.kernels import amplitudes, kernel_batches


@pytest.mark.parametrize("size", [15, 16])
def test_batches_keep_scale_and_centroid(size: int) -> None:
    kernels = random_kernels(12, size, 1)
    for items, labels in islice(kernel_batches(kernels, 16, [0, 1]), 3):
        assert (items.shape, items.dtype) == ((16, 1, size, size), np.float32)
        assert (labels.shape, labels.dtype) == ((16,), np.int64)
        assert not labels.any()
        np.testing.assert_allclose(items.max(axis=(1, 2, 3)), 1, atol=1e-6)
        assert items.min() >= -1
        moments = [centroid(((item[0] + 1) / 2) ** 2) for item in items]
        assert np.abs(moments).max() < 5e-3


def test_every_symmetry_of_the_square_is_drawn() -> None:
    kernel = np.zeros((7, 7), dtype=np.float32)
    kernel[3, 3], kernel[1, 2], kernel[5, 4] = 4, 1, 1
    turned = {np.rot90(k, n).tobytes() for k in (kernel, kernel.T) for n in range(4)}
    # a point-symmetric kernel has four different ones
    assert len(turned) == 4
    items, _ = next(kernel_batches(kernel[None], 64, [3]))
    found = {np.round((item[0] + 1) ** 2).astype(np.float32).tobytes() for item in items}
    assert found == turned


def test_the_seed_decides_and_half_precision_on_disk_is_enough(tmp_path) -> None:
    kernels = random_kernels(12, 16, 1)
    np.save(tmp_path / "kernels.npy", kernels.astype(np.float16))
    stored = np.load(tmp_path / "kernels.npy", mmap_mode="r")
    first, again, other = (next(kernel_batches(kernels, 8, seed))[0] for seed in ([0, 5], [0, 5], [0, 6]))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_allclose(next(kernel_batches(stored, 8, [0, 5]))[0], first, atol=2e-2)


def test_amplitudes_are_square_roots_on_the_domain() -> None:
    kernels = np.random.default_rng(0).random((3, 9, 9)) * np.array([1.0, 1e-6, 50.0])[:, None, None]
    found = amplitudes(kernels)
    assert found.dtype == np.float32
    expected = kernels / kernels.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(((found + 1) / 2) ** 2, expected, atol=1e-6)
