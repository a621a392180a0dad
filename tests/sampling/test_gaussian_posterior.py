"""Where every answer is known: exact Gaussian priors, with and without data.

Without data a chain must draw from its prior, up to the error of finitely many steps, which is
itself known in closed form. With data the guidance is an approximation; the tests below state how
far it is off, so that a change of it is noticed and the manual's numbers stay true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from blinddps_sci.likelihoods import Gaussian
from blinddps_sci.priors.gaussian import GaussianPrior
from blinddps_sci.sampling.dps import Dps
from blinddps_sci.sampling.posterior import Status
from blinddps_sci.sampling.sample import sample
from blinddps_sci.sampling.unknown import Unknown


@dataclass(frozen=True, eq=False)
class Linear:
    """The operator ``A x`` of a matrix."""

    matrix: Tensor
    inputs: tuple[str, ...] = ("image",)

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        return unknowns["image"].flatten(1) @ self.matrix.T


def chain_variance(variance: float, sampler: Dps) -> float:
    """Return the variance of the samples of an unguided chain along one direction.

    With a Gaussian prior every step is linear, ``z <- (c0 g / sqrt(abar) + ct) z + noise``, so the
    variance follows by recursion from one, that of the start.
    """
    of_state, of_estimate = 1.0, 0.0
    for level in sampler.ladder():
        gain = variance / (variance + level.sigma**2) / np.sqrt(level.abar)
        of_estimate = gain**2 * of_state
        added = level.log_beta if sampler.variance == "large" else level.log_beta_tilde
        of_state = (level.from_estimate * gain + level.from_state) ** 2 * of_state + np.exp(added)
    return of_estimate


@pytest.mark.parametrize("variance", [0.01, 0.16, 0.5])
def test_the_two_ancestral_variances_enclose_the_priors_and_close_in_on_it(variance: float) -> None:
    errors = {
        kind: [chain_variance(variance, Dps(steps=n, variance=kind)) / variance - 1 for n in (100, 200, 4000)]
        for kind in ("small", "large")
    }
    assert max(errors["small"]) < 0
    assert min(errors["large"][:2]) > 0
    for few, twice, many in errors.values():
        # first order: twice the steps, about half the error
        assert 0.4 < twice / few < 0.75
        assert abs(many) < 0.03


@pytest.mark.parametrize("kind", ["small", "large"])
def test_without_data_a_chain_draws_from_its_prior(plain_noise, kind: str) -> None:
    items, sampler = 6000, Dps(steps=200, variance=kind)
    mean = torch.tensor([0.3, -0.2, 0.0, 0.5], dtype=torch.float64)
    covariance = 0.25 * torch.tensor(
        [[1.0, 0.5, 0.2, 0.0], [0.5, 1.0, 0.3, 0.1], [0.2, 0.3, 0.6, 0.2], [0.0, 0.1, 0.2, 0.3]]
    )
    covariance = covariance.double()
    prior = GaussianPrior(mean, covariance)
    posterior = sample(
        torch.full((items, 4), torch.nan, dtype=torch.float64),
        Linear(torch.eye(4, dtype=torch.float64)),
        Gaussian(0.1),
        {"image": Unknown(prior, (1, 2, 2), clamp=None)},
        sampler=sampler,
        seeds=[0] * items,
        noise=plain_noise(1),
    )
    assert posterior.status is Status.COMPLETE
    draws = posterior.samples["image"][0].flatten(1)
    variances, vectors = np.linalg.eigh(covariance.numpy())
    expected = torch.from_numpy(vectors * [chain_variance(v, sampler) for v in variances] @ vectors.T)

    diagonal = expected.diagonal()
    assert ((draws.mean(dim=0) - mean).abs() < 4 * (diagonal / items).sqrt()).all()
    # standard errors of a Gaussian's sample covariance
    error = ((diagonal[:, None] * diagonal + expected**2) / items).sqrt()
    found = torch.cov(draws.T)
    assert ((found - expected).abs() < 4 * error).all()
    # and what 200 steps are worth: the truth within a tenth of its largest variance
    assert ((found - covariance).abs() < 0.1 * covariance.max()).all()


PRIOR_STD = 0.4


@dataclass(frozen=True)
class Bias:
    """How the chain's draws compare with the posterior's.

    Parameters
    ----------
    std : float
        Standard deviation of the draws, rms over pixels.
    ratio : float
        The same, by the posterior's.
    ratio_seen : float
        The same of the blurred image, that is of what the data constrain.
    slope : float
        How much of the posterior mean the draws' mean reaches: one is all of it.
    chi2 : float
        Mean reduced chi-squared of the draws; one for the posterior, nearly.
    """

    std: float
    ratio: float
    ratio_seen: float
    slope: float
    chi2: float


@cache
def measured(sigma: float, weight: float, plain_noise, *, bounded: bool = True) -> Bias:
    """Deblur three 8 x 8 images of a smooth Gaussian field, 100 draws each of 200 steps."""
    side, problems = 8, 3
    y, x = (axis.ravel() for axis in np.mgrid[:side, :side])
    squares = torch.from_numpy((y[:, None] - y) ** 2 + (x[:, None] - x) ** 2).double()
    eye = torch.eye(side * side, dtype=torch.float64)
    covariance = PRIOR_STD**2 * torch.exp(-squares / (2 * 1.5**2)) + 1e-6 * eye
    blur = torch.exp(-squares / 2)
    blur = blur / blur.sum(dim=1, keepdim=True)

    unit = torch.randn(
        2, problems, side * side, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    truth = unit[0] @ torch.linalg.cholesky(covariance).T
    data = truth @ blur.T + sigma * unit[1]
    posterior = torch.linalg.inv(torch.linalg.inv(covariance) + blur.T @ blur / sigma**2)
    mean = data @ blur @ posterior / sigma**2

    prior = GaussianPrior(torch.zeros(side * side, dtype=torch.float64), covariance)
    result = sample(
        data,
        Linear(blur),
        Gaussian(sigma),
        {"image": Unknown(prior, (1, side, side), clamp=None)},
        sampler=Dps(steps=200, weight=weight, bounded=bounded),
        seeds=[0] * problems,
        samples=100,
        noise=plain_noise(2),
    )
    draws = result.samples["image"].flatten(2)
    std = draws.var(dim=0).mean().sqrt()
    seen = (draws @ blur.T).var(dim=0).mean().sqrt()
    return Bias(
        std=float(std),
        ratio=float(std / posterior.diagonal().mean().sqrt()),
        ratio_seen=float(seen / (blur @ posterior @ blur.T).diagonal().mean().sqrt()),
        slope=float((draws.mean(dim=0) * mean).sum() / (mean**2).sum()),
        chi2=float(result.chi2.mean()),
    )


def test_the_published_weight_follows_data_of_low_noise_too_loosely(plain_noise) -> None:
    """Measured at a tenth of the domain's unit: 1.6 times too wide, a third short of the mean."""
    bias = measured(0.1, 1.0, plain_noise)
    assert 1.4 < bias.ratio < 1.9
    assert 2.0 < bias.ratio_seen < 2.7
    assert 0.55 < bias.slope < 0.8
    assert 2.2 < bias.chi2 < 3.8


def test_the_spread_of_the_draws_does_not_know_the_noise(plain_noise) -> None:
    """A fifth of the noise, and the draws are as wide as they were; the posterior's width halves.

    The step goes along a unit vector: what decides how closely the data are followed is the
    weight, not the level of the noise.
    """
    low, high = measured(0.02, 1.0, plain_noise), measured(0.1, 1.0, plain_noise)
    assert low.std == pytest.approx(high.std, rel=0.2)
    assert low.ratio > 2.8
    assert low.chi2 > 25


@pytest.mark.parametrize("sigma", [0.1, 0.3])
def test_a_weight_of_a_third_by_the_noise_is_nearly_calibrated(plain_noise, sigma: float) -> None:
    bias = measured(sigma, 0.3 / sigma, plain_noise)
    assert 0.8 < bias.ratio < 1.3
    assert 0.65 < bias.slope < 1.05
    assert 0.75 < bias.chi2 < 1.5


def test_one_weight_does_not_serve_every_level_of_noise(plain_noise) -> None:
    """Measured at weight 4: 1.3 times too wide at 0.02 of the unit, a third too narrow at 0.3."""
    low, high = (measured(sigma, 4.0, plain_noise) for sigma in (0.02, 0.3))
    assert 1.15 < low.ratio < 1.5
    assert 1.3 < low.chi2 < 2.2
    assert 0.55 < high.ratio < 0.8
    assert 0.6 < high.chi2 < 0.9
    assert low.slope == pytest.approx(1.0, abs=0.08)
    assert 1.05 < high.slope < 1.25


def test_without_the_bound_few_steps_rattle_about_the_fit(plain_noise) -> None:
    free, bounded = (measured(0.02, 15.0, plain_noise, bounded=bound) for bound in (False, True))
    assert bounded.chi2 < 2.5
    assert free.chi2 > 3 * bounded.chi2
