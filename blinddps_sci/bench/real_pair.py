"""The same sky by Subaru and by Hubble: a blurred and a sharp image of galaxies, each by its own telescope.

Truth is Hubble's image, smoothed to the sharpest that Subaru's pixels can hold and summed into them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import pixel_to_pixel, proj_plane_pixel_area
from scipy.ndimage import gaussian_filter

from blinddps_sci.bench.classical import richardson_lucy_of, wiener_of
from blinddps_sci.bench.real_case import (
    Image,
    Images,
    Outcome,
    RealCase,
    Restored,
    about_peak,
    read_image,
    restored,
    score_psf,
)
from blinddps_sci.bench.real_pictures import Panel, draw_panels
from blinddps_sci.bench.row_file import Row
from blinddps_sci.bench.table import markdown
from blinddps_sci.errors import InputError
from blinddps_sci.metrics import align
from blinddps_sci.metrics.image import psnr_from_mse

__all__ = ["CASE", "laid_into", "score_pair"]

_FOLDER = "astro/hsc_hst_pair_with_psf"
_FILES = tuple(f"{_FOLDER}/{name}.fits" for name in ("Cut_HSC", "PSF_HSC", "Cut_HST"))

_BAND = 2
"""Of Subaru's g, r, i, z and y, that which Hubble's F814W covers."""

_SIGMA = 2.0 / 2.3548
"""By which the truth is smoothed, coarse pixels: a FWHM of less than two they cannot hold."""

_FINE = 3
"""Samples of a fine pixel along each axis."""

_SHIFT = 2
"""Pixels by which the two headers may disagree."""

_COLUMNS = {
    "method": "image",
    "psnr": "PSNR, dB",
    "correlation": "correlation",
    "psnr_smooth": "smoothed as the truth is: PSNR, dB",
    "correlation_smooth": "correlation",
    "mnc": "PSF: MNC",
    "width_error": "error of its rms width",
    "fwhm": "its FWHM, px",
    "fwhm_measured": "measured, px",
    "chi2": "chi2",
    "seconds": "seconds",
}


def laid_into(image: Image, wcs: WCS, other: WCS, shape: tuple[int, int]) -> Image:
    """Return an image on a coarser grid, the mean of what falls into each pixel; NaN where it has no data.

    Parameters
    ----------
    image : ndarray, (h, w)
        On the finer grid.
    wcs, other : WCS
        Of the image, and of the grid.
    shape : (int, int)
        Of the grid.
    """
    rows, columns = ((np.arange(side * _FINE) + 0.5) / _FINE - 0.5 for side in image.shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    there_x, there_y = pixel_to_pixel(wcs, other, x, y)
    limits = [(-0.5, side - 0.5) for side in shape]
    where: dict[str, Any] = {"bins": shape, "range": limits}
    values = np.kron(image, np.ones((_FINE, _FINE)))
    counts = np.histogram2d(there_y.ravel(), there_x.ravel(), **where)[0]
    sums = np.histogram2d(there_y.ravel(), there_x.ravel(), **where, weights=values.ravel())[0]
    whole = counts > 0.8 * counts.max()  # samples and pixels beat: a whole pixel has more or less
    return np.where(whole, sums / np.maximum(counts, 1), np.nan)


def score_pair(image: Image, truth: Image) -> Row:
    """Return ``psnr`` (dB, on the truth's range) and ``correlation`` of an image with a truth.

    Parameters
    ----------
    image, truth : ndarray, (h, w)
        On one grid; gain, offset and a shift of at most two pixels are fitted, because filters, zero points
        and headers of two telescopes differ. Pixels where the truth is NaN do not count.

    Raises
    ------
    InputError
        If the truth covers less than 20 x 20 pixels.
    """
    known = np.isfinite(truth)
    inner = [np.flatnonzero(known.any(axis=axis)) for axis in (1, 0)]
    if min(map(len, inner)) < 20:
        raise InputError("the two images overlap by less than 20 pixels; give others")
    box = tuple(slice(places[0], places[-1] + 1) for places in inner)
    masked = ~known[box]
    found = align(image[box], np.where(masked, 0.0, truth[box]), _SHIFT, fit_flux=True, mask=masked)
    used, true = found.estimate[~found.mask], found.truth[~found.mask]
    return {
        "psnr": psnr_from_mse(found.mse, float(np.ptp(true))),
        "correlation": float(np.corrcoef(used, true)[0, 1]),
    }


def _runs(folder: Path, options: Mapping[str, Any]) -> dict[tuple[str, str], Callable[[], Outcome]]:
    subaru, kernels, hubble = (folder / name for name in _FILES)

    @cache
    def data() -> Image:
        return np.asarray(read_image(subaru)[_BAND], dtype=np.float64)

    @cache
    def psf() -> Image:
        kernel = np.clip(read_image(kernels)[_BAND].astype(np.float64), 0, None)
        return np.asarray(kernel / kernel.sum())

    @cache
    def truth() -> Image:
        grid, fine = (WCS(fits.getheader(path), naxis=2) for path in (subaru, hubble))
        ratio = np.sqrt(proj_plane_pixel_area(grid) / proj_plane_pixel_area(fine))
        smooth = gaussian_filter(read_image(hubble).astype(np.float64), ratio * _SIGMA)
        return laid_into(smooth, fine, grid, data().shape)

    def judged(image: Image, found: Restored | None = None) -> Outcome:
        smooth = score_pair(gaussian_filter(image, _SIGMA), truth())
        row = score_pair(image, truth()) | {f"{name}_smooth": value for name, value in smooth.items()}
        images = {"image": image, "truth": truth()}
        if found is not None:
            row |= found.numbers
        if found is not None and found.kernel is not None:
            row |= score_psf(found.kernel, psf())
            images |= {"kernel": found.kernel, "measured": about_peak(psf(), len(found.kernel))}
        return Outcome(row, images)

    def run(told: bool = False) -> Outcome:
        found = restored(data(), psf() if told else None, prior="astro", **options)
        return judged(found.image, found)

    methods: dict[str, Callable[[], Outcome]] = {
        "Subaru": lambda: judged(data()),
        "Richardson-Lucy, PSF of Subaru": lambda: judged(richardson_lucy_of(data(), psf())),
        "Wiener, PSF of Subaru": lambda: judged(wiener_of(data(), psf(), options["seed"])),
        "told the PSF of Subaru": lambda: run(told=True),
        "blind": run,
    }
    return {("", name): method for name, method in methods.items()}


def _draw(rows: Sequence[Row], images: Images, path: Path) -> None:
    blind = images.get("blind", {})
    names = ("Subaru", "Richardson-Lucy, PSF of Subaru", "told the PSF of Subaru", "blind")
    titles = ("Subaru, i band", "Richardson-Lucy, told the PSF", "told the PSF", "blind")
    panels = [
        Panel(title, images.get(name, {}).get("image"), kind="sky")
        for name, title in zip(names, titles, strict=True)
    ]
    panels += [
        Panel("Hubble, on Subaru's pixels", blind.get("truth"), kind="sky"),
        Panel("PSF, blind", blind.get("kernel"), kind="psf"),
        Panel("PSF, Subaru's", blind.get("measured"), kind="psf"),
    ]
    draw_panels(panels, path, across=4)


CASE = RealCase(
    title="galaxies by Subaru, against Hubble",
    files=_FILES,
    runs=_runs,
    table=lambda rows: markdown(rows, _COLUMNS),
    draw=_draw,
)
