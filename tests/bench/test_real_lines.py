"""Lines and beads: what is put into an image is what is measured of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from blinddps_sci.bench.real_lines import CASE, bead_psf, score_lines
from blinddps_sci.errors import InputError

DATA = Path(__file__).parents[3] / "shared" / "data" / "test"

PLACES = (30, 60, 72, 110)


def lines(
    sigma: float, heights: tuple[float, ...] = (1, 1, 1, 1), places: tuple[int, ...] = PLACES
) -> np.ndarray:
    x = np.arange(150)
    profile = sum(h * np.exp(-0.5 * ((x - at) / sigma) ** 2) for h, at in zip(heights, places, strict=True))
    return np.tile(2 + 10 * profile, (80, 1))


def test_valley_width_and_count_of_gaussian_lines() -> None:
    sigma = 4.0
    found = score_lines(lines(sigma), PLACES, 20.0)
    assert found["lines"] == 4
    # Halfway between two lines that are 12 apart, over their height on top of each other's wings.
    valley = 2 * np.exp(-0.5 * (6 / sigma) ** 2) / (1 + np.exp(-0.5 * (12 / sigma) ** 2))
    assert found["valley"] == pytest.approx(valley, abs=0.01)
    assert found["fwhm_nm"] == pytest.approx(20 * 2.3548 * sigma, rel=0.02)
    assert found["variation"] == pytest.approx(0, abs=1e-9)
    assert score_lines(lines(2.0), PLACES, 20.0)["valley"] < 0.05


def test_lines_that_moved_a_little_are_followed() -> None:
    moved = score_lines(np.roll(lines(3.0), 3, axis=1), PLACES, 22.0)
    assert moved == pytest.approx(score_lines(lines(3.0), PLACES, 22.0), abs=1e-6)


def test_noise_along_the_lines_is_the_variation() -> None:
    noisy = lines(4.0) + np.random.default_rng(0).normal(0, 0.5, (80, 150))
    height = 10 * np.mean(np.exp(-0.5 * (np.arange(-2, 3) / 4.0) ** 2))
    assert score_lines(noisy, PLACES, 22.0)["variation"] == pytest.approx(0.5 / height, rel=0.1)


@pytest.mark.parametrize(("height", "count"), [(0.5, 5), (0.05, 4)])
def test_a_line_that_is_made_up_is_counted_if_it_stands_out(height: float, count: int) -> None:
    image = lines(3.0, (1, 1, 1, 1, height), (*PLACES, 90))
    assert score_lines(image, PLACES, 22.0)["lines"] == count


def test_lines_that_have_become_one_are_counted_as_one() -> None:
    assert score_lines(lines(12.0), PLACES, 22.0)["lines"] < 4


def test_beads_are_averaged_to_the_psf_that_made_them() -> None:
    stack = np.zeros((41, 150, 150))
    for place, light in (((20, 36, 125), 1.0), ((20, 73, 29), 1.5), ((20, 82, 75), 2.0)):
        stack[place] = light
    beads = 3 + 1e4 * gaussian_filter(stack, (3, 2, 4))
    psf = bead_psf(beads)
    assert psf.shape == (21, 51, 51)
    assert psf.sum() == pytest.approx(1)
    one = np.zeros((21, 51, 51))
    one[10, 25, 25] = 1
    np.testing.assert_allclose(psf, gaussian_filter(one, (3, 2, 4)), atol=2e-5)
    with pytest.raises(InputError, match="none"):
        bead_psf(np.ones((41, 60, 60)))


@pytest.mark.skipif(bool(CASE.missing(DATA)), reason="the data are not part of the repository")
def test_the_data_have_the_figures_that_were_published_with_the_comparison() -> None:
    row = CASE.runs(DATA, {})[("", "data")]().numbers
    assert row["lines"] == 4
    assert row["valley"] == pytest.approx(0.765, abs=0.001)
    assert row["variation"] == pytest.approx(0.091, abs=0.001)
