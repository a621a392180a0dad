"""Blending units: a partition of unity over draws, whose deviation is that of the fused draws."""

from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.engine.blend import blend
from blinddps_sci.tiling.plan import Plan


def plan(shape: tuple[int, int] = (64, 96), unit: int = 32, overlap: int = 16, planes: int = 1) -> Plan:
    return Plan(shape, planes, tile=32, overlap=overlap, unit=unit, kernel_size=9)


def assembled(plan: Plan, draws_of) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of the first plane."""
    mean, std = np.full((2, *plan.shape), np.nan, dtype=np.float32)
    for unit in plan.units():
        if unit.plane == 0:
            blended = blend(plan, unit, draws_of)
            assert blended.mean.shape == blended.std.shape == unit.core.shape
            assert blended.mean.dtype == blended.std.dtype == np.float32
            mean[unit.core.slices], std[unit.core.slices] = blended.mean, blended.std
    return mean, std


@pytest.mark.parametrize("shape", [(64, 96), (70, 33), (31, 97), (32, 32)])
@pytest.mark.parametrize("overlap", [0, 9, 16])
def test_constant_draws_stay_constant(shape: tuple[int, int], overlap: int) -> None:
    cut = plan(shape, overlap=overlap)
    levels = np.array([1.0, 2.0, 6.0])[:, None, None]
    mean, std = assembled(cut, lambda n: levels * np.ones(cut.unit_at(n).data.shape))
    np.testing.assert_allclose(mean, 3, rtol=1e-6)
    np.testing.assert_allclose(std, levels.std(ddof=1), rtol=1e-6)


def test_units_that_agree_are_left_as_they_are() -> None:
    cut = plan()
    truth = np.random.default_rng(0).standard_normal((4, *cut.shape))
    mean, std = assembled(cut, lambda n: truth[(slice(None), *cut.unit_at(n).data.slices)])
    np.testing.assert_allclose(mean, truth.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(std, truth.std(axis=0, ddof=1), atol=1e-6)


def test_two_units_are_joined_by_their_weights() -> None:
    """Two units side by side, all zeros and all ones: the result is the second one's weight."""
    cut = plan((32, 64))
    first, second = cut.units()
    mean, _ = assembled(cut, lambda n: np.full((2, *cut.unit_at(n).data.shape), float(n)))
    weight = np.zeros(64)
    weight[slice(second.data.x0, second.data.x1)] = cut.blend_window(second)[1]
    np.testing.assert_allclose(mean, np.broadcast_to(weight, (32, 64)), atol=1e-6)
    assert (mean[:, : first.core.x1 - 8] == 0).all()
    assert (mean[:, second.core.x0 + 8 :] == 1).all()
    np.testing.assert_allclose(mean[:, 31] + mean[:, 32], 1, atol=1e-6)


def test_the_deviation_is_that_of_the_fused_draws() -> None:
    """Draws that differ by +-1 in one unit and by -+1 in the other cancel in the middle."""
    cut = plan((32, 64))
    signs = np.array([1.0, -1.0])[:, None, None]
    _, std = assembled(cut, lambda n: (1 - 2 * n) * signs * np.ones(cut.unit_at(n).data.shape))
    second = cut.unit_at(1)
    weight = np.zeros(64)
    weight[second.data.x0 : second.data.x1] = cut.blend_window(second)[1]
    expected = np.abs(1 - 2 * weight) * np.sqrt(2)
    np.testing.assert_allclose(std, np.broadcast_to(expected, (32, 64)), atol=1e-6)
    assert std[:, 31:33].max() < 0.2 < std[:, 0].min()


def test_one_draw_has_no_deviation() -> None:
    cut = plan((32, 64))
    mean, std = assembled(cut, lambda n: np.ones((1, *cut.unit_at(n).data.shape)))
    np.testing.assert_allclose(mean, 1, rtol=1e-6)
    assert np.isnan(std).all()


def test_a_unit_asks_for_itself_and_its_neighbours_in_order() -> None:
    cut = plan((96, 96), planes=2)
    for number in (0, 4, 13):
        asked: list[int] = []

        def draws_of(n: int, asked: list[int] = asked) -> np.ndarray:
            asked.append(n)
            return np.zeros((1, *cut.unit_at(n).data.shape))

        unit = cut.unit_at(number)
        blend(cut, unit, draws_of)
        assert asked == [number, *sorted(cut.neighbours(unit))]
        assert all(cut.unit_at(n).plane == unit.plane for n in asked)
