"""Writing FITS one strip at a time, so that an image larger than memory becomes one file.

`blinddps_sci.io.fits_export` hands over headers and strips; the file is sequential, with nothing
held but the strip at hand.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import IO, Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from numpy.typing import DTypeLike

from blinddps_sci.errors import OutputError

__all__ = ["write_image", "write_primary", "write_table"]

_BLOCK = 2880
_BITPIX = {"float32": -32, "float64": -64, "uint8": 8, "int16": 16, "int32": 32, "int64": 64}


def write_primary(stream: IO[bytes], header: fits.Header) -> None:
    """Write a primary header without data.

    Parameters
    ----------
    stream : binary file
        Empty.
    header : astropy.io.fits.Header
        Cards beyond the structural ones.
    """
    first = [
        ("SIMPLE", True, "conforms to FITS standard"),
        ("BITPIX", 8, "array data type"),
        ("NAXIS", 0, "number of array dimensions"),
        ("EXTEND", True, "extensions follow"),
    ]
    _write_header(stream, first, header)


def write_image(
    stream: IO[bytes],
    name: str,
    shape: Sequence[int],
    dtype: DTypeLike,
    strips: Iterable[Any],
    header: fits.Header | None = None,
) -> None:
    """Write an image extension from consecutive strips.

    Parameters
    ----------
    stream : binary file
        At the end of the extension before.
    name : str
        EXTNAME.
    shape : sequence of int
        In numpy's order.
    dtype : dtype_like
        float32, float64, uint8, int16, int32 or int64.
    strips : iterable of array_like
        The image in C order, cut wherever its maker likes.
    header : astropy.io.fits.Header, optional
        Cards beyond the structural ones.

    Raises
    ------
    OutputError
        If the strips do not hold as many pixels as the shape.
    """
    kind = np.dtype(dtype)
    first = [
        ("XTENSION", "IMAGE", "image extension"),
        ("BITPIX", _BITPIX[kind.name], "array data type"),
        ("NAXIS", len(shape), "number of array dimensions"),
        *((f"NAXIS{i}", int(n), "") for i, n in enumerate(reversed(shape), start=1)),
        ("PCOUNT", 0, "number of parameters"),
        ("GCOUNT", 1, "number of groups"),
        ("EXTNAME", name, "name of this extension"),
    ]
    _write_header(stream, first, header)
    stored = kind.newbyteorder(">")
    count = 0
    for strip in strips:
        block = np.ascontiguousarray(strip, stored)
        stream.write(block.data)
        count += block.size
    if count != math.prod(shape):
        raise OutputError(f"extension {name} of shape {tuple(shape)} got {count} pixels")
    _pad(stream, count * kind.itemsize)


def write_table(stream: IO[bytes], name: str, columns: dict[str, tuple[Any, str]]) -> None:
    """Write a table of float64 columns.

    Parameters
    ----------
    stream : binary file
        At the end of the extension before.
    name : str
        EXTNAME.
    columns : dict of str to (array_like, str)
        Values of shape (n,) and their unit.
    """
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(label, "D", unit=unit, array=np.asarray(values, np.float64))
            for label, (values, unit) in columns.items()
        ],
        name=name,
    )
    stored = np.empty(len(table.data), [(label, ">f8") for label in columns])
    for label, (values, _) in columns.items():
        stored[label] = values
    _write_header(stream, [], table.header)
    stream.write(stored.tobytes())
    _pad(stream, stored.nbytes)


def _write_header(
    stream: IO[bytes], first: Sequence[tuple[str, Any, str]], header: fits.Header | None
) -> None:
    whole = fits.Header(first)
    with warnings.catch_warnings():
        # The comment of a long card is cut, as it was in the file it came from.
        warnings.simplefilter("ignore", VerifyWarning)
        for card in () if header is None else header.cards:
            whole.append(card, end=True)
        stream.write(whole.tostring().encode("ascii"))


def _pad(stream: IO[bytes], size: int) -> None:
    stream.write(b"\0" * (-size % _BLOCK))
