"""Classical methods: they gain with the true kernel, keep the centre, and the kernel's updates find it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from blinddps_sci.bench.classical import (
    blind_richardson_lucy,
    next_kernel,
    residual_chi2,
    richardson_lucy_of,
    wiener_of,
)
from blinddps_sci.metrics import kernel_centroid, psnr
from blinddps_sci.simulate.analytic import gaussian
from blinddps_sci.simulate.blur import blur, valid_origin

NOISE = 0.002


def blurred(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (truth, data) of a soft random texture."""
    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.standard_normal((111, 111)), 1.2)
    scene = 0.5 + 0.1 * texture / texture.std()
    first = valid_origin(16)
    exact = blur(scene, kernel)
    data = (exact + NOISE * rng.standard_normal(exact.shape)).astype(np.float32)
    return scene[first : first + 96, first : first + 96], data


@pytest.fixture(scope="module")
def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (truth, data, kernel)."""
    kernel = gaussian(16, 1.3, 2.6, 0.4)
    return *blurred(kernel), kernel


@pytest.mark.parametrize("restore", [richardson_lucy_of, lambda d, k: wiener_of(d, k, 0)])
def test_with_the_true_kernel_the_image_gains_where_it_stands(problem, restore) -> None:
    truth, data, kernel = problem
    restored = restore(data, kernel)
    assert restored.shape == truth.shape
    # Without registration: an even kernel taken at the wrong centre would lose.
    inside = (slice(12, -12),) * 2
    assert psnr(restored[inside], truth[inside], 1.0) > psnr(data[inside], truth[inside], 1.0) + 2
    assert np.abs(restored - truth)[0].max() < 0.5  # and the border does not ring


def test_more_iterations_come_closer_to_the_data(problem) -> None:
    _, data, kernel = problem
    few, many = (
        residual_chi2(data, richardson_lucy_of(data, kernel, count), kernel, NOISE) for count in (3, 30)
    )
    assert many < 0.2 * few


def test_the_residual_of_the_truth_is_the_noise(problem) -> None:
    truth, data, kernel = problem
    assert residual_chi2(data, truth, kernel, NOISE) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("side", [80, 81])
def test_the_updates_of_the_kernel_find_it_if_the_image_is_known(side: int) -> None:
    scene = np.full((side, side), 0.02)
    rng = np.random.default_rng(0)
    scene[rng.integers(12, side - 12, 25), rng.integers(12, side - 12, 25)] = 5
    true = np.zeros((17, 17))
    true[8, 5:13] = [6, 5, 4, 3, 2, 1, 1, 1]
    true[3:8, 5] = 2
    true /= true.sum()
    observed = fftconvolve(scene, true, mode="same")
    kernel = np.full((17, 17), 1 / 17**2)
    for _ in range(30):
        kernel = next_kernel(observed, scene, kernel)
    assert np.abs(kernel - true).sum() < 0.1


def test_blind_the_fit_improves_and_the_kernel_stays_one(problem) -> None:
    _, data, _ = problem
    image, found = blind_richardson_lucy(data, 16, outer=8, inner=3)
    assert image.shape == data.shape
    assert found.shape == (16, 16)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert found.min() >= 0
    assert np.abs(kernel_centroid(found)).max() < 0.5
    assert residual_chi2(data, image, found, NOISE) < 0.1 * residual_chi2(data, data, found, NOISE)
