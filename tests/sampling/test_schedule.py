"""Schedules: every stated derivative against autodiff, the published levels, inverses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blinddps_sci.sampling.schedule import LinearVP, published_levels, sigma_of

SCHEDULES = [LinearVP(), LinearVP(0.5, 4.0)]


def times() -> torch.Tensor:
    return torch.linspace(0.002, 1.0, 57, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_sigma_derivative_is_autodiffs(schedule: LinearVP) -> None:
    t = times()
    (expected,) = torch.autograd.grad(schedule.sigma(t).sum(), t)
    torch.testing.assert_close(schedule.sigma_derivative(t).detach(), expected)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_beta_is_the_rate_at_which_abar_falls(schedule: LinearVP) -> None:
    t = times()
    (slope,) = torch.autograd.grad(schedule.log_abar(t).sum(), t)
    torch.testing.assert_close(schedule.beta(t).detach(), -slope)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_sigma_belongs_to_abar_and_time_inverts_it(schedule: LinearVP) -> None:
    t = times().detach()
    sigma, abar = schedule.sigma(t), schedule.log_abar(t).exp()
    torch.testing.assert_close(sigma**2, (1 - abar) / abar)
    for instant, level in zip(t.tolist(), sigma.tolist(), strict=True):
        assert schedule.time(level) == pytest.approx(instant, rel=1e-10)
    for level in (1e-3, 0.01, 80.0, 1e4):
        instant = torch.tensor(schedule.time(level), dtype=torch.float64)
        assert float(schedule.sigma(instant)) == pytest.approx(level, rel=1e-9)


def test_levels_run_from_the_noisiest_to_the_cleanest_at_equal_times() -> None:
    schedule = LinearVP()
    abar = schedule.levels(50, sigma_max=40.0, sigma_min=0.02)
    assert len(abar) == 50
    assert (np.diff(abar) > 0).all()
    sigmas = [sigma_of(level) for level in abar]
    assert (sigmas[0], sigmas[-1]) == (pytest.approx(40.0), pytest.approx(0.02))
    steps = np.diff([schedule.time(sigma) for sigma in sigmas])
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


@pytest.mark.parametrize("steps", [40, 1000])
def test_published_levels_are_the_running_product(steps: int) -> None:
    levels = published_levels(steps)
    product, expected = 1.0, []
    for t in range(steps):
        low, high = 1e-4 * 1000 / steps, 0.02 * 1000 / steps
        product *= 1 - (low + (high - low) * t / (steps - 1))
        expected.append(product)
    np.testing.assert_allclose(levels, expected[::-1], rtol=1e-12)


def test_the_continuous_schedule_is_the_limit_of_the_published_one() -> None:
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    continuous = LinearVP().log_abar(t).flip(0).numpy()
    np.testing.assert_allclose(np.log(published_levels(1000)), continuous, rtol=0.02, atol=2e-4)
