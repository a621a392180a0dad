from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.paths import camera_path, tracking_path


@pytest.mark.parametrize("bend", [0.0, 2.0])
def test_camera_path_has_the_extent_asked_for(bend: float) -> None:
    path = camera_path(np.random.default_rng(1), extent=20.0, bend=bend)
    assert np.hypot(*np.ptp(path, axis=0)) == pytest.approx(20.0)
    np.testing.assert_allclose(path.mean(axis=0), 0.0, atol=1e-9)


def test_camera_path_without_bend_is_straight() -> None:
    path = camera_path(np.random.default_rng(1), extent=20.0, bend=0.0, tremor=0.0)
    assert np.linalg.svd(path, compute_uv=False)[1] < 1e-9


def test_camera_path_is_smooth() -> None:
    path = camera_path(np.random.default_rng(2), extent=20.0, tremor=0.0, steps=256)
    speed = np.diff(path, axis=0)
    assert np.abs(np.diff(speed, axis=0)).max() < 0.5 * np.abs(speed).max()


def test_pure_drift_is_a_straight_even_line() -> None:
    path = tracking_path(np.random.default_rng(3), drift=7.0, periodic=0.0, shake=0.0)
    steps = np.hypot(*np.diff(path, axis=0).T)
    np.testing.assert_allclose(steps, steps[0])
    assert np.hypot(*(path[-1] - path[0])) == pytest.approx(7.0)


def test_periodic_error_stays_on_the_right_ascension_axis() -> None:
    path = tracking_path(np.random.default_rng(4), drift=0.0, periodic=3.0, cycles=2.0, shake=0.0, angle=0.0)
    np.testing.assert_allclose(path[:, 0], 0.0, atol=1e-12)
    assert 4.0 < np.ptp(path[:, 1]) < 9.0


def test_wind_shake_has_the_rms_asked_for() -> None:
    path = tracking_path(np.random.default_rng(5), drift=0.0, periodic=0.0, shake=0.7)
    assert path.std() == pytest.approx(0.7, rel=1e-6)


def test_negative_amplitudes_are_refused() -> None:
    with pytest.raises(ConfigError, match="drift"):
        tracking_path(np.random.default_rng(0), drift=-1.0)
