"""The split sampler: exact where the posterior is known, calibrated where only the truth is.

With exact Gaussian priors the blind toys below have posteriors that are known by integration on a
grid; a blind deconvolution is checked by the ranks of truths among draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from blinddps_sci.errors import ConfigError
from blinddps_sci.likelihoods import Gaussian
from blinddps_sci.operators import FieldBlur, NodeWindow
from blinddps_sci.priors.gaussian import GaussianPrior, StationaryGaussianPrior
from blinddps_sci.sampling.noise import KeyedNoise, NoiseSource, Role, Site, Stream
from blinddps_sci.sampling.posterior import Posterior, Status
from blinddps_sci.sampling.sample import sample
from blinddps_sci.sampling.split import Split
from blinddps_sci.sampling.unknown import Unknown

SEEDS = [1, 2]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unknown(prior: object, *shape: int) -> Unknown:
    return Unknown(prior, shape, clamp=None, noise_range=(10.0, 0.02))  # type: ignore[arg-type]


# --- a product of numbers: the posterior on a grid ---


@dataclass(frozen=True)
class Product:
    """``y = a b ...`` of any number of scalars."""

    inputs: tuple[str, ...]

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        return prod((unknowns[name] for name in self.inputs[1:]), start=unknowns[self.inputs[0]])


@dataclass(frozen=True)
class Toy:
    """A measured product of scalars with independent Gaussian priors."""

    means: tuple[float, ...]
    stds: tuple[float, ...]
    measured: float
    sigma: float
    points: int

    def density(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Return the axes and the normalised posterior on their grid."""
        axes = [
            np.linspace(m - 5 * s, m + 5 * s, self.points) for m, s in zip(self.means, self.stds, strict=True)
        ]
        grid = np.meshgrid(*axes, indexing="ij", sparse=True)
        exponent = ((self.measured - prod(grid)) / self.sigma) ** 2
        for g, m, s in zip(grid, self.means, self.stds, strict=True):
            exponent = exponent + ((g - m) / s) ** 2
        density = np.exp(-0.5 * exponent)
        return axes, density / density.sum()

    def draws(self, items: int, sampler: Split, noise: object) -> np.ndarray:
        """Return draws of every scalar, (U, items)."""
        names = tuple("abcd"[: len(self.means)])
        unknowns = {
            name: unknown(GaussianPrior(torch.tensor([m]).double(), torch.tensor([[s**2]]).double()), 1, 1, 1)
            for name, m, s in zip(names, self.means, self.stds, strict=True)
        }
        posterior = sample(
            torch.full((items, 1, 1, 1), self.measured, dtype=torch.float64),
            Product(names),
            Gaussian(self.sigma),
            unknowns,
            sampler=sampler,
            seeds=[0] * items,
            noise=noise,
        )
        assert posterior.status is Status.COMPLETE
        return np.stack([posterior.samples[name].flatten().numpy() for name in names])


TOYS = {
    "two": Toy((1.0, 0.5), (0.5, 0.4), 1.2, 0.3, 401),
    "three": Toy((1.0, 0.5, 0.8), (0.5, 0.4, 0.3), 1.0, 0.2, 91),
}


@pytest.mark.parametrize("name", TOYS)
def test_the_marginals_of_a_product_are_those_of_the_integral(plain_noise, name: str) -> None:
    """Measured: means within 0.02 deviations, deviations within 1.5 percent, distances below 0.015."""
    toy, items = TOYS[name], 4000
    draws = toy.draws(items, Split(steps=40), plain_noise(1))
    axes, density = toy.density()
    marginals = []
    for i, (axis, found) in enumerate(zip(axes, draws, strict=True)):
        marginal = density.sum(axis=tuple(j for j in range(len(axes)) if j != i))
        mean = (marginal * axis).sum()
        std = np.sqrt((marginal * (axis - mean) ** 2).sum())
        assert abs(found.mean() - mean) < 0.06 * std
        assert found.std() == pytest.approx(std, rel=0.04)
        cumulative = np.cumsum(marginal) - marginal / 2
        ranks = np.sort(np.interp(found, axis, cumulative))
        assert np.abs(ranks - (np.arange(items) + 0.5) / items).max() < 0.03
        marginals.append((mean, std))
    (ma, sa), (mb, sb) = marginals[:2]
    a, b, *_ = np.meshgrid(*axes, indexing="ij", sparse=True)
    correlation = (density * (a - ma) * (b - mb)).sum() / (sa * sb)
    assert correlation < -0.4
    assert np.corrcoef(draws)[0, 1] == pytest.approx(correlation, abs=0.04)


# --- one unknown, linear: the closed form ---


@dataclass(frozen=True, eq=False)
class Matrix:
    """``A x`` of one unknown."""

    matrix: Tensor
    inputs: tuple[str, ...] = ("image",)

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        return unknowns["image"].flatten(1) @ self.matrix.T


def circulant(power: Tensor) -> Tensor:
    """Return the covariance (D, D) of a periodic field by its spectrum (H, W)."""
    height, width = power.shape
    y, x = np.divmod(np.arange(height * width), width)
    covariance: Tensor = torch.fft.ifft2(power).real[(y[:, None] - y) % height, (x[:, None] - x) % width]
    return covariance


def dense() -> tuple[Tensor, Tensor]:
    """Return mean (12,) and covariance (12, 12) of a Gaussian without symmetries."""
    factor = normal(12, 12, seed=1)
    return normal(12, seed=2), 0.5 * factor @ factor.T / 12 + 0.01 * torch.eye(12)


def gain_of(covariance: Tensor, matrix: Tensor, sigma: float) -> Tensor:
    """Return what the posterior mean moves by for each unit of the residual."""
    seen = matrix @ covariance @ matrix.T
    return covariance @ matrix.T @ torch.linalg.inv(seen + sigma**2 * torch.eye(len(seen)))


def many_chains(
    data: Tensor, matrix: Tensor, sigma: float, image: Unknown, sampler: Split, noise: NoiseSource, items: int
) -> Posterior:
    """Sample the linear problem by so many chains side by side."""
    return sample(
        data.expand(items, -1),
        Matrix(matrix),
        Gaussian(sigma),
        {"image": image},
        sampler=sampler,
        seeds=[0] * items,
        noise=noise,
    )


@pytest.mark.parametrize("kind", ["full", "stationary"])
@pytest.mark.parametrize("steps", [2, 12])
def test_a_linear_problem_is_drawn_exactly(plain_noise, kind: str, steps: int) -> None:
    """With any number of steps: the last draw starts from a level far below the posterior's width.

    Two steps come from the noise of 10 in one go, and each draw is exact given the state before it.
    """
    shape, items, sigma = (1, 3, 4), 5000, 0.3
    if kind == "full":
        mean, covariance = dense()
        prior: object = GaussianPrior(mean, covariance)
    else:
        fy, fx = np.fft.fftfreq(3), np.fft.fftfreq(4)
        power = torch.from_numpy(0.1 / (0.05 + fy[:, None] ** 2 + fx[None] ** 2))
        covariance, mean = circulant(power), torch.full((12,), 0.4, dtype=torch.float64)
        prior = StationaryGaussianPrior(power, mean=0.4)
    matrix = normal(8, 12, seed=3) / 2
    data = matrix @ mean + normal(8, seed=4)
    sampler = Split(steps=steps, iterations=12)
    posterior = many_chains(data, matrix, sigma, unknown(prior, *shape), sampler, plain_noise(5), items)
    draws = posterior.samples["image"][0].flatten(1)
    gain = gain_of(covariance, matrix, sigma)
    expected_mean = mean + gain @ (data - matrix @ mean)
    expected = covariance - gain @ matrix @ covariance
    diagonal = expected.diagonal()
    assert ((draws.mean(dim=0) - expected_mean).abs() < 4.5 * (diagonal / items).sqrt()).all()
    error = ((diagonal[:, None] * diagonal + expected**2) / items).sqrt()
    assert ((torch.cov(draws.T) - expected).abs() < 4.5 * error).all()


@pytest.mark.parametrize("averaged", [0, 4, 12])
def test_conditional_means_scatter_less_about_the_posterior_mean(plain_noise, averaged: int) -> None:
    """As Rao and Blackwell say: the less, the noisier the levels they are of."""
    items, sigma = 2000, 0.3
    mean, covariance = dense()
    matrix = normal(8, 12, seed=3) / 2
    data = matrix @ mean + normal(8, seed=4)
    sampler = Split(steps=12, iterations=24, tolerance=0, averaged=averaged)
    image = unknown(GaussianPrior(mean, covariance), 1, 3, 4)
    posterior = many_chains(data, matrix, sigma, image, sampler, plain_noise(5), items)
    found = posterior.means["image"][0].flatten(1)
    gain = gain_of(covariance, matrix, sigma)
    expected = mean + gain @ (data - matrix @ mean)
    scatter = found.var(dim=0)
    assert ((found.mean(dim=0) - expected).abs() < 4.5 * (scatter / items).sqrt()).all()
    share = float(scatter.sum() / posterior.samples["image"][0].flatten(1).var(dim=0).sum())
    low, high = {0: (1.0, 1.0), 4: (0.3, 0.95), 12: (0.0, 0.6)}[averaged]
    assert low <= share <= high


# --- a blind deconvolution: truths drawn from the priors ---

PIXELS, TAPS = 8, 3


@dataclass(frozen=True)
class LineBlur:
    """``y = x * k`` along a line, where the whole kernel sees the image."""

    inputs: tuple[str, ...] = ("image", "kernel")

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        windows = unknowns["image"][:, 0, 0].unfold(1, TAPS, 1)
        return (windows * unknowns["kernel"][:, 0]).sum(dim=-1)[:, None, None]


@dataclass(frozen=True, eq=False)
class Line:
    """Blind deconvolutions of lines with their truths."""

    truth: dict[str, Tensor]
    data: Tensor
    unknowns: dict[str, Unknown]
    sigma: float = 0.2

    def run(self, sampler: Split, noise: object, samples: int) -> Posterior:
        return sample(
            self.data,
            LineBlur(),
            Gaussian(self.sigma),
            self.unknowns,
            sampler=sampler,
            seeds=[0] * len(self.data),
            samples=samples,
            noise=noise,
        )


def lines(items: int) -> Line:
    places = torch.arange(PIXELS, dtype=torch.float64)
    smooth = 0.16 * torch.exp(-((places[:, None] - places) ** 2) / 4)
    priors = {
        "image": GaussianPrior(torch.ones_like(places), smooth + 1e-3 * torch.eye(PIXELS)),
        "kernel": GaussianPrior(torch.tensor([0.2, 0.6, 0.2]).double(), 0.02 * torch.eye(TAPS).double()),
    }
    truth = {
        name: (
            prior.mean + normal(items, len(prior.mean), seed=n) @ torch.linalg.cholesky(prior.covariance).T
        )[:, None, None]
        for n, (name, prior) in enumerate(priors.items(), start=3)
    }
    clear = LineBlur().forward(truth)
    unknowns = {name: unknown(prior, 1, 1, len(prior.mean)) for name, prior in priors.items()}
    return Line(truth, clear + Line.sigma * normal(*clear.shape, seed=9), unknowns)


SUMMARIES = {
    "a pixel": ("image", lambda v: v[..., 0, 0, 4]),
    "a pixel of the rim": ("image", lambda v: v[..., 0, 0, 0]),
    "the flux": ("image", lambda v: v.sum(dim=(-3, -2, -1))),
    "the middle tap": ("kernel", lambda v: v[..., 0, 0, 1]),
    "the sum of the kernel": ("kernel", lambda v: v.sum(dim=(-3, -2, -1))),
}


def test_truths_rank_uniformly_among_draws(plain_noise) -> None:
    """Simulation-based calibration, and reduced chi-squared of the draws: one, of as many pixels."""
    problem, samples = lines(300), 7
    found = problem.run(Split(steps=20), plain_noise(5), samples)
    for name, (which, summary) in SUMMARIES.items():
        ranks = (summary(found.samples[which]) < summary(problem.truth[which])).sum(dim=0).numpy()
        counts = np.bincount(ranks, minlength=samples + 1)
        assert chisquare(counts).pvalue > 0.01, (name, counts.tolist())
    # Its mean over truths is one for draws of the posterior, with the scatter of 1800 pixels.
    assert float(found.chi2.mean()) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("noise", [0.1, 0.03])
def test_more_conjugate_gradients_change_no_draw(noise: float) -> None:
    """On a blind deconvolution of a smooth field of deviation one: less than a tenth of the draws' spread."""
    side, reach = 24, 2
    wave = np.fft.fftfreq(side + 2 * reach)
    power = torch.from_numpy(2e-4 / (0.03**2 + wave[:, None] ** 2 + wave[None] ** 2) ** 1.5)
    places = torch.arange(5, dtype=torch.float64) - 2
    spot = torch.exp(-0.5 * (places[:, None] ** 2 + places**2)).flatten()
    spot = spot / spot.sum()
    unknowns = {
        "image": unknown(StationaryGaussianPrior(power / power.mean()), 1, *power.shape),
        "kernel": unknown(GaussianPrior(spot, torch.diag((0.3 * spot) ** 2)), 1, 5, 5),
    }
    image = torch.fft.ifft2((power / power.mean()).sqrt() * torch.fft.fft2(normal(1, 1, *power.shape))).real
    operator = FieldBlur([NodeWindow(0, 0, np.ones(side), np.ones(side))], reach)
    clear = operator.forward({"image": image, "kernel": spot.reshape(1, 1, 5, 5)})
    once, twice = (
        sample(
            clear + noise * normal(*clear.shape, seed=1),
            operator,
            Gaussian(noise),
            unknowns,
            sampler=sampler,
            seeds=[3],
            samples=4,
        )
        for sampler in (Split(steps=15), Split(steps=15, iterations=200, tolerance=0))
    )
    for name in unknowns:
        change = (twice.samples[name] - once.samples[name]).square().mean().sqrt()
        spread = once.std(name).square().mean().sqrt()
        assert 1e-9 * spread < change < 0.1 * spread, name
    # A kernel drawn from a linearised problem is a little off; a sweep would draw it from its own.
    assert float(once.chi2.mean()) == pytest.approx(1, abs=0.25)


# --- the loop ---


def split(problem):
    return problem.but(sampler=Split(steps=4, sweeps=2, iterations=5))


@pytest.fixture
def few(problem):
    return split(problem.of([0, 1]))


@dataclass
class Recorder:
    """The seeds' own noise, without some of it, and which draws were asked for."""

    seeds: Sequence[int]
    without: tuple[str, Role] | None = None

    def __post_init__(self) -> None:
        self.source = KeyedNoise([Stream(seed) for seed in self.seeds])
        self.keys: list[tuple[str, Role, int, tuple[Site, ...]]] = []

    def __call__(self, name: str, role: Role, step: int, sites: Sequence[Site], like: Tensor) -> Tensor:
        self.keys.append((name, role, step, tuple(sites)))
        found = self.source(name, role, step, sites, like)
        return 0 * found if (name, role) == self.without else found


USED = [(name, role) for name in ("image", "kernel") for role in (Role.START, Role.PRIOR, Role.RENOISE)]


@pytest.mark.parametrize("key", [*USED, ("data", Role.DATA)])
def test_every_draw_matters(few, key: tuple[str, Role]) -> None:
    complete, without = Recorder(SEEDS), Recorder(SEEDS, key)
    base, found = few.run(SEEDS, noise=complete), few.run(SEEDS, noise=without)
    assert {(name, role) for name, role, *_ in complete.keys} == {*USED, ("data", Role.DATA)}
    for name in ("image", "kernel"):
        assert (found.samples[name] - base.samples[name]).abs().max() > 1e-4


def test_no_draw_of_the_data_or_of_a_level_serves_twice(few) -> None:
    recorder = Recorder(SEEDS)
    few.run(SEEDS, noise=recorder)
    once = [key for key in recorder.keys if key[1] is not Role.PRIOR]
    assert len(set(once)) == len(once)
    # a joint draw, the first unknown again, and two sweeps over both: of the data a draw each
    assert sum(key[0] == "data" for key in once) == 4 * 6


def test_the_draws_lie_where_their_planes_lie(few) -> None:
    recorder, sites = Recorder(SEEDS), (Site(40, 7),)
    few.stepping(sites=sites).run(SEEDS, noise=recorder)
    assert {key[3] for key in recorder.keys if key[0] == "data"} == {sites}
    assert {key[3] for key in recorder.keys if key[0] == "image"} == {few.unknowns["image"].sites}


VARIANTS = {
    "steps": {"steps": 5},
    "sweeps": {"sweeps": 1},
    "iterations": {"iterations": 2},
    "widest": {"widest": 2.0},
}


@pytest.mark.parametrize("option", [*VARIANTS, "range"])
def test_every_option_changes_the_answer(few, option: str) -> None:
    other = (
        few.with_unknown("image", noise_range=(5.0, 0.02))
        if option == "range"
        else few.stepping(**VARIANTS[option])
    )
    change = other.run(SEEDS).samples["image"] - few.run(SEEDS).samples["image"]
    assert change.abs().max() > 1e-4


def test_a_chain_begins_where_it_is_told(few) -> None:
    seen: list[Tensor] = []

    def prior(x: Tensor, sigma: Tensor) -> Tensor:
        seen.append(x)
        return 0.5 * x

    start = torch.linspace(-1, 1, 20).expand(1, 1, 20, 20)
    for where in (None, start):
        few.with_unknown("image", prior=prior, start=where).run(SEEDS)
    # zero by default, and the same noise in both
    torch.testing.assert_close(seen[4] - seen[0], start.expand(2, 1, 20, 20), atol=1e-4, rtol=0)


def test_the_callback_sees_every_step(few) -> None:
    seen = []
    posterior = few.run(SEEDS, samples=2, callback=seen.append)
    assert [(p.step, p.steps) for p in seen] == [(i + 1, 4) for i in range(4)]
    sigmas = [p.sigma for p in seen]
    assert sigmas == sorted(sigmas, reverse=True)
    assert (sigmas[0], sigmas[-1]) == (pytest.approx(20.0), pytest.approx(0.02))
    assert seen[0].residual_norm.shape == (4,)
    assert not torch.equal(seen[0].states["image"], seen[1].states["image"])
    for name in ("image", "kernel"):
        assert seen[0].estimates[name].shape == posterior.samples[name].flatten(0, 1).shape
        assert torch.equal(seen[-1].states[name], posterior.states[name].flatten(0, 1))


def test_an_exception_of_the_callback_ends_the_run(few) -> None:
    steps = []

    def stop(progress) -> None:
        steps.append(progress.step)
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        few.run(SEEDS, callback=stop)
    assert steps == [1, 2]


def test_no_network_is_differentiated(few) -> None:
    modes = []

    def prior(x: Tensor, sigma: Tensor) -> Tensor:
        modes.append(torch.is_grad_enabled())
        return 0.5 * x

    posterior = few.with_unknown("image", prior=prior).run(SEEDS)
    assert modes == [False] * 4
    assert not any(value.requires_grad for value in posterior.samples.values())


def test_without_an_observed_pixel_the_data_say_nothing(few) -> None:
    blind = few.but(likelihood=Gaussian(0.05, mask=torch.ones_like(few.data, dtype=torch.bool)))
    found = blind.run(SEEDS)
    other = blind.but(data=few.data + 100).run(SEEDS)
    assert torch.isfinite(found.samples["image"]).all()
    assert torch.equal(found.samples["image"], other.samples["image"])


def test_one_unknown_is_drawn_once_a_level(few) -> None:
    recorder = Recorder([0, 0])
    sample(
        normal(2, 4),
        Matrix(normal(4, 4, seed=1)),
        Gaussian(0.1),
        {"image": unknown(GaussianPrior(normal(4), torch.eye(4).double()), 1, 2, 2)},
        sampler=Split(steps=3),
        seeds=[0, 0],
        noise=recorder,
    )
    assert [key[2] for key in recorder.keys if key[0] == "data"] == [0, 4096, 8192]


@pytest.mark.parametrize(
    ("name", "least"), [("steps", 2), ("sweeps", 0), ("iterations", 1), ("tolerance", 0), ("widest", 1)]
)
def test_options_that_mean_nothing_are_refused(name: str, least: int) -> None:
    Split(**{name: least})
    with pytest.raises(ConfigError, match=f"{name} is {least - 1}; give at least {least}"):
        Split(**{name: least - 1})
