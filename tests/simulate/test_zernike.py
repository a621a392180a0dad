from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.screens import phase_screen
from blinddps_sci.simulate.zernike import noll_covariance, noll_index, polar_grid, zernike, zernike_basis


def test_noll_order() -> None:
    # Noll 1976, table I.
    expected = [(0, 0), (1, 1), (1, -1), (2, 0), (2, -2), (2, 2), (3, -1), (3, 1), (3, -3), (3, 3), (4, 0)]
    assert [noll_index(j) for j in range(1, 12)] == expected


def test_closed_forms() -> None:
    rho, theta = np.array([0.0, 0.3, 1.0]), np.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(zernike(4, rho, theta), np.sqrt(3) * (2 * rho**2 - 1))
    np.testing.assert_allclose(
        zernike(8, rho, theta), np.sqrt(8) * (3 * rho**3 - 2 * rho) * np.cos(theta), atol=1e-12
    )
    np.testing.assert_allclose(zernike(5, rho, theta), np.sqrt(6) * rho**2 * np.sin(2 * theta))


def test_modes_are_orthonormal_over_the_disc() -> None:
    # Gauss-Legendre in rho^2 and equal steps in theta integrate these polynomials exactly.
    nodes, weights = np.polynomial.legendre.leggauss(12)
    rho = np.sqrt(0.5 * (nodes + 1.0))[:, None]
    theta = np.linspace(0.0, 2.0 * np.pi, 32, endpoint=False)[None, :]
    modes = np.stack([np.broadcast_to(zernike(j, rho, theta), (12, 32)) for j in range(1, 22)])
    gram = np.einsum("iab,jab,a->ij", modes, modes, weights / 2.0) / 32.0
    np.testing.assert_allclose(gram, np.eye(21), atol=1e-12)


def test_basis_is_cached_and_read_only() -> None:
    basis = zernike_basis(20.5, 6)
    assert basis.shape == (6, 23, 23)
    assert basis is zernike_basis(20.5, 6)
    with pytest.raises(ValueError, match="read-only"):
        basis[0, 0, 0] = 1.0


def test_covariance_has_nolls_values() -> None:
    covariance = noll_covariance(11, 1.0)
    diagonal = np.diag(covariance)
    np.testing.assert_allclose(diagonal[:2], 0.448, atol=0.001)
    np.testing.assert_allclose(diagonal[2:5], 0.0232, atol=1e-4)
    np.testing.assert_allclose(diagonal[5:9], 0.00618, atol=2e-5)
    assert covariance[0, 6] == pytest.approx(-0.0141, abs=1e-4)
    np.testing.assert_allclose(covariance, covariance.T)
    np.testing.assert_allclose(noll_covariance(11, 2.0), covariance * 2 ** (5 / 3))
    assert np.linalg.eigvalsh(noll_covariance(36, 3.0)).min() > 0.0


def test_total_variance_is_fried_value() -> None:
    total = sum(float(np.diag(noll_covariance(j, 1.0, lowest=j))[0]) for j in range(2, 400))
    # What is left beyond mode J falls as 0.2944 J^(-sqrt(3)/2) (Noll, eq. 34).
    assert total + 0.2944 * 399 ** (-(3**0.5) / 2) == pytest.approx(1.0299, abs=0.002)


def test_screens_have_nolls_variances() -> None:
    samples, highest = 32.0, 11
    rho, _ = polar_grid(samples)
    inside = rho <= 1.0
    modes = zernike_basis(samples, highest)[:, inside].astype(float)
    fit = np.linalg.pinv(modes.T)
    side = rho.shape[0]
    rng = np.random.default_rng(3)
    fitted = []
    for _ in range(250):
        screen = phase_screen(72, 1 / samples, 1.0, rng, outer_scale=1e4)
        fitted.append(fit @ screen[:side, :side][inside])
    variance = np.var(fitted, axis=0)
    theory = np.diag(noll_covariance(highest, 1.0))
    # Defocus and astigmatism; coma. (Tilt needs infinitely low frequencies.)
    assert variance[3:6].mean() == pytest.approx(theory[2:5].mean(), rel=0.12)
    assert variance[6:10].mean() == pytest.approx(theory[5:9].mean(), rel=0.12)


def test_piston_is_refused() -> None:
    with pytest.raises(ConfigError, match="piston"):
        noll_covariance(5, 1.0, lowest=1)
    with pytest.raises(ConfigError, match="from 1"):
        noll_index(0)
