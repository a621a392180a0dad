"""From a complex pupil to pixels: grids, Fraunhofer diffraction, integration over pixels.

`blinddps_sci.simulate.pupil` and `blinddps_sci.simulate.atmosphere` bring the amplitude and
the phase; what they share, the sampling and the detector's pixels, is here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from blinddps_sci.simulate.centring import Kernel, centroid, normalise, offsets

__all__ = ["FineGrid", "box_pixel", "detect", "detect_tilted", "diffract", "fine_grid"]

Real = npt.NDArray[np.float32]
Complex = npt.NDArray[np.complex64]

# Steps across a pupil: fewer cannot show an annulus or high modes.
_LEAST_SAMPLES = 20
_CENTRED = 0.01
_ROUNDS = 4


@dataclass(frozen=True)
class FineGrid:
    """Grid on which a PSF is computed before it is integrated over pixels.

    Attributes
    ----------
    size : int
        Side K of the kernel in pixels.
    n : int
        Side of the fine grid; at least twice the kernel, so that wings do not wrap into it.
    oversampling : int
        Fine steps per pixel; above one where the pixels undersample the optics.
    q : float
        lambda / D in fine steps, at least 2 (Nyquist).
    samples : float
        Pupil diameter in steps of the pupil's grid, ``n / q``.
    """

    size: int
    n: int
    oversampling: int
    q: float
    samples: float


@lru_cache(maxsize=512)
def fine_grid(size: int, q: float, nyquist: float = 2.0) -> FineGrid:
    """Choose the fine grid for a kernel of `size` pixels.

    Parameters
    ----------
    size : int
        Side K in pixels.
    q : float
        lambda / D in pixels (for a microscope lambda / (2 NA)).
    nyquist : float
        Smallest allowed lambda / D in fine steps: 2 for an intensity, 4 for its square.

    Returns
    -------
    FineGrid
    """
    oversampling = max(1, math.ceil(nyquist / q - 1e-9))
    wanted = max(2 * size * oversampling, math.ceil(_LEAST_SAMPLES * q * oversampling))
    n = int(fft.next_fast_len(wanted, real=False))
    n += n % 2
    return FineGrid(size, n, oversampling, q * oversampling, n / (q * oversampling))


def diffract(amplitude: Real, phase: Real | None, n: int) -> Real:
    """Fraunhofer diffraction: squared modulus of the pupil's Fourier transform.

    Parameters
    ----------
    amplitude : ndarray, (M, M), float32
        Transmission of the pupil.
    phase : ndarray, (M, M), float32, or None
        Radians. A phase that rises along +x moves the image towards +x.
    n : int
        Side of the result, at least M.

    Returns
    -------
    ndarray, (n, n), float32
        Intensity with the optical axis at index (0, 0) and sum one.
    """
    field = amplitude.astype(np.complex64)
    if phase is not None:
        field *= np.exp(1j * phase.astype(np.complex64))
    rows = fft.fft(field, n, axis=1)
    spectrum = fft.fft(rows, n, axis=0)
    intensity = spectrum.real**2 + spectrum.imag**2
    return np.asarray(intensity / intensity.sum(), dtype=np.float32)


def detect(intensity: Real, grid: FineGrid, *, transfer: Real | None = None, centred: bool = False) -> Kernel:
    """Integrate an intensity over square pixels and cut out the kernel.

    Parameters
    ----------
    intensity : ndarray, (n, n), float32
        As `diffract` returns it.
    grid : FineGrid
        The grid of `intensity`.
    transfer : ndarray, (n, n // 2 + 1), float32, optional
        A further transfer function in the half plane of `scipy.fft.rfft2`, e.g. the atmosphere's.
    centred : bool
        Move the centroid to the centre pixel by a phase ramp, which does not blur.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one; the optical axis (or the centroid) at ``K // 2``.
    """
    otf = _pixel_otf(intensity, grid, transfer)
    return _centred(otf, grid)[0] if centred else _sample(otf, grid.n, _picks(grid))


def detect_tilted(intensity: Real, grid: FineGrid) -> tuple[Kernel, tuple[float, float]]:
    """Return a centred kernel and how far it was off, (dy, dx) in pixels; see `detect`."""
    return _centred(_pixel_otf(intensity, grid, None), grid)


def _pixel_otf(intensity: Real, grid: FineGrid, transfer: Real | None) -> Complex:
    otf: Complex = fft.rfft2(intensity) * box_pixel(grid.n, grid.oversampling)
    return otf if transfer is None else otf * transfer


def _picks(grid: FineGrid) -> npt.NDArray[np.intp]:
    return np.rint(offsets(grid.size)).astype(np.intp) * grid.oversampling % grid.n


def _centred(otf: Complex, grid: FineGrid) -> tuple[Kernel, tuple[float, float]]:
    """Return the kernel with its centroid at the centre, and where it was, in pixels."""
    picks = _picks(grid)
    kernel = _sample(otf, grid.n, picks)
    dy = dx = 0.0
    for _ in range(_ROUNDS):
        y, x = centroid(kernel)
        if max(abs(y), abs(x)) < _CENTRED:
            break
        dy, dx = dy + y, dx + x
        ramp = _ramp(grid.n, -dy * grid.oversampling, -dx * grid.oversampling)
        kernel = _sample(otf * ramp, grid.n, picks)
    return kernel, (dy, dx)


@lru_cache(maxsize=64)
def box_pixel(n: int, width: int) -> Real:
    """Transfer function of a square pixel `width` fine steps wide, on the half plane of `rfft2`."""
    rows = np.sinc(np.fft.fftfreq(n) * width)
    columns = np.sinc(np.fft.rfftfreq(n) * width)
    box: Real = (rows[:, None] * columns[None, :]).astype(np.float32)
    box.flags.writeable = False
    return box


def _sample(otf: Complex, n: int, picks: npt.NDArray[np.intp]) -> Kernel:
    """Read the image at the middles of the pixels."""
    rows = fft.ifft(otf, axis=0)[picks]
    return normalise(fft.irfft(rows, n, axis=1)[:, picks])


def _ramp(n: int, dy: float, dx: float) -> Complex:
    """Phase that shifts an image by (dy, dx) fine steps."""
    rows = np.exp(-2j * np.pi * dy * np.fft.fftfreq(n))
    columns = np.exp(-2j * np.pi * dx * np.fft.rfftfreq(n))
    return np.asarray(rows[:, None] * columns[None, :], dtype=np.complex64)
