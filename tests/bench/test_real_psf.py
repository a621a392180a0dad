"""Estimated against measured PSFs, and light that comes or goes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from blinddps_sci.bench.real_case import score_psf
from blinddps_sci.bench.real_psf import score_light


def gaussian(side: int, sigma: float, place: tuple[int, int]) -> np.ndarray:
    point = np.zeros((side, side))
    point[place] = 1
    return gaussian_filter(point, sigma, truncate=6)


def test_a_measured_psf_is_compared_about_its_peak() -> None:
    measured = 7 * gaussian(50, 2.0, (24, 23)) - 1e-5  # sky taken off: its wings are negative
    same = score_psf(gaussian(32, 2.0, (16, 16)), measured)
    assert same["mnc"] == pytest.approx(1, abs=1e-3)
    assert same["width_error"] == pytest.approx(0, abs=0.01)
    assert same["fwhm"] == pytest.approx(same["fwhm_measured"], rel=0.01)
    wide = score_psf(gaussian(32, 3.0, (16, 16)), measured)
    assert wide["width_error"] == pytest.approx(0.5, abs=0.01)
    assert wide["mnc"] < 0.97


def test_light_that_is_added_is_told() -> None:
    data = 50 * gaussian(80, 3.0, (30, 45)) + 1e-3
    changed = data.copy()
    changed[70, 10] += 0.1 * data.sum()  # far from the galaxy
    assert score_light(changed, data)["flux"] == pytest.approx(10)
    assert score_light(changed, data)["aperture"] == pytest.approx(0)
    assert score_light(0.9 * data, data)["aperture"] == pytest.approx(-10)
