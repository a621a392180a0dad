"""Ramps and their complement, plateaus and where they end."""

from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.tiling import ramp, window


@pytest.mark.parametrize("width", [0, 1, 2, 7, 64, 501])
def test_a_ramp_and_its_mirror_image_sum_to_one(width: int) -> None:
    rise = ramp(width)
    assert rise.shape == (width,)
    assert rise.dtype == np.float32
    np.testing.assert_allclose(rise + rise[::-1], 1, atol=2e-7)
    assert np.all(np.diff(rise) > 0)


def test_a_ramp_is_a_squared_sine_at_pixel_centres() -> None:
    np.testing.assert_allclose(ramp(4)[:2], np.sin(np.pi / 16 * np.array([1, 3])) ** 2, rtol=1e-6)


def test_a_window_rises_and_falls_where_it_is_told() -> None:
    values = window(-3, 20, rise=(4, 2), fall=(15, 3))
    at = dict(zip(range(-3, 20), values, strict=True))
    assert all(at[p] == 0 for p in (-3, 0, 1, 18, 19))
    assert all(at[p] == 1 for p in range(6, 12))
    assert all(0 < at[p] < 1 for p in (2, 3, 4, 5, 12, 13, 14, 15, 16, 17))
    assert at[3] + at[4] == pytest.approx(1, abs=1e-6)


def test_neighbouring_windows_sum_to_one_whatever_their_pixels() -> None:
    left, right = window(0, 13, fall=(10, 3)), window(5, 20, rise=(10, 3))
    total = np.zeros(20)
    total[:13] += left
    total[5:] += right
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_no_ramp_is_a_cut() -> None:
    np.testing.assert_array_equal(window(0, 6, rise=(2, 0), fall=(5, 0)), [0, 0, 1, 1, 1, 0])


def test_windows_are_shared_and_so_not_writable() -> None:
    with pytest.raises(ValueError, match="read-only"):
        window(0, 4)[0] = 2
