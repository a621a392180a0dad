from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.simulate.detector import add_gaussian, expose


@pytest.mark.parametrize("level", [0.5, 20.0, 3000.0])
def test_mean_and_variance_are_those_of_the_model(level: float) -> None:
    flux = np.full((300, 300), level)
    shot = expose(flux, np.random.default_rng(1), gain=2.5, read_noise=1.3, background=4.0, offset=100.0)
    expected = (level + 4.0) / 2.5 + 1.3**2
    np.testing.assert_allclose(shot.variance, expected, rtol=1e-6)
    assert shot.frame.mean() == pytest.approx(level + 104.0, abs=5 * np.sqrt(expected) / 300)
    assert shot.frame.var(dtype=float) == pytest.approx(expected, rel=0.03)
    assert not shot.mask.any()
    assert not shot.saturated.any()


def test_standardised_residuals_are_standard_over_a_scene() -> None:
    flux = np.random.default_rng(0).gamma(2.0, 50.0, (256, 256))
    shot = expose(flux, np.random.default_rng(2), gain=1.7, read_noise=2.0)
    residual = (shot.frame - flux) / np.sqrt(shot.variance)
    assert residual.mean() == pytest.approx(0.0, abs=0.02)
    assert residual.std() == pytest.approx(1.0, abs=0.01)


def test_without_noise_sources_electrons_are_counted() -> None:
    frame = expose(np.full((20, 20), 3.0), np.random.default_rng(3), gain=4.0).frame
    np.testing.assert_allclose(frame * 4.0, np.rint(frame * 4.0), atol=1e-5)


def test_saturation_clips_and_is_marked() -> None:
    flux = np.full((50, 50), 10.0)
    flux[:, 25:] = 1000.0
    shot = expose(flux, np.random.default_rng(4), saturation=200.0)
    assert shot.frame.max() == 200.0
    assert shot.saturated[:, 25:].all()
    assert not shot.saturated[:, :25].any()


def test_converter_rounds_to_its_steps_and_adds_their_variance() -> None:
    flux = np.full((400, 400), 40.0)
    shot = expose(flux, np.random.default_rng(5), gain=50.0, read_noise=1.0, saturation=255.0, bits=6)
    step = 255.0 / 63
    np.testing.assert_allclose(shot.frame / step, np.rint(shot.frame / step), atol=1e-4)
    assert shot.variance[0, 0] == pytest.approx(40 / 50 + 1.0 + step**2 / 12)
    fine = expose(flux, np.random.default_rng(5), gain=50.0, read_noise=3.0, saturation=255.0, bits=8)
    assert fine.frame.var(dtype=float) == pytest.approx(fine.variance[0, 0], rel=0.02)


def test_bad_pixels_are_masked_and_wrong() -> None:
    flux = np.full((200, 200), 100.0)
    shot = expose(flux, np.random.default_rng(6), bad_pixels=0.02, saturation=1000.0)
    assert shot.mask.mean() == pytest.approx(0.02, abs=0.004)
    assert set(np.unique(shot.frame[shot.mask])) == {0.0, 1000.0}
    assert shot.frame[~shot.mask].std() == pytest.approx(10.0, rel=0.05)
    assert not (shot.saturated & shot.mask).any()


def test_seed_decides() -> None:
    flux = np.full((30, 30), 9.0)
    first, again = (expose(flux, np.random.default_rng(7), read_noise=1.0, bad_pixels=0.1) for _ in range(2))
    np.testing.assert_array_equal(first.frame, again.frame)
    np.testing.assert_array_equal(first.mask, again.mask)


def test_gaussian_noise() -> None:
    shot = add_gaussian(np.full((300, 300), -2.0), np.random.default_rng(8), 0.3)
    assert shot.frame.dtype == np.float32
    assert shot.frame.mean() == pytest.approx(-2.0, abs=0.005)
    assert shot.frame.std() == pytest.approx(0.3, rel=0.01)
    np.testing.assert_allclose(shot.variance, 0.09, rtol=1e-6)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_impossible_flux_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="1 pixels that are not finite"):
        expose([[1.0, value]], np.random.default_rng(0))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"gain": 0.0}, "gain"),
        ({"read_noise": -1.0}, "read_noise"),
        ({"bits": 8}, "saturation"),
        ({"bits": 8.5, "saturation": 10.0}, "whole bits"),
        ({"bad_pixels": 2.0}, "bad_pixels"),
    ],
)
def test_wrong_options_are_named(options: dict[str, float], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        expose([[1.0]], np.random.default_rng(0), **options)  # type: ignore[arg-type]
