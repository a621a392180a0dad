"""Gaussian priors: the closed-form posterior mean, and Tweedie's formula by autodiff."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blinddps_sci.errors import PriorError
from blinddps_sci.priors.gaussian import GaussianPrior, StationaryGaussianPrior

D = 6


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def prior() -> GaussianPrior:
    root = draw(D, D, seed=1)
    return GaussianPrior(draw(D, seed=2), root @ root.T + 0.1 * torch.eye(D))


@pytest.mark.parametrize("level", [1e-3, 0.7, 50.0])
def test_estimate_is_the_posterior_mean_of_a_linear_model(prior: GaussianPrior, level: float) -> None:
    # x0 = (C^-1 + I / s^2)^-1 (C^-1 m + x / s^2), by another route than the eigenvectors
    x = draw(4, 1, 2, 3)
    precision = torch.linalg.inv(prior.covariance)
    right = precision @ prior.mean + x.flatten(1) / level**2
    expected = torch.linalg.solve(precision + torch.eye(D) / level**2, right.T).T
    found = prior(x, torch.full((4,), level, dtype=torch.float64))
    torch.testing.assert_close(found, expected.reshape(x.shape), atol=1e-8, rtol=1e-8)


def test_estimate_is_tweedies_formula(prior: GaussianPrior) -> None:
    x, sigma = draw(3, 1, 2, 3).requires_grad_(), torch.tensor([0.1, 1.0, 4.0], dtype=torch.float64)
    log_density = torch.stack(
        [
            torch.distributions.MultivariateNormal(
                prior.mean, prior.covariance + s**2 * torch.eye(D)
            ).log_prob(item.flatten())
            for s, item in zip(sigma, x, strict=True)
        ]
    )
    (score,) = torch.autograd.grad(log_density.sum(), x)
    expected = x + sigma[:, None, None, None] ** 2 * score
    torch.testing.assert_close(prior(x.detach(), sigma), expected.detach())


def test_a_direction_without_variance_stays_at_the_mean() -> None:
    prior = GaussianPrior(torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 1.0], [1.0, 1.0]]))
    found = prior(torch.tensor([[[[5.0, -3.0]]]]), torch.tensor([1e-6]))
    torch.testing.assert_close(found.flatten(), torch.tensor([0.5, 1.5]))


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (torch.eye(3), "needs a symmetric"),
        (torch.tensor([[1.0, 0.5], [0.0, 1.0]]), "needs a symmetric"),
        (torch.diag(torch.tensor([1.0, -1.0])), "negative eigenvalues"),
    ],
)
def test_a_matrix_that_is_no_covariance_is_refused(covariance: torch.Tensor, message: str) -> None:
    with pytest.raises(PriorError, match=message):
        GaussianPrior(torch.zeros(2), covariance)


def test_a_stationary_field_is_a_gaussian_with_a_circulant_covariance() -> None:
    height, width = 4, 6
    fy, fx = np.fft.fftfreq(height), np.fft.fftfreq(width)
    power = torch.from_numpy(0.3 / (0.05 + fy[:, None] ** 2 + fx[None] ** 2))
    # the covariance between two pixels is the spectrum's transform at their offset
    correlation = torch.fft.ifft2(power).real
    y, x = np.divmod(np.arange(height * width), width)
    covariance = correlation[(y[:, None] - y) % height, (x[:, None] - x) % width]
    dense = GaussianPrior(torch.full((height * width,), 0.4, dtype=torch.float64), covariance)
    field, sigma = draw(3, 1, height, width), torch.tensor([0.05, 1.0, 20.0], dtype=torch.float64)
    torch.testing.assert_close(StationaryGaussianPrior(power, mean=0.4)(field, sigma), dense(field, sigma))


def test_a_field_of_another_size_is_refused() -> None:
    with pytest.raises(PriorError, match=r"\(4, 4\) and the field \(4, 5\)"):
        StationaryGaussianPrior(torch.ones(4, 4))(torch.zeros(1, 1, 4, 5), torch.ones(1))
