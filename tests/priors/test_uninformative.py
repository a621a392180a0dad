"""Uninformative priors: the truncated normal's mean by SciPy, also where its tails underflow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import truncnorm

from blinddps_sci.priors.gaussian import GaussianPrior
from blinddps_sci.priors.uninformative import IndependentGaussianPrior, UniformPrior

PLACES = [-1e3, -30.0, -3.0, -1.001, -1.0, -0.7, 0.0, 0.3, 0.999, 1.0, 1.2, 5.0, 200.0]


def uniform(x: np.ndarray, sigma: float, prior: UniformPrior, dtype: torch.dtype) -> np.ndarray:
    found = prior(torch.from_numpy(x).to(dtype)[None, None, None], torch.tensor([sigma], dtype=dtype))
    return found.double().flatten().numpy()


@pytest.mark.parametrize("sigma", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("limits", [(-1.0, 1.0), (-0.5, 2.0)])
def test_uniform_is_the_mean_of_a_truncated_normal(sigma: float, limits: tuple[float, float]) -> None:
    low, high = limits
    # Beyond some hundred sigma SciPy's own mean loses its digits.
    x = np.array([place for place in PLACES if abs(place) < 300 * sigma + 1])
    expected = truncnorm.mean((low - x) / sigma, (high - x) / sigma, loc=x, scale=sigma)
    np.testing.assert_allclose(uniform(x, sigma, UniformPrior(*limits), torch.float64), expected, atol=1e-7)


@pytest.mark.parametrize("distance", [30.0, 1e3, 1e5])
def test_uniform_far_outside_is_an_exponential_at_the_limit(distance: float) -> None:
    # the normal's tail about the limit falls as exp(-distance u / sigma^2)
    sigma = 0.5
    for side in (-1.0, 1.0):
        found = uniform(np.array([side * (1 + distance)]), sigma, UniformPrior(), torch.float64)
        assert 1 - side * found[0] == pytest.approx(sigma**2 / distance, rel=1e-2)


@pytest.mark.parametrize("sigma", [0.01, 0.3, 3.0, 80.0])
def test_uniform_in_single_precision_is_close_monotone_and_inside(sigma: float) -> None:
    x = np.linspace(-5 - 40 * sigma, 5 + 40 * sigma, 2001)
    found = uniform(x, sigma, UniformPrior(), torch.float32)
    np.testing.assert_allclose(found, uniform(x, sigma, UniformPrior(), torch.float64), atol=2e-3)
    assert np.abs(found).max() <= 1
    assert np.diff(found).min() > -2e-3


def test_uniform_is_odd_about_its_centre() -> None:
    x = np.linspace(-4, 4, 81)
    found = uniform(2.5 + x, 0.6, UniformPrior(2.0, 3.0), torch.float64)
    np.testing.assert_allclose(found + found[::-1], 5.0, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.01, 0.3, 80.0])
def test_gradient_of_uniform_is_the_posterior_variance_over_the_noise(sigma: float) -> None:
    # d E[x0 | x] / dx = Var[x0 | x] / sigma^2, finite and within [0, 1] everywhere
    x = torch.tensor(PLACES, dtype=torch.float64, requires_grad=True)
    prior = UniformPrior()
    (slope,) = torch.autograd.grad(
        prior(x[None, None, None], torch.tensor([sigma], dtype=torch.float64)).sum(), x
    )
    assert torch.isfinite(slope).all()
    near = x.detach().abs() < 1 + 5 * sigma
    a, b = ((limit - x.detach().numpy()[near]) / sigma for limit in (-1.0, 1.0))
    torch.testing.assert_close(slope[near], torch.from_numpy(truncnorm.var(a, b)), atol=1e-4, rtol=1e-3)


def test_independent_gaussian_is_the_gaussian_with_a_diagonal_covariance() -> None:
    x, sigma = torch.randn(3, 1, 2, 2), torch.tensor([0.1, 1.0, 9.0])
    dense = GaussianPrior(torch.full((4,), -0.8), 0.3**2 * torch.eye(4))
    torch.testing.assert_close(IndependentGaussianPrior(-0.8, 0.3)(x, sigma), dense(x, sigma))
