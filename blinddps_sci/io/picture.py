"""Reading PNG, BMP and JPEG pictures through imageio: single frames of cameras and videos."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import imageio.v3 as imageio
import numpy as np
import xarray as xr

from blinddps_sci.errors import InputError
from blinddps_sci.io.axes import COLOURS, check_image
from blinddps_sci.io.files import SourceFile, reason, source_file
from blinddps_sci.io.lazy import Key, LazyArray, Reader, View, to_dataset
from blinddps_sci.io.values import Scaled

__all__ = ["PictureReader", "open_picture"]


@dataclass(frozen=True)
class PictureReader:
    """One picture, decoded whole at every read; see `Reader`.

    Attributes
    ----------
    file : SourceFile
    shape : tuple of int
        (y, x), or (y, x, 3) of one in colour: transparency is left aside.
    dtype : dtype
        Type of the numbers.
    """

    file: SourceFile
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, key: Key) -> np.ndarray[Any, np.dtype[Any]]:
        """Read one window; see `Reader.read`."""
        picture = _decoded(self.file)
        if self.shape == picture.shape[:2] and picture.ndim == 3:
            picture = picture[..., 0]  # grey with transparency
        return picture[..., :3][key] if picture.ndim == 3 else picture[key]


def open_picture(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a picture as a stack.

    Parameters
    ----------
    path : str or os.PathLike
        ``.png`` of 8 bits, or of 16 in grey, ``.bmp``, ``.jpg``.

    Returns
    -------
    xarray.Dataset
        Lazy `data` (y, x), or (c, y, x) of a picture in colour; `saturation` is the largest number that its
        type holds.

    Raises
    ------
    InputError
        If the file is not a picture, is damaged, or has 16 bits a colour, which Pillow would cut to 8.
    """
    file = source_file(path)
    if _is_deep_colour(file):
        raise InputError(f"{path} has 16 bits a colour, half of which would be lost; save it as TIFF")
    picture = _decoded(file)
    grey = picture.ndim == 2 or picture.shape[-1] < 3
    reader: Reader = PictureReader(
        file, picture.shape[:2] if grey else (*picture.shape[:2], 3), picture.dtype
    )
    dims: tuple[str, ...] = ("y", "x")
    if not grey:
        reader, dims = View(reader, (2, 0, 1)), ("c", "y", "x")
    check_image(reader.shape, reader.dtype, file.name)
    attrs: dict[str, Any] = {
        "source": [file.name], "format": "picture", "unit": "", "dtype_on_disk": reader.dtype.str,
        "pixel_scale": [1.0, 1.0], "pixel_unit": "pixel", "identity": {"files": [file.identity()]},
    }  # fmt: skip
    if np.issubdtype(reader.dtype, np.integer):
        attrs["saturation"] = float(np.iinfo(reader.dtype).max)
    if not grey:
        attrs["channel_names"] = list(COLOURS)
    lazy = LazyArray(reader, np.dtype(np.float32), (Scaled(),), file.name)
    return to_dataset({"data": lazy}, dims, attrs, None)


def _is_deep_colour(file: SourceFile) -> bool:
    """Say whether a file is a PNG of 16 bits in colour, by its header."""
    with open(file.local(), "rb") as opened:
        header = opened.read(26)
    return header.startswith(b"\x89PNG") and header[24:25] == b"\x10" and header[25:26] in (b"\x02", b"\x06")


def _decoded(file: SourceFile) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        picture = np.asarray(imageio.imread(file.local(), plugin="pillow", index=0))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{file.path} cannot be read as a picture: {reason(error)}") from error
    return picture
