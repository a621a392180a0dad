from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.simulate.points import add_points, luminosities, scatter


def test_points_keep_flux_position_and_width() -> None:
    image = np.zeros((33, 41), dtype=np.float32)
    add_points(image, 15.3, 20.8, 7.0, 1.2)
    y, x = np.mgrid[:33, :41]
    assert image.sum() == pytest.approx(7.0, rel=2e-3)
    assert (image * y).sum() / image.sum() == pytest.approx(15.3, abs=2e-3)
    assert (image * x).sum() / image.sum() == pytest.approx(20.8, abs=2e-3)
    assert (image * (y - 15.3) ** 2).sum() / image.sum() == pytest.approx(1.2**2 + 1 / 12, rel=0.02)


def test_points_overlap_and_leave_at_the_border() -> None:
    image = np.zeros((16, 16), dtype=np.float32)
    add_points(image, [8.0, 8.0, -0.5, 50.0], [8.0, 8.0, 4.0, 4.0], [1.0, 2.0, 1.0, 1.0], 0.7)
    assert image.sum() == pytest.approx(3.5, abs=0.01)
    empty = image.copy()
    add_points(image, [], [], [], 0.7)
    np.testing.assert_array_equal(image, empty)


def test_luminosities_follow_their_power_law() -> None:
    flux = luminosities(200_000, np.random.default_rng(1), 0.8, 1e3)
    assert flux.min() >= 1.0
    assert flux.max() <= 1e3
    ratio = np.sum(flux > 30.0) / np.sum(flux > 3.0)
    expected = (30**-0.8 - 1000**-0.8) / (3**-0.8 - 1000**-0.8)
    assert ratio == pytest.approx(expected, rel=0.05)


def test_scatter_follows_the_density() -> None:
    density = np.zeros((10, 12))
    density[2, 3], density[7, 11] = 3.0, 1.0
    y, x = scatter(density, 4000, np.random.default_rng(2))
    assert set(zip(np.rint(y), np.rint(x), strict=True)) == {(2.0, 3.0), (7.0, 11.0)}
    assert np.mean(y < 5.0) == pytest.approx(0.75, abs=0.03)
