"""The DPS loop: its options do what they say, its callback sees all of it, its steps are exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from blinddps_sci.errors import ConfigError, PriorError
from blinddps_sci.likelihoods import Gaussian
from blinddps_sci.operators import Blur
from blinddps_sci.priors.unet import UNet, UNetConfig
from blinddps_sci.priors.uninformative import IndependentGaussianPrior, UniformPrior
from blinddps_sci.priors.wrap import VPDenoiser
from blinddps_sci.sampling.dps import Dps
from blinddps_sci.sampling.noise import KeyedNoise, Role, Stream
from blinddps_sci.sampling.schedule import LinearVP, published_levels
from blinddps_sci.sampling.unknown import Sparsity

SEEDS = [1, 2]
VARIANTS = {
    "weight": {"weight": 0.5},
    "rule": {"rule": "constant"},
    "variance": {"variance": "large"},
    "steps": {"steps": 9},
    "unit": {"unit": 1.0},
    "size": {"size_invariant": False},
    "levels": {"levels": published_levels(30)},
}


@pytest.fixture
def few(problem):
    return problem.of([0, 1])


@pytest.mark.parametrize("option", VARIANTS)
def test_every_option_changes_the_answer(few, option: str) -> None:
    base = few.stepping(bounded=False)
    found = base.stepping(**VARIANTS[option]).run(SEEDS)
    assert (found.samples["image"] - base.run(SEEDS).samples["image"]).abs().max() > 1e-4


def test_the_bound_acts_where_the_step_is_long(few) -> None:
    heavy = few.stepping(weight=200.0)
    bounded, free = heavy.run(SEEDS), heavy.stepping(bounded=False).run(SEEDS)
    assert (bounded.chi2 < free.chi2).all()
    light = few.stepping(weight=1e-3)
    assert torch.equal(
        light.run(SEEDS).samples["image"], light.stepping(bounded=False).run(SEEDS).samples["image"]
    )


def test_an_unknowns_own_weight_moves_it_alone_at_first(few) -> None:
    one = few.stepping(steps=1)
    base, found = one.run(SEEDS), one.with_unknown("kernel", weight=0.0).run(SEEDS)
    assert torch.equal(found.states["image"], base.states["image"])
    assert not torch.equal(found.states["kernel"], base.states["kernel"])


@pytest.mark.parametrize("order", [1.0, 0.5])
def test_the_penalty_moves_the_kernel_and_not_the_image(few, order: float) -> None:
    one = few.stepping(steps=1)
    base, found = one.run(SEEDS), one.with_unknown("kernel", penalty=Sparsity(1.0, order)).run(SEEDS)
    assert torch.equal(found.states["image"], base.states["image"])
    assert (found.states["kernel"] - base.states["kernel"]).abs().max() > 1e-6


def test_the_penalty_makes_kernels_sparser(few) -> None:
    def spread(posterior) -> torch.Tensor:
        return (posterior.samples["kernel"] ** 0.5).sum(dim=(-2, -1))

    free = few.with_unknown("kernel", prior=UniformPrior()).stepping(bounded=False)
    base = spread(free.run(SEEDS))
    sparse = spread(free.with_unknown("kernel", penalty=Sparsity(0.02, 0.5)).run(SEEDS))
    assert (sparse < 0.98 * base).all()


@pytest.mark.parametrize("rule", ["sqrt-abar", "constant"])
def test_one_step_is_the_stated_formula(few, rule: str) -> None:
    """Ancestral mean, minus the gradient of the norm of the residual through prior and operator."""
    gain = 0.6
    few = few.but(data=few.data.double()).stepping(steps=4, weight=0.7, rule=rule, bounded=False)
    few = few.with_unknown("image", prior=IndependentGaussianPrior(0.1, gain), clamp=None)
    few = few.with_unknown("kernel", prior=UniformPrior())
    seen = []
    few.run(SEEDS, callback=seen.append)

    abar = LinearVP().levels(4)
    noise = KeyedNoise([Stream(seed) for seed in SEEDS])
    image, kernel = few.unknowns["image"], few.unknowns["kernel"]
    start = noise("image", Role.START, 0, image.sites, torch.empty(2, 1, 20, 20, dtype=torch.float64))
    beta = 1 - abar[0] / abar[1]
    sigma2 = (1 - abar[0]) / abar[0]

    z = start.clone().requires_grad_()
    z0 = 0.1 + gain**2 / (gain**2 + sigma2) * (z / abar[0] ** 0.5 - 0.1)
    k = noise("kernel", Role.START, 0, kernel.sites, torch.empty(2, 1, 8, 8, dtype=torch.float64))
    k0 = kernel.prior(k / abar[0] ** 0.5, torch.full((2,), sigma2**0.5, dtype=torch.float64))
    predicted = Blur(4).forward({"image": image.physical(z0), "kernel": kernel.physical(k0)})
    norm = ((few.data - predicted) / 2.0).flatten(1).norm(dim=1) * np.sqrt(144 / (3 * 256**2))
    (gradient,) = torch.autograd.grad(norm.sum(), z)

    mean = abar[1] ** 0.5 * beta / (1 - abar[0]) * z0 + (1 - beta) ** 0.5 * (1 - abar[1]) / (1 - abar[0]) * z
    zeta = 0.7 * 1000 / 4 * (abar[0] ** 0.5 if rule == "sqrt-abar" else 1.0)
    spread = np.sqrt(beta * (1 - abar[1]) / (1 - abar[0]))
    draw = noise("image", Role.ANCESTRAL, 0, image.sites, start)
    expected = mean - zeta * gradient + spread * draw
    torch.testing.assert_close(seen[0].states["image"], expected.detach(), atol=1e-9, rtol=1e-9)
    # the guidance is a notable part of what was compared
    assert (zeta * gradient).abs().max() > 1e-6


def test_the_last_step_adds_no_noise(few) -> None:
    # With a prior that knows its answer, the chain ends on it.
    sure = few.with_unknown("image", prior=lambda x, sigma: 0 * x + 0.25).stepping(steps=6)
    posterior = sure.run(SEEDS)
    assert torch.equal(posterior.states["image"], torch.full((1, 2, 1, 20, 20), 0.25))


def test_the_callback_sees_every_step(few) -> None:
    seen = []
    posterior = few.run(SEEDS, samples=2, callback=seen.append)
    assert [(p.step, p.steps) for p in seen] == [(i + 1, 8) for i in range(8)]
    sigmas = [p.sigma for p in seen]
    assert sigmas == sorted(sigmas, reverse=True)
    assert (sigmas[0], sigmas[-1]) == (pytest.approx(80.0), pytest.approx(0.01))
    assert seen[0].residual_norm.shape == (4,)
    # What was seen then is still there when the run is over.
    assert not torch.equal(seen[0].states["image"], seen[1].states["image"])
    for name in ("image", "kernel"):
        assert torch.equal(seen[-1].estimates[name], posterior.samples[name].flatten(0, 1))
        assert torch.equal(seen[-1].states[name], posterior.states[name].flatten(0, 1))


def test_an_exception_of_the_callback_ends_the_run(few) -> None:
    steps = []

    def stop(progress) -> None:
        steps.append(progress.step)
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        few.run(SEEDS, callback=stop)
    assert steps == [1, 2, 3]


def test_the_residual_is_reported_in_units_of_the_domain(few) -> None:
    seen = []
    few.stepping(steps=2).run(SEEDS, callback=seen.append)
    values = seen[-1].estimates
    expected = (few.data - few.operator.forward(values)).flatten(1).norm(dim=1) / 2.0
    torch.testing.assert_close(seen[-1].residual_norm, expected)


def test_guidance_of_a_pixel_does_not_depend_on_the_size_of_the_image(few) -> None:
    """The same picture tiled four times moves each of its pixels as before."""
    one = few.with_unknown("image", prior=IndependentGaussianPrior(), clamp=None).stepping(
        steps=1, weight=1000.0, bounded=False
    )

    def step(problem) -> torch.Tensor:
        given = problem.run(SEEDS, noise=lambda *key: torch.full_like(key[-1], 0.1))
        return given.states["image"][0, :, 0, 9:11, 9:11]

    flat = one.but(data=torch.full_like(one.data, 0.3))
    large = flat.but(data=torch.full((2, 1, 52, 52), 0.3)).with_unknown("image", shape=(1, 60, 60))
    without = flat.stepping(weight=0.0)
    assert (step(flat) - step(without)).abs().max() > 1e-3
    torch.testing.assert_close(step(large), step(flat), atol=1e-5, rtol=1e-5)
    difference = (
        step(large.stepping(size_invariant=False)) - step(flat.stepping(size_invariant=False))
    ).abs()
    assert difference.max() > 1e-3


def test_a_learned_variance_is_asked_of_priors_that_have_one(few) -> None:
    def network(out: int) -> VPDenoiser:
        config = UNetConfig(1, out, 8, (1, 2), norm_groups=4, num_head_channels=8)
        return VPDenoiser(UNet(config).requires_grad_(False))

    learned = few.with_unknown("image", prior=network(2)).with_unknown("kernel", prior=network(2))
    # A network whose v is zero asks for the geometric mean of the two fixed variances.
    found = learned.stepping(variance="learned").run(SEEDS).samples["image"]
    small, large = (learned.stepping(variance=v).run(SEEDS).samples["image"] for v in ("small", "large"))
    assert (found - small).abs().max() > 1e-3
    assert (found - large).abs().max() > 1e-3
    with pytest.raises(ConfigError, match="prior of 'kernel' learned no variance; choose 'small' or 'large'"):
        learned.with_unknown("kernel", prior=UniformPrior()).stepping(variance="learned").run(SEEDS)
    with pytest.raises(PriorError, match="predicts no variance"):
        learned.with_unknown("kernel", prior=network(1)).stepping(variance="learned").run(SEEDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "0 steps .* give at least one step"),
        ({"unit": 0.0}, "unit 0.0: .* a positive unit"),
        ({"levels": published_levels(8)}, "levels .* rise from above 0 to below 1"),
        ({"levels": np.array([0.5, 0.2])}, "levels .* rise from above 0 to below 1"),
        ({"levels": np.array([])}, "0 steps .* give at least one step"),
        ({"rule": "sqrt_abar"}, "unknown rule 'sqrt_abar'; give one of sqrt-abar, constant"),
        ({"variance": "tiny"}, "unknown variance 'tiny'; give one of small, large, learned"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Dps(**options)


def test_given_levels_count_as_the_steps(few) -> None:
    sampler = Dps(levels=published_levels(25))
    assert sampler.steps == 25
    assert replace(sampler, weight=2.0).steps == 25
    assert few.but(sampler=sampler).run(SEEDS).evaluations == 25


def test_without_an_observed_pixel_the_data_say_nothing(few) -> None:
    blind = few.but(likelihood=Gaussian(0.05, mask=torch.ones_like(few.data, dtype=torch.bool)))
    found = blind.run(SEEDS)
    other = blind.but(data=few.data + 100).run(SEEDS)
    assert torch.isfinite(found.samples["image"]).all()
    assert torch.equal(found.samples["image"], other.samples["image"])
    assert torch.equal(found.chi2, torch.zeros(1, 2))
