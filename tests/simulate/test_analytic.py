from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import erf

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.analytic import ARCSEC, airy, gaussian, moffat
from blinddps_sci.simulate.centring import centroid, offsets


def half_width(profile: np.ndarray) -> float:
    """Full width at half maximum of a sampled profile, by linear interpolation."""
    peak = int(profile.argmax())
    right = peak + int(np.argmax(profile[peak:] < profile[peak] / 2))
    left = peak - int(np.argmax(profile[peak::-1] < profile[peak] / 2))

    def cross(inside: int, outside: int) -> float:
        a, b = profile[inside], profile[outside]
        return inside + (outside - inside) * (a - profile[peak] / 2) / (a - b)

    return float(cross(right - 1, right) - cross(left + 1, left))


def telescope(q: float) -> dict[str, float]:
    """Airy's arguments for lambda / D = q pixels."""
    return {"wavelength": 500e-9, "diameter": 0.2, "pixel_scale": 500e-9 / 0.2 / q / ARCSEC}


@pytest.mark.parametrize("size", [32, 33])
def test_models_are_normalised_with_the_peak_on_the_centre_pixel(size: int) -> None:
    for kernel in (
        gaussian(size, 2.0, 1.0, 0.4),
        moffat(size, 3.0, 2.5, 0.3, 1.0),
        airy(size, **telescope(2.0), obscuration=0.3),
    ):
        assert kernel.shape == (size, size)
        assert kernel.dtype == np.float32
        assert kernel.min() >= 0.0
        assert kernel.sum() == pytest.approx(1.0, abs=1e-6)
        assert np.unravel_index(kernel.argmax(), kernel.shape) == (size // 2, size // 2)


@pytest.mark.parametrize("sigma", [0.3, 0.8, 2.5])
def test_gaussian_equals_its_integral_over_pixels(sigma: float) -> None:
    edges = (offsets(31)[:, None] + np.array([-0.5, 0.5])) / (math.sqrt(2.0) * sigma)
    line = 0.5 * np.diff(erf(edges), axis=1)[:, 0]
    np.testing.assert_allclose(gaussian(31, sigma), np.outer(line, line), atol=1e-4 * line.max() ** 2)


def test_gaussian_has_the_width_and_the_direction_asked_for() -> None:
    kernel = gaussian(41, 1.5, 4.0, math.pi / 6)
    line = offsets(41)
    y, x = line[:, None], line[None, :]
    moments = np.array([[(kernel * x * x).sum(), (kernel * x * y).sum()], [0.0, (kernel * y * y).sum()]])
    moments[1, 0] = moments[0, 1]
    values, vectors = np.linalg.eigh(moments)
    # A square pixel adds 1/12 to each variance.
    np.testing.assert_allclose(values, [1.5**2 + 1 / 12, 4.0**2 + 1 / 12], rtol=0.01)
    assert math.atan(vectors[1, 1] / vectors[0, 1]) == pytest.approx(math.pi / 6, abs=0.01)


def test_full_width_at_half_maximum() -> None:
    assert half_width(gaussian(65, 4.0)[32]) == pytest.approx(2.3548 * 4.0, rel=0.01)
    assert half_width(moffat(65, 9.0, 2.5)[32]) == pytest.approx(9.0, rel=0.02)
    stretched = moffat(65, 9.0, 3.0, ellipticity=0.36, angle=math.pi / 2)
    assert half_width(stretched[:, 32]) == pytest.approx(9.0 / 0.8, rel=0.02)
    assert half_width(stretched[32]) == pytest.approx(9.0 * 0.8, rel=0.02)


def test_moffat_wings_fall_with_twice_beta() -> None:
    row = moffat(129, 2.0, 2.0)[64].astype(float)
    assert math.log(row[64 + 60] / row[64 + 30]) / math.log(2.0) == pytest.approx(-4.0, abs=0.05)


def test_airy_has_its_first_zero_at_1_22_lambda_over_d() -> None:
    row = airy(129, **telescope(20.0))[64, 64:].astype(float)
    zero = int(np.argmax(np.diff(row) > 0))
    a, b, c = row[zero - 1 : zero + 2]
    assert zero + 0.5 * (a - c) / (a - 2 * b + c) == pytest.approx(24.393, abs=0.1)
    assert row[zero] < 1e-3 * row[0]


def test_obscuration_narrows_the_core_and_brightens_the_ring() -> None:
    clear, hidden = airy(65, **telescope(6.0)), airy(65, **telescope(6.0), obscuration=0.4)
    assert half_width(hidden[32]) < half_width(clear[32])
    assert hidden[32, 32 + 10] / hidden.max() > clear[32, 32 + 10] / clear.max()


def test_odd_kernels_are_centred() -> None:
    np.testing.assert_allclose(centroid(moffat(33, 4.0, 2.0, 0.4, 0.7)), 0.0, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: gaussian(32, 0.0), "sigma_y"),
        (lambda: moffat(32, 3.0, beta=1.0), "beta"),
        (lambda: moffat(32, 3.0, ellipticity=1.0), "ellipticity"),
        (lambda: airy(32, 5e-7, -1.0, 0.1), "diameter"),
        (lambda: gaussian(2, 1.0), "kernel size"),
    ],
)
def test_wrong_parameters_are_named(call: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        call()  # type: ignore[operator]
