"""Fields: aberrations of third order, and data that are the truth blurred by the PSF of every pixel."""

from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.bench.fields import Optics, make_fields
from blinddps_sci.metrics import ellipticity, kernel_centroid, kernel_width, mnc


def test_aberrations_grow_from_the_axis_as_their_order_says() -> None:
    optics = Optics(0.0, 0.1, 0.0, 0.0, axis=(0.2, -0.1))
    focus, near, far = (kernel_width(optics.psf(0.2, -0.1 + x)) for x in (0.0, 0.5, 1.0))
    assert focus < near < far
    assert kernel_width(optics.psf(1.2, -0.1)) == pytest.approx(far, rel=1e-3)
    # Coma points along the field vector: the PSF is mirrored with its place.
    coma = Optics(0.0, 0.0, 0.0, 0.1)
    left, right = coma.psf(0.0, -1.0), coma.psf(0.0, 1.0)
    np.testing.assert_allclose(left[1:, 1:], right[1:, 1:][:, ::-1], atol=2e-3)
    assert np.abs(left - right).max() > 0.02
    # Astigmatism with defocus draws the PSF out along the field vector or across it.
    drawn = Optics(0.1, 0.0, 0.1, 0.0)
    assert ellipticity(drawn.psf(0.0, 0.0)) < 0.02
    np.testing.assert_allclose(drawn.psf(1.0, 0.0)[1:, 1:], drawn.psf(0.0, 1.0)[1:, 1:].T, atol=2e-3)
    assert ellipticity(drawn.psf(0.0, 1.0)) > 0.1


@pytest.mark.parametrize("size", [100, 512])
def test_data_are_the_truth_blurred_by_the_psf_of_every_pixel(size: int) -> None:
    rng = np.random.default_rng(1)
    for field in make_fields(size, 5, seed=3):
        assert field.truth.shape == field.data.shape == (size, size)
        rest = []
        for y, x in rng.integers(16, size - 16, (300, 2)):
            scene = field.truth[y - 15 : y + 17, x - 15 : x + 17]
            rest.append(field.data[y, x] - (scene * field.psf_at(y, x)[::-1, ::-1]).sum())
        assert np.std(rest) == pytest.approx(0.01, rel=0.15)
        assert abs(np.mean(rest)) < 0.003


def test_one_field_has_one_psf_and_the_other_many_in_one_gauge() -> None:
    same, varying = make_fields(64, 3, seed=0)
    assert (same.kernels.shape[:2], varying.kernels.shape[:2]) == ((1, 1), (3, 3))
    np.testing.assert_array_equal(same.psf_at(0, 5), same.psf_at(63, 20))
    np.testing.assert_allclose(same.psf_at(31.5, 31.5), varying.psf_at(31.5, 31.5), atol=1e-6)
    np.testing.assert_allclose(varying.psf_at(63, 63 / 4), varying.kernels[2, :2].mean(axis=0), atol=1e-6)
    for kernel in varying.kernels.reshape(-1, 32, 32):
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(kernel_centroid(kernel), 0, atol=0.02)
    widths = [kernel_width(kernel) for kernel in varying.kernels.reshape(-1, 32, 32)]
    assert max(widths) > 1.5 * min(widths)
    assert min(mnc(kernel, same.kernels[0, 0]) for kernel in varying.kernels.reshape(-1, 32, 32)) < 0.95


def test_fields_are_those_of_their_seed() -> None:
    one, again, other = (make_fields(64, 3, seed)[1].data for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.05
