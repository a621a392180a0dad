"""Reading SER, the video format of planetary cameras: 8 or 16 bits, mono, Bayer or colour."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from blinddps_sci.errors import InputError
from blinddps_sci.io.axes import COLOURS, check_image
from blinddps_sci.io.files import SourceFile, reason, source_file
from blinddps_sci.io.lazy import Key, LazyArray, MemmapReader, Reader, View, to_dataset
from blinddps_sci.io.values import Scaled

__all__ = ["BayerReader", "open_ser"]

_HEADER = struct.Struct("<14s7i40s40s40s2q")
_MAGIC = b"LUCAM-RECORDER"
_MONO, _RGB, _BGR = 0, 100, 101
_BAYER = {8: "RGGB", 9: "GRBG", 10: "GBRG", 11: "BGGR"}


@dataclass(frozen=True)
class BayerReader:
    """A Bayer mosaic as three channels of half the size, nothing interpolated; see `Reader`.

    Attributes
    ----------
    base : Reader
        The mosaic, (t, y, x).
    pattern : str
        Colours of its first four pixels, row by row.
    saturation : float
        Number from which a pixel is a lower limit. Two greens of which one is have a mean that is neither
        known nor a limit: NaN.
    """

    base: Reader
    pattern: str
    saturation: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, three colours, rows and columns of the smaller images."""
        frames, height, width = self.base.shape
        return frames, 3, height // 2, width // 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values: the mean of two greens may lie between two numbers."""
        return np.dtype(np.float32)

    def read(self, key: Key) -> np.ndarray[Any, np.dtype[Any]]:
        """Read one window; see `Reader.read`."""
        frame, colour, y, x = key
        height, width = self.shape[2:]
        planes = range(3)[colour] if isinstance(colour, slice) else [colour]
        found = [self._plane(frame, "RGB"[plane], range(height)[y], range(width)[x]) for plane in planes]
        if not isinstance(colour, slice):
            return found[0]
        return np.stack(found, axis=0 if isinstance(frame, int) else 1)

    def _plane(
        self, frame: int | slice, colour: str, y: int | range, x: int | range
    ) -> np.ndarray[Any, np.dtype[Any]]:
        """Return one colour's window: the mean of the pixels of each square that have it."""
        places = [divmod(place, 2) for place, name in enumerate(self.pattern) if name == colour]
        parts = np.stack(
            [
                self.base.read((frame, _every_second(y, row), _every_second(x, column))).astype(np.float32)
                for row, column in places
            ]
        )
        limit = parts >= self.saturation
        return np.where(limit.any(axis=0) & ~limit.all(axis=0), np.float32(np.nan), parts.mean(axis=0))


def _every_second(places: int | range, first: int) -> int | slice:
    """Return where in the mosaic the places of a smaller image lie."""
    if isinstance(places, int):
        return 2 * places + first
    return slice(2 * places.start + first, 2 * places.stop + first, 2 * places.step)


def open_ser(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a SER video as a stack.

    Parameters
    ----------
    path : str or os.PathLike
        ``.ser``.

    Returns
    -------
    xarray.Dataset
        Lazy `data` (t, y, x), or (t, c, y, x) of a colour camera; a Bayer mosaic gives images of half its
        size, so that the noise of pixels stays independent. `saturation` is the largest number that the
        camera's bits hold, in the upper bits of a number where frames have more than that.

    Raises
    ------
    InputError
        If the file is not SER, is truncated, or has a mosaic of other colours.

    Notes
    -----
    The field of the header that should tell little from big endian is 0 for little endian: programs agree
    with each other and not with the specification.
    """
    file = source_file(path)
    try:
        with open(file.local(), "rb") as opened:
            header = opened.read(_HEADER.size)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason(error)}") from error
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise InputError(f"{path} is not a SER video: it does not begin with {_MAGIC.decode()}")
    _, _, colour, big, width, height, bits, frames, *_ = _HEADER.unpack(header)
    planes = 3 if colour in (_RGB, _BGR) else 1
    if colour not in (_MONO, *_BAYER, _RGB, _BGR):
        raise InputError(f"{path} has colours of kind {colour}; known are mono, Bayer RGB, RGB and BGR")
    if not (1 <= bits <= 16 and min(width, height, frames) > 0):
        raise InputError(f"{path} is damaged: {frames} frames of {width} x {height} pixels of {bits} bits")
    dtype = np.dtype("u1") if bits <= 8 else np.dtype(">u2" if big else "<u2")
    shape = (frames, height, width, planes) if planes == 3 else (frames, height, width)
    _check_length(file, _HEADER.size + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
    base = MemmapReader(file, _HEADER.size, dtype, shape)
    saturation = _saturation(base, bits)
    reader, dims = _reader(base, colour, saturation)
    check_image(reader.shape, dtype, file.name)
    attrs: dict[str, Any] = {
        "source": [file.name], "format": "ser", "unit": "", "dtype_on_disk": dtype.str,
        "pixel_scale": [1.0, 1.0], "pixel_unit": "pixel", "saturation": saturation,
        "identity": {"files": [file.identity()]},
    }  # fmt: skip
    if "c" in dims:
        attrs["channel_names"] = list(COLOURS[::-1] if colour == _BGR else COLOURS)
    lazy = LazyArray(reader, np.dtype(np.float32), (Scaled(),), file.name)
    return to_dataset({"data": lazy}, dims, attrs, None)


def _saturation(base: MemmapReader, bits: int) -> float:
    """Return the largest number that so many bits hold, which some programs write shifted to the left."""
    largest, shift = 2**bits - 1, 8 * base.dtype.itemsize - bits
    if shift:
        frames = base.shape[0]
        whole = (slice(None),) * (len(base.shape) - 1)
        seen = np.stack([base.read((frame, *whole)) for frame in sorted({0, frames // 2, frames - 1})])
        # Then the lower bits are zero, also of frames that are faint.
        if seen.any() and not (seen & (2**shift - 1)).any():
            largest <<= shift
    return float(largest)


def _reader(base: MemmapReader, colour: int, saturation: float) -> tuple[Reader, tuple[str, ...]]:
    if colour in _BAYER:
        return BayerReader(base, _BAYER[colour], saturation), ("t", "c", "y", "x")
    if len(base.shape) == 4:
        return View(base, (0, 3, 1, 2)), ("t", "c", "y", "x")
    return base, ("t", "y", "x")


def _check_length(file: SourceFile, wanted: int) -> None:
    size = os.path.getsize(file.local())
    if size < wanted:
        raise InputError(
            f"{file.path} is truncated: its frames end at byte {wanted}, the file at byte {size}"
        )
