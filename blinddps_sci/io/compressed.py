"""Windows of a tile-compressed FITS image (`CompImageHDU`, ``.fz``).

Only the compressed tiles that a window touches are decoded, by astropy; the scaling stays with
`blinddps_sci.io.values`, so that plain and compressed images take one path.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from blinddps_sci.io.files import SourceFile
from blinddps_sci.io.handles import HANDLES
from blinddps_sci.io.lazy import Key

__all__ = ["CompressedReader", "open_hdus"]


def open_hdus(path: str) -> fits.HDUList:
    """Open a FITS file for its headers and raw sections.

    Parameters
    ----------
    path : str
        A plain (not gzipped) file.

    Returns
    -------
    astropy.io.fits.HDUList
        Unscaled and not memory-mapped; every header has been read.
    """
    with warnings.catch_warnings():
        # Truncation is checked against the headers and raised as an error by the caller; odd cards
        # elsewhere in the header do not touch the pixels.
        warnings.simplefilter("ignore", AstropyUserWarning)
        hdus = fits.open(path, mode="readonly", memmap=False, do_not_scale_image_data=True)
        try:
            len(hdus)
        except BaseException:
            hdus.close()
            raise
    return hdus


@dataclass(frozen=True)
class CompressedReader:
    """Reader of one tile-compressed image; see `blinddps_sci.io.lazy.Reader`.

    Attributes
    ----------
    file : SourceFile
        The FITS file.
    hdu : int
        Index of the extension.
    dtype : dtype
        Type of the decoded, unscaled numbers.
    shape : tuple of int
        Of the image, in numpy's order.
    """

    file: SourceFile
    hdu: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def read(self, key: Key) -> np.ndarray[Any, np.dtype[Any]]:
        """Decode one window."""
        # Integers as slices: every axis stays until the window is whole.
        box = tuple(k if isinstance(k, slice) else slice(k, k + 1) for k in key)
        path = self.file.local()
        with HANDLES.lease(("fits", self.file), partial(open_hdus, path)) as hdus:
            block = np.array(hdus[self.hdu].section[box])
        return block[tuple(slice(None) if isinstance(k, slice) else 0 for k in key)]
