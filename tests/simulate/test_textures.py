from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.textures import draw, draw_log, finish, power_law_field, soft_step, swirl


@pytest.mark.parametrize("slope", [0.0, 2.0, 3.0])
def test_field_has_the_spectrum_asked_for(slope: float) -> None:
    rng = np.random.default_rng(1)
    power = np.zeros((64, 33))
    for _ in range(40):
        power += np.abs(np.fft.rfft2(power_law_field((64, 64), rng, slope, periodic=True))) ** 2
    f = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.rfftfreq(64)[None, :])
    near, far = power[(f > 0.04) & (f < 0.06)].mean(), power[(f > 0.36) & (f < 0.44)].mean()
    assert np.log(near / far) / np.log(0.4 / 0.05) == pytest.approx(slope, abs=0.25)


def test_field_is_standardised_and_stretched() -> None:
    field = power_law_field((96, 80), np.random.default_rng(2), 2.5, stretch=8.0)
    assert field.shape == (96, 80)
    assert field.mean() == pytest.approx(0.0, abs=1e-5)
    assert field.std() == pytest.approx(1.0, abs=1e-5)
    assert np.abs(np.diff(field, axis=1)).mean() < 0.6 * np.abs(np.diff(field, axis=0)).mean()


def test_swirl_carries_but_does_not_create() -> None:
    rng = np.random.default_rng(3)
    field = power_law_field((64, 64), rng, 2.5)
    moved = swirl(field, rng, 6.0)
    assert moved.min() >= field.min() - 1e-6
    assert moved.max() <= field.max() + 1e-6
    assert abs(moved - field).max() > 0.1


def test_soft_step_rises_from_zero_to_one() -> None:
    values = soft_step([-100.0, 0.0, 100.0])
    np.testing.assert_allclose(values, [0.0, 0.5, 1.0], atol=1e-6)


def test_finish_clips_and_scales() -> None:
    image = finish([[-1.0, 1.0], [2.0, 1.0]])
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, [[0.0, 1.0], [2.0, 1.0]])


def test_ranges_are_respected_and_checked() -> None:
    rng = np.random.default_rng(0)
    assert all(2.0 <= draw(rng, (2.0, 3.0)) <= 3.0 for _ in range(50))
    assert all(1e-3 <= draw_log(rng, (1e-3, 10.0)) <= 10.0 for _ in range(50))
    with pytest.raises(ConfigError, match="low <= high"):
        draw(rng, (3.0, 2.0))
    with pytest.raises(ConfigError, match="positive"):
        draw_log(rng, (0.0, 2.0))
