"""Headers of an exported image: the original cards, the world coordinates as they are now, provenance.

A header is copied card by card; what describes the old file's layout goes, and so does what a crop or
the loss of an axis has made wrong.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning

from blinddps_sci.io.provenance import history_lines, keyword_cards

__all__ = ["image_header", "primary_header", "safe_header", "world_header"]

# Layout of the old file, its scaling, checksums, compression and limits; and distortion tables that
# lie in extensions which are not copied.
_DROPPED = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|BLOCKED|END|EXTNAME|EXTVER|EXTLEVEL|INHERIT"
    r"|BSCALE|BZERO|BLANK|DATAMIN|DATAMAX|CHECKSUM|DATASUM"
    r"|TFIELDS|THEAP|T(TYPE|FORM|UNIT|DIM|NULL|SCAL|ZERO|DISP)\d+"
    r"|ZIMAGE|ZTABLE|ZCMPTYPE|ZBITPIX|ZNAXIS\d*|ZTILE\d+|ZNAME\d+|ZVAL\d+|ZSIMPLE|ZTENSION|ZEXTEND|ZPCOUNT|ZGCOUNT"
    r"|ZHECKSUM|ZDATASUM|ZQUANTIZ|ZDITHER\d*|ZBLANK|ZSCALE|ZZERO|ZMASKCMP|ZBLOCKED"
    r"|C[PQ](DIS|ERR)\d+[A-Z]?|D[PQ]\d+(\..*)?|D2IM.*|AXISCORR"
    r"|CREATOR|DATE|BDSTATUS|BDFINGER|BDSEED"
)
# Pixel ranges of the whole detector, wrong after a crop.
_SECTIONS = re.compile(r"(DATA|TRIM|BIAS|AMP|CCD)SEC\w?")
_AXIS = re.compile(
    r"(?:CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA|CNAME|CRDER|CSYER)(\d+)[A-Z]?|(?:CD|PC)(\d+)_(\d+)[A-Z]?"
    r"|P[VS](\d+)_\d+[A-Z]?"
)
_COUNT = re.compile(r"WCSAXES[A-Z]?")
_LABELS = {"t": "FRAME", "c": "CHANNEL", "z": "DEPTH"}


def safe_header(rows: Sequence[Sequence[Any]]) -> fits.Header:
    """Build a header from cards, leaving out what belongs to the old file's layout.

    Parameters
    ----------
    rows : sequence of [keyword, value, comment]
        As a stack keeps them.

    Returns
    -------
    astropy.io.fits.Header
        The other cards in their order; characters that FITS does not allow become question marks.
    """
    header = fits.Header()
    with warnings.catch_warnings():
        # Long keywords become HIERARCH cards, comments that overflow are cut.
        warnings.simplefilter("ignore", VerifyWarning)
        for keyword, value, comment in rows:
            if _DROPPED.fullmatch(str(keyword)):
                continue
            try:
                header.append((keyword, _ascii(value), _ascii(comment)), end=True)
            except ValueError:
                # A keyword that the standard does not allow.
                header.add_comment(_ascii(f"{keyword} = {value} / {comment}"))
    return header


def world_header(record: Mapping[str, Any], sizes: Mapping[str, int]) -> fits.Header:
    """World coordinates of the image as it is: cropped, and with the axes it has.

    Parameters
    ----------
    record : mapping
        Of a result: `wcs_header`, already moved for a crop, `header` and `channel`.
    sizes : mapping of str to int
        Axes of the image and their lengths.

    Returns
    -------
    astropy.io.fits.Header
        WCS cards. Those of axes that the image no longer has are left out; an axis without any gets a
        linear CTYPE that names it.
    """
    header = fits.Header.fromstring(str(record.get("wcs_header", "")), sep="\n")
    dims = tuple(sizes)[::-1]
    kept = _kept_axes(record, header, sizes)
    for keyword in dict.fromkeys(header):
        if any(axis > kept for axis in _axes_of(keyword)) or _COUNT.fullmatch(keyword):
            header.remove(keyword, remove_all=True)
    matrix = "CD1_1" in header
    for axis in range(3, len(dims) + 1):
        if f"CTYPE{axis}" not in header:
            header[f"CTYPE{axis}"] = (_LABELS[dims[axis - 1]], "index, from one")
            # An element of a CD matrix that is not given is zero, on the diagonal too.
            if matrix and f"CD{axis}_{axis}" not in header:
                header[f"CD{axis}_{axis}"] = 1.0
    return header


def image_header(record: Mapping[str, Any], sizes: Mapping[str, int], status: str) -> fits.Header:
    """Cards of the restored image.

    Parameters
    ----------
    record : mapping
        Of a result.
    sizes : mapping of str to int
        Axes of the image and their lengths.
    status : str
        Of the result.

    Returns
    -------
    astropy.io.fits.Header
        The original cards with the world coordinates of `world_header` in their places, BUNIT, and the
        provenance. LTV (the IRAF offset) moves with a crop; detector sections go.
    """
    header = safe_header(record.get("header") or [])
    world = world_header(record, sizes)
    for keyword in dict.fromkeys(header):
        gone = keyword not in world and (_axes_of(keyword) or _COUNT.fullmatch(keyword))
        if gone or (keyword in world and header.count(keyword) > 1):
            header.remove(keyword, remove_all=True)
    for card in world.cards:
        header[card.keyword] = (card.value, card.comment)
    if record.get("region"):
        _move_crop(header, record["region"])
    if record.get("unit"):
        header["BUNIT"] = (_ascii(record["unit"]), "unit of the image")
    return _with_provenance(header, record, status)


def primary_header(record: Mapping[str, Any], status: str) -> fits.Header:
    """Cards of the primary header: the original's, then how the image was restored.

    Parameters
    ----------
    record : mapping
        Of a result.
    status : str
        Of the result.

    Returns
    -------
    astropy.io.fits.Header
        With the whole record of the run as HISTORY.
    """
    return _with_provenance(safe_header(record.get("primary_header") or []), record, status)


def _with_provenance(header: fits.Header, record: Mapping[str, Any], status: str) -> fits.Header:
    for keyword, value, comment in keyword_cards(record, status):
        header[keyword] = (_ascii(value), comment)
    for line in history_lines(record):
        header.add_history(_ascii(line))
    return header


def _axes_of(keyword: str) -> list[int]:
    """Axes that a WCS keyword is about."""
    match = _AXIS.fullmatch(keyword)
    return [int(axis) for axis in match.groups() if axis] if match else []


def _kept_axes(record: Mapping[str, Any], world: fits.Header, sizes: Mapping[str, int]) -> int:
    """Count the leading FITS axes that the image shares with the file it came from."""
    if "channel" in record:
        return 2
    before = {str(row[0]): row[1] for row in record.get("header") or []}
    lengths = list(sizes.values())[::-1]
    if "NAXIS" not in before:
        known = max((axis for keyword in world for axis in _axes_of(keyword)), default=2)
        return len(lengths) if known == len(lengths) else 2
    same = all(before.get(f"NAXIS{axis}") == lengths[axis - 1] for axis in range(3, len(lengths) + 1))
    return len(lengths) if same else 2


def _move_crop(header: fits.Header, region: Sequence[Sequence[int]]) -> None:
    """Mend the cards, other than the WCS, that count pixels of the whole image."""
    (y0, _), (x0, _) = region
    for keyword, start in (("LTV1", x0), ("LTV2", y0)):
        if isinstance(header.get(keyword), int | float):
            header[keyword] = float(header[keyword]) - start
    # A photographic plate's solution, which readers prefer to CRPIX, counts from the plate's corner.
    for keyword, start in (("CNPIX1", x0), ("CNPIX2", y0)):
        if isinstance(header.get(keyword), int | float):
            header[keyword] += start
    for keyword in dict.fromkeys(header):
        if _SECTIONS.fullmatch(keyword):
            header.remove(keyword, remove_all=True)


def _ascii(value: Any) -> Any:
    """Replace the characters of a text that a card cannot hold."""
    if not isinstance(value, str):
        return value
    return "".join(c if " " <= c <= "~" else "u" if c in "µμ" else "?" for c in value)
