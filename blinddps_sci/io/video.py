"""Reading AVI, MP4 and other videos by PyAV, an extra: what cameras of the Moon and of hot air write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from blinddps_sci.errors import InputError
from blinddps_sci.io.axes import COLOURS, check_image
from blinddps_sci.io.files import SourceFile, reason, source_file
from blinddps_sci.io.lazy import Key, LazyArray, Reader, View, to_dataset
from blinddps_sci.io.values import Scaled

__all__ = ["VideoReader", "open_video"]


@dataclass(frozen=True)
class VideoReader:
    """Frames of a video as 8-bit numbers; see `Reader`.

    A frame can be decoded only after those before it: a read of some costs that of all up to the last.

    Attributes
    ----------
    file : SourceFile
    shape : tuple of int
        (t, y, x) of a video in grey, (t, y, x, 3) of one in colour.
    """

    file: SourceFile
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""
        return np.dtype("u1")

    def read(self, key: Key) -> np.ndarray[Any, np.dtype[Any]]:
        """Read one window; see `Reader.read`."""
        first, *inner = key
        wanted = range(self.shape[0])[first]
        numbers = wanted if isinstance(wanted, range) else range(wanted, wanted + 1)
        found = []
        for number, frame in enumerate(_frames(self.file, "rgb24" if len(self.shape) == 4 else "gray")):
            if number in numbers:
                found.append(frame[tuple(inner)])
            if number >= numbers[-1]:
                break
        if len(found) < len(numbers):
            raise InputError(f"{self.file.name} ends before its frame {numbers[-1]}")
        return np.stack(found) if isinstance(wanted, range) else found[0]


def open_video(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a video as a stack.

    Parameters
    ----------
    path : str or os.PathLike
        Anything that PyAV decodes.

    Returns
    -------
    xarray.Dataset
        Lazy `data` (t, y, x), or (t, c, y, x) if the first frame has colours, of 8-bit numbers; `saturation`
        is 255.

    Raises
    ------
    InputError
        If PyAV is not installed, or the file is not a video or is damaged.
    """
    file = source_file(path)
    first = next(_frames(file, "rgb24"), None)
    if first is None:
        raise InputError(f"{path} has no frame")
    colour = bool((first != first[..., :1]).any())
    shape = (_count(file), *first.shape[:2], *((3,) if colour else ()))
    reader: Reader = VideoReader(file, shape)
    dims: tuple[str, ...] = ("t", "y", "x")
    if colour:
        reader, dims = View(reader, (0, 3, 1, 2)), ("t", "c", "y", "x")
    check_image(reader.shape, reader.dtype, file.name)
    attrs: dict[str, Any] = {
        "source": [file.name], "format": "video", "unit": "", "dtype_on_disk": reader.dtype.str,
        "pixel_scale": [1.0, 1.0], "pixel_unit": "pixel", "saturation": 255.0,
        "identity": {"files": [file.identity()]},
    }  # fmt: skip
    if colour:
        attrs["channel_names"] = list(COLOURS)
    lazy = LazyArray(reader, np.dtype(np.float32), (Scaled(),), file.name)
    return to_dataset({"data": lazy}, dims, attrs, None)


def _frames(file: SourceFile, form: str) -> Iterator[np.ndarray[Any, np.dtype[Any]]]:
    """Yield the frames of a video in order, (y, x) or (y, x, 3)."""
    av = _pyav(file)
    try:
        with av.open(file.local()) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format=form)
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{file.path} cannot be read as a video: {reason(error)}") from error


def _count(file: SourceFile) -> int:
    """Return the number of frames, without decoding them."""
    av = _pyav(file)
    with av.open(file.local()) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def _pyav(file: SourceFile) -> Any:
    try:
        import av
    except ImportError:
        raise InputError(
            f'{file.name} is a video, which needs PyAV: pip install "blinddps-sci[video]"'
        ) from None
    return av
