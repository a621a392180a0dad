from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import InputError
from blinddps_sci.simulate.analytic import gaussian
from blinddps_sci.simulate.centring import centre, centroid, normalise, offsets, shift


@pytest.mark.parametrize("size", [8, 9])
def test_offsets_are_zero_at_the_centre_pixel_and_symmetric_within_it(size: int) -> None:
    assert offsets(size)[size // 2] == 0.0
    fine = offsets(size, 4).reshape(size, 4)
    np.testing.assert_allclose(fine.mean(axis=1), offsets(size), atol=1e-12)
    np.testing.assert_allclose(np.diff(fine.ravel()), 0.25)


@pytest.mark.parametrize("size", [16, 17])
@pytest.mark.parametrize("seed", range(5))
def test_centre_puts_the_centroid_on_the_centre_pixel(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel = rng.random((size, size)) ** 4 * np.linspace(0.2, 1.0, size)
    result = centre(kernel)
    assert result.dtype == np.float32
    assert result.min() >= 0.0
    assert result.sum() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(centroid(result), 0.0, atol=2e-6)


def test_mass_pushed_off_the_border_is_allowed_for() -> None:
    kernel = np.zeros((16, 16))
    kernel[0, 3], kernel[14, 9] = 0.4, 0.6
    np.testing.assert_allclose(centroid(centre(kernel)), 0.0, atol=2e-6)


def test_centre_leaves_a_centred_kernel_alone() -> None:
    kernel = gaussian(15, 0.5)
    np.testing.assert_allclose(centre(kernel), kernel, atol=1e-7)


def test_whole_shift_is_exact() -> None:
    kernel = np.zeros((9, 9))
    kernel[2:4, 5] = 1.0
    np.testing.assert_array_equal(centre(kernel)[3:6, 4] > 0.0, [True, True, True])
    np.testing.assert_array_equal(shift(kernel, 2, -1)[4:6, 4], [1.0, 1.0])


@pytest.mark.parametrize("fraction", [0.25, 0.5, -0.7])
def test_shift_moves_the_centroid_and_adds_the_least_variance(fraction: float) -> None:
    kernel = np.zeros((9, 9))
    kernel[4, 4] = 1.0
    moved = shift(kernel, fraction, 0.0)
    np.testing.assert_allclose(centroid(moved), (fraction, 0.0), atol=1e-12)
    part = fraction % 1.0
    variance = moved.sum(axis=1) @ (offsets(9) - fraction) ** 2
    assert variance == pytest.approx(part * (1.0 - part))


@pytest.mark.parametrize(
    "kernel", [np.zeros((5, 5)), np.full((5, 5), -1.0), np.ones(5), np.full((5, 5), np.nan)]
)
def test_what_cannot_be_a_kernel_is_refused(kernel: np.ndarray) -> None:
    with pytest.raises(InputError, match="positive sum"):
        normalise(kernel)
