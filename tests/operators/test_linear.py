"""Linearisations: an operator's own equals the automatic one, and every adjoint is one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.operators import Blur, FieldBlur, Given, NodeWindow
from blinddps_sci.operators.linear import Linear, Linearisable, linearise, linearise_operator

HEIGHT, WIDTH = 23, 18


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def windows(nodes: int) -> list[NodeWindow]:
    """Return supports of several lengths, so that FFTs of several sizes are at work."""
    ramp = np.linspace(0.2, 1.0, 12)
    every = [
        NodeWindow(0, 0, np.ones(HEIGHT), np.ones(WIDTH)),
        NodeWindow(3, 1, ramp, ramp[:9]),
        NodeWindow(HEIGHT - 12, WIDTH - 9, ramp[::-1].copy(), ramp[:9]),
        NodeWindow(5, 4, np.ones(1), ramp[:7]),
    ]
    return every[:nodes]


def field(size: tuple[int, int], nodes: int, extra: int = 1) -> tuple[FieldBlur, dict[str, Tensor]]:
    margin = max(size) // 2 + extra
    values = {
        "image": draw(2, 3, HEIGHT + 2 * margin, WIDTH + 2 * margin),
        "kernel": draw(2, nodes, *size, seed=1),
    }
    return FieldBlur(windows(nodes), margin), values


def like(values: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    return {name: draw(*value.shape, seed=seed + n) for n, (name, value) in enumerate(values.items())}


def assert_adjoint(linear: Linear, changes: Mapping[str, Tensor], residual: Tensor) -> None:
    forward = (linear.apply(changes) * residual).sum()
    back = linear.adjoint(residual, changes)
    assert set(back) == set(changes)
    backward = sum((changes[name] * back[name]).sum() for name in changes)
    torch.testing.assert_close(forward, backward, rtol=1e-10, atol=1e-10)


SIZES = [(5, 5), (6, 6), (1, 1), (4, 7)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("nodes", [1, 4])
@pytest.mark.parametrize("extra", [0, 2])
def test_a_fields_own_linearisation_is_the_automatic_one(
    size: tuple[int, int], nodes: int, extra: int
) -> None:
    operator, values = field(size, nodes, extra)
    assert isinstance(operator, Linearisable)
    own, automatic = operator.linearise(values), linearise(operator.forward, values)
    torch.testing.assert_close(own.value, operator.forward(values))
    torch.testing.assert_close(automatic.value, own.value)
    changes = like(values, 10)
    for chosen in (changes, {"image": changes["image"]}, {"kernel": changes["kernel"]}):
        torch.testing.assert_close(own.apply(chosen), automatic.apply(chosen))
    residual = draw(*own.value.shape, seed=20)
    for names in (("image", "kernel"), ("image",), ("kernel",)):
        found, expected = own.adjoint(residual, names), automatic.adjoint(residual, names)
        assert set(found) == set(expected) == set(names)
        for name in names:
            assert found[name].shape == values[name].shape
            torch.testing.assert_close(found[name], expected[name])


@pytest.mark.parametrize("size", SIZES)
def test_the_adjoint_of_a_field_is_one(size: tuple[int, int]) -> None:
    operator, values = field(size, 4)
    linear = operator.linearise(values)
    residual = draw(*linear.value.shape, seed=7)
    changes = like(values, 3)
    assert_adjoint(linear, changes, residual)
    for name in values:
        assert_adjoint(linear, {name: changes[name]}, residual)


def test_the_change_of_a_blur_is_linear_in_each_unknown() -> None:
    operator, values = field((5, 5), 3)
    change = like(values, 30)
    for name in values:
        moved = {**values, name: values[name] + change[name]}
        expected = operator.forward(moved) - operator.forward(values)
        torch.testing.assert_close(operator.linearise(values).apply({name: change[name]}), expected)


def test_a_field_linearises_single_precision_in_single_precision() -> None:
    operator, values = field((6, 6), 4)
    linear = operator.linearise({name: value.float() for name, value in values.items()})
    single = {name: value.float() for name, value in like(values, 4).items()}
    assert linear.value.dtype == linear.apply(single).dtype == torch.float32
    assert {part.dtype for part in linear.adjoint(linear.value, single).values()} == {torch.float32}


def test_a_field_that_does_not_fit_is_refused() -> None:
    operator, values = field((5, 5), 3)
    with pytest.raises(InputError, match="one kernel per window"):
        operator.linearise({**values, "kernel": values["kernel"][:, :2]})
    with pytest.raises(ConfigError, match="give at least 4"):
        operator.linearise({**values, "kernel": draw(2, 3, 9, 9)})


def curved(values: Mapping[str, Tensor]) -> Tensor:
    mixed = torch.sin(values["a"]) * values["b"].sum(dim=1, keepdim=True) ** 2
    return torch.cat([mixed, torch.exp(0.3 * values["a"] + mixed)], dim=1)


def test_a_curved_function_answers_as_finite_differences_do() -> None:
    point = {"a": draw(3, 4), "b": draw(3, 2, seed=1)}
    linear = linearise(curved, point)
    torch.testing.assert_close(linear.value, curved(point))
    assert not linear.value.requires_grad
    changes, h = like(point, 5), 1e-5
    for names in (("a", "b"), ("a",), ("b",)):
        chosen = {name: changes[name] for name in names}
        ahead, behind = (
            curved({name: point[name] + sign * h * chosen.get(name, 0.0) for name in point})
            for sign in (1, -1)
        )
        torch.testing.assert_close(linear.apply(chosen), (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-6)
        assert_adjoint(linear, chosen, draw(3, 8, seed=9))


def test_a_linearisation_serves_any_number_of_products() -> None:
    linear = linearise(curved, {"a": draw(3, 4), "b": draw(3, 2, seed=1)})
    first, second = draw(3, 8, seed=2), draw(3, 8, seed=3)
    before = linear.adjoint(first, ["a"])["a"]
    both = linear.adjoint(first + 2 * second, ["a"])["a"]
    torch.testing.assert_close(before + 2 * linear.adjoint(second, ["a"])["a"], both)
    assert not both.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(linear.adjoint(first, ["a"])["a"], before)


def test_an_operator_without_a_linearisation_gets_the_automatic_one() -> None:
    image, kernel = draw(2, 1, 12, 12), draw(2, 1, 5, 5, seed=1)
    values = {"image": image, "kernel": kernel}
    found = linearise_operator(Blur(2), values)
    change = draw(*image.shape, seed=2)
    expected = Blur(2).forward({"image": change, "kernel": kernel})
    torch.testing.assert_close(found.apply({"image": change}), expected)
    assert_adjoint(found, like(values, 4), draw(2, 1, 8, 8, seed=3))


@pytest.mark.parametrize("items", [1, 2])
@pytest.mark.parametrize("own", [True, False])
def test_what_is_given_is_left_out(items: int, own: bool) -> None:
    whole, values = field((5, 5), 1)
    operator = whole if own else Blur(whole.margin)
    kernel = values["kernel"][:items]
    expected = linearise_operator(operator, {**values, "kernel": kernel.expand(2, -1, -1, -1)})
    image = {"image": values["image"]}
    found = linearise_operator(Given(operator, {"kernel": kernel}), image)
    torch.testing.assert_close(found.value, expected.value)
    change, residual = like(image, 2), draw(*found.value.shape, seed=8)
    torch.testing.assert_close(found.apply(change), expected.apply(change))
    back = found.adjoint(residual, image)
    torch.testing.assert_close(back["image"], expected.adjoint(residual, image)["image"])
    assert_adjoint(found, change, residual)
