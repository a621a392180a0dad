"""Gaussian noise: its density, variance maps, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.likelihoods import Gaussian, reduced_chi2


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_density_is_the_normal_one() -> None:
    prediction, data = draw(3, 2, 5, 5), draw(3, 2, 5, 5, seed=1)
    sigma = 0.2 + draw(3, 2, 5, 5, seed=2).abs()
    expected = -Normal(prediction, sigma).log_prob(data).flatten(1).sum(dim=1)
    torch.testing.assert_close(Gaussian(sigma).nll(prediction, data), expected)
    torch.testing.assert_close(Gaussian(variance=sigma**2).nll(prediction, data), expected)


def test_the_likelihood_of_a_clipped_reading_sums_to_one() -> None:
    # the densities below the limit and the probability of the limit are one distribution
    limit, step = 1.3, 0.01
    below = torch.arange(-8, limit, step, dtype=torch.float64) + step / 2
    data = torch.cat([below, torch.tensor([limit], dtype=torch.float64)])[:, None]
    cost = Gaussian(0.9, saturation=limit).nll(torch.full_like(data, 0.8), data)
    assert float((torch.exp(-cost[:-1]) * step).sum() + torch.exp(-cost[-1])) == pytest.approx(1, abs=1e-3)


def test_the_noise_level_is_sigma() -> None:
    torch.testing.assert_close(Gaussian(0.3).noise_level(draw(4, 1, 5, 5)), torch.full((4,), 0.3).double())


def test_one_level_per_item() -> None:
    sigma = torch.tensor([1.0, 5.0], dtype=torch.float64)[:, None, None, None]
    data = sigma * draw(2, 1, 80, 80)
    found = reduced_chi2(Gaussian(sigma), torch.zeros_like(data), data)
    torch.testing.assert_close(found, torch.ones_like(found), rtol=0, atol=0.06)


def test_infinite_variance_takes_a_pixel_out() -> None:
    variance = torch.ones(4, 4)
    variance[1, 2] = torch.inf
    likelihood = Gaussian(variance=variance)
    data = draw(1, 1, 4, 4).float()
    prediction = torch.zeros(1, 1, 4, 4, requires_grad=True)
    cost = likelihood.nll(prediction, data)
    (gradient,) = torch.autograd.grad(cost.sum(), prediction)
    assert torch.isfinite(cost).all()
    assert gradient[0, 0, 1, 2] == 0
    assert likelihood.count(data).tolist() == [15]


def test_a_masked_pixel_may_have_any_variance() -> None:
    variance = torch.ones(4, 4)
    variance[0] = torch.tensor([torch.nan, 0.0, -1.0, torch.inf])
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0] = True
    likelihood = Gaussian(variance=variance, mask=mask)
    prediction = torch.zeros(1, 1, 4, 4, requires_grad=True)
    data = draw(1, 1, 4, 4).float()
    cost = likelihood.nll(prediction, data).sum() + likelihood.residual(prediction, data).sum()
    (gradient,) = torch.autograd.grad(cost, prediction)
    assert torch.isfinite(cost)
    assert torch.isfinite(gradient).all()
    assert likelihood.count(data).tolist() == [12]


def test_what_is_no_level_of_noise_is_refused() -> None:
    with pytest.raises(ConfigError, match="no level of noise: give either sigma or variance"):
        Gaussian()
    with pytest.raises(ConfigError, match="sigma and variance: give either"):
        Gaussian(1.0, 1.0)
    with pytest.raises(ConfigError, match="sigma 0"):
        Gaussian(0.0)
    with pytest.raises(InputError, match="2 of 3 values of variance"):
        Gaussian(variance=torch.tensor([1.0, 0.0, torch.nan]))
