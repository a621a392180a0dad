"""Photon and read noise: the variance's two parts, its logarithm, and unbiased flux."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from blinddps_sci.errors import ConfigError
from blinddps_sci.likelihoods import Gaussian, PoissonGaussian


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def camera(level: float, gain: float, read: float, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    electrons = torch.poisson(torch.full(shape, gain * level, dtype=torch.float64), generator=generator)
    return electrons / gain + read * torch.randn(shape, generator=generator, dtype=torch.float64)


def test_the_variance_is_that_of_photons_and_of_reading() -> None:
    prediction, data = 100 * uniform(2, 1, 4, 4), 100 * uniform(2, 1, 4, 4, seed=1)
    by_model = PoissonGaussian(2.0, 3.0, background=5.0).precision(prediction, data)
    torch.testing.assert_close(1 / by_model, (prediction + 5) / 2 + 9)
    by_data = PoissonGaussian(2.0, 3.0, background=5.0, weights="data").precision(prediction, data)
    torch.testing.assert_close(1 / by_data, (data + 5) / 2 + 9)


def test_negative_readings_have_read_noise_only() -> None:
    data = torch.full((1, 1, 2, 2), -20.0)
    precision = PoissonGaussian(2.0, 3.0, weights="data").precision(data, data)
    torch.testing.assert_close(1 / precision, torch.full_like(data, 9.0))


def test_without_light_it_is_the_gaussian() -> None:
    data = uniform(2, 1, 4, 4) - 0.5
    dark = torch.zeros_like(data)
    torch.testing.assert_close(PoissonGaussian(1.0, 3.0).nll(dark, data), Gaussian(3.0).nll(dark, data))


def test_the_density_has_the_variance_of_the_prediction() -> None:
    prediction, data = 100 * uniform(2, 1, 4, 4), 100 * uniform(2, 1, 4, 4, seed=1)
    expected = -Normal(prediction, (prediction / 2 + 9).sqrt()).log_prob(data).flatten(1).sum(dim=1)
    torch.testing.assert_close(PoissonGaussian(2.0, 3.0).nll(prediction, data), expected)


def test_gradients_are_finite_where_the_light_vanishes() -> None:
    prediction = torch.tensor([[0.0, -1.0, 1.0]], requires_grad=True)
    data = torch.tensor([[1.0, 1.0, 1.0]])
    (gradient,) = torch.autograd.grad(PoissonGaussian(2.0, 3.0).nll(prediction, data).sum(), prediction)
    assert torch.isfinite(gradient).all()
    assert gradient[0, 1] < 0


def test_data_weights_bias_flux_low_and_model_weights_do_not() -> None:
    level, gain, read = 12.0, 1.5, 2.0
    data = camera(level, gain, read, 1, 1, 200, 200)
    error = ((level / gain + read**2) / data.numel()) ** 0.5
    found = {}
    for weights in ("model", "data"):
        likelihood = PoissonGaussian(gain, read, weights=weights)
        flux = data.mean()
        for _ in range(50):
            precision = likelihood.precision(flux.expand_as(data), data)
            flux = (precision * data).sum() / precision.sum()
        found[weights] = float(flux)
    assert found["model"] == pytest.approx(level, abs=4 * error)
    assert found["data"] < level - 20 * error


def test_gain_and_read_noise_may_be_maps() -> None:
    data = 100 * uniform(1, 1, 4, 4)
    gain, read = 1 + uniform(4, 4, seed=1), 1 + uniform(4, 4, seed=2)
    precision = PoissonGaussian(gain, read).precision(data, data)
    torch.testing.assert_close(1 / precision[0, 0], data[0, 0] / gain + read**2)


def test_what_is_no_camera_is_refused() -> None:
    with pytest.raises(ConfigError, match="read_noise 0"):
        PoissonGaussian(1.0, 0.0)
    with pytest.raises(ConfigError, match="gain 0"):
        PoissonGaussian(0.0, 1.0)
    with pytest.raises(ConfigError, match="weights"):
        PoissonGaussian(1.0, 1.0, weights="none")
