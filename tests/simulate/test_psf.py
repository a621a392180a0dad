from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate import psf
from blinddps_sci.simulate.centring import offsets


@pytest.mark.parametrize("size", [32, 33, 16])
@pytest.mark.parametrize("family", psf.FAMILIES)
def test_every_family_keeps_the_convention(family: str, size: int) -> None:
    kernels = psf.random_kernels(12, size, 5, [family])
    assert kernels.shape == (12, size, size)
    assert kernels.dtype == np.float32
    assert np.isfinite(kernels).all()
    assert kernels.min() >= 0.0
    np.testing.assert_allclose(kernels.sum(axis=(1, 2)), 1.0, atol=2e-6)
    np.testing.assert_allclose([psf.centroid(k) for k in kernels], 0.0, atol=5e-6)
    ring = 1.0 - kernels[:, 1:-1, 1:-1].sum(axis=(1, 2))
    assert ring.max() < 0.06
    # Different draws are different kernels.
    assert len({k.tobytes() for k in kernels}) == 12


def test_seeds_reproduce_bit_for_bit_and_prefixes_agree() -> None:
    first, again = psf.random_kernels(20, 32, 9), psf.random_kernels(20, 32, 9)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(psf.random_kernels(5, 32, 9), first[:5])
    assert abs(psf.random_kernels(20, 32, 10) - first).max() > 1e-3


def test_widths_span_from_a_near_delta_to_a_large_part_of_the_kernel() -> None:
    kernels = psf.random_kernels(400, 32, 1).astype(float)
    line = offsets(32)
    variance = (kernels.sum(axis=1) @ line**2 + kernels.sum(axis=2) @ line**2) / 2
    sigma = np.sqrt(variance)
    assert sigma.min() < 0.5
    assert sigma.max() > 32 / 6
    # All orientations: the mean kernel is nearly round.
    mean = kernels.mean(axis=0)
    cross = (mean * line[:, None] * line[None, :]).sum()
    assert abs(cross) < 0.1 * variance.mean()


def test_motion_reaches_far() -> None:
    kernels = psf.random_kernels(100, 40, 2, ["motion"])
    line = np.arange(40)
    extent = []
    for k in kernels:
        rows, columns = (line[k.max(axis=axis) > 0.02 * k.max()] for axis in (1, 0))
        extent.append(np.hypot(np.ptp(rows), np.ptp(columns)))
    assert max(extent) > 0.65 * 40
    assert min(extent) < 0.2 * 40


def test_convolution_of_kernels_adds_variances() -> None:
    for size in (40, 41):
        product = psf.convolve_kernels(psf.gaussian(size, 2.0), psf.gaussian(size, 1.5))
        assert abs(product - psf.gaussian(size, 2.5)).max() < 0.02 * product.max()
        point = psf.path_kernel(size, [[2.0, -3.0]])
        moved = psf.convolve_kernels(point, psf.gaussian(size, 1.0))
        assert np.unravel_index(moved.argmax(), moved.shape) == (size // 2 + 2, size // 2 - 3)


def test_families_are_described_and_chosen_by_name() -> None:
    assert all(isinstance(text, str) and text for text in psf.FAMILIES.values())
    single = psf.random_kernel(32, np.random.default_rng(3), "motion")
    assert single.shape == (32, 32)
    assert psf.random_kernels(0, 32, 1).shape == (0, 32, 32)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: psf.random_kernel(32, np.random.default_rng(0), "wobble"), "gaussian"),
        (lambda: psf.random_kernel(32, np.random.default_rng(0), []), "empty"),
        (lambda: psf.random_kernel(5, np.random.default_rng(0)), "at least 8"),
        (lambda: psf.random_kernels(-1, 32, 0), "n -1"),
        (lambda: psf.random_kernels(1, 32, -2), "seed"),
    ],
)
def test_wrong_requests_are_named(call: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        call()  # type: ignore[operator]
