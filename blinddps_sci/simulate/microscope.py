"""In-plane point-spread functions of fluorescence microscopes.

A pupil with exact defocus and aberrations becomes a kernel by scalar diffraction; such kernels train
the kernel prior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.arguments import check_between, check_size
from blinddps_sci.simulate.centring import Kernel
from blinddps_sci.simulate.diffraction import detect, diffract, fine_grid
from blinddps_sci.simulate.pupil import Pupil, amplitude, wavefront
from blinddps_sci.simulate.zernike import polar_grid

__all__ = ["microscope_psf"]


def microscope_psf(
    size: int,
    *,
    na: float,
    wavelength: float,
    pixel: float,
    refractive_index: float = 1.0,
    defocus: float = 0.0,
    zernikes: Mapping[int, float] | None = None,
    confocal: bool = False,
    centred: bool = False,
) -> Kernel:
    """In-plane PSF of a fluorescence microscope (scalar theory), integrated over pixels.

    Parameters
    ----------
    size : int
        Side K in pixels.
    na : float
        Numerical aperture, below `refractive_index`.
    wavelength : float
        Emission wavelength in vacuum, micrometres.
    pixel : float
        Pixel side in the specimen, micrometres.
    refractive_index : float
        Of the immersion medium.
    defocus : float
        Distance of the specimen from the focal plane, micrometres.
    zernikes : mapping of int to float, optional
        Noll's index to coefficient in waves rms.
    confocal : bool
        Square the intensity: a closed pinhole with equal excitation and emission wavelengths.
    centred : bool
        Put the centroid, not the optical axis, on pixel ``K // 2``.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one.

    Raises
    ------
    ConfigError
        If a parameter is outside its range, or `na` is not below `refractive_index`.

    Notes
    -----
    Phase of a defocus z: 2 pi z [sqrt((n/lambda)^2 - f^2) - n/lambda], f <= NA/lambda
    (Hanser et al. 2004, J. Microsc. 216, 32, doi:10.1111/j.0022-2720.2004.01393.x).
    """
    pupil = Pupil.microscope(wavelength, na, pixel)
    if na >= check_between("refractive_index", refractive_index, 1.0, 3.0):
        msg = f"na {na:g} with refractive index {refractive_index:g}: na must be smaller; check the immersion"
        raise ConfigError(msg)
    grid = fine_grid(check_size(size), pupil.q, 4.0 if confocal else 2.0)
    phase = wavefront(zernikes or {}, grid.samples)
    if defocus != 0.0:
        wave = refractive_index / wavelength
        f = np.minimum(polar_grid(grid.samples)[0], 1.0) * (na / wavelength)
        path = defocus * (np.sqrt(wave**2 - f**2) - wave)
        phase = (phase + 2.0 * math.pi * path).astype(np.float32)
    intensity = diffract(amplitude(pupil, grid.samples), phase, grid.n)
    if confocal:
        intensity = intensity**2
        intensity /= intensity.sum()
    return detect(intensity, grid, centred=centred)
