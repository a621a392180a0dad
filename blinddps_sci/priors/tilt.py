"""The tilts of turbulence as a Gaussian field: variances and correlations from the physics.

Two directions look through parts of each layer that are apart by the layer's distance times the angle
between them; the tilts of two apertures that far apart are correlated, more so across their separation than
along it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import jv

from blinddps_sci.errors import ConfigError
from blinddps_sci.priors.gaussian import GaussianPrior

__all__ = ["PUBLISHED_RANGE", "TiltField", "tilt_correlation", "tilt_variance"]

Array = npt.NDArray[np.float64]

PUBLISHED_RANGE = 2.5
"""Pixels that are 1 on the domain of a network of the published tilts, which are cut off there."""

_SHARES = (0.003, 0.01, 0.03, 0.1, 0.3, 0.999)
_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""What `TiltField.fitted` tries: the share of the variance of layers beyond the aperture, and their scale
over the extent of the field."""

_FARTHEST = 100.0
"""Separation in diameters from which on a table ends; with a finite outer scale nothing is left there."""


def tilt_variance(outer_scale: float = math.inf) -> float:
    """Return the variance of Noll's tilt a_2, square radians, for D / r0 = 1; it goes as (D / r0)^(5/3).

    Parameters
    ----------
    outer_scale : float
        L0 in diameters of the aperture. Infinity is Kolmogorov's case, 0.448.

    Notes
    -----
    On the sky one axis tilts by ``2 / pi lambda / D a_2``.

    References
    ----------
    R. J. Noll 1976, doi:10.1364/JOSA.66.000207; N. Takato, I. Yamaguchi 1995,
    doi:10.1364/JOSAA.12.000958 (outer scale).
    """
    return float(_integrals(np.zeros(1), outer_scale)[0][0])


def tilt_correlation(separation: npt.ArrayLike, outer_scale: float = 25.0) -> tuple[Array, Array]:
    """Return the correlation of the tilts of two apertures, along and across their separation.

    Parameters
    ----------
    separation : array_like
        In diameters.
    outer_scale : float
        L0 in diameters.

    Notes
    -----
    ``C(b) = 4 pi int f df Phi(f) [2 J_2(pi f) / (pi f)]^2 [J_0(2 pi f b) -+ J_2(2 pi f b)]``, with the minus
    along the separation.

    References
    ----------
    N. Takato, I. Yamaguchi, "Spatial correlation of Zernike phase-expansion coefficients for atmospheric
    turbulence with finite outer scale", J. Opt. Soc. Am. A 12, 958 (1995), doi:10.1364/JOSAA.12.000958.
    """
    nodes, along, across = _table(outer_scale)
    b = np.abs(np.asarray(separation, dtype=np.float64))
    return np.interp(b, nodes, along), np.interp(b, nodes, across)


def _integrals(separation: Array, outer_scale: float) -> tuple[Array, Array]:
    """Return the covariance of a_2 along and across each separation, for D / r0 = 1."""
    lowest = 1e-8 if math.isinf(outer_scale) else 1e-4 / max(outer_scale, 1.0)
    log_f = np.linspace(math.log(lowest), math.log(30.0), 20000)
    f = np.exp(log_f)
    density = 0.0229 * (f**2 + outer_scale**-2.0) ** (-11 / 6) * (2 * jv(2, math.pi * f) / (math.pi * f)) ** 2
    weight = 4 * math.pi * f**2 * density * (log_f[1] - log_f[0])  # f df = f^2 d(log f)
    phase = 2 * math.pi * separation[:, None] * f
    zeroth, second = jv(0, phase), jv(2, phase)
    return (zeroth - second) @ weight, (zeroth + second) @ weight


@lru_cache(maxsize=8)
def _table(outer_scale: float) -> tuple[Array, Array, Array]:
    nodes = np.sinh(np.linspace(0.0, math.asinh(_FARTHEST * 20), 160)) / 20
    along, across = _integrals(nodes, outer_scale)
    return nodes, along / along[0], across / across[0]


@dataclass(frozen=True)
class TiltField:
    """Gaussian tilts on the field of view of one exposure.

    Parameters
    ----------
    variance : float
        Of one axis at one place, square pixels.
    layers : sequence of (float, float)
        Share of each layer in the variance, and the distance on the field, pixels, at which the light of two
        points crosses it one diameter apart: D over the layer's distance. Infinity for a layer at the
        aperture, which moves the whole field at once.
    outer_scale : float
        L0 in diameters.

    Raises
    ------
    ConfigError
        If a number is not positive.
    """

    variance: float
    layers: Sequence[tuple[float, float]]
    outer_scale: float = 25.0

    def __post_init__(self) -> None:
        numbers = [self.variance, self.outer_scale, *(value for layer in self.layers for value in layer)]
        if not self.layers or not all(number > 0 for number in numbers):
            raise ConfigError(f"{self}: variance, shares, scales and outer scale have to be positive")

    @classmethod
    def fitted(cls, shifts: npt.ArrayLike, places: npt.ArrayLike, noise: float) -> TiltField:
        """Return the field under which measured shifts are most likely, of a few that are tried.

        Parameters
        ----------
        shifts : array_like, (F, 2, N)
            (dy, dx) in pixels of F frames at N places, with a mean over the frames of zero.
        places : array_like, (N, 2)
            (y, x) in pixels.
        noise : float
            Standard deviation of a measurement, pixels.
        """
        measured, where = np.asarray(shifts, dtype=np.float64), np.asarray(places, dtype=np.float64)
        # The mean over the frames, which is not there, has taken one of them along.
        total = float(np.mean(measured**2)) * len(measured) / max(len(measured) - 1, 1)
        extent = max(float(np.ptp(where, axis=0).max()), 1.0)
        tried = (
            cls(max(total, noise**2), [(1 - share, math.inf), (share, scale * extent)])
            for share in _SHARES
            for scale in _SCALES
        )
        flat = measured.reshape(len(measured), -1)
        return max(tried, key=lambda field: field._likelihood(flat, where, noise))

    def _likelihood(self, shifts: Array, places: Array, noise: float) -> float:
        """Return the logarithm of the likelihood of shifts (F, 2 N)."""
        covariance = self.covariance(places) + noise**2 * np.eye(2 * len(places))
        root = np.linalg.cholesky(covariance)
        white = np.linalg.solve(root, shifts.T)
        return float(-0.5 * (white**2).sum() - len(shifts) * np.log(np.diag(root)).sum())

    def covariance(self, places: npt.ArrayLike) -> Array:
        """Return the covariance of (dy, dx) at N places, (2 N, 2 N): all dy, then all dx.

        Parameters
        ----------
        places : array_like, (N, 2)
            (y, x) in pixels.
        """
        where = np.asarray(places, dtype=np.float64)
        apart = where[:, None] - where
        distance = np.linalg.norm(apart, axis=-1)
        unit = apart / np.where(distance > 0, distance, 1.0)[..., None]
        total = sum(share for share, _ in self.layers)
        along, across = np.zeros_like(distance), np.zeros_like(distance)
        for share, scale in self.layers:
            parallel, perpendicular = tilt_correlation(distance / scale, self.outer_scale)
            along += share / total * parallel
            across += share / total * perpendicular
        outer = unit[..., :, None] * unit[..., None, :]
        blocks = across[..., None, None] * np.eye(2) + (along - across)[..., None, None] * outer
        n = len(where)
        return np.asarray(self.variance * blocks.transpose(2, 0, 3, 1).reshape(2 * n, 2 * n))

    def prior(
        self, node_y: npt.ArrayLike, node_x: npt.ArrayLike, device: torch.device | None = None
    ) -> GaussianPrior:
        """Return the prior of tilts (B, 2, n_y, n_x) on a grid of nodes, in pixels."""
        grid = np.meshgrid(node_y, node_x, indexing="ij")
        covariance = self.covariance(np.stack(grid, axis=-1).reshape(-1, 2))
        # Nodes that are near each other make the matrix singular to rounding.
        covariance += 1e-6 * self.variance * np.eye(len(covariance))
        symmetric = torch.from_numpy((covariance + covariance.T) / 2).float().to(device)
        return GaussianPrior(torch.zeros(len(covariance), device=device), symmetric)
