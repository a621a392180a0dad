"""A prior that states its error too small: the split sampler sees it in the data and widens it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from blinddps_sci.likelihoods import Gaussian
from blinddps_sci.operators import FieldBlur, Given, NodeWindow
from blinddps_sci.priors.error import Root
from blinddps_sci.priors.gaussian import StationaryGaussianPrior
from blinddps_sci.sampling.posterior import Posterior
from blinddps_sci.sampling.sample import sample
from blinddps_sci.sampling.split import Split
from blinddps_sci.sampling.unknown import Unknown

SIDE, REACH, NOISE, ITEMS = 24, 2, 0.1, 12


@dataclass(frozen=True, eq=False)
class Misjudged:
    """A field's own denoiser, whose error is stated by so many times its deviation."""

    prior: StationaryGaussianPrior
    stated: float

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.prior(x, sigma)

    def error_root(self, estimate: Tensor, sigma: float) -> Root:
        root = self.prior.error_root(estimate, sigma)
        return Root(lambda w: self.stated * root.apply(w), lambda v: self.stated * root.adjoint(v))


def fields() -> tuple[StationaryGaussianPrior, Tensor]:
    """Return the prior of a rough field of deviation one, and fields (B, 1, H, W) drawn from it."""
    side = SIDE + 2 * REACH
    wave = np.fft.fftfreq(side)
    power = torch.from_numpy(1 / (0.1**2 + wave[:, None] ** 2 + wave[None] ** 2) ** 1.5)
    power = power / power.mean()
    white = torch.randn(ITEMS, 1, side, side, dtype=torch.float64)
    return StationaryGaussianPrior(power), torch.fft.ifft2(power.sqrt() * torch.fft.fft2(white)).real


def restored(stated: float, widest: float) -> tuple[Posterior, Tensor]:
    """Return draws of blurred fields and the fields."""
    prior, truth = fields()
    places = torch.arange(5, dtype=torch.float64) - 2
    spot = torch.exp(-0.5 * (places[:, None] ** 2 + places**2))
    operator = Given(
        FieldBlur([NodeWindow(0, 0, np.ones(SIDE), np.ones(SIDE))], REACH),
        {"kernel": (spot / spot.sum())[None, None]},
    )
    clear = operator.forward({"image": truth})
    posterior = sample(
        clear + NOISE * torch.randn(clear.shape, dtype=torch.float64),
        operator,
        Gaussian(NOISE),
        {"image": Unknown(Misjudged(prior, stated), truth.shape[1:], clamp=None, noise_range=(10.0, 0.02))},
        sampler=Split(steps=20, widest=widest),
        seeds=list(range(ITEMS)),
        samples=4,
    )
    return posterior, truth


def figures(stated: float, widest: float) -> tuple[float, float, float]:
    """Return reduced chi-squared of the draws, their error over their spread, and the error of their mean."""
    posterior, truth = restored(stated, widest)
    draws = posterior.samples["image"]
    scatter = (draws - truth).square().mean() / 2  # a draw and the truth: two draws of the posterior
    ratio = (scatter / draws.var(dim=0).mean()).sqrt()
    error = (draws.mean(dim=0) - truth).square().mean().sqrt()
    return float(posterior.chi2.mean()), float(ratio), float(error)


def test_an_error_stated_too_small_is_widened_until_the_draws_fit() -> None:
    """Measured: chi2 1.53 without and 1.11 with widening, error over spread 1.11 and 1.00."""
    chi2, ratio, error = figures(stated=0.5, widest=1.0)
    assert chi2 > 1.4
    assert ratio > 1.08
    widened_chi2, widened_ratio, widened_error = figures(stated=0.5, widest=8.0)
    assert widened_chi2 < 1.2
    assert abs(widened_ratio - 1) < 0.05
    assert widened_error < error


def test_an_error_stated_rightly_is_nearly_left_alone() -> None:
    """It is only ever widened, and what the data tell of it scatters: 2 percent; chi2 is 1.02 and 1.00."""
    chi2, ratio, error = figures(stated=1.0, widest=1.0)
    widened_chi2, widened_ratio, widened_error = figures(stated=1.0, widest=8.0)
    assert widened_ratio == pytest.approx(ratio, rel=0.04)
    assert widened_error == pytest.approx(error, rel=0.02)
    assert widened_chi2 == pytest.approx(1, abs=0.04)
    assert chi2 == pytest.approx(1, abs=0.04)


def test_a_widening_has_its_limit() -> None:
    """Measured: chi2 2.09 where the variance is at most doubled, and 1.45 where it is multiplied by 8."""
    assert figures(stated=0.25, widest=2.0)[0] > figures(stated=0.25, widest=8.0)[0] + 0.3
