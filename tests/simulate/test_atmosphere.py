from __future__ import annotations

import math

import numpy as np
import pytest

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.atmosphere import long_exposure, short_exposure
from blinddps_sci.simulate.centring import centroid, offsets
from blinddps_sci.simulate.pupil import Pupil, pupil_psf


def full_width(kernel: np.ndarray) -> float:
    """Diameter of the circle with the area above half maximum, on a bilinearly refined row."""
    row = kernel[kernel.shape[0] // 2].astype(float)
    fine = np.interp(np.arange(0, row.size - 1, 0.01), np.arange(row.size), row)
    return float((fine > fine.max() / 2).sum() * 0.01)


def test_seeing_disc_has_frieds_width() -> None:
    # D / r0 = 30: the telescope hardly matters. lambda / r0 = 12 pixels.
    kernel = long_exposure(97, Pupil(0.4), 30.0)
    assert full_width(kernel) == pytest.approx(0.976 * 12.0, rel=0.03)


def test_outer_scale_sharpens_as_tokovinin_says() -> None:
    strength, scale = 30.0, 20.0
    ratio = full_width(long_exposure(97, Pupil(0.4), strength, outer_scale=scale)) / full_width(
        long_exposure(97, Pupil(0.4), strength)
    )
    expected = math.sqrt(1 - 2.183 * (1 / (strength * scale)) ** 0.356)
    assert ratio == pytest.approx(expected, rel=0.03)


def test_no_turbulence_is_the_telescope() -> None:
    pupil = Pupil(2.5, 0.3)
    np.testing.assert_allclose(long_exposure(32, pupil, 0.0), pupil_psf(32, pupil), atol=1e-7)
    faint = short_exposure(32, pupil, 0.01, np.random.default_rng(1))
    assert abs(faint - pupil_psf(32, pupil, centred=True)).max() < 0.01 * faint.max()


def test_many_short_exposures_average_to_the_long_one() -> None:
    pupil, strength, scale = Pupil(2.0), 4.0, 5.0
    rng = np.random.default_rng(4)
    mean = np.mean(
        [short_exposure(48, pupil, strength, rng, outer_scale=scale, centred=False) for _ in range(500)],
        axis=0,
    )
    truth = long_exposure(48, pupil, strength, outer_scale=scale)
    line = offsets(48)
    radius = np.hypot(line[:, None], line[None, :])
    for limit in (3.0, 6.0, 10.0):
        share = mean[radius < limit].sum() / truth[radius < limit].sum()
        assert share == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("size", [32, 33])
def test_short_exposures_are_kernels(size: int) -> None:
    rng = np.random.default_rng(2)
    kernel = short_exposure(size, Pupil(1.4, 0.2), 6.0, rng, wind=0.4, steps=4)
    assert kernel.shape == (size, size)
    assert kernel.min() >= 0.0
    assert kernel.sum() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(centroid(kernel), 0.0, atol=0.05)


def test_wind_smooths_the_speckles() -> None:
    pupil = Pupil(2.0)
    frozen = short_exposure(48, pupil, 8.0, np.random.default_rng(3))
    blown = short_exposure(48, pupil, 8.0, np.random.default_rng(3), wind=1.0, steps=12)
    assert blown.max() < frozen.max()


def test_correction_raises_the_peak() -> None:
    pupil = Pupil(2.0, 0.2)
    peaks = [
        np.mean(
            [
                short_exposure(
                    32, pupil, 5.0, np.random.default_rng(s), corrected=modes, residual=residual
                ).max()
                for s in range(20)
            ]
        )
        for modes, residual in ((0, 0.0), (15, 0.5), (15, 0.0))
    ]
    assert peaks[0] < peaks[1] < peaks[2]
    # Fifteen corrected modes leave 0.28 (D/r0)^(5/3) J^(-0.87) square radians, about 0.4.
    assert peaks[2] > 0.45 * pupil_psf(32, pupil).max()


def test_seed_decides() -> None:
    first, again, other = (
        short_exposure(32, Pupil(2.0), 5.0, np.random.default_rng(s), wind=0.3, steps=3) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert abs(first - other).max() > 0.1 * first.max()


def test_wrong_strength_is_named() -> None:
    with pytest.raises(ConfigError, match="d_over_r0"):
        long_exposure(32, Pupil(2.0), -1.0)
    with pytest.raises(ConfigError, match="wind"):
        short_exposure(32, Pupil(2.0), 3.0, np.random.default_rng(0), wind=2.0)
