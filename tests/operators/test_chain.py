"""Chains: the order counts, the inputs are those of all links, and derivatives go through."""

from __future__ import annotations

import pytest
import torch

from blinddps_sci.errors import ConfigError
from blinddps_sci.operators import Blur, Chain, Direct, Downsample, FourierMagnitude, Given
from blinddps_sci.operators.linear import linearise_operator
from blinddps_sci.operators.published import PublishedBlur


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def values() -> dict[str, torch.Tensor]:
    return {"image": draw(2, 1, 34, 30), "kernel": draw(2, 1, 5, 5, seed=1)}


def test_each_link_takes_what_the_one_before_predicts() -> None:
    blur, coarse = Blur(3), Downsample(2, 4)
    chain = Chain([blur, coarse])
    assert chain.inputs == ("image", "kernel")
    expected = coarse.forward({"image": blur.forward(values())})
    torch.testing.assert_close(chain.forward(values()), expected)
    other = blur.forward({**values(), "image": coarse.forward(values())})
    assert other.shape != expected.shape


def test_derivatives_by_all_unknowns_and_the_adjoint() -> None:
    chain = Chain([Blur(3), Downsample(2, 4)])
    linear = linearise_operator(chain, values())
    changes = {"image": draw(2, 1, 34, 30, seed=2), "kernel": draw(2, 1, 5, 5, seed=3)}
    residual = draw(*linear.value.shape, seed=4)
    back = linear.adjoint(residual, ["image", "kernel"])
    pulled = sum((changes[name] * back[name]).sum() for name in changes)
    torch.testing.assert_close((linear.apply(changes) * residual).sum(), pulled)
    step = 1e-6
    moved = chain.forward({name: value + step * changes[name] for name, value in values().items()})
    torch.testing.assert_close((moved - linear.value) / step, linear.apply(changes), rtol=1e-4, atol=1e-4)


def test_a_known_input_is_given_to_the_whole_chain() -> None:
    known = Given(Chain([Blur(3), Downsample(2, 4)]), {"kernel": values()["kernel"]})
    assert known.inputs == ("image",)
    torch.testing.assert_close(known.forward({"image": values()["image"]}), known.operator.forward(values()))


def test_what_cannot_be_a_chain_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="no operators"):
        Chain([])
    with pytest.raises(ConfigError, match="PublishedBlur takes no image"):
        Chain([Direct(), PublishedBlur()])
    with pytest.raises(ConfigError, match="image, kernel, kernel: an unknown belongs to one"):
        Chain([Blur(1), Blur(1)])
    assert Chain([FourierMagnitude()]).inputs == ("image",)
