"""Small blind problems: networks with random weights, an asymmetric kernel, a few pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from blinddps_sci.likelihoods import Gaussian, Likelihood
from blinddps_sci.operators import Blur, LinearStretch, Operator
from blinddps_sci.priors.unet import UNet, UNetConfig
from blinddps_sci.priors.wrap import EDMDenoiser
from blinddps_sci.sampling.dps import Dps
from blinddps_sci.sampling.noise import Role, Site
from blinddps_sci.sampling.posterior import Posterior
from blinddps_sci.sampling.sample import sample
from blinddps_sci.sampling.unknown import ImageMap, KernelMap, Unknown

CANVAS, KERNEL, MARGIN = 20, 8, 4


def random_prior(seed: int) -> EDMDenoiser:
    """Return a denoiser of one channel whose network's weights are random and not zero."""
    torch.manual_seed(seed)
    net = UNet(UNetConfig(1, 1, 8, (1, 2), norm_groups=4, num_head_channels=8, resblock_updown=False))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return EDMDenoiser(net.requires_grad_(False).eval())


@dataclass(frozen=True)
class Problem:
    """Everything that `sample` takes."""

    data: Tensor
    operator: Operator
    likelihood: Likelihood
    unknowns: dict[str, Unknown]
    sampler: Dps

    def run(self, seeds: Sequence[object], **options: object) -> Posterior:
        return sample(
            self.data,
            self.operator,
            self.likelihood,
            self.unknowns,
            sampler=self.sampler,
            seeds=seeds,
            **options,
        )

    def but(self, **changed: object) -> Problem:
        return replace(self, **changed)

    def of(self, items: slice | list[int]) -> Problem:
        return replace(self, data=self.data[items])

    def stepping(self, **changed: object) -> Problem:
        return replace(self, sampler=replace(self.sampler, **changed))

    def with_unknown(self, name: str, **changed: object) -> Problem:
        changed_one = replace(self.unknowns[name], **changed)
        return replace(self, unknowns={**self.unknowns, name: changed_one})


@pytest.fixture
def problem() -> Problem:
    """Return eight blind deconvolutions with random networks for image and kernel."""
    data = 0.5 + 0.2 * torch.randn(8, 1, CANVAS - 2 * MARGIN, CANVAS - 2 * MARGIN).cumsum(-1)
    stretch = LinearStretch(-1.0, 3.0)
    unknowns = {
        "image": Unknown(
            random_prior(1),
            (1, CANVAS, CANVAS),
            physical=ImageMap(stretch),
            clamp=(-1.0, 1.5),
            sites=(Site(-MARGIN, -MARGIN),),
        ),
        "kernel": Unknown(random_prior(2), (1, KERNEL, KERNEL), physical=KernelMap()),
    }
    return Problem(data, Blur(MARGIN), Gaussian(0.05), unknowns, Dps(steps=8, unit=2.0))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


class PlainNoise:
    """Draws in the order they are asked for: quick where thousands of tiny items are needed."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, unknown: str, role: Role, step: int, sites: Sequence[Site], like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator, dtype=like.dtype)


@pytest.fixture
def plain_noise() -> Callable[[int], PlainNoise]:
    return PlainNoise
