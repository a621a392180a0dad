"""`sample`: a problem's answer depends on its own data and seed, and on nothing about the batch."""

from __future__ import annotations

import pytest
import torch

from blinddps_sci.errors import ConfigError
from blinddps_sci.likelihoods import Gaussian, reduced_chi2
from blinddps_sci.operators import LinearStretch
from blinddps_sci.priors.uninformative import IndependentGaussianPrior
from blinddps_sci.sampling.dps import Dps
from blinddps_sci.sampling.noise import Stream
from blinddps_sci.sampling.posterior import Posterior, Status
from blinddps_sci.sampling.split import Split
from blinddps_sci.sampling.unknown import ImageMap, KernelMap

NAMES = ("image", "kernel")
SEEDS = list(range(10, 18))


def assert_close(found: Posterior, expected: Posterior, tolerance: float) -> None:
    for name in NAMES:
        torch.testing.assert_close(found.samples[name], expected.samples[name], atol=tolerance, rtol=0)
        torch.testing.assert_close(found.states[name], expected.states[name], atol=tolerance, rtol=0)


def joined(parts: list[Posterior], dim: int) -> Posterior:
    def cat(field: str) -> dict[str, torch.Tensor]:
        return {name: torch.cat([getattr(part, field)[name] for part in parts], dim=dim) for name in NAMES}

    chi2 = torch.cat([part.chi2 for part in parts], dim=dim)
    return Posterior(cat("samples"), chi2, Status.COMPLETE, 0, cat("states"))


SAMPLERS = {
    "dps": Dps(steps=8, unit=2.0),
    "dps, free": Dps(steps=8, unit=2.0, bounded=False),
    "dps, constant": Dps(steps=8, unit=2.0, rule="constant"),
    "dps, constant and free": Dps(steps=8, unit=2.0, rule="constant", bounded=False),
    "split": Split(steps=3, sweeps=1, iterations=5, widest=4.0),
}
ONE_OF_EACH = ["dps", "split"]

TOLERANCE = {"split": 2e-3}
"""Conjugate gradients amplify rounding; a dependence on the batch would be of order one."""


def by(problem, sampler: str):
    """Return the problem with a sampler; what fixes the centroid is not for draws that may be negative."""
    chosen = problem.but(sampler=SAMPLERS[sampler])
    return chosen.with_unknown("kernel", physical=KernelMap(centred=sampler != "split"))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_batch_of_eight_is_eight_singles(problem, sampler: str) -> None:
    problem = by(problem, sampler)
    whole = problem.run(SEEDS)
    singles = joined([problem.of([i]).run([SEEDS[i]]) for i in range(8)], dim=1)
    assert_close(whole, singles, TOLERANCE.get(sampler, 1e-5))
    torch.testing.assert_close(whole.chi2, singles.chi2, atol=1e-3, rtol=1e-2 if sampler == "split" else 1e-4)
    # and the problems are not all one
    assert whole.std("image").shape == (8, 1, 20, 20)
    assert (whole.samples["image"][0, 0] - whole.samples["image"][0, 1]).abs().max() > 0.1


@pytest.mark.parametrize("sampler", ONE_OF_EACH)
def test_repeated_runs_and_reordered_batches_are_bit_equal(problem, sampler: str) -> None:
    problem = by(problem, sampler)
    first = problem.run(SEEDS)
    again = problem.run(SEEDS)
    order = [3, 7, 0, 1, 6, 2, 5, 4]
    shuffled = problem.of(order).run([SEEDS[i] for i in order])
    for name in NAMES:
        assert torch.equal(again.samples[name], first.samples[name])
        assert torch.equal(shuffled.samples[name], first.samples[name][:, order])


@pytest.mark.parametrize("sampler", ONE_OF_EACH)
def test_draws_in_one_batch_are_runs_of_their_own(problem, sampler: str) -> None:
    problem = by(problem, sampler)
    few = problem.of([0, 1, 2])
    streams = [Stream(seed, frame=2, channel=1) for seed in SEEDS[:3]]
    together = few.run(streams, samples=4)
    assert together.samples["image"].shape == (4, 3, 1, 20, 20)
    assert together.chi2.shape == (4, 3)
    apart = [few.run([Stream(s.seed, 2, 1, sample=draw) for s in streams]) for draw in range(4)]
    assert_close(together, joined(apart, dim=0), TOLERANCE.get(sampler, 1e-5))
    assert (together.std("image") > 1e-3).any()


def test_a_seed_is_a_stream_with_nothing_else(problem) -> None:
    few = problem.of([0])
    plain, stream = few.run([4]), few.run([Stream(4)])
    assert torch.equal(plain.samples["image"], stream.samples["image"])
    assert not torch.equal(plain.samples["image"], few.run([5]).samples["image"])
    assert not torch.equal(plain.samples["image"], few.run([Stream(4, frame=1)]).samples["image"])


@pytest.mark.parametrize("sampler", ONE_OF_EACH)
@pytest.mark.parametrize("factor", [1000.0, 1e-6])
def test_the_unit_of_the_data_is_irrelevant(problem, sampler: str, factor: float) -> None:
    base = by(problem.of([0, 1]), sampler)
    stretch = LinearStretch(-1.0 * factor, 3.0 * factor)
    scaled = base.but(data=base.data * factor, likelihood=Gaussian(0.05 * factor))
    scaled = scaled.with_unknown("image", physical=ImageMap(stretch))
    if sampler == "dps":
        scaled = scaled.stepping(unit=2.0 * factor)
    expected, found = base.run([1, 2]), scaled.run([1, 2])
    tolerance = TOLERANCE.get(sampler, 1e-4)
    torch.testing.assert_close(
        found.samples["image"] / factor, expected.samples["image"], atol=tolerance, rtol=tolerance
    )
    torch.testing.assert_close(
        found.samples["kernel"], expected.samples["kernel"], atol=tolerance, rtol=tolerance
    )
    torch.testing.assert_close(found.chi2, expected.chi2, rtol=1e-3, atol=0)


@pytest.mark.parametrize("sampler", ONE_OF_EACH)
def test_chi2_is_of_the_samples(problem, sampler: str) -> None:
    problem = by(problem, sampler)
    few = problem.of([0, 1])
    posterior = few.run([1, 2], samples=3)
    for draw in range(3):
        values = {name: posterior.samples[name][draw] for name in NAMES}
        expected = reduced_chi2(few.likelihood, few.operator.forward(values), few.data)
        torch.testing.assert_close(posterior.chi2[draw], expected)


def test_what_a_run_reports(problem) -> None:
    posterior = problem.of([0]).stepping(steps=5).run([1])
    assert posterior.status is Status.COMPLETE
    assert posterior.evaluations == 5
    kernel = posterior.samples["kernel"]
    assert kernel.min() >= 0
    torch.testing.assert_close(kernel.sum(dim=(-2, -1)), torch.ones(1, 1, 1))


@pytest.mark.parametrize("sampler", ONE_OF_EACH)
def test_pixels_that_are_not_finite_are_not_data(problem, sampler: str) -> None:
    problem = by(problem, sampler)
    few = problem.of([0, 1])
    hole = (slice(None), slice(None), slice(2, 5), slice(3, 9))
    for value in (torch.nan, torch.inf):
        data = few.data.clone()
        data[hole] = value
        mask = torch.zeros_like(data, dtype=torch.bool)
        mask[hole] = True
        masked = few.but(likelihood=Gaussian(0.05, mask=mask)).run([1, 2])
        found = few.but(data=data).run([1, 2])
        assert found.status is Status.COMPLETE
        assert torch.equal(found.samples["image"], masked.samples["image"])
        assert not torch.equal(found.samples["image"], few.run([1, 2]).samples["image"])


def test_a_chain_that_leaves_the_finite_numbers_is_reported(problem) -> None:
    few = problem.of([0]).stepping(steps=4)
    lost = few.with_unknown("image", prior=lambda x, sigma: x * torch.nan)
    assert lost.run([1]).status is Status.NOT_FINITE


def test_a_clamp_does_not_hide_an_infinite_chain(problem) -> None:
    few = problem.of([0]).stepping(steps=4, weight=1e6, bounded=False)
    runaway = few.with_unknown("image", prior=IndependentGaussianPrior(), weight=1e38).run([1])
    assert not torch.isfinite(runaway.states["image"]).all()
    assert torch.isfinite(runaway.samples["image"]).all()
    assert runaway.status is Status.NOT_FINITE


def test_unknowns_must_be_the_operators_inputs(problem) -> None:
    image, kernel = problem.unknowns["image"], problem.unknowns["kernel"]
    for unknowns in ({"image": image}, {"image": image, "psf": kernel}, {}):
        with pytest.raises(ConfigError, match="the operator takes image, kernel; given"):
            problem.but(unknowns=unknowns).run(SEEDS)


def test_the_order_of_the_unknowns_is_irrelevant(problem) -> None:
    few = problem.of([0, 1])
    turned = few.but(unknowns=dict(reversed(few.unknowns.items())))
    assert_close(turned.run([1, 2]), few.run([1, 2]), 1e-6)


def test_seeds_and_samples_are_counted(problem) -> None:
    with pytest.raises(ConfigError, match="8 problems were given with 7 seeds"):
        problem.run(SEEDS[:7])
    with pytest.raises(ConfigError, match="0 samples were asked for; give at least one"):
        problem.run(SEEDS, samples=0)
