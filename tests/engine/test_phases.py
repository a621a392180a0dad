"""Estimate, reconcile, restore: the kernels of the chains end in the draws of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from blinddps_sci.engine import phases as module
from blinddps_sci.engine.phases import Phases, restore_blind
from blinddps_sci.likelihoods import Gaussian
from blinddps_sci.operators import FieldBlur, LinearStretch, NodeWindow, centroid
from blinddps_sci.priors.gaussian import StationaryGaussianPrior
from blinddps_sci.priors.uninformative import UniformPrior
from blinddps_sci.sampling.consensus import Consensus
from blinddps_sci.sampling.noise import Stream
from blinddps_sci.sampling.posterior import Posterior, Progress
from blinddps_sci.sampling.split import Split
from blinddps_sci.sampling.unknown import ImageMap, KernelMap, Unknown

SIDE, MARGIN, KERNEL, NODES = 24, 3, 7, 2
SIGMA = 0.1
STREAM = Stream(5)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True, eq=False)
class Problem:
    """A blurred field with two kernels, and everything that `restore_blind` takes."""

    data: Tensor
    truth: Tensor
    operator: FieldBlur
    unknowns: dict[str, Unknown]

    def run(
        self, phases: Phases, callback=None, stream: Stream = STREAM
    ) -> tuple[Posterior, Tensor, Consensus]:
        return restore_blind(
            self.data, self.operator, Gaussian(SIGMA), self.unknowns, stream, phases, callback
        )


@pytest.fixture
def blurred() -> Problem:
    canvas = SIDE + 2 * MARGIN
    wave = np.fft.fftfreq(canvas)
    power = torch.from_numpy(0.02 / (0.05**2 + wave[:, None] ** 2 + wave[None] ** 2)).float()
    power = power / power.mean()
    half = np.interp(np.arange(SIDE), [6, 18], [1.0, 0.0])
    windows = [NodeWindow(0, 0, np.ones(SIDE), w) for w in (half, 1 - half)]
    operator = FieldBlur(windows, MARGIN)
    places = torch.arange(KERNEL) - KERNEL // 2
    spots = [torch.exp(-0.5 * (places[:, None] ** 2 / a + places**2 / b)) for a, b in ((1, 2), (2, 1))]
    kernels = torch.stack([spot / spot.sum() for spot in spots])[None]
    image = torch.fft.ifft2(power.sqrt() * torch.fft.fft2(draw(1, 1, canvas, canvas))).real
    clear = operator.forward({"image": image, "kernel": kernels})
    unknowns = {
        "image": Unknown(
            StationaryGaussianPrior(power),
            (1, canvas, canvas),
            physical=ImageMap(LinearStretch(-1.0, 1.0)),
            clamp=None,
            noise_range=(3.0, 0.02),
        ),
        "kernel": Unknown(UniformPrior(), (NODES, KERNEL, KERNEL), physical=KernelMap(centred=False)),
    }
    return Problem(clear + SIGMA * draw(*clear.shape, seed=1), kernels, operator, unknowns)


SAMPLER = Split(steps=3, sweeps=1, iterations=8)


@pytest.mark.parametrize(("chains", "samples"), [(1, 1), (3, 2), (2, 5)])
def test_what_comes_back(blurred: Problem, chains: int, samples: int) -> None:
    posterior, kernels, agreed = blurred.run(Phases(SAMPLER, chains, samples))
    assert posterior.samples["image"].shape == (samples, 1, 1, 30, 30)
    assert set(posterior.samples) == {"image"}
    assert kernels.shape == (samples, NODES, KERNEL, KERNEL)
    assert 1 <= len(agreed.chains) <= chains
    assert agreed.mean.shape == kernels.shape[1:]
    for found in (kernels, agreed.mean[None]):
        torch.testing.assert_close(found.sum(dim=(-2, -1)), torch.ones(found.shape[:2]))
        # a draw of so few steps fills its box, so that a little is lost when it is moved
        assert centroid(found.clamp(min=0)).abs().max() < 0.15


def test_the_image_is_drawn_with_the_kernels_that_come_back(
    blurred: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    plain = module.sample

    def watched(data, operator, *args, **options):
        calls.append((operator, options))
        return plain(data, operator, *args, **options)

    monkeypatch.setattr(module, "sample", watched)
    posterior, kernels, _ = blurred.run(Phases(SAMPLER, chains=2, samples=3))
    (first, estimation), (second, restoration) = calls
    assert first is blurred.operator
    assert torch.equal(second.known["kernel"], kernels)
    assert (estimation["samples"], restoration["samples"]) == (2, 3)
    predicted = blurred.operator.forward({"image": posterior.samples["image"][:, 0], "kernel": kernels})
    chi2 = ((predicted - blurred.data) / SIGMA).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(posterior.chi2[:, 0], chi2)


def test_the_two_phases_share_no_noise(blurred: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = []
    plain = module.sample

    def watched(*args, **options):
        streams.append(options["seeds"][0])
        return plain(*args, **options)

    monkeypatch.setattr(module, "sample", watched)
    blurred.run(Phases(SAMPLER, chains=2, samples=2), stream=Stream(5, frame=3, channel=1))
    first, second = streams
    assert first == Stream(5, frame=3, channel=1)
    assert (second.seed, second.frame, second.channel) == (5, 3, 1)
    assert second.sample > first.sample + 1024


def test_a_kernel_is_found(blurred: Problem) -> None:
    """Closer to the truth than the point that does nothing and than the flat kernel."""
    phases = Phases(Split(steps=12, sweeps=1, iterations=15), chains=3, samples=2)
    posterior, kernels, _ = blurred.run(phases)
    error = (kernels.mean(dim=0) - blurred.truth[0]).norm()
    point = torch.zeros_like(blurred.truth[0])
    point[:, KERNEL // 2, KERNEL // 2] = 1
    assert error < 0.5 * (point - blurred.truth[0]).norm()
    assert float(posterior.chi2.mean()) == pytest.approx(1, abs=0.3)


def test_neighbouring_kernels_are_mixed_as_asked(blurred: Problem) -> None:
    apart = blurred.run(Phases(SAMPLER, chains=2, samples=2))
    mixing = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    mixed = blurred.run(Phases(SAMPLER, chains=2, samples=2, mixing=mixing))
    expected = torch.einsum("mn,cnij->cmij", mixing, apart[2].chains)
    torch.testing.assert_close(mixed[2].chains, expected)
    assert not torch.equal(mixed[0].samples["image"], apart[0].samples["image"])


def test_one_count_runs_through_both_phases(blurred: Problem) -> None:
    seen: list[Progress] = []
    _, kernels, _ = blurred.run(Phases(SAMPLER, chains=2, samples=3), seen.append)
    assert [(p.step, p.steps) for p in seen] == [(i + 1, 6) for i in range(6)]
    assert [len(p.estimates["image"]) for p in seen] == [2, 2, 2, 3, 3, 3]
    assert all(set(p.estimates) == {"image", "kernel"} for p in seen)
    for progress in seen[3:]:
        assert torch.equal(progress.estimates["kernel"], kernels)


def test_a_draw_depends_on_its_number_only(blurred: Problem) -> None:
    two, three = (blurred.run(Phases(SAMPLER, chains=1, samples=n))[0].samples["image"] for n in (2, 3))
    torch.testing.assert_close(three[:2], two, atol=1e-5, rtol=0)
    assert (two[1] - two[0]).abs().max() > 0.05


def test_the_seed_decides(blurred: Problem) -> None:
    phases = Phases(SAMPLER, chains=2, samples=1)
    first, again, other = (blurred.run(phases, stream=Stream(seed)) for seed in (1, 1, 2))
    assert torch.equal(first[0].samples["image"], again[0].samples["image"])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
