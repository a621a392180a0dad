"""The stated standard deviation: exact where the posterior is known, however few the draws are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest

from blinddps_sci.engine.blend import blend
from blinddps_sci.engine.uncertainty import REACH, Uncertainty, pooled_variance, read_uncertainty
from blinddps_sci.errors import PriorError
from blinddps_sci.likelihoods import Gaussian
from blinddps_sci.operators import FieldBlur, NodeWindow
from blinddps_sci.operators.base import Given
from blinddps_sci.priors.gaussian import StationaryGaussianPrior
from blinddps_sci.sampling.sample import sample
from blinddps_sci.sampling.split import Split
from blinddps_sci.sampling.unknown import Unknown
from blinddps_sci.tiling.plan import Plan

EXPECTED = {1.0: 0.683, 1.96: 0.95}


def coverages(error: np.ndarray, std: np.ndarray) -> list[float]:
    return [float(np.mean(np.abs(error) < level * std)) for level in EXPECTED]


@pytest.mark.parametrize("count", [2, 6, 12])
@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_intervals_hold_what_they_say_whatever_the_number_of_draws(count: int, smooth: float) -> None:
    """Truth and draws from one Gaussian, white or smooth, whose deviation varies from pixel to pixel."""
    rng = np.random.default_rng(count)
    slope = np.exp(np.linspace(0, 3, 160))
    fields = gaussian_filter(rng.standard_normal((count + 1, 160, 160)), [0, smooth, smooth]) * slope
    std = Uncertainty().std(fields[1:])
    found = coverages(fields[0] - fields[1:].mean(axis=0), std)
    # The variance of two draws has so long a tail that even neighbours leave some of it.
    np.testing.assert_allclose(found, list(EXPECTED.values()), atol=0.045 if count == 2 else 0.025)
    own = fields[1:].std(axis=0, ddof=1)
    # Taken at their word, few draws promise too much.
    assert coverages(fields[0] - fields[1:].mean(axis=0), own)[1] < (0.93 if count == 12 else 0.89)


@pytest.mark.slow
def test_the_split_sampler_covers_where_the_posterior_is_gaussian() -> None:
    """Truths from a stationary Gaussian prior, blurred by a known kernel: 68 and 95 % within 3 %."""
    side, reach, noise, problems, draws = 24, 2, 0.1, 8, 6
    wave = np.fft.fftfreq(side + 2 * reach)
    power = torch.from_numpy(2e-4 / (0.05**2 + wave[:, None] ** 2 + wave[None] ** 2) ** 1.5)
    power = power / power.mean()
    places = torch.arange(5, dtype=torch.float64) - 2
    spot = torch.exp(-0.5 * (places[:, None] ** 2 + places**2))
    white = torch.randn(
        problems, 1, *power.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    truth = torch.fft.ifft2(power.sqrt() * torch.fft.fft2(white)).real
    blur = FieldBlur([NodeWindow(0, 0, np.ones(side), np.ones(side))], reach)
    operator = Given(blur, {"kernel": (spot / spot.sum())[None, None]})
    clear = operator.forward({"image": truth})
    data = clear + noise * torch.randn(
        clear.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    prior = StationaryGaussianPrior(power)
    found = sample(
        data,
        operator,
        Gaussian(noise),
        {"image": Unknown(prior, (1, *power.shape), clamp=None, noise_range=(10.0, 0.02))},
        sampler=Split(steps=4),
        seeds=list(range(problems)),
        samples=draws,
    )
    images = found.samples["image"][:, :, 0].numpy()
    error = truth[:, 0].numpy() - images.mean(axis=0)
    std = np.stack([Uncertainty().std(images[:, item]) for item in range(problems)])
    np.testing.assert_allclose(coverages(error, std), list(EXPECTED.values()), atol=0.03)


def test_a_star_keeps_its_variance_to_itself() -> None:
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((6, 31, 31))
    draws[:, 15, 15] *= 1e3
    std = Uncertainty().std(draws)
    assert std[15, 15] == std.max()
    assert std[15, 20] < 2
    assert std[0, 0] < 2


def test_what_the_draws_do_not_know_is_added() -> None:
    ramp = 3.0 * np.arange(40) + np.zeros((40, 1))
    draws = ramp + np.random.default_rng(1).standard_normal((6, 40, 40))
    plain = Uncertainty().std(draws)
    np.testing.assert_allclose(Uncertainty(scale=2.0).std(draws), 2 * plain)
    inner = (slice(REACH, -REACH),) * 2
    added = Uncertainty(edge=0.5).std(draws)[inner] ** 2 - plain[inner] ** 2
    # The mean's own noise has a gradient as well, of variance 1/6 * 1/2 along each axis.
    np.testing.assert_allclose(added.mean(), 7 / 6 * 0.5 * (9 + 1 / 6) ** 0.5, rtol=0.05)


def test_an_edge_that_the_draws_agree_on_gets_less_than_its_height() -> None:
    """A hundred times as steep, ten times the deviation: it grows with the root of the gradient."""
    noise = 0.01 * np.random.default_rng(4).standard_normal((6, 40, 40))
    step = np.where(np.arange(40) < 20, 0.0, 1.0) + np.zeros((40, 1))
    only = Uncertainty(scale=1e-3, edge=2.0)
    soft, hard = (only.std(height * step + noise)[20, 20] for height in (1.0, 100.0))
    assert hard / soft == pytest.approx(10, rel=0.05)
    assert Uncertainty(edge=2.0).std(step + noise)[:, 20].max() < 0.3


def test_the_unit_of_the_data_does_not_matter() -> None:
    draws = np.random.default_rng(2).standard_normal((4, 20, 20))
    expected = Uncertainty(1.3, 0.4).std(draws)
    for unit in (1e-17, 1e12):
        np.testing.assert_allclose(Uncertainty(1.3, 0.4).std(unit * draws), unit * expected, rtol=1e-9)


def test_draws_without_spread_have_no_deviation() -> None:
    assert (Uncertainty().std(np.ones((3, 8, 9))) == 0).all()
    assert np.isnan(Uncertainty().std(np.ones((1, 8, 9)))).all()
    some = np.ones((3, 30, 30))
    some[:, :10] += np.arange(3.0)[:, None, None]
    found = Uncertainty().std(some)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], found[0, 0])


@pytest.mark.parametrize("overlap", [0, 16])
def test_the_deviation_does_not_depend_on_the_units(overlap: int) -> None:
    """Units that share their draws state what one unit over all would, also beside their borders."""
    uncertainty = Uncertainty(1.2, 0.5)
    cut = Plan((64, 96), 1, tile=32, overlap=overlap, unit=32, kernel_size=9)
    truth = np.random.default_rng(3).standard_normal((4, 64, 96))
    expected = uncertainty.std(truth)
    for unit in cut.units():
        found = blend(cut, unit, lambda n: truth[(slice(None), *cut.unit_at(n).data.slices)], uncertainty)
        if overlap:
            np.testing.assert_allclose(found.std, expected[unit.core.slices], rtol=1e-4)
        else:  # there is nothing beyond the borders to go by
            inner = (slice(REACH, -REACH),) * 2
            np.testing.assert_allclose(found.std[inner], expected[unit.core.slices][inner], rtol=1e-4)
        np.testing.assert_allclose(found.mean, truth.mean(axis=0)[unit.core.slices], atol=1e-6)


@pytest.mark.parametrize("tail", [None, 2.4, 30.0])
def test_intervals_are_those_of_the_distribution_of_the_errors(tail: float | None) -> None:
    """What is stated is half the interval of 68.27 %, whatever lies beyond it."""
    rng = np.random.default_rng(5)
    uncertainty = Uncertainty(tail=tail)
    errors = (
        rng.standard_normal(40_000) if tail is None else rng.standard_t(tail, 40_000) / uncertainty.one_sigma
    )
    for level in (0.5, 0.6827, 0.95, 0.99):
        inside = np.abs(errors) < uncertainty.half_width(level)
        np.testing.assert_allclose(inside.mean(), level, atol=0.01)
    assert uncertainty.half_width(0.6827) == pytest.approx(1, abs=1e-3)
    scores = uncertainty.normal(errors)
    assert (np.sign(scores) == np.sign(errors)).all()
    assert kstest(scores, "norm").pvalue > 0.01
    assert uncertainty.as_dict["interval_95"] == pytest.approx(uncertainty.half_width(0.95), abs=1e-3)


def test_gaussian_intervals_are_the_limit_of_short_tails() -> None:
    assert Uncertainty().half_width(0.95) == pytest.approx(1.96, abs=1e-3)
    assert Uncertainty(tail=1e5).half_width(0.95) == pytest.approx(1.96, abs=1e-3)
    assert Uncertainty(tail=2).half_width(0.95) == pytest.approx(4.3027 / 1.3213, rel=1e-3)


def test_the_card_gives_its_numbers_for_both_kinds_of_problem() -> None:
    blind = {"scale": 0.8, "edge": 1.5, "tail": 2.4}
    card = {"blind": blind, "known": {"scale": 1.1, "edge": 0}, "command": "bench"}
    assert read_uncertainty(card, "blind") == Uncertainty(0.8, 1.5, 2.4)
    assert read_uncertainty(card, "known") == Uncertainty(1.1, 0.0, None)


@pytest.mark.parametrize(
    "numbers",
    [
        None,
        {"scale": -1, "edge": 0},
        {"scale": "x", "edge": 0},
        {"scale": 1, "edge": 0, "tail": 0},
        {"size": 1},
    ],
)
def test_a_damaged_card_is_refused(numbers: object) -> None:
    with pytest.raises(PriorError, match="uncertainty in the prior's card is damaged"):
        read_uncertainty({"blind": numbers}, "blind")
    with pytest.raises(PriorError, match="uncertainty in the prior's card is damaged"):
        read_uncertainty({"known": numbers}, "blind")


def test_pixels_on_which_draws_agree_leave_those_around_them_their_spread() -> None:
    draws = np.random.default_rng(0).normal(size=(6, 32, 32))
    draws[:, 16, 16] = 0.0
    variance = pooled_variance(draws)
    assert variance[16, 21] > 0.05
    assert variance[2, 2] == pytest.approx(1.0, rel=0.4)
