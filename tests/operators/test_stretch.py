"""Stretches: monotone, invertible beyond their limits, and the same in any unit."""

from __future__ import annotations

import pytest
import torch

from blinddps_sci.errors import ConfigError
from blinddps_sci.operators import AsinhStretch, LinearStretch

STRETCHES = [LinearStretch(-3.0, 50.0), AsinhStretch(-3.0, 5000.0, 2.0), AsinhStretch(10.0, 11.0, 30.0)]
each = pytest.mark.parametrize("stretch", STRETCHES)


@each
def test_the_limits_become_minus_and_plus_one(stretch: LinearStretch | AsinhStretch) -> None:
    limits = torch.tensor([stretch.low, stretch.high], dtype=torch.float64)
    torch.testing.assert_close(stretch.forward(limits), torch.tensor([-1.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(stretch.inverse(torch.tensor([-1.0, 1.0], dtype=torch.float64)), limits)


@each
def test_both_ways_is_the_identity_also_beyond_the_limits(stretch: LinearStretch | AsinhStretch) -> None:
    z = torch.linspace(-1.6, 1.6, 101, dtype=torch.float64)
    torch.testing.assert_close(stretch.forward(stretch.inverse(z)), z)
    flux = stretch.low + (stretch.high - stretch.low) * torch.linspace(-1, 5, 101, dtype=torch.float64)
    torch.testing.assert_close(stretch.inverse(stretch.forward(flux)), flux)


@each
def test_stretches_are_strictly_monotone(stretch: LinearStretch | AsinhStretch) -> None:
    flux = stretch.low + (stretch.high - stretch.low) * torch.linspace(-1, 5, 1001, dtype=torch.float64)
    assert torch.all(torch.diff(stretch.forward(flux)) > 0)
    assert torch.all(stretch.slope(torch.linspace(-3, 3, 101)) > 0)


@each
def test_the_slope_is_the_derivative_of_the_inverse(stretch: LinearStretch | AsinhStretch) -> None:
    z = torch.linspace(-1.5, 1.5, 31, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(stretch.inverse(z).sum(), z)
    torch.testing.assert_close(stretch.slope(z.detach()), slope)


@each
def test_a_number_is_stretched_like_a_tensor(stretch: LinearStretch | AsinhStretch) -> None:
    for method in (stretch.forward, stretch.inverse, stretch.slope):
        number = method(0.7)
        assert isinstance(number, float)
        assert number == pytest.approx(float(method(torch.tensor(0.7, dtype=torch.float64))))


@pytest.mark.parametrize("factor", [1000.0, 1e-18])
def test_another_unit_of_flux_gives_the_same_z(factor: float) -> None:
    flux = torch.linspace(-10, 20_000, 301)
    for one, other in (
        (LinearStretch(-3, 5000), LinearStretch(-3 * factor, 5000 * factor)),
        (AsinhStretch(-3, 5000, 2), AsinhStretch(-3 * factor, 5000 * factor, 2 * factor)),
    ):
        torch.testing.assert_close(other.forward(flux * factor), one.forward(flux), rtol=1e-5, atol=1e-5)
        z = torch.linspace(-1.2, 1.2, 50)
        torch.testing.assert_close(other.inverse(z) / factor, one.inverse(z), rtol=1e-4, atol=1e-4)


def test_a_large_softening_is_nearly_linear() -> None:
    flux = torch.linspace(0, 1, 50, dtype=torch.float64)
    nearly = AsinhStretch(0, 1, 1000).forward(flux)
    torch.testing.assert_close(nearly, LinearStretch(0, 1).forward(flux), rtol=0, atol=1e-6)


def test_limits_and_softening_are_checked() -> None:
    with pytest.raises(ConfigError, match="low < high"):
        LinearStretch(1.0, 1.0)
    with pytest.raises(ConfigError, match="low < high"):
        AsinhStretch(0.0, float("nan"), 1.0)
    with pytest.raises(ConfigError, match="softening 0"):
        AsinhStretch(0.0, 1.0, 0.0)
