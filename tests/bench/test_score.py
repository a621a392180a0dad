"""Scores: shifts cost nothing, and a calibrated posterior is told from one that is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from blinddps_sci.bench.score import score_image, score_kernel, score_std
from blinddps_sci.engine.uncertainty import Uncertainty
from blinddps_sci.errors import InputError


def scene(side: int = 96) -> np.ndarray:
    soft = gaussian_filter(np.random.default_rng(3).standard_normal((side, side)), 3)
    return 0.5 + 0.35 * soft / np.abs(soft).max()


def test_a_shift_costs_nothing_and_an_error_costs_what_it_is() -> None:
    truth = scene()
    moved = shift(truth, (1.4, -2.7), order=3, mode="mirror")
    assert score_image(moved, truth)["psnr"] > 45
    assert score_image(truth + 0.1, truth)["psnr"] < 21
    wave = truth + 0.05 * np.sqrt(2) * np.sin(np.arange(96) / 3)
    assert score_image(wave, truth)["psnr"] == pytest.approx(20 * np.log10(1 / 0.05), abs=0.3)


def test_the_image_is_clipped_to_the_range_of_the_truth() -> None:
    truth = np.ones((64, 64))
    truth[20:40, 20:40] = 0
    assert score_image(np.where(truth > 0, 3.0, -2.0), truth)["psnr"] > 100


def test_a_kernel_twice_as_wide_is_scored_so() -> None:
    y, x = np.mgrid[:33, :33] - 16.0
    narrow, wide = (np.exp(-0.5 * (y**2 + x**2) / s**2) for s in (2.0, 4.0))
    found = score_kernel(wide, narrow)
    assert found["width_error"] == pytest.approx(1.0, abs=0.02)
    assert found["mnc"] < 0.9
    assert found["otf_error"] > 0.4
    assert score_kernel(np.where(narrow > 1e-3, narrow, -1e-9), narrow)["otf_error"] < 0.01


@pytest.mark.parametrize("draws", [4, 30])
def test_coverage_is_nominal_for_any_number_of_draws(draws: int) -> None:
    rng = np.random.default_rng(1)
    truth = scene(160)
    level = 0.01 + 0.04 * (np.arange(160) > 80) * np.ones((160, 1))
    # Truth and draws are all draws about one centre.
    centre = truth + level * rng.standard_normal(truth.shape)
    sample = centre + level * rng.standard_normal((draws, *truth.shape))
    mean, std = sample.mean(axis=0), Uncertainty().std(sample)
    found = score_std(mean, std, truth)
    assert found["coverage"] == pytest.approx(0.68, abs=0.02)
    assert found["std_correlation"] > 0.15
    assert score_std(mean, 0.3 * std, truth)["coverage"] < 0.5


def test_without_a_spread_there_is_no_score() -> None:
    truth = scene()
    for none in (np.nan, 0.0):
        with pytest.raises(InputError, match="no standard deviation is positive; draw at least two"):
            score_std(truth, np.full_like(truth, none), truth)
