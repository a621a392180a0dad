"""Kernels of the atmosphere: long, short and partially corrected exposures.

They are for one isoplanatic patch, with the tilt taken out where the restoration carries it
separately.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import fft

from blinddps_sci.simulate.arguments import check_between, check_size
from blinddps_sci.simulate.centring import Kernel
from blinddps_sci.simulate.diffraction import FineGrid, Real, detect, diffract, fine_grid
from blinddps_sci.simulate.pupil import Pupil, amplitude
from blinddps_sci.simulate.screens import phase_screen, structure_function
from blinddps_sci.simulate.zernike import zernike_basis

__all__ = ["long_exposure", "short_exposure"]

Array = npt.NDArray[np.float64]


def long_exposure(
    size: int, pupil: Pupil, d_over_r0: float, *, outer_scale: float = math.inf, centred: bool = False
) -> Kernel:
    """Seeing disc of a long exposure: the telescope's times the atmosphere's transfer function.

    Parameters
    ----------
    size : int
        Side K in pixels.
    pupil : Pupil
        Telescope and sampling.
    d_over_r0 : float
        Telescope diameter divided by Fried's parameter.
    outer_scale : float
        L0 divided by the telescope's diameter; infinity is Kolmogorov's case.
    centred : bool
        Put the centroid on pixel ``K // 2``.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one (within the grid).

    Raises
    ------
    ConfigError
        If a parameter is outside its range.

    Notes
    -----
    OTF(f) = T(f) exp[-D_phi(lambda f) / 2]; FWHM = 0.976 lambda / r0 for D >> r0, and
    smaller by sqrt(1 - 2.183 (r0/L0)^0.356) with an outer scale.

    References
    ----------
    Fried 1966, doi:10.1364/JOSA.56.001372; Tokovinin 2002, PASP 114, 1156, doi:10.1086/342683.
    """
    grid = fine_grid(check_size(size), pupil.q)
    strength = check_between("d_over_r0", d_over_r0, 0.0)
    intensity = diffract(amplitude(pupil, grid.samples), None, grid.n)
    if strength == 0.0:
        return detect(intensity, grid, centred=centred)
    baseline = np.hypot(np.fft.fftfreq(grid.n)[:, None], np.fft.rfftfreq(grid.n)[None, :]) * grid.q
    phase = structure_function(baseline, 1.0 / strength, outer_scale)
    return detect(intensity, grid, transfer=np.exp(-0.5 * phase).astype(np.float32), centred=centred)


def short_exposure(
    size: int,
    pupil: Pupil,
    d_over_r0: float,
    rng: np.random.Generator,
    *,
    outer_scale: float = 10.0,
    wind: float = 0.0,
    steps: int = 1,
    corrected: int = 0,
    residual: float = 0.0,
    centred: bool = True,
) -> Kernel:
    """Speckle pattern of a short exposure through one phase screen.

    Parameters
    ----------
    size : int
        Side K in pixels.
    pupil : Pupil
        Telescope and sampling.
    d_over_r0 : float
        Telescope diameter divided by Fried's parameter.
    rng : numpy.random.Generator
        Source of all randomness.
    outer_scale : float
        L0 divided by the telescope's diameter, at most 1000.
    wind : float
        Distance that the frozen screen moves during the exposure, divided by D, in [0, 1].
    steps : int
        Number of instants averaged over the exposure.
    corrected : int
        Highest Noll mode that adaptive optics attenuates (0: none).
    residual : float
        Amplitude that the correction leaves in those modes, 0 to 1.
    centred : bool
        Put the centroid on pixel ``K // 2``; the tilt then belongs to the displacement.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one (within the grid).

    Raises
    ------
    ConfigError
        If a parameter is outside its range.
    """
    strength = check_between("d_over_r0", d_over_r0, 0.0, 200.0, open_low=True)
    scale = check_between("outer_scale", outer_scale, 0.0, 1000.0, open_low=True)
    travel = check_between("wind", wind, 0.0, 1.0)
    steps = int(check_between("steps", steps, 1, 1000))
    corrected = int(check_between("corrected", corrected, 0, 200))
    left = check_between("residual", residual, 0.0, 1.0)
    grid = fine_grid(check_size(size), pupil.q)
    mask = amplitude(pupil, grid.samples)
    side = mask.shape[0]
    # Twice the pupil: a screen made by FFT is periodic, and its far side must not touch.
    n = int(fft.next_fast_len(2 * side, real=False))
    screen = phase_screen(n, 1.0 / grid.samples, 1.0 / strength, rng, outer_scale=scale)
    turned = np.rot90(screen, int(rng.integers(4))).astype(np.float32)
    reach = min(round(travel * grid.samples), n - side)
    intensity = np.zeros((grid.n, grid.n), dtype=np.float32)
    for start in np.rint(np.linspace(0, reach, steps)).astype(int):
        phase = turned[:side, start : start + side]
        if corrected:
            phase = _correct(phase, mask, grid, corrected, left)
        intensity += diffract(mask, phase, grid.n)
    return detect(intensity / np.float32(steps), grid, centred=centred)


def _correct(phase: Real, mask: Real, grid: FineGrid, highest: int, residual: float) -> Real:
    """Attenuate the Noll modes up to `highest` within the pupil."""
    modes = zernike_basis(grid.samples, highest)
    weighted = (modes * mask).reshape(highest, -1)
    normal = weighted @ modes.reshape(highest, -1).T
    fitted = np.linalg.lstsq(normal, weighted @ phase.ravel(), rcond=1e-4)[0]
    return np.asarray(phase - (1.0 - residual) * np.tensordot(fitted, modes, axes=1), dtype=np.float32)
