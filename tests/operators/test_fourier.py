"""Fourier magnitudes: energy is kept, the known ambiguities are, and derivatives are right."""

from __future__ import annotations

import pytest
import torch

from blinddps_sci.errors import ConfigError
from blinddps_sci.operators import FourierMagnitude
from blinddps_sci.operators.linear import linearise


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_energy_and_size() -> None:
    image = draw(2, 3, 10, 12)
    found = FourierMagnitude(2).forward({"image": image})
    assert found.shape == (2, 3, 20, 24)
    assert (found >= 0).all()
    torch.testing.assert_close((found**2).sum((-2, -1)), (image**2).sum((-2, -1)))
    assert FourierMagnitude(1.5).size((10, 12)) == (15, 18)


def test_the_first_magnitude_is_the_sum_over_the_side() -> None:
    image = draw(1, 1, 8, 8)
    found = FourierMagnitude(2).forward({"image": image})
    torch.testing.assert_close(found[..., 0, 0], image.sum((-2, -1)) / 16)


def test_a_turn_by_180_degrees_and_a_shift_within_zeros_are_not_seen() -> None:
    image = torch.zeros(1, 1, 12, 12, dtype=torch.float64)
    image[..., 2:9, 1:8] = draw(7, 7)
    seen = FourierMagnitude().forward({"image": image})
    torch.testing.assert_close(FourierMagnitude().forward({"image": image.flip((-2, -1))}), seen)
    torch.testing.assert_close(FourierMagnitude().forward({"image": image.roll((2, 3), (-2, -1))}), seen)
    assert not torch.allclose(FourierMagnitude().forward({"image": image.transpose(-2, -1)}), seen)


@pytest.mark.parametrize("oversampling", [1.0, 1.5, 2.0])
def test_its_linearisation_is_the_automatic_one_and_its_adjoint_is_one(oversampling: float) -> None:
    operator, values = FourierMagnitude(oversampling), {"image": draw(2, 1, 9, 8)}
    own, automatic = operator.linearise(values), linearise(operator.forward, values)
    change = {"image": draw(2, 1, 9, 8, seed=1) - 0.5}
    residual = draw(*own.value.shape, seed=2) - 0.5
    torch.testing.assert_close(own.value, automatic.value)
    torch.testing.assert_close(own.apply(change), automatic.apply(change))
    back = own.adjoint(residual, ["image"])["image"]
    torch.testing.assert_close(back, automatic.adjoint(residual, ["image"])["image"])
    torch.testing.assert_close((own.apply(change) * residual).sum(), (change["image"] * back).sum())


def test_gradients_are_right_and_finite_in_the_dark() -> None:
    image = draw(1, 1, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: FourierMagnitude(2).forward({"image": x}), (image,))
    dark = torch.zeros(1, 1, 4, 4, requires_grad=True)
    FourierMagnitude().forward({"image": dark}).sum().backward()
    assert torch.isfinite(dark.grad).all()


def test_less_than_the_image_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"oversampling 0\.5"):
        FourierMagnitude(0.5)
