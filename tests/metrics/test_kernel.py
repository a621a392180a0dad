"""Kernel metrics: closed forms of Gaussians and lines, and invariance to shift and scale."""

from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import InputError
from blinddps_sci.metrics import ellipticity, kernel_centroid, kernel_covariance, kernel_width, mnc
from blinddps_sci.metrics.kernel import otf_error


def gaussian(size: int, sy: float, sx: float, dy: float = 0.0, dx: float = 0.0, turn: float = 0.0):
    """Return a sampled Gaussian centred at size // 2 plus (dy, dx), turned by `turn` radians."""
    y, x = np.mgrid[:size, :size] - float(size // 2)
    y, x = y - dy, x - dx
    u, v = np.cos(turn) * y + np.sin(turn) * x, -np.sin(turn) * y + np.cos(turn) * x
    kernel = np.exp(-0.5 * ((u / sy) ** 2 + (v / sx) ** 2))
    return kernel / kernel.sum()


def motion() -> np.ndarray:
    """Return a kernel with no symmetry."""
    kernel = np.zeros((15, 15))
    kernel[4, 4:9] = [1, 2, 3, 4, 5]
    kernel[4:10, 8] += 2
    return kernel / kernel.sum()


def test_mnc_of_a_kernel_with_itself_is_one_even_without_symmetry() -> None:
    assert mnc(motion(), motion()) == pytest.approx(1.0, abs=1e-12)
    assert mnc(motion(), motion()[::-1, ::-1]) < 0.9


def test_mnc_ignores_shift_scale_and_size() -> None:
    moved = np.zeros((33, 29))
    moved[10:25, 3:18] = motion() * 40.0
    assert mnc(moved, motion()) == pytest.approx(1.0, abs=1e-12)
    assert mnc(motion(), moved) == pytest.approx(1.0, abs=1e-12)


def test_mnc_of_two_gaussians_is_its_closed_form() -> None:
    # sum k k' / (|k| |k'|) of round Gaussians of sigma a and b is 2 a b / (a^2 + b^2)
    a, b = 2.0, 3.0
    found = mnc(gaussian(41, a, a), gaussian(41, b, b))
    assert found == pytest.approx(2 * a * b / (a**2 + b**2), abs=1e-6)


def test_mnc_finds_the_best_shift_and_not_only_the_centre() -> None:
    two = np.zeros((9, 9))
    two[1, 1] = two[7, 7] = 1.0
    one = np.zeros((9, 9))
    one[4, 4] = 1.0
    assert mnc(two, one) == pytest.approx(1 / np.sqrt(2), abs=1e-12)


def test_otf_error_of_two_gaussians_is_its_closed_form() -> None:
    # ||k_a - k_b||^2 / ||k_b||^2 of round Gaussians by Parseval, with <k_a, k_b> = 1 / (2 pi (a^2 + b^2))
    a, b = 2.0, 3.0
    expected = np.sqrt((1 / (2 * a * a) - 2 / (a * a + b * b) + 1 / (2 * b * b)) * 2 * b * b)
    assert otf_error(gaussian(41, a, a), gaussian(41, b, b)) == pytest.approx(expected, rel=1e-4)


def test_otf_error_ignores_shift_scale_and_size_and_sees_a_mirror() -> None:
    moved = np.zeros((33, 29))
    moved[10:25, 3:18] = motion() * 40.0
    assert otf_error(moved, motion()) == pytest.approx(0.0, abs=1e-12)
    half = gaussian(41, 2.0, 3.0, dy=0.4, dx=-1.3)
    assert otf_error(half, gaussian(41, 2.0, 3.0)) == pytest.approx(0.0, abs=1e-3)
    assert otf_error(motion()[::-1, ::-1], motion()) > 0.3


@pytest.mark.parametrize("size", [32, 33])
def test_moments_of_a_gaussian(size) -> None:
    kernel = gaussian(size, 2.0, 3.0, dy=0.75, dx=-1.25) * 17.0
    np.testing.assert_allclose(kernel_centroid(kernel), (0.75, -1.25), atol=1e-4)
    np.testing.assert_allclose(kernel_covariance(kernel), np.diag([4.0, 9.0]), atol=2e-2)


def test_a_centred_delta_has_no_moments() -> None:
    for size in (8, 9):
        delta = np.zeros((size, size))
        delta[size // 2, size // 2] = 1.0
        np.testing.assert_array_equal(kernel_centroid(delta), 0)
        assert kernel_width(delta) == 0.0
        assert ellipticity(delta) == 0.0


@pytest.mark.parametrize(("sigma", "within"), [(1.0, 0.04), (1.2, 0.015), (1.7, 0.005), (3.0, 0.002)])
def test_widths_of_a_gaussian(sigma, within) -> None:
    kernel = gaussian(41, sigma, sigma, dy=0.3, dx=-0.4)
    assert kernel_width(kernel) == pytest.approx(sigma, rel=1e-3)
    fwhm = 2 * np.sqrt(2 * np.log(2)) * sigma
    assert kernel_width(kernel, kind="fwhm") == pytest.approx(fwhm, rel=within)


def test_fwhm_ignores_a_second_far_peak() -> None:
    kernel = gaussian(41, 1.5, 1.5, dy=-8) + 0.8 * gaussian(41, 1.5, 1.5, dy=8)
    assert kernel_width(kernel, kind="fwhm") == pytest.approx(2.355 * 1.5, rel=0.03)
    assert kernel_width(kernel) > 5


@pytest.mark.parametrize("turn", [0.0, 0.4, np.pi / 4, 2.0])
def test_ellipticity_is_the_axis_ratio_at_any_angle(turn) -> None:
    assert ellipticity(gaussian(61, 2.0, 4.0, turn=turn)) == pytest.approx(0.5, abs=1e-3)


def test_a_line_has_ellipticity_one_and_a_circle_zero() -> None:
    assert ellipticity(np.eye(11)) == pytest.approx(1.0, abs=1e-7)
    assert ellipticity(gaussian(31, 2.5, 2.5)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("bad", [np.zeros((5, 5)), -np.eye(5), np.ones(5), np.full((3, 3), np.nan)])
@pytest.mark.parametrize("measure", [kernel_centroid, kernel_width, ellipticity, lambda k: mnc(k, np.eye(5))])
def test_what_is_not_a_kernel_is_refused(bad, measure) -> None:
    with pytest.raises(InputError):
        measure(bad)


def test_an_unknown_kind_of_width_is_refused() -> None:
    with pytest.raises(InputError, match="'rms' and 'fwhm'"):
        kernel_width(np.eye(5), kind="hwhm")  # type: ignore[arg-type]
