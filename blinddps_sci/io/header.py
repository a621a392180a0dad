"""What a FITS header says about the detector, as plain attributes of a stack.

Instruments spell gain, read noise and saturation in many ways; the tables below are the spellings
understood, tried in their order.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from astropy.io import fits
from astropy.io.fits.verify import VerifyError, VerifyWarning

__all__ = [
    "GAIN_KEYS",
    "READ_NOISE_KEYS",
    "SATURATION_KEYS",
    "cards",
    "detector",
    "number",
]

GAIN_KEYS = ("EGAIN", "ATODGAIN", "CCDGAIN", "GAIN", "GAIN1", "GAINEFF")
"""Electrons per ADU. EGAIN comes first: with amateur cameras GAIN is the dial, not the gain."""

READ_NOISE_KEYS = (
    "RDNOISE", "READNOIS", "READNOISE", "RONOISE", "RON", "ENOISE", "RDNOISE1", "READNSE", "CCDRON",
)  # fmt: skip
"""Standard deviation of the read noise in electrons."""

SATURATION_KEYS = ("SATURATE", "SATLEVEL", "SATURAT", "SATVAL", "SATLEV")
"""Saturation level in the data's unit."""

_ELECTRONS = re.compile(r"(e|e-|el|electrons?|photoelectrons?)$", re.IGNORECASE)
_COUNTS = re.compile(r"(adu|dn|du|counts?|ct|cts)?$", re.IGNORECASE)


def cards(header: fits.Header) -> list[list[Any]]:
    """Copy a header as plain data, structural cards, comments and history included.

    Parameters
    ----------
    header : astropy.io.fits.Header
        As read.

    Returns
    -------
    list of [keyword, value, comment]
        In the header's order. An undefined value is None; a card that does not follow the standard
        keeps its text as the value.
    """
    found: list[list[Any]] = []
    with warnings.catch_warnings():
        # Cards off the standard are kept as their text: nothing for the user to do.
        warnings.simplefilter("ignore", VerifyWarning)
        for card in header.cards:
            try:
                found.append([card.keyword, _plain(card.value), card.comment])
            except (VerifyError, ValueError):
                found.append([card.keyword, str(card.image)[8:].strip(), ""])
    return found


def number(headers: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> float | None:
    """Look a positive number up.

    Parameters
    ----------
    headers : sequence of mapping
        Searched in turn: the image's own header, then the primary one.
    keys : sequence of str
        Spellings, the best first.

    Returns
    -------
    float or None
        The first finite value above zero.
    """
    for key in keys:
        for header in headers:
            try:
                value = float(header[key])
            except (KeyError, TypeError, ValueError, VerifyError):
                continue
            if math.isfinite(value) and value > 0:
                return value
    return None


def detector(headers: Sequence[Mapping[str, Any]], unit: str) -> dict[str, float]:
    """Gain, read noise and saturation, where the header gives them.

    Parameters
    ----------
    headers : sequence of mapping
        The image's own header, then the primary one.
    unit : str
        Unit of the data (BUNIT); empty is taken as ADU.

    Returns
    -------
    dict
        `gain` in electrons per unit of data, `read_noise` as a standard deviation in units of the
        data, `saturation` in units of the data; only those that are known.

    Notes
    -----
    Data in electrons have gain one whatever the keyword says. If it says another, the level of saturation may
    have stayed in ADU, and the higher of itself and its product with the gain is taken: good pixels are never
    taken for saturated ones. Data in a calibrated unit (a rate, a
    flux) have no gain here: it would need the exposure time and the calibration. The header's read
    noise is in electrons; in the data's unit it is ``sigma_e / gain``, so it needs the gain.
    """
    text = unit.strip()
    known: dict[str, float] = {}
    stated = number(headers, GAIN_KEYS)
    in_electrons = _ELECTRONS.match(text) is not None
    gain = 1.0 if in_electrons else stated if _COUNTS.match(text) else None
    if gain is not None:
        known["gain"] = gain
        electrons = number(headers, READ_NOISE_KEYS)
        if electrons is not None:
            known["read_noise"] = electrons / gain
    saturation = number(headers, SATURATION_KEYS)
    if saturation is not None:
        known["saturation"] = saturation * max(1.0, stated or 1.0) if in_electrons else saturation
    return known


def _plain(value: Any) -> Any:
    """Value of a card as JSON can hold it."""
    if value is None or isinstance(value, fits.card.Undefined):
        return None
    if isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "item"):
        return _plain(value.item())
    return str(value)
