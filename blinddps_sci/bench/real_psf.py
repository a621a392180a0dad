"""Whether a restoration finds the PSF that was measured on stars: galaxies of Abell 2744 by Hubble.

The frame is not blurred beyond the telescope's own optics. What is judged is the PSF, whether the data are
explained, and whether the light stays.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from scipy.ndimage import gaussian_filter

from blinddps_sci.bench.real_case import (
    Image,
    Images,
    Outcome,
    RealCase,
    about_peak,
    read_image,
    restored,
    score_psf,
)
from blinddps_sci.bench.real_pictures import Panel, draw_panels
from blinddps_sci.bench.row_file import Row
from blinddps_sci.bench.table import markdown
from blinddps_sci.metrics import aperture_flux, relative_flux_error

__all__ = ["CASE", "score_light"]

_FOLDER = "astro/hst_a2744_with_psf"
_PSF = f"{_FOLDER}/f105w_psf.fits.gz"
_DWARF = f"{_FOLDER}/abell_2744_dwarf_galaxy_f105w.fits.gz"
_RMS = f"{_FOLDER}/abell_2744_dwarf_galaxy_f105w_rms.fits.gz"
_SPIRAL = f"{_FOLDER}/abell_2744_spiral_galaxy_f105w.fits.gz"
_GROUP = f"{_FOLDER}/abell_2744_group_of_galaxies_f105w.fits.gz"

_RADIUS = 12.0
"""Of the aperture about the brightest galaxy, pixels: several times the PSF's width."""

_COLUMNS = {
    "item": "frame",
    "method": "image",
    "mnc": "PSF: MNC",
    "width_error": "error of its rms width",
    "otf_error": "OTF error",
    "fwhm": "its FWHM, px",
    "fwhm_measured": "measured, px",
    "flux": "flux of the frame, %",
    "aperture": "of the brightest galaxy, %",
    "chi2": "chi2",
    "warned": "warned of",
    "seconds": "seconds",
}


def score_light(image: Image, data: Image) -> Row:
    """Return by how much light has changed: ``flux`` of all and ``aperture`` about the peak, per cent.

    Parameters
    ----------
    image, data : ndarray, (h, w)
        Restored, and as it was; both in one unit.
    """
    smooth = gaussian_filter(data, 2)
    inner = int(_RADIUS) + 1
    smooth = smooth[inner:-inner, inner:-inner]
    place = np.add(np.unravel_index(int(smooth.argmax()), smooth.shape), inner)[None]
    before, after = (float(aperture_flux(each, place, _RADIUS)[0]) for each in (data, image))
    return {
        "flux": 100 * relative_flux_error(image, data),
        "aperture": 100 * (after / before - 1),
    }


def _runs(folder: Path, options: Mapping[str, Any]) -> dict[tuple[str, str], Callable[[], Outcome]]:
    @cache
    def psf() -> Image:
        kernel = np.clip(read_image(folder / _PSF).astype(np.float64), 0, None)
        return np.asarray(kernel / kernel.sum())

    def run(name: str, rms: str | None = None, told: bool = False) -> Outcome:
        data = read_image(folder / name).astype(np.float64)
        known = psf() if told else None
        with tempfile.TemporaryDirectory() as place:
            source = folder / name
            if rms is not None:  # as an archive would deliver it
                source = Path(place) / "frame.fits"
                parts = [
                    fits.ImageHDU(data, name="SCI"),
                    fits.ImageHDU(read_image(folder / rms), name="ERR"),
                ]
                fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(source)
            found = restored(source, known, prior="astro", **options)
        row, images = (
            {**score_light(found.image, data), **found.numbers},
            {"image": found.image, "data": data},
        )
        if found.kernel is not None:
            row |= score_psf(found.kernel, psf())
            images |= {"kernel": found.kernel, "measured": about_peak(psf(), len(found.kernel))}
        return Outcome(row, images)

    return {
        ("dwarf galaxy", "blind, rms map"): lambda: run(_DWARF, _RMS),
        ("dwarf galaxy", "told the PSF, rms map"): lambda: run(_DWARF, _RMS, told=True),
        ("spiral galaxy", "blind, noise measured"): lambda: run(_SPIRAL),
        ("group of galaxies", "blind, noise measured"): lambda: run(_GROUP),
    }


def _draw(rows: Sequence[Row], images: Images, path: Path) -> None:
    panels = []
    for item, method in (
        ("dwarf galaxy", "blind, rms map"), ("spiral galaxy", "blind, noise measured"),
        ("group of galaxies", "blind, noise measured"),
    ):  # fmt: skip
        found = images.get(f"{item}, {method}", {})
        panels += [
            Panel(item, found.get("data"), kind="sky"),
            Panel("restored blind", found.get("image"), kind="sky"),
            Panel("its PSF", found.get("kernel"), kind="psf"),
            Panel("PSF of stars", found.get("measured"), kind="psf"),
        ]
    draw_panels(panels, path, across=4)


CASE = RealCase(
    title="Abell 2744 by Hubble, with its measured PSF",
    files=(_PSF, _DWARF, _RMS, _SPIRAL, _GROUP),
    runs=_runs,
    table=lambda rows: markdown(rows, _COLUMNS),
    draw=_draw,
)
