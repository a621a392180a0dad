"""`Given`: a blind operator with some of its inputs known."""

from __future__ import annotations

import pytest
import torch

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.operators import Blur, Given


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_what_is_given_is_no_longer_an_input() -> None:
    assert Given(Blur(2), {"kernel": draw(1, 1, 5, 5)}).inputs == ("image",)
    assert Given(Blur(2), {}).inputs == ("image", "kernel")


@pytest.mark.parametrize("items", [1, 4])
def test_the_prediction_is_that_of_the_whole_operator(items: int) -> None:
    image, kernel = draw(4, 1, 12, 12), draw(items, 1, 5, 5, seed=1)
    expected = Blur(2).forward({"image": image, "kernel": kernel.expand(4, -1, -1, -1)})
    found = Given(Blur(2), {"kernel": kernel}).forward({"image": image})
    torch.testing.assert_close(found, expected)


def test_known_values_repeat_when_a_batch_holds_several_draws() -> None:
    image, kernel = draw(6, 1, 12, 12), draw(2, 1, 5, 5, seed=1)
    found = Given(Blur(2), {"kernel": kernel}).forward({"image": image})
    expected = Blur(2).forward({"image": image, "kernel": torch.cat([kernel] * 3)})
    torch.testing.assert_close(found, expected)


def test_known_values_follow_the_dtype_of_the_unknowns() -> None:
    found = Given(Blur(2), {"kernel": draw(1, 1, 5, 5)}).forward({"image": draw(2, 1, 12, 12).double()})
    assert found.dtype == torch.float64


def test_gradients_reach_the_unknowns_only() -> None:
    image, kernel = draw(2, 1, 12, 12).requires_grad_(), draw(1, 1, 5, 5, seed=1)
    Given(Blur(2), {"kernel": kernel}).forward({"image": image}).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


def test_all_may_be_known() -> None:
    image, kernel = draw(2, 1, 12, 12), draw(2, 1, 5, 5, seed=1)
    operator = Given(Blur(2), {"image": image, "kernel": kernel})
    assert operator.inputs == ()
    torch.testing.assert_close(operator.forward({}), Blur(2).forward({"image": image, "kernel": kernel}))


def test_what_cannot_be_given_is_refused() -> None:
    with pytest.raises(ConfigError, match="tilt cannot be given: the operator takes image, kernel"):
        Given(Blur(2), {"tilt": draw(1, 2, 5, 5)})
    with pytest.raises(InputError, match="3 items for a batch of 4"):
        Given(Blur(2), {"kernel": draw(3, 1, 5, 5)}).forward({"image": draw(4, 1, 12, 12)})
