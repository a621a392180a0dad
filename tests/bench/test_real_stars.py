"""Stars that other frames know, and stars that they do not."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.stats import mad_std
from scipy.ndimage import gaussian_filter

from blinddps_sci.bench import real_stars
from blinddps_sci.bench.real_stars import Witness, score_stars, sources_of

pytest.importorskip("photutils")

SIDE, SIGMA = 160, 3.0
PLACES = [(30, 40), (60, 110), (100, 50), (130, 120), (80, 80), (40, 75)]


def field(places: list[tuple[int, int]], sigma: float = SIGMA, light: float = 4e4) -> np.ndarray:
    points = np.zeros((SIDE, SIDE))
    for place in places:
        points[place] = light
    return 500 + gaussian_filter(points, sigma)


@pytest.fixture
def noisy() -> np.ndarray:
    return np.random.default_rng(3).normal(0, 20, (SIDE, SIDE))


@pytest.fixture
def witness(noisy: np.ndarray) -> Witness:
    return Witness(field(PLACES) + 0.5 * noisy[::-1])


def noise_of(frame: np.ndarray) -> float:
    return float(mad_std(real_stars._filtered(frame)))


def test_sources_are_where_the_stars_are(noisy: np.ndarray) -> None:
    frame = field(PLACES) + noisy
    found = sources_of(frame, noise_of(frame))
    assert len(found) == len(PLACES)
    gaps = np.linalg.norm(found[:, None] - np.array(PLACES), axis=-1)
    assert gaps.min(axis=0).max() < 1.5
    assert len(sources_of(500 + noisy, noise_of(500 + noisy))) <= 1


def test_a_star_that_is_made_up_is_not_confirmed(noisy: np.ndarray, witness: Witness) -> None:
    frame = field(PLACES) + noisy
    same = score_stars(frame, witness, noise_of(frame))
    assert (same["sources"], same["unconfirmed"], same["found"]) == (6, 0, 100.0)
    assert same["chance"] < 15
    more = score_stars(field([*PLACES, (120, 30)]), witness, noise_of(frame))
    assert (more["sources"], more["unconfirmed"]) == (7, 1)
    fewer = score_stars(field(PLACES[:3]), witness, noise_of(frame))
    assert (fewer["sources"], fewer["found"]) == (3, 50.0)


def test_light_and_width_of_stars_are_compared(noisy: np.ndarray, witness: Witness) -> None:
    noise = noise_of(field(PLACES) + noisy)
    row = score_stars(field(PLACES, light=3.6e4, sigma=2.0), witness, noise)
    assert row["stars"] == 6
    # A tenth is missing, but less of a narrower star lies outside of the aperture.
    inside = [1 - np.exp(-0.5 * (8 / sigma) ** 2) for sigma in (2.0, SIGMA)]
    assert row["flux"] == pytest.approx(100 * (0.9 * inside[0] / inside[1] - 1), abs=3)
    assert row["radius"] == pytest.approx(1.177 * 2.0, abs=0.5)
    assert score_stars(field(PLACES), witness, noise)["radius"] == pytest.approx(1.177 * 3.0, abs=0.5)


def test_an_empty_image_has_no_stars(witness: Witness) -> None:
    row = score_stars(np.full((SIDE, SIDE), 500.0), witness, 1.0)
    assert (row["sources"], row["unconfirmed"], row["found"]) == (0, 0, 0.0)
    empty = score_stars(field(PLACES), Witness(np.random.default_rng(0).normal(500, 1, (SIDE, SIDE))), 1.0)
    assert empty["stars"] == 0
