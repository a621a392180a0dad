"""The image itself: its margin is dropped, and what is missing is left out by the likelihood."""

from __future__ import annotations

import pytest
import torch

from blinddps_sci.errors import ConfigError
from blinddps_sci.likelihoods import Gaussian
from blinddps_sci.operators import Direct
from blinddps_sci.operators.linear import linearise_operator
from blinddps_sci.priors.uninformative import IndependentGaussianPrior
from blinddps_sci.sampling.sample import sample
from blinddps_sci.sampling.split import Split
from blinddps_sci.sampling.unknown import Unknown


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("margin", [0, 1, 4])
def test_the_margin_is_dropped_and_the_adjoint_puts_zeros_there(margin: int) -> None:
    image = draw(2, 3, 11, 13)
    operator = Direct(margin)
    expected = torch.nn.functional.pad(image, (-margin,) * 4)
    torch.testing.assert_close(operator.forward({"image": image}), expected)
    linear = linearise_operator(operator, {"image": image})
    residual, change = draw(*expected.shape, seed=1), draw(*image.shape, seed=2)
    back = linear.adjoint(residual, ["image"])["image"]
    torch.testing.assert_close((linear.apply({"image": change}) * residual).sum(), (change * back).sum())
    torch.testing.assert_close(back, torch.nn.functional.pad(residual, (margin,) * 4))


@pytest.mark.parametrize("margin", [-1, 5])
def test_a_margin_that_leaves_nothing_is_refused(margin: int) -> None:
    with pytest.raises(ConfigError, match=f"margin {margin} on a canvas of \\(9, 10\\)"):
        Direct(margin).forward({"image": torch.zeros(1, 1, 9, 10)})


def test_missing_pixels_are_drawn_from_the_prior_and_the_others_from_the_posterior() -> None:
    data = torch.full((1, 1, 40, 40), 1.0)
    data[..., 20:] = torch.nan
    unknown = Unknown(IndependentGaussianPrior(0.0, 0.5), (1, 40, 40), clamp=None)
    found = sample(data, Direct(), Gaussian(0.5), {"image": unknown}, sampler=Split(30), seeds=[0], samples=8)
    seen, hole = (found.samples["image"][..., part] for part in (slice(20), slice(20, None)))
    # Equal variances of prior and noise: the posterior lies in the middle, with half of the variance.
    assert seen.mean() == pytest.approx(0.5, abs=0.02)
    assert seen.std() == pytest.approx(0.5 / 2**0.5, rel=0.05)
    assert hole.mean() == pytest.approx(0.0, abs=0.02)
    assert hole.std() == pytest.approx(0.5, rel=0.05)
