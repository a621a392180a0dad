from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.simulate.centring import centroid, offsets
from blinddps_sci.simulate.motion import camera_motion, path_kernel, tracking_error


@pytest.mark.parametrize("size", [16, 17])
def test_still_path_is_a_pixel_at_the_centre(size: int) -> None:
    kernel = path_kernel(size, [[0.0, 0.0], [0.0, 0.0]])
    assert kernel[size // 2, size // 2] == pytest.approx(1.0)


@pytest.mark.parametrize("size", [24, 25])
def test_straight_path_is_an_even_line(size: int) -> None:
    kernel = path_kernel(size, [[0.0, -5.0], [0.0, 5.0]])
    middle = size // 2
    np.testing.assert_allclose(kernel[middle, middle - 4 : middle + 5], 0.1, rtol=0.03)
    assert kernel[middle].sum() == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(centroid(kernel), 0.0, atol=1e-5)


def test_time_is_light() -> None:
    # Three of four instants at rest on the right.
    path = np.array([[0.0, -3.0], [0.0, 3.0], [0.0, 3.0], [0.0, 3.0]])
    kernel = path_kernel(15, path)
    assert kernel[7, 10:].sum() > 0.6


def test_orientation_follows_the_coordinates() -> None:
    kernel = path_kernel(15, [[4.0, -2.0]])
    assert kernel[7 + 4, 7 - 2] == pytest.approx(1.0)


def test_width_adds_its_variance() -> None:
    path = [[0.0, -3.0], [0.0, 3.0]]
    line = offsets(33)
    variances = [
        float(path_kernel(33, path, width=width).astype(float).sum(axis=1) @ line**2) for width in (0.0, 1.2)
    ]
    assert variances[0] == pytest.approx(0.0, abs=1e-6)
    # Pixels add 1/12, less the part of the sub-pixels that even a still path has.
    assert variances[1] == pytest.approx(1.2**2 + (1 - 1 / 9) / 12, rel=0.01)


@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("extent", [2.0, 10.0, 25.0, 90.0])
def test_camera_motion_is_centred_and_inside(size: int, extent: float) -> None:
    kernel = camera_motion(size, np.random.default_rng(int(extent)), extent=extent)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-6)
    assert kernel.min() >= 0.0
    np.testing.assert_allclose(centroid(kernel), 0.0, atol=2e-6)
    assert kernel[[0, -1]].sum() + kernel[:, [0, -1]].sum() < 1e-3


def test_tracking_grows_with_its_errors() -> None:
    line = offsets(33)
    r2 = line[:, None] ** 2 + line[None, :] ** 2
    small, large = (
        float((tracking_error(33, np.random.default_rng(1), drift=d, periodic=d, shake=d / 5) * r2).sum())
        for d in (0.5, 4.0)
    )
    assert large > 3.0 * small


def test_seed_decides() -> None:
    for draw in (
        lambda rng: camera_motion(32, rng, extent=12.0),
        lambda rng: tracking_error(32, rng, drift=5.0),
    ):
        np.testing.assert_array_equal(draw(np.random.default_rng(3)), draw(np.random.default_rng(3)))
        assert abs(draw(np.random.default_rng(3)) - draw(np.random.default_rng(4))).max() > 1e-3


def test_wrong_paths_are_refused() -> None:
    with pytest.raises(InputError, match="positions"):
        path_kernel(16, [1.0, 2.0])
    with pytest.raises(InputError, match="positive sum"):
        path_kernel(16, [[100.0, 0.0]])
    with pytest.raises(ConfigError, match="extent"):
        camera_motion(16, np.random.default_rng(0), extent=-1.0)
