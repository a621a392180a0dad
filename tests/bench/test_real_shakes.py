"""Error ratios, and how they are summed up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift
from scipy.signal import fftconvolve

from blinddps_sci.bench.real_shakes import (
    BLIND,
    BLURRED,
    TOLD,
    right_way_round,
    score_shake,
    summarise_shakes,
)


def test_a_shift_costs_nothing_and_the_border_does_not_count() -> None:
    rng = np.random.default_rng(0)
    truth = 0.5 + 0.1 * gaussian_filter(rng.standard_normal((160, 160)), 3) / 0.09
    truth = np.clip(truth, 0.05, 0.95)
    moved = shift(truth, (6.25, -8.5), order=5, mode="nearest")
    moved[:4] = 0
    assert score_shake(moved, truth)["psnr"] > 45
    noisy = truth + rng.normal(0, 0.02, truth.shape)
    assert score_shake(noisy, truth)["mse"] == pytest.approx(0.02**2, rel=0.1)


def test_a_kernel_is_turned_if_that_blurs_the_image_as_it_is_blurred() -> None:
    sharp = gaussian_filter(np.random.default_rng(1).random((80, 80)), 1)
    kernel = np.zeros((9, 9))
    kernel[2, 1:5] = kernel[2:8, 5] = 3.0
    blurred = fftconvolve(sharp, kernel / kernel.sum(), mode="same")
    for given in (kernel, kernel[::-1, ::-1]):
        np.testing.assert_allclose(right_way_round(given, sharp, blurred), kernel / kernel.sum())


def test_ratios_and_successes() -> None:
    errors = {"a": (4.0, 2.0), "b": (12.0, 2.0), "c": (3.0, 2.0), "d": (2.0, 2.0)}
    rows = []
    for item, (blind, told) in errors.items():
        rows.append(
            {"item": item, "method": BLIND, "mse": blind, "psnr": 20.0, "mnc": 0.9, "seconds": 5.0}
            | {"rl_mse": 2 * told, "rl_psnr": 19.0}
        )
        rows.append(
            {"item": item, "method": TOLD, "mse": told, "psnr": 24.0, "rl_mse": told, "rl_psnr": 22.0}
        )
    rows.append({"item": "e", "method": BLIND, "error": "no light"})
    rows.append({"item": "a", "method": BLURRED, "mse": 20.0, "psnr": 15.0})
    found = {row["method"]: row for row in summarise_shakes(rows)}
    assert found[BLIND]["images"] == 4
    assert found[BLIND]["mean"] == pytest.approx((2 + 6 + 1.5 + 1) / 4)
    assert found[BLIND]["median"] == pytest.approx(1.75)
    assert [found[BLIND][f"success {limit}"] for limit in (2, 3, 5)] == [75.0, 75.0, 75.0]
    assert found[BLURRED]["mean"] == pytest.approx(10)
    assert found[f"{BLIND}, then Richardson-Lucy"]["mean"] == pytest.approx(2)
    assert "mean" not in found[TOLD]
