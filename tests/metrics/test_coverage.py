"""Calibration: draws of one distribution are covered as often as the level says."""

from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import InputError
from blinddps_sci.metrics import coverage, gaussian_coverage, z_scores


@pytest.mark.parametrize(("draws", "level"), [(6, 0.68), (9, 0.8), (20, 0.9), (200, 0.68)])
def test_a_calibrated_posterior_is_covered_at_its_level_for_any_number_of_samples(draws, level) -> None:
    rng = np.random.default_rng(draws)
    samples, truth = rng.normal(size=(draws, 200, 200)), rng.normal(size=(200, 200))
    assert coverage(samples, truth, level) == pytest.approx(level, abs=0.02)


def test_an_overconfident_posterior_covers_too_little() -> None:
    rng = np.random.default_rng(0)
    samples, truth = 0.5 * rng.normal(size=(99, 100, 100)), rng.normal(size=(100, 100))
    # |z| < 0.5 z(0.68) has probability 0.381
    assert coverage(samples, truth, 0.68) == pytest.approx(0.381, abs=0.02)


def test_coverage_follows_ranks_and_not_units() -> None:
    rng = np.random.default_rng(1)
    samples, truth = rng.normal(size=(19, 300)), rng.normal(size=300)
    assert coverage(np.exp(samples), np.exp(truth), 0.9) == pytest.approx(coverage(samples, truth, 0.9))


def test_masked_pixels_do_not_count() -> None:
    samples, truth = np.tile(np.arange(19.0)[:, None], (1, 4)), np.array([9.0, 9.0, 99.0, np.nan])
    mask = np.array([False, False, False, True])
    assert coverage(samples, truth, 0.9, mask=mask) == pytest.approx(2 / 3)


def test_too_few_samples_are_refused_with_the_number_needed() -> None:
    with pytest.raises(InputError, match="draw at least 19"):
        coverage(np.zeros((18, 3)), np.zeros(3), 0.9)
    assert coverage(np.zeros((19, 3)), np.zeros(3), 0.9) == 1.0


@pytest.mark.parametrize(
    ("samples", "truth", "level"),
    [
        (np.zeros((9, 3)), np.zeros(4), 0.5),
        (np.float64(1.0), np.zeros(()), 0.5),
        (np.zeros((9, 3)), np.zeros(3), 1.0),
        (np.full((9, 3), np.nan), np.zeros(3), 0.5),
    ],
)
def test_what_is_refused(samples, truth, level) -> None:
    with pytest.raises(InputError):
        coverage(samples, truth, level)


def test_z_scores_are_distances_in_standard_deviations() -> None:
    scores = z_scores(np.zeros(3), np.array([1.0, 2.0, 0.0]), np.array([1.0, -1.0, 5.0]), mask=[0, 0, 1])
    np.testing.assert_allclose(scores, [1.0, -0.5, np.nan])


def test_a_zero_standard_deviation_is_refused() -> None:
    with pytest.raises(InputError, match="not positive in 1 usable"):
        z_scores(np.zeros(2), np.array([1.0, 0.0]), np.zeros(2))


def test_gaussian_coverage_of_a_calibrated_posterior() -> None:
    rng = np.random.default_rng(4)
    mean, std = rng.normal(size=40_000), rng.uniform(0.5, 3.0, 40_000)
    scores = z_scores(mean, std, rng.normal(mean, std))
    assert np.std(scores) == pytest.approx(1.0, abs=0.02)
    for level in (0.5, 0.68, 0.997):
        assert gaussian_coverage(scores, level) == pytest.approx(level, abs=0.01)


def test_gaussian_coverage_leaves_nan_out_and_refuses_nothing_else() -> None:
    assert gaussian_coverage([0.0, 3.0, np.nan], 0.68) == 0.5
    with pytest.raises(InputError, match="no z-score counts"):
        gaussian_coverage([np.nan])
