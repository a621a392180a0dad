from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.screens import phase_screen, structure_function


def test_structure_function_has_frieds_constant() -> None:
    assert structure_function(1.0, 1.0) == pytest.approx(6.8839, abs=1e-3)
    np.testing.assert_allclose(structure_function([0.0, 2.0], 0.5), [0.0, 6.8839 * 4 ** (5 / 3)], rtol=1e-4)


def test_von_karman_tends_to_kolmogorov_and_saturates() -> None:
    r = np.array([1e-6, 1e-3, 0.1])
    np.testing.assert_allclose(structure_function(r, 0.1, 1e7), structure_function(r, 0.1), rtol=0.01)
    plateau = structure_function([50.0, 500.0], 0.1, 1.0)
    # Twice the variance of the phase, 0.0863 (L0 / r0)^(5/3).
    np.testing.assert_allclose(plateau, 2 * 0.0863 * 10 ** (5 / 3), rtol=0.01)


def test_expansion_for_small_separations() -> None:
    r, scale = np.array([0.5, 1.0, 2.0]), 25.0
    x = r / scale
    series = 1 - 1.485 * x ** (1 / 3) + 5.383 * x**2 - 6.281 * x ** (7 / 3)
    np.testing.assert_allclose(
        structure_function(r, 0.2, scale), 6.88 * (r / 0.2) ** (5 / 3) * series, rtol=0.01
    )


@pytest.mark.parametrize("outer_scale", [2.0, 10.0])
def test_screens_follow_the_structure_function(outer_scale: float) -> None:
    n, step, r0 = 64, 1 / 32, 0.2
    rng = np.random.default_rng(5)
    lags = np.array([1, 2, 4, 8, 16])
    measured = np.zeros(lags.size)
    rounds = 200
    for _ in range(rounds):
        screen = phase_screen(n, step, r0, rng, outer_scale=outer_scale)
        for k, lag in enumerate(lags):
            measured[k] += np.mean((screen[lag:] - screen[:-lag]) ** 2) / (2 * rounds)
            measured[k] += np.mean((screen[:, lag:] - screen[:, :-lag]) ** 2) / (2 * rounds)
    # Below two steps the grid cuts off the highest frequencies.
    np.testing.assert_allclose(measured[1:], structure_function(lags[1:] * step, r0, outer_scale), rtol=0.10)


def test_without_subharmonics_low_frequencies_are_missing() -> None:
    lag = 16
    power = []
    for levels in (0, 8):
        rng = np.random.default_rng(1)
        draws = [phase_screen(64, 1 / 32, 0.2, rng, outer_scale=50.0, subharmonics=levels) for _ in range(60)]
        power.append(np.mean([np.mean((s[lag:] - s[:-lag]) ** 2) for s in draws]))
    assert power[0] < 0.8 * power[1]


def test_seed_decides_and_the_mean_is_zero() -> None:
    first = phase_screen(33, 0.1, 0.2, np.random.default_rng(7))
    np.testing.assert_array_equal(first, phase_screen(33, 0.1, 0.2, np.random.default_rng(7)))
    assert abs(first.mean()) < 1e-9
    assert abs(first - phase_screen(33, 0.1, 0.2, np.random.default_rng(8))).max() > 0.1


def test_inner_scale_smooths() -> None:
    rough, smooth = (
        phase_screen(64, 0.01, 0.2, np.random.default_rng(2), inner_scale=inner) for inner in (0.0, 0.2)
    )
    assert np.abs(np.diff(smooth)).mean() < 0.5 * np.abs(np.diff(rough)).mean()


def test_infinite_outer_scale_is_refused() -> None:
    with pytest.raises(ConfigError, match="outer_scale"):
        phase_screen(32, 0.1, 0.2, np.random.default_rng(0), outer_scale=float("inf"))
