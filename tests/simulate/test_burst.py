"""Simulated bursts: frames follow from their truth, and their statistics are those of the formulas."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.priors.tilt import tilt_correlation, tilt_variance
from blinddps_sci.simulate.burst import Wavefronts, simulate_burst
from blinddps_sci.simulate.centring import centroid
from blinddps_sci.simulate.turbulence import PRESETS, Atmosphere, Layer, Setting, Telescope
from blinddps_sci.simulate.zernike import zernike_basis

SOLAR = PRESETS["solar-1m"]


def scene(side: int = 128) -> np.ndarray:
    return np.random.default_rng(5).random((side, side))


def test_the_same_generator_gives_the_same_burst() -> None:
    first, second = (simulate_burst(scene(), SOLAR, 2, np.random.default_rng(1), size=32) for _ in range(2))
    np.testing.assert_array_equal(first.frames, second.frames)
    assert first.frames.shape == (2, 64, 64)
    assert first.scene.shape == (64, 64)
    assert first.kernels.shape == (2, 3, 3, 32, 32)
    assert first.tilt.shape == (2, 2, 3, 3)
    assert not np.array_equal(first.frames[0], first.frames[1])


def test_kernels_are_centred_and_sum_to_one() -> None:
    burst = simulate_burst(scene(), SOLAR, 2, np.random.default_rng(1), size=32)
    np.testing.assert_allclose(burst.kernels.sum(axis=(-2, -1)), 1, rtol=1e-5)
    for kernel in burst.kernels.reshape(-1, 32, 32):
        assert np.hypot(*centroid(kernel)) < 0.05


def test_a_star_is_seen_where_the_tilt_says() -> None:
    points = np.zeros((192, 192))
    points[96, 90] = 1.0
    still = replace(SOLAR, atmosphere=Atmosphere(0.4, (Layer(0.0, 1.0),)))
    burst = simulate_burst(points, still, 4, np.random.default_rng(2), size=48, sigma=0)
    assert np.abs(burst.tilt).max() > 0.3
    for frame, tilt in zip(burst.frames, burst.tilt, strict=True):
        y, x = centroid(frame)
        # Light of the scene's p + tilt is seen at p; the star is at (0, -6) from the middle.
        assert y == pytest.approx(-tilt[0].mean(), abs=0.25)
        assert x == pytest.approx(-6 - tilt[1].mean(), abs=0.25)


def test_a_plain_scene_stays_plain_but_for_noise_and_brightness() -> None:
    plain = np.full((128, 128), 3.0)
    quiet = simulate_burst(plain, SOLAR, 1, np.random.default_rng(3), size=32)
    np.testing.assert_allclose(quiet.frames, 3.0, rtol=1e-4)
    noisy = simulate_burst(plain, SOLAR, 40, np.random.default_rng(3), size=32, sigma=0.1, scintillation=0.05)
    assert noisy.frames.std(axis=(1, 2)).mean() == pytest.approx(0.1, rel=0.05)
    assert noisy.frames.mean(axis=(1, 2)).std() == pytest.approx(0.15, rel=0.35)


def test_frozen_layers_drift_with_the_wind() -> None:
    layer = Layer(0.0, 1.0, (0.0, 10.0))
    setting = Setting(Telescope(1.0, 500e-9, 0.05), Atmosphere(0.1, (layer,)), interval=0.01)
    waves = Wavefronts(setting, 40.0, 41, (0.0, 0.0), np.random.default_rng(1), frames=3)
    first, second = (waves.phase((0.0, 0.0), next(waves.exposure(f))) for f in (0, 2))
    # 10 m/s for 20 ms are 0.2 m, 8 of 40 samples across the aperture.
    np.testing.assert_allclose(second[:, :-8], first[:, 8:], atol=1e-3)


def test_frames_without_an_interval_have_turbulence_of_their_own() -> None:
    waves = Wavefronts(SOLAR, 40.0, 41, (0.0, 0.0), np.random.default_rng(1), frames=2)
    first, second = (waves.phase((0.0, 0.0), next(waves.exposure(f))).ravel() for f in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.9
    assert not np.allclose(first, second)


def test_tilts_have_the_variance_and_the_correlations_of_the_formulas() -> None:
    layer = Layer(10000.0, 1.0)
    sky = Setting(Telescope(1.0, 500e-9, 0.05), Atmosphere(0.1, (layer,), outer_scale=25.0))
    samples, side = 24.0, 25
    apart = 1.0 / layer.distance  # one diameter at the layer
    waves = Wavefronts(sky, samples, side, (2 * apart, 2 * apart), np.random.default_rng(4), frames=800)
    modes = zernike_basis(samples, 3)[1:]
    inside = np.hypot(*np.mgrid[-12:13, -12:13]) <= 12
    fit = np.linalg.pinv(np.stack([np.ones(inside.sum()), *modes[:, inside]], axis=1))[1:]
    found = []
    for f in range(800):
        time = next(waves.exposure(f))
        found.append([fit @ waves.phase((0.0, x), time)[inside] for x in (-apart / 2, apart / 2)])
    tilt = np.array(found)  # frame, place, (x, y)
    expected = tilt_variance(25.0) * 10.0 ** (5 / 3)
    assert tilt.var() == pytest.approx(expected, rel=0.08)
    along, across = tilt_correlation(1.0, 25.0)
    for axis, correlation in enumerate((along, across)):
        pair = np.corrcoef(tilt[:, 0, axis], tilt[:, 1, axis])[0, 1]
        assert pair == pytest.approx(float(correlation), abs=0.1)


def test_residual_wavefronts_have_nolls_variance() -> None:
    # Without piston 1.030 (D / r0)^(5/3), without tilts 0.134: hardly touched by a large outer scale.
    sky = Setting(Telescope(1.0, 500e-9, 0.05), Atmosphere(0.2, outer_scale=100.0))
    waves = Wavefronts(sky, 32.0, 33, (0.0, 0.0), np.random.default_rng(8), frames=300)
    modes = zernike_basis(32.0, 3)
    inside = np.hypot(*np.mgrid[-16:17, -16:17]) <= 16
    basis = modes[:, inside].T
    left = []
    for f in range(300):
        phase = waves.phase((0.0, 0.0), next(waves.exposure(f)))[inside]
        left.append(np.var(phase - basis @ np.linalg.lstsq(basis, phase, rcond=None)[0]))
    assert np.mean(left) == pytest.approx(0.134 * 5.0 ** (5 / 3), rel=0.06)


def test_long_winds_need_smaller_fields() -> None:
    fast = replace(PRESETS["planetary-20cm"], interval=1.0)
    with pytest.raises(ConfigError, match="take a smaller field, or fewer frames"):
        simulate_burst(scene(), fast, 1000, np.random.default_rng(0), size=32)


def test_small_scenes_are_refused() -> None:
    with pytest.raises(InputError, match="give more than 66 pixels"):
        simulate_burst(scene(60), SOLAR, 1, np.random.default_rng(0), size=32)
    with pytest.raises(InputError, match="give one image"):
        simulate_burst(np.zeros((3, 200, 200)), SOLAR, 1, np.random.default_rng(0))
    assert math.isinf(Atmosphere(0.1).scene)


def test_a_setting_may_be_named() -> None:
    scene = np.random.default_rng(0).random((60, 60))
    named, given = (
        simulate_burst(scene, setting, 2, np.random.default_rng(1), size=16).frames
        for setting in ("planetary-20cm", PRESETS["planetary-20cm"])
    )
    np.testing.assert_array_equal(named, given)
    with pytest.raises(ConfigError, match=r"'mars' is unknown.*planetary-20cm"):
        simulate_burst(scene, "mars", 2, np.random.default_rng(1))
