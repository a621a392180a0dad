"""Pupils and the wave-optical point-spread functions of telescopes.

A pupil (transmission, aberrations in Noll's Zernike modes) becomes a kernel by diffraction; families
of such kernels train the kernel prior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.analytic import ARCSEC
from blinddps_sci.simulate.arguments import check_between, check_size
from blinddps_sci.simulate.centring import Kernel
from blinddps_sci.simulate.diffraction import Real, detect, diffract, fine_grid
from blinddps_sci.simulate.zernike import polar_grid, zernike_basis

__all__ = ["Pupil", "amplitude", "pupil_psf", "wavefront"]


@dataclass(frozen=True)
class Pupil:
    """A circular aperture seen by a detector.

    Attributes
    ----------
    q : float
        lambda / D in pixels (for a microscope lambda / (2 NA)); 2 is Nyquist sampling.
    obscuration : float
        Diameter of the central obscuration divided by D, in [0, 0.95].
    spider_arms : int
        Number of straight vanes from the centre to the rim.
    spider_width : float
        Width of a vane divided by D.
    spider_angle : float
        Direction of the first vane in radians, from +x towards +y.

    Raises
    ------
    ConfigError
        If a value is outside its range.
    """

    q: float
    obscuration: float = 0.0
    spider_arms: int = 0
    spider_width: float = 0.01
    spider_angle: float = 0.0

    def __post_init__(self) -> None:
        check_between("q (lambda / D in pixels)", self.q, 0.05, 1e4)
        check_between("obscuration", self.obscuration, 0.0, 0.95)
        check_between("spider_arms", self.spider_arms, 0, 12)
        check_between("spider_width", self.spider_width, 0.0, 0.5)

    @classmethod
    def telescope(
        cls, wavelength: float, diameter: float, pixel_scale: float, obscuration: float = 0.0
    ) -> Pupil:
        """Pupil of a telescope.

        Parameters
        ----------
        wavelength, diameter : float
            Metres.
        pixel_scale : float
            Arcseconds per pixel.
        obscuration : float
            Diameter of the central obscuration divided by `diameter`.

        Returns
        -------
        Pupil
        """
        wavelength = check_between("wavelength", wavelength, 0.0, open_low=True, unit="m")
        diameter = check_between("diameter", diameter, 0.0, open_low=True, unit="m")
        scale = check_between("pixel_scale", pixel_scale, 0.0, open_low=True, unit="arcsec per pixel")
        return cls(wavelength / diameter / (scale * ARCSEC), obscuration)

    @classmethod
    def microscope(cls, wavelength: float, na: float, pixel: float) -> Pupil:
        """Pupil of a microscope objective.

        Parameters
        ----------
        wavelength : float
            Emission wavelength in vacuum, micrometres.
        na : float
            Numerical aperture.
        pixel : float
            Pixel side in the specimen, micrometres.

        Returns
        -------
        Pupil
        """
        wavelength = check_between("wavelength", wavelength, 0.0, open_low=True, unit="um")
        na = check_between("na", na, 0.0, 1.8, open_low=True)
        pixel = check_between("pixel", pixel, 0.0, open_low=True, unit="um")
        return cls(wavelength / (2.0 * na * pixel))


def amplitude(pupil: Pupil, samples: float) -> Real:
    """Transmission of a pupil on the square around it, with soft (area-weighted) edges.

    Parameters
    ----------
    pupil : Pupil
    samples : float
        Diameter in grid steps.

    Returns
    -------
    ndarray, (M, M), float32
        In [0, 1]; M = 2 ceil(samples / 2) + 1.
    """
    rho, theta = polar_grid(samples)
    radius = samples / 2
    mask = np.clip((1.0 - rho) * radius + 0.5, 0.0, 1.0)
    if pupil.obscuration > 0.0:
        mask = mask * np.clip((rho - pupil.obscuration) * radius + 0.5, 0.0, 1.0)
    for arm in range(pupil.spider_arms):
        angle = theta - (pupil.spider_angle + 2.0 * math.pi * arm / pupil.spider_arms)
        across = np.abs(rho * np.sin(angle)) * radius
        half = pupil.spider_width * radius
        covered = np.clip(half - across + 0.5, 0.0, min(1.0, 2.0 * half)) * (np.cos(angle) > 0.0)
        mask = mask * (1.0 - covered)
    return np.asarray(mask, dtype=np.float32)


def wavefront(zernikes: Mapping[int, float], samples: float) -> Real:
    """Phase of a sum of Zernike modes.

    Parameters
    ----------
    zernikes : mapping of int to float
        Noll's index to coefficient in waves rms (over the full, unobscured pupil).
    samples : float
        Pupil diameter in grid steps.

    Returns
    -------
    ndarray, (M, M), float32
        Radians; M = 2 ceil(samples / 2) + 1.

    Raises
    ------
    ConfigError
        If an index is below 1 or a coefficient is not finite.
    """
    if not zernikes:
        return np.zeros_like(polar_grid(samples)[0])
    if min(zernikes) < 1 or not all(math.isfinite(value) for value in zernikes.values()):
        msg = f"zernikes {dict(zernikes)!r}: map Noll indices (from 1) to finite waves rms"
        raise ConfigError(msg)
    basis = zernike_basis(samples, max(zernikes))
    weights = np.zeros(len(basis), dtype=np.float32)
    for j, waves in zernikes.items():
        weights[j - 1] = 2.0 * math.pi * waves
    return np.asarray(np.tensordot(weights, basis, axes=1), dtype=np.float32)


def pupil_psf(
    size: int,
    pupil: Pupil,
    zernikes: Mapping[int, float] | None = None,
    *,
    centred: bool = False,
) -> Kernel:
    """PSF of an aberrated aperture, integrated over pixels.

    Parameters
    ----------
    size : int
        Side K in pixels.
    pupil : Pupil
        Aperture and sampling; undersampled pupils are computed on a finer grid.
    zernikes : mapping of int to float, optional
        Noll's index to coefficient in waves rms; 4 is defocus.
    centred : bool
        Put the centroid, not the optical axis, on pixel ``K // 2``.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one.

    Raises
    ------
    ConfigError
        If `size` or a coefficient is not allowed.

    Notes
    -----
    ``PSF = |F{A exp(2 pi i sum_j c_j Z_j)}|^2``. A tilt of c_2 waves rms moves the image by
    4 c_2 lambda / D towards +x. Small aberrations lower the peak by exp(-(2 pi w)^2) with
    w the rms in waves (Marechal; Mahajan 1983, doi:10.1364/JOSA.73.000860).
    """
    grid = fine_grid(check_size(size), pupil.q)
    phase = wavefront(zernikes, grid.samples) if zernikes else None
    intensity = diffract(amplitude(pupil, grid.samples), phase, grid.n)
    return detect(intensity, grid, centred=centred)
