"""Photon noise: its exact density, and flux that data weights bias and model weights do not."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Poisson as ReferencePoisson

from blinddps_sci.errors import ConfigError
from blinddps_sci.likelihoods import Poisson


def counts(level: float, *shape: int, seed: int = 0) -> torch.Tensor:
    rate = torch.full(shape, level, dtype=torch.float64)
    return torch.poisson(rate, generator=torch.Generator().manual_seed(seed))


def fit_level(likelihood: Poisson, data: torch.Tensor) -> float:
    """Return the constant flux whose residuals, reweighted until they settle, are the smallest."""
    level = data.mean()
    for _ in range(50):
        precision = likelihood.precision(level.expand_as(data), data)
        level = (precision * data).sum() / precision.sum()
    return float(level)


def test_the_density_is_the_poisson_one_in_counts() -> None:
    data = counts(6.0, 3, 1, 5, 5)
    prediction = 0.5 + data.roll(1)
    expected = -ReferencePoisson(prediction).log_prob(data).flatten(1).sum(dim=1)
    torch.testing.assert_close(Poisson().nll(prediction, data), expected)
    scaled = Poisson(gain=4.0, background=0.5)
    torch.testing.assert_close(scaled.nll(prediction / 4 - 0.5, data / 4 - 0.5), expected)


def test_data_weights_bias_flux_low_and_model_weights_do_not() -> None:
    level = 25.0
    data = counts(level, 1, 1, 200, 200)
    error = (level / data.numel()) ** 0.5
    assert fit_level(Poisson(), data) == pytest.approx(level, abs=4 * error)
    # the weighted mean with weights 1 / n is the harmonic mean, about one count below
    low = fit_level(Poisson(weights="data"), data)
    assert low == pytest.approx(level - 1, abs=0.1)


def test_the_residuals_gradient_with_model_weights_is_the_exact_one() -> None:
    data = counts(9.0, 1, 1, 6, 6)
    prediction = (data.roll(1) + 2).requires_grad_()
    likelihood = Poisson()
    (approximate,) = torch.autograd.grad(0.5 * (likelihood.residual(prediction, data) ** 2).sum(), prediction)
    (exact,) = torch.autograd.grad(likelihood.nll(prediction, data).sum(), prediction)
    torch.testing.assert_close(approximate, exact)


def test_a_subtracted_background_leaves_its_noise() -> None:
    data = counts(100.0, 1, 1, 100, 100) - 90.0
    likelihood = Poisson(background=90.0)
    truth = torch.full_like(data, 10.0)
    torch.testing.assert_close(likelihood.precision(truth, data), torch.full_like(data, 0.01))
    assert float((likelihood.residual(truth, data) ** 2).mean()) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("weights", ["model", "data"])
def test_the_variance_has_a_floor(weights: str) -> None:
    data = torch.zeros(1, 1, 2, 2)
    precision = Poisson(gain=2.0, weights=weights, floor=0.25).precision(data, data)
    torch.testing.assert_close(precision, torch.full_like(data, 4 / 0.25))


def test_vanishing_and_negative_predictions_stay_finite() -> None:
    prediction = torch.tensor([[0.0, -3.0, 1e-12]], requires_grad=True)
    data = torch.tensor([[4.0, 4.0, 0.0]])
    likelihood = Poisson()
    cost = likelihood.nll(prediction, data) + (likelihood.residual(prediction, data) ** 2).sum()
    (gradient,) = torch.autograd.grad(cost.sum(), prediction)
    assert torch.isfinite(cost).all()
    assert torch.isfinite(gradient).all()
    assert gradient[0, 0] < 0
    assert gradient[0, 1] < 0


def test_what_is_no_detector_is_refused() -> None:
    with pytest.raises(ConfigError, match="gain -1"):
        Poisson(gain=-1.0)
    with pytest.raises(ConfigError, match="floor 0"):
        Poisson(floor=0.0)
    with pytest.raises(ConfigError, match="weights 'both'"):
        Poisson(weights="both")
