"""The Gaussian field of tilts: textbook values, anisotropy, a proper covariance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from blinddps_sci.errors import ConfigError
from blinddps_sci.priors.tilt import TiltField, tilt_correlation, tilt_variance


def test_the_variance_is_nolls_and_an_outer_scale_lowers_it() -> None:
    assert tilt_variance() == pytest.approx(0.448, rel=0.005)
    # One axis on the sky: 0.182 (lambda / D)^2 (D / r0)^(5/3), and 0.52 of it with L0 = 25 D.
    assert (2 / math.pi) ** 2 * tilt_variance() == pytest.approx(0.182, rel=0.005)
    assert tilt_variance(25.0) / tilt_variance() == pytest.approx(0.52, abs=0.02)


@pytest.mark.parametrize(
    ("separation", "along", "across"),
    [(0.25, 0.86, 0.95), (0.5, 0.57, 0.83), (1, 0.18, 0.59), (2, -0.02, 0.32)],
)
def test_correlations_of_two_apertures(separation: float, along: float, across: float) -> None:
    parallel, perpendicular = tilt_correlation(separation, 25.0)
    assert parallel == pytest.approx(along, abs=0.01)
    assert perpendicular == pytest.approx(across, abs=0.01)


def test_far_away_nothing_is_left() -> None:
    assert np.abs(tilt_correlation([80.0, 1e6], 25.0)).max() < 0.02


def test_a_pair_is_correlated_along_and_across_its_separation() -> None:
    field = TiltField(4.0, [(1.0, 50.0)])
    covariance = field.covariance([(0, 0), (0, 50)])  # apart along x, by one diameter
    parallel, perpendicular = tilt_correlation(1.0, 25.0)
    assert covariance[0, 0] == pytest.approx(4.0)
    assert covariance[0, 1] == pytest.approx(4 * perpendicular)  # dy with dy
    assert covariance[2, 3] == pytest.approx(4 * parallel)  # dx with dx
    assert covariance[0, 3] == pytest.approx(0.0, abs=1e-12)
    diagonal = field.covariance([(0, 0), (50 / 2**0.5, 50 / 2**0.5)])
    assert diagonal[0, 3] == pytest.approx(2 * (parallel - perpendicular), rel=1e-6)


def test_a_layer_at_the_aperture_moves_everything_at_once() -> None:
    covariance = TiltField(1.0, [(1.0, math.inf)]).covariance([(0, 0), (0, 900), (500, 3)])
    np.testing.assert_allclose(covariance[:3, :3], 1.0)
    np.testing.assert_allclose(covariance[:3, 3:], 0.0, atol=1e-12)


def test_draws_of_the_prior_have_its_covariance() -> None:
    prior = TiltField(2.0, [(0.5, math.inf), (0.5, 60.0)]).prior([0, 40, 80], [0, 70])
    white = torch.randn(40000, 2, 3, 2, generator=torch.Generator().manual_seed(0))
    draws = prior.error_root(torch.zeros_like(white), 1e4).apply(white).flatten(1)
    found = draws.T @ draws / len(draws)
    torch.testing.assert_close(found, prior.covariance, atol=0.06, rtol=0)
    assert float(prior.covariance.diagonal().mean()) == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize(
    ("variance", "layers"), [(0.0, [(1.0, 5.0)]), (1.0, []), (1.0, [(-1.0, 5.0)]), (1.0, [(1.0, 0.0)])]
)
def test_impossible_fields_are_refused(variance: float, layers: list[tuple[float, float]]) -> None:
    with pytest.raises(ConfigError, match="have to be positive"):
        TiltField(variance, layers)
