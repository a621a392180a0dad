"""What all noise models promise: chi-squared one, any unit, masks, saturation, independent items."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from blinddps_sci.errors import InputError
from blinddps_sci.likelihoods import (
    Gaussian,
    Likelihood,
    Observation,
    Poisson,
    PoissonGaussian,
    chi2_map,
    reduced_chi2,
)


def scene(*shape: int, seed: int = 0) -> Tensor:
    """Return fluxes between 20 and 220."""
    return 20 + 200 * torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def photons(truth: Tensor, gain: float, seed: int = 1) -> Tensor:
    return torch.poisson(gain * truth, generator=torch.Generator().manual_seed(seed)) / gain


def normal(truth: Tensor, sigma: float, seed: int = 2) -> Tensor:
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed), dtype=truth.dtype)
    return truth + sigma * noise


def gaussian(unit: float = 1.0, **options: Tensor | float) -> Likelihood:
    return Gaussian(7.0 * unit, **options)


def poisson_model(unit: float = 1.0, **options: Tensor | float) -> Likelihood:
    return Poisson(gain=2.5 / unit, **options)


def poisson_data(unit: float = 1.0, **options: Tensor | float) -> Likelihood:
    return Poisson(gain=2.5 / unit, weights="data", **options)


def camera_model(unit: float = 1.0, **options: Tensor | float) -> Likelihood:
    return PoissonGaussian(gain=2.5 / unit, read_noise=4.0 * unit, **options)


def camera_data(unit: float = 1.0, **options: Tensor | float) -> Likelihood:
    return PoissonGaussian(gain=2.5 / unit, read_noise=4.0 * unit, weights="data", **options)


Make = Callable[..., Likelihood]
ALL = (gaussian, poisson_model, poisson_data, camera_model, camera_data)
every = pytest.mark.parametrize("make", ALL)


def simulate(make: Make, truth: Tensor) -> Tensor:
    if make is gaussian:
        return normal(truth, 7.0)
    counted = photons(truth, 2.5)
    return counted if make in (poisson_model, poisson_data) else normal(counted, 4.0)


@every
def test_reduced_chi2_of_the_truth_is_one(make: Make) -> None:
    truth = scene(3, 2, 100, 100)
    found = reduced_chi2(make(), truth, simulate(make, truth))
    assert found.shape == (3,)
    assert torch.all((found > 0.95) & (found < 1.05))


@every
def test_reduced_chi2_counts_the_pixels_that_were_observed(make: Make) -> None:
    truth = scene(2, 1, 100, 100)
    data = simulate(make, truth)
    mask = torch.zeros(1, 1, 100, 100, dtype=torch.bool)
    mask[..., :70] = True
    found = reduced_chi2(make(mask=mask), truth, data)
    assert torch.all((found > 0.93) & (found < 1.07))


@every
def test_reduced_chi2_stays_near_one_with_saturated_pixels(make: Make) -> None:
    truth = scene(2, 1, 100, 100)
    data = simulate(make, truth).clamp(max=150.0)
    assert (data == 150).double().mean() > 0.2
    found = reduced_chi2(make(saturation=150.0), truth, data)
    assert torch.all((found > 0.93) & (found < 1.07))


@every
def test_chi2_map_has_the_mean_of_reduced_chi2(make: Make) -> None:
    truth = scene(2, 1, 20, 20)
    data = simulate(make, truth).clamp(max=150.0)
    data[0, 0, 3, 4] = torch.nan
    likelihood = make(saturation=150.0)
    squares = chi2_map(likelihood, truth, data)
    assert squares[0, 0, 3, 4].isnan()
    satisfied = (data >= 150) & (truth >= 150)
    assert squares[satisfied].isnan().all()
    torch.testing.assert_close(squares.flatten(1).nanmean(dim=1), reduced_chi2(likelihood, truth, data))


@every
@pytest.mark.parametrize("unit", [1000.0, 1e-18])
def test_whitened_residuals_do_not_depend_on_the_unit(make: Make, unit: float) -> None:
    truth = scene(2, 1, 20, 20).float()
    data = simulate(make, truth).clamp(max=200.0)
    one, other = make(saturation=200.0), make(unit, saturation=200.0 * unit)
    torch.testing.assert_close(
        other.residual(truth * unit, data * unit), one.residual(truth, data), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(
        other.noise_level(data * unit) / unit, one.noise_level(data), rtol=1e-5, atol=0
    )


@every
def test_the_residual_is_whitened_by_the_precision(make: Make) -> None:
    truth = scene(2, 1, 20, 20)
    data, likelihood = simulate(make, truth), make()
    precision = likelihood.precision(truth, data)
    assert precision.shape == data.shape
    torch.testing.assert_close(likelihood.residual(truth, data), precision.sqrt() * (data - truth))


@every
def test_the_precision_is_held_fixed_by_differentiation(make: Make) -> None:
    prediction = scene(1, 1, 6, 6).requires_grad_()
    data, likelihood = simulate(make, scene(1, 1, 6, 6)), make()
    precision = likelihood.precision(prediction, data)
    assert not precision.requires_grad
    (gradient,) = torch.autograd.grad(likelihood.residual(prediction, data).sum(), prediction)
    torch.testing.assert_close(gradient, -precision.sqrt())


@every
def test_gradients_of_the_negative_log_likelihood_are_right(make: Make) -> None:
    prediction = scene(2, 1, 4, 4).requires_grad_()
    data = simulate(make, scene(2, 1, 4, 4)).clamp(max=150.0)
    likelihood = make(saturation=150.0)
    assert likelihood.nll(prediction, data).shape == (2,)
    assert torch.autograd.gradcheck(lambda p: likelihood.nll(p, data), (prediction,))


@every
def test_masked_pixels_and_nan_have_no_influence(make: Make) -> None:
    truth = scene(2, 1, 8, 8)
    data = simulate(make, truth)
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[2, 3] = mask[5] = True
    spoilt = data.clone()
    spoilt[..., mask] = torch.nan
    spoilt[1, 0, 0, 0] = torch.inf
    likelihood = make(mask=mask, saturation=200.0)
    prediction = truth.clone().requires_grad_()
    cost = likelihood.nll(prediction, spoilt).sum() + (likelihood.residual(prediction, spoilt) ** 2).sum()
    (gradient,) = torch.autograd.grad(cost, prediction)
    assert torch.isfinite(cost)
    assert torch.isfinite(gradient).all()
    assert gradient[..., mask].eq(0).all()
    assert gradient[1, 0, 0, 0] == 0
    assert gradient[0, 0, 0, 0] != 0
    assert likelihood.precision(truth, spoilt)[..., mask].eq(0).all()
    assert likelihood.count(spoilt).tolist() == [64 - 9, 64 - 10]
    torch.testing.assert_close(likelihood.nll(truth, data)[0], likelihood.nll(truth, spoilt)[0])


@every
def test_a_saturated_pixel_pulls_upwards_only(make: Make) -> None:
    data = torch.full((1, 1, 1, 3), 150.0, dtype=torch.float64)
    prediction = torch.tensor([[[[100.0, 150.0, 300.0]]]], dtype=torch.float64, requires_grad=True)
    likelihood = make(saturation=150.0)
    residual = likelihood.residual(prediction, data)
    assert residual[0, 0, 0, 0] > 0
    assert residual[0, 0, 0, 1:].eq(0).all()
    (gradient,) = torch.autograd.grad((residual**2).sum(), prediction)
    assert gradient[0, 0, 0, 0] < 0
    assert gradient[0, 0, 0, 1:].eq(0).all()
    assert likelihood.active(prediction, data)[0, 0, 0].tolist() == [True, False, False]
    assert make().residual(prediction, data)[0, 0, 0, 2] < 0


@every
def test_a_saturated_pixel_costs_the_probability_of_its_tail(make: Make) -> None:
    data = torch.full((1, 1, 1, 1), 150.0, dtype=torch.float64)
    likelihood = make(saturation=150.0)
    costs = [float(likelihood.nll(torch.full_like(data, level), data)) for level in (120.0, 150.0, 400.0)]
    assert costs[0] > costs[1] > costs[2]
    assert costs[1] == pytest.approx(0.6931472)
    assert costs[2] == pytest.approx(0, abs=1e-6)
    faint = likelihood.nll(torch.full_like(data, 0.5), data)
    assert torch.isfinite(faint).all()


@every
def test_items_are_independent(make: Make) -> None:
    truth = scene(8, 2, 10, 10)
    data = simulate(make, truth).clamp(max=200.0)
    prediction = truth * 1.1
    mask = (scene(8, 1, 10, 10, seed=5) > 190).expand(8, 2, 10, 10)
    together = make(mask=mask, saturation=200.0)
    for b in range(8):
        one, p, d = make(mask=mask[b : b + 1], saturation=200.0), prediction[b : b + 1], data[b : b + 1]
        torch.testing.assert_close(together.residual(prediction, data)[b : b + 1], one.residual(p, d))
        torch.testing.assert_close(together.nll(prediction, data)[b : b + 1], one.nll(p, d))
        torch.testing.assert_close(together.noise_level(data)[b : b + 1], one.noise_level(d))
        assert together.count(data)[b] == one.count(d)[0]
        torch.testing.assert_close(
            reduced_chi2(together, prediction, data)[b : b + 1], reduced_chi2(one, p, d)
        )


@every
def test_maps_repeat_when_a_batch_holds_several_draws(make: Make) -> None:
    truth = scene(2, 1, 10, 10)
    data = simulate(make, truth)
    mask = scene(2, 1, 10, 10, seed=5) > 120
    likelihood = make(mask=mask)
    found = likelihood.residual(truth.repeat(3, 1, 1, 1), data.repeat(3, 1, 1, 1))
    torch.testing.assert_close(found, likelihood.residual(truth, data).repeat(3, 1, 1, 1))
    with pytest.raises(InputError, match="does not fit"):
        likelihood.residual(truth[:1].expand(3, 1, 10, 10), data[:1].expand(3, 1, 10, 10))


@every
def test_the_noise_level_is_one_over_the_root_mean_precision(make: Make) -> None:
    data, mask = scene(3, 1, 10, 10), torch.zeros(10, 10, dtype=torch.bool)
    mask[:4] = True
    likelihood = make(mask=mask)
    precision = likelihood.precision(data, data)[..., 4:, :]
    torch.testing.assert_close(likelihood.noise_level(data), precision.flatten(1).mean(dim=1) ** -0.5)


@every
def test_an_item_without_an_observed_pixel_stays_finite(make: Make) -> None:
    data = scene(2, 1, 6, 6)
    data[0] = torch.nan
    prediction = scene(2, 1, 6, 6, seed=3).requires_grad_()
    likelihood = make()
    assert likelihood.count(data).tolist() == [0, 36]
    assert likelihood.noise_level(data)[0] == 1
    assert reduced_chi2(likelihood, prediction, data)[0] == 0
    assert likelihood.nll(prediction, data)[0] == 0
    norm = torch.linalg.vector_norm(likelihood.residual(prediction, data).flatten(1), dim=1)
    (gradient,) = torch.autograd.grad(norm.sum(), prediction)
    assert gradient[0].eq(0).all()
    assert torch.isfinite(gradient).all()


@every
def test_arguments_are_not_changed_and_their_dtype_is_followed(make: Make) -> None:
    truth = scene(1, 1, 6, 6).float()
    data = simulate(make, truth)
    data[..., 0] = torch.nan
    before = truth.clone(), data.clone()
    likelihood = make(saturation=100.0)
    for value in (
        likelihood.residual(truth, data),
        likelihood.precision(truth, data),
        likelihood.nll(truth, data),
        likelihood.noise_level(data),
    ):
        assert value.dtype == torch.float32
    torch.testing.assert_close(truth, before[0])
    torch.testing.assert_close(data, before[1], equal_nan=True)


def test_an_observation_without_mask_or_saturation_uses_every_finite_pixel() -> None:
    data = torch.tensor([1.0, torch.nan, torch.inf, -5.0])
    everything = Observation()
    assert everything.usable(data).tolist() == [True, False, False, True]
    assert not everything.saturated(data).any()
    some = Observation(mask=torch.tensor([True, False, False, False]), saturation=torch.full((4,), 0.5))
    assert some.usable(data).tolist() == [False, False, False, True]
    assert some.saturated(data).tolist() == [True, False, True, False]
