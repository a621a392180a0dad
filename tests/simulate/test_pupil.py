from __future__ import annotations

import math

import numpy as np
import pytest

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.analytic import ARCSEC, airy
from blinddps_sci.simulate.centring import centroid
from blinddps_sci.simulate.diffraction import fine_grid
from blinddps_sci.simulate.pupil import Pupil, amplitude, pupil_psf, wavefront


@pytest.mark.parametrize("q", [0.6, 1.0, 1.7, 2.0, 5.3])
def test_fine_grid_samples_the_optics_at_nyquist_or_better(q: float) -> None:
    grid = fine_grid(31, q)
    assert grid.q >= 2.0
    assert grid.q == pytest.approx(q * grid.oversampling)
    assert grid.n >= 2 * 31 * grid.oversampling
    assert grid.samples <= grid.n / 2


@pytest.mark.parametrize("q", [0.8, 1.3, 2.5, 6.0])
@pytest.mark.parametrize("hole", [0.0, 0.35])
@pytest.mark.parametrize("size", [32, 33])
def test_perfect_pupil_gives_airys_pattern(q: float, hole: float, size: int) -> None:
    kernel = pupil_psf(size, Pupil(q, hole))
    scale = 5e-7 / 0.1 / q / ARCSEC
    truth = airy(size, 5e-7, 0.1, scale, hole)
    assert abs(kernel - truth).max() < 0.02 * truth.max()
    assert Pupil.telescope(5e-7, 0.1, scale).q == pytest.approx(q)


def test_small_aberrations_lower_the_peak_as_marechal_says() -> None:
    pupil = Pupil(6.0)
    # Normalisation is over the kernel, so take one that holds nearly all of the light.
    perfect = pupil_psf(129, pupil).max()
    for mode in (4, 6, 8, 11):
        for waves in (0.03, 0.05, 0.08):
            strehl = pupil_psf(129, pupil, {mode: waves}).max() / perfect
            assert strehl == pytest.approx(math.exp(-((2 * math.pi * waves) ** 2)), abs=0.02)


@pytest.mark.parametrize("q", [1.0, 3.0])
def test_tilt_moves_the_image_by_four_lambda_over_d_per_wave(q: float) -> None:
    still = centroid(pupil_psf(65, Pupil(q)))
    y, x = centroid(pupil_psf(65, Pupil(q), {2: 0.25, 3: -0.5}))
    assert x - still[1] == pytest.approx(4 * 0.25 * q, abs=0.1)
    assert y - still[0] == pytest.approx(-4 * 0.5 * q, abs=0.1)


def test_centred_takes_the_tilt_out() -> None:
    pupil = Pupil(2.0)
    plain = pupil_psf(48, pupil, {4: 0.1}, centred=True)
    tilted = pupil_psf(48, pupil, {2: 0.3, 3: 0.17, 4: 0.1}, centred=True)
    np.testing.assert_allclose(centroid(tilted), 0.0, atol=0.02)
    assert abs(tilted - plain).max() < 0.02 * plain.max()


def test_defocus_widens_and_its_sign_does_not_show() -> None:
    pupil = Pupil(3.0)
    sharp, blurred = pupil_psf(33, pupil), pupil_psf(33, pupil, {4: 0.4})
    assert blurred.max() < 0.3 * sharp.max()
    np.testing.assert_allclose(blurred, pupil_psf(33, pupil, {4: -0.4}), atol=1e-6)


def test_amplitude_has_the_area_of_the_annulus_less_the_spider() -> None:
    samples = 61.3
    full = amplitude(Pupil(2.0), samples).sum()
    assert full == pytest.approx(math.pi * (samples / 2) ** 2, rel=0.002)
    ring = amplitude(Pupil(2.0, 0.5), samples).sum()
    assert ring == pytest.approx(0.75 * full, rel=0.005)
    cross = amplitude(Pupil(2.0, 0.0, spider_arms=4, spider_width=0.05), samples).sum()
    assert full - cross == pytest.approx(4 * 0.5 * 0.05 * samples**2, rel=0.1)


def test_spider_makes_spikes_across_its_vanes() -> None:
    pupil = Pupil(2.0, 0.2, spider_arms=4, spider_width=0.03)
    kernel = pupil_psf(63, pupil)
    on_axis, diagonal = kernel[31, 45:60].mean(), kernel[np.arange(41, 52), np.arange(41, 52)].mean()
    assert on_axis > 2.0 * diagonal


def test_wavefront_rms_is_its_coefficient() -> None:
    phase = wavefront({6: 0.1, 9: 0.2}, 80.0)
    weight = amplitude(Pupil(2.0), 80.0)
    rms = math.sqrt(float((weight * phase**2).sum() / weight.sum()))
    assert rms / (2 * math.pi) == pytest.approx(math.hypot(0.1, 0.2), rel=0.01)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: Pupil(0.0), "lambda / D"),
        (lambda: Pupil(2.0, 1.0), "obscuration"),
        (lambda: pupil_psf(32, Pupil(2.0), {0: 0.1}), "Noll"),
        (lambda: pupil_psf(32, Pupil(2.0), {4: math.nan}), "finite"),
        (lambda: Pupil.microscope(0.5, 2.5, 0.1), "na"),
    ],
)
def test_wrong_parameters_are_named(call: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        call()  # type: ignore[operator]
