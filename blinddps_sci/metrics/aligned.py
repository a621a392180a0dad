"""PSNR and SSIM up to what blind deconvolution cannot know: a shift, and a gain and offset.

A blurred image fixes the sharp image and its kernel only up to a common translation, so a truthful
restoration may sit a pixel away from the truth. Here the best translation is found first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, optimize, signal

from blinddps_sci.errors import InputError
from blinddps_sci.metrics.image import psnr_from_mse, ssim
from blinddps_sci.metrics.pair import as_image, as_pair

__all__ = ["Alignment", "align", "psnr_shift", "ssim_shift"]

_SPLINE_MARGIN = 3
"""Pixels that a cubic spline's border condition can reach with more than 1 % of its weight."""


@dataclass(frozen=True)
class Alignment:
    """An estimate brought onto its truth, on the core where every allowed shift has data.

    Parameters
    ----------
    shift : tuple of float
        (dy, dx) in pixels by which the estimate was moved: the core's pixel p holds
        ``gain * estimate(p - shift) + offset``.
    gain, offset : float
        The fitted photometric factors, the gain never negative; 1 and 0 unless they were asked for.
    estimate, truth : ndarray, float64, (y, x)
        The two cores, in the truth's unit.
    mask : ndarray, bool, (y, x)
        True where the truth's core is unusable.
    mse : float
        Mean squared difference over the usable core, in the truth's unit squared.
    """

    shift: tuple[float, float]
    gain: float
    offset: float
    estimate: NDArray[np.float64]
    truth: NDArray[np.float64]
    mask: NDArray[np.bool_]
    mse: float


def align(
    estimate: ArrayLike,
    truth: ArrayLike,
    max_shift: int,
    *,
    subpixel: bool = True,
    fit_flux: bool = False,
    mask: ArrayLike | None = None,
) -> Alignment:
    """Find the translation, and if asked gain and offset, that bring an estimate onto its truth.

    Parameters
    ----------
    estimate, truth : array_like, real, (y, x)
        The restored and the true image, of one shape.
    max_shift : int
        Largest shift in pixels along each axis. A border of this width (three pixels more with
        `subpixel`) is left out of the comparison, the same border for every shift.
    subpixel : bool
        Refine the best whole-pixel shift with cubic spline interpolation.
    fit_flux : bool
        Also fit the gain and the offset by least squares at each shift. Leave it off where
        photometry is what is judged.
    mask : array_like of bool, (y, x), optional
        True marks an unusable pixel of the truth; the estimate must be finite everywhere.

    Returns
    -------
    Alignment

    Raises
    ------
    InputError
        If the images are not two-dimensional and of one shape, have a value that is not finite,
        or are too small for `max_shift`.

    Notes
    -----
    Minimises ``sum (g * E(p - s) + o - T(p))^2`` over the core. All whole-pixel shifts are
    evaluated at once by correlation; the best is refined within one pixel by Nelder-Mead.

    References
    ----------
    Köhler, Hirsch, Mohler, Schölkopf, Harmeling, "Recording and playback of camera shake",
    ECCV 2012, doi:10.1007/978-3-642-33786-4_3 (intensity and translation are fitted).
    Levin, Weiss, Durand, Freeman, "Understanding blind deconvolution algorithms", 2011,
    doi:10.1109/TPAMI.2011.148 (best shift within a few pixels on a cropped image).
    """
    image, pair = as_image(estimate, "estimate"), as_pair(truth, truth, mask)
    if image.shape != pair.truth.shape:
        raise InputError(
            f"the estimate has shape {image.shape} and the truth {pair.truth.shape}; "
            "give two (y, x) images of one shape"
        )
    if max_shift < 0:
        raise InputError(f"max_shift is {max_shift}; give zero or more pixels")
    refine = subpixel and max_shift > 0
    margin = max_shift + (_SPLINE_MARGIN if refine else 0)
    if min(image.shape) <= 2 * margin:
        raise InputError(
            f"images of {image.shape} pixels leave no core for max_shift={max_shift} px; "
            f"give at least {2 * margin + 1} pixels a side or a smaller max_shift"
        )
    core = tuple(slice(margin, size - margin) for size in image.shape)
    search = _Search(image, pair.truth[core], pair.usable[core], margin, max_shift, fit_flux)
    if not search.usable.any():
        raise InputError("no pixel of the core is usable; give a smaller max_shift or a smaller mask")
    whole = search.best_whole_shift()
    return search.at(search.refined(whole) if refine else whole)


@dataclass(frozen=True)
class _Search:
    """One estimate, the truth's core that it is compared with, and what may be fitted."""

    estimate: NDArray[np.float64]
    truth: NDArray[np.float64]
    usable: NDArray[np.bool_]
    margin: int
    max_shift: int
    fit_flux: bool

    def best_whole_shift(self) -> tuple[int, int]:
        """Return the (dy, dx) of the smallest squared error, evaluated for all shifts at once."""
        rows, columns = self.estimate.shape
        extra = self.margin - self.max_shift
        window = self.estimate[extra : rows - extra, extra : columns - extra]
        weight = self.usable.astype(np.float64)
        # Constants drop out of the errors below; removing them keeps the sums well conditioned.
        level = float(self.truth[self.usable].mean())
        moved = window - (float(window.mean()) if self.fit_flux else level)
        truth = (self.truth - level) * weight
        cross = signal.correlate(moved, truth, mode="valid")
        square = signal.correlate(moved**2, weight, mode="valid")
        if self.fit_flux:
            variance = square - signal.correlate(moved, weight, mode="valid") ** 2 / weight.sum()
            varies = variance > 1e-12 * max(float(square.max()), np.finfo(float).tiny)
            rising = np.maximum(cross, 0.0)
            error = -np.divide(rising**2, variance, out=np.zeros_like(cross), where=varies)
        else:
            error = square - 2.0 * cross
        row, column = np.unravel_index(int(np.argmin(error)), error.shape)
        return self.max_shift - int(row), self.max_shift - int(column)

    def refined(self, start: tuple[int, int]) -> tuple[float, float]:
        """Return the (dy, dx) within one pixel of `start` of the smallest squared error."""
        spline = ndimage.spline_filter(self.estimate, order=3, mode="mirror")
        limits = [(max(s - 1.0, -self.max_shift), min(s + 1.0, self.max_shift)) for s in start]
        dy, dx = (0.25 if s < high else -0.25 for s, (_, high) in zip(start, limits, strict=True))
        simplex = np.add(start, [(0.0, 0.0), (dy, 0.0), (0.0, dx)])
        found = optimize.minimize(
            lambda s: self._compare((s[0], s[1]), self._interpolated(spline, s)).mse,
            np.asarray(start, float),
            method="Nelder-Mead",
            bounds=limits,
            options={"initial_simplex": simplex, "xatol": 1e-3, "fatol": np.inf, "maxfev": 100},
        )
        return float(found.x[0]), float(found.x[1])

    def at(self, shift: tuple[float, float]) -> Alignment:
        """Move the estimate by `shift`; a whole number of pixels is moved without interpolation."""
        if not (float(shift[0]).is_integer() and float(shift[1]).is_integer()):
            spline = ndimage.spline_filter(self.estimate, order=3, mode="mirror")
            return self._compare(shift, self._interpolated(spline, np.asarray(shift)))
        top, left = self.margin - int(shift[0]), self.margin - int(shift[1])
        rows, columns = self.truth.shape
        return self._compare(shift, self.estimate[top : top + rows, left : left + columns])

    def _interpolated(self, spline: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the core of the estimate moved by `shift`, from its spline coefficients."""
        moved = ndimage.shift(spline, shift, order=3, mode="mirror", prefilter=False)
        rows, columns = self.truth.shape
        core: NDArray[np.float64] = moved[
            self.margin : self.margin + rows, self.margin : self.margin + columns
        ]
        return core

    def _compare(self, shift: tuple[float, float], moved: NDArray[np.float64]) -> Alignment:
        """Fit what may be fitted and measure what is left."""
        values, truth = moved[self.usable], self.truth[self.usable]
        gain, offset = 1.0, 0.0
        if self.fit_flux:
            centred = values - values.mean()
            power = float(centred @ centred)
            gain = max(float(centred @ truth) / power, 0.0) if power > 0 else 0.0
            offset = float(truth.mean() - gain * values.mean())
        mse = float(np.mean((gain * values + offset - truth) ** 2))
        return Alignment(
            shift=(float(shift[0]), float(shift[1])),
            gain=gain,
            offset=offset,
            estimate=gain * moved + offset,
            truth=self.truth,
            mask=~self.usable,
            mse=mse,
        )


def psnr_shift(
    estimate: ArrayLike,
    truth: ArrayLike,
    max_shift: int,
    data_range: float,
    *,
    subpixel: bool = True,
    fit_flux: bool = False,
    mask: ArrayLike | None = None,
) -> float:
    """Peak signal-to-noise ratio at the best translation.

    Parameters
    ----------
    estimate, truth, max_shift, subpixel, fit_flux, mask
        As `align` takes them.
    data_range : float
        Largest minus smallest value of the truth's scale, in its unit.

    Returns
    -------
    float
        Decibels over the core; infinite where both agree exactly.

    Raises
    ------
    InputError
        As `align`, or if `data_range` is not positive and finite.
    """
    best = align(estimate, truth, max_shift, subpixel=subpixel, fit_flux=fit_flux, mask=mask)
    return psnr_from_mse(best.mse, data_range)


def ssim_shift(
    estimate: ArrayLike,
    truth: ArrayLike,
    max_shift: int,
    data_range: float,
    *,
    subpixel: bool = True,
    fit_flux: bool = False,
    mask: ArrayLike | None = None,
) -> float:
    """Structural similarity at the translation of the smallest squared error.

    Parameters
    ----------
    estimate, truth, max_shift, subpixel, fit_flux, mask
        As `align` takes them.
    data_range : float
        Largest minus smallest value of the truth's scale, in its unit.

    Returns
    -------
    float
        `blinddps_sci.metrics.image.ssim` of the two cores.

    Raises
    ------
    InputError
        As `align` and `blinddps_sci.metrics.image.ssim`.
    """
    best = align(estimate, truth, max_shift, subpixel=subpixel, fit_flux=fit_flux, mask=mask)
    return ssim(best.estimate, best.truth, data_range, mask=best.mask)
