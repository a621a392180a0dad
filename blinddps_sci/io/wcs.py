"""The world coordinates of a stack, as header text that survives cropping.

The WCS cards are kept as they were written (SIP, TPV, TNX and all) instead of through a WCS object,
which would lose some of them; the pixel scale is read off them.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_scales

from blinddps_sci.io.header import number

__all__ = ["pixel_scale", "shift_wcs", "wcs_text"]

# Not lookup tables (CPDIS, D2IM): they live in other extensions, so that a header cannot hold them.
_WCS_CARD = re.compile(
    r"(WCSAXES|WCSNAME|CNAME\d+|CTYPE\d+|CUNIT\d+|CRVAL\d+|CRPIX\d+|CDELT\d+|CRDER\d+|CSYER\d+|CROTA\d+"
    r"|CD\d+_\d+|PC\d+_\d+|P[VS]\d+_\d+|LONPOLE|LATPOLE|EQUINOX|EPOCH|RADE(CSYS|SYS)|SPECSYS|SSYSOBS|SSYSSRC"
    r"|VELOSYS|VELANGL|ZSOURCE|RESTFRQ|RESTFREQ|RESTWAV|VELREF|OBSGEO-[XYZBLH]|TIMESYS|TREFPOS|TIMEUNIT"
    r"|MJD-?(OBS|AVG|BEG|END)|DATE-(OBS|AVG|BEG|END)|MJDREF[IF]?|DATEREF|(HGLN|HGLT|CRLN|CRLT|DSUN)_OBS|RSUN_REF)[A-Z]?"
    r"|[AB]P?_(ORDER|DMAX|\d+_\d+)|WAT\d+_\d+"
)
_GEOMETRY = re.compile(r"(CTYPE|CRVAL|CRPIX|CDELT)\d+[A-Z]?|CD\d+_\d+[A-Z]?")
_ALTERNATE = re.compile(r"(?:CTYPE|CRVAL|CRPIX|CDELT|PC|CD)[12](?:_\d+)?([A-Z]?)")
_SCALE_KEYS = ("PIXSCALE", "PIXSCAL1", "SECPIX", "SECPIX1", "PLTSCALE")


def wcs_text(header: fits.Header) -> str:
    r"""Take the WCS cards out of a header.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of an image.

    Returns
    -------
    str
        The cards, one on a line, for ``astropy.io.fits.Header.fromstring(text, sep="\n")``; empty if
        the header has no WCS.
    """
    found = fits.Header()
    with warnings.catch_warnings():
        # A card off the standard is copied as it stands.
        warnings.simplefilter("ignore", VerifyWarning)
        for card in header.cards:
            if _WCS_CARD.fullmatch(card.keyword):
                found.append(card, end=True)
        if not any(_GEOMETRY.fullmatch(card.keyword) for card in found.cards):
            return ""
        return str(found.tostring(sep="\n", endcard=False, padding=False))


def shift_wcs(text: str, y0: int, x0: int) -> str:
    """Move the reference pixel of every WCS of a header for a crop.

    Parameters
    ----------
    text : str
        From `wcs_text`.
    y0, x0 : int
        The crop's first row and column in pixels of the uncropped image.

    Returns
    -------
    str
        The cards with CRPIX1 less `x0` and CRPIX2 less `y0`, alternate systems (CRPIX1A...) too. SIP
        and the other polynomials are relative to CRPIX or to the intermediate plane and do not change.
    """
    header = fits.Header.fromstring(text, sep="\n")
    matches = [_ALTERNATE.fullmatch(key) for key in header]
    for alternate in sorted({match[1] for match in matches if match}):
        for axis, start in ((1, x0), (2, y0)):
            key = f"CRPIX{axis}{alternate}"
            header[key] = float(header.get(key, 0.0)) - start
    return str(header.tostring(sep="\n", endcard=False, padding=False))


def pixel_scale(text: str, headers: Sequence[Mapping[str, Any]] = ()) -> tuple[list[float], str]:
    """Size of a pixel.

    Parameters
    ----------
    text : str
        From `wcs_text`; may be empty.
    headers : sequence of mapping, optional
        Searched without a WCS: PIXSCALE and its like (arcsec), else XPIXSZ (um) over FOCALLEN (mm).

    Returns
    -------
    scale : list of float
        [y, x].
    unit : str
        ``"arcsec"``; ``"micrometer"`` where the axes of the WCS are lengths, as a microscope's; or
        ``"pixel"`` with a scale of one if the header does not tell.
    """
    found = _wcs_scale(text) if text else None
    if found is not None:
        return found
    single = number(headers, _SCALE_KEYS)
    side, focal = number(headers, ("XPIXSZ", "PIXSIZE1")), number(headers, ("FOCALLEN",))
    if single is None and side is not None and focal is not None:
        single = math.degrees(side * 1e-6 / (focal * 1e-3)) * 3600.0
    return ([1.0, 1.0], "pixel") if single is None else ([single, single], "arcsec")


def _wcs_scale(text: str) -> tuple[list[float], str] | None:
    """Scale [y, x] and unit from WCS cards, if their first two axes are both angles or both lengths."""
    header = fits.Header.fromstring(text, sep="\n")
    with warnings.catch_warnings():
        # wcslib mends old dates and units by itself and says so; none of it moves a pixel.
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            wcs = WCS(header, relax=True)
            plane = wcs.celestial if wcs.has_celestial else wcs.sub([1, 2])
            if plane.naxis != 2:
                return None
            sizes = proj_plane_pixel_scales(plane)
            parts = [size * units.Unit(unit) for size, unit in zip(sizes, plane.wcs.cunit, strict=True)]
            word = "micrometer" if parts[0].unit.is_equivalent(units.um) else "arcsec"
            scale = [float(part.to_value(units.Unit(word))) for part in parts]
        except (ValueError, AssertionError, KeyError, TypeError, units.UnitConversionError):
            return None
    usable = np.isfinite(scale).all() and min(scale) > 0
    return (scale[::-1], word) if usable else None
