"""Reading TIFF: OME-TIFF, ImageJ and plain files, big or small.

Contiguous pixels are mapped at their offset; compressed, tiled or scattered ones are decoded
segment by segment through tifffile's Zarr view of the series.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import xarray as xr
import zarr

from blinddps_sci.errors import InputError
from blinddps_sci.io.axes import axis_name, check_image, layout_of, plain_axes
from blinddps_sci.io.files import SourceFile, reason, source_file
from blinddps_sci.io.handles import HANDLES
from blinddps_sci.io.lazy import Key, LazyArray, MemmapReader, Reader, View, to_dataset
from blinddps_sci.io.tiff_metadata import channel_names, pixel_size
from blinddps_sci.io.values import Scaled

__all__ = ["TiffReader", "open_tiff"]

# Axes of tifffile that only count images: sequence, other, unknown.
_COUNTING = "QIAR"


class _OpenSeries:
    """A TIFF file open at its first series, as a Zarr array."""

    def __init__(self, path: str) -> None:
        self._file = tifffile.TiffFile(path)
        try:
            self._store = self._file.series[0].aszarr(level=0)
            self.array: Any = zarr.open_array(self._store, mode="r")
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._store.close()
        self._file.close()


@dataclass(frozen=True)
class TiffReader:
    """Reader of segments that need decoding; see `blinddps_sci.io.lazy.Reader`.

    Attributes
    ----------
    file : SourceFile
        The TIFF file.
    dtype : dtype
        Type of the decoded numbers.
    shape : tuple of int
        Of the first series' full-resolution level.
    """

    file: SourceFile
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def read(self, key: Key) -> np.ndarray[Any, np.dtype[Any]]:
        """Decode one window; see `Reader.read`."""
        path = self.file.local()
        with _quiet(), HANDLES.lease(("tiff", self.file), partial(_OpenSeries, path)) as series:
            return np.asarray(series.array[key])


def open_tiff(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open the first series of a TIFF file as a stack.

    Parameters
    ----------
    path : str or os.PathLike
        ``.tif``, ``.tiff``, OME-TIFF, ImageJ hyperstack or BigTIFF.

    Returns
    -------
    xarray.Dataset
        Lazy `data`; the samples of a colour image are `c`. `saturation` is the largest number that a type of
        integers holds.

    Raises
    ------
    InputError
        If the file is not TIFF, is truncated or empty, or is compressed in a way that needs a codec
        that is not installed.

    Notes
    -----
    Pages without named axes are `t`. A colour palette is left aside: microscopes add one for display
    and the stored numbers are the intensities. A window of an image compressed as a single strip decodes the
    whole page: write tiled TIFF or OME-Zarr for large images.
    """
    file = source_file(path)
    complaints: list[str] = []
    try:
        with _quiet(complaints), tifffile.TiffFile(file.local()) as tiff:
            stack = _open(file, tiff, complaints)
    except InputError:
        raise
    except (
        tifffile.TiffFileError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        RuntimeError,
    ) as error:
        raise InputError(
            f"{path} cannot be read as TIFF, it is truncated or damaged: {reason(error)}"
        ) from error
    return stack


def _open(file: SourceFile, tiff: tifffile.TiffFile, complaints: list[str]) -> xr.Dataset:
    series = tiff.series[0] if tiff.pages and tiff.series else None
    if series is None or not series.shape or series.dtype is None:
        raise InputError(f"{file.path} holds no image")
    broken = [text for text in complaints if "invalid page offset" in text or "corrupt" in text]
    if broken:
        raise InputError(f"{file.path} is truncated or damaged: {broken[0]}")
    shape = tuple(int(n) for n in series.shape)
    layout = layout_of(_axis_names(series.axes, shape, file.name), shape, file.name)
    dtype = np.dtype(series.dtype)
    base, chunks = _reader(file, tiff, series, shape)
    view = View(base, layout.order, layout.fixed)
    check_image(view.shape, dtype, file.name)
    lazy = LazyArray(view, np.dtype(np.float32), (Scaled(),), file.name)
    if chunks:
        # A codec that is missing or a damaged first segment shows now, not in the middle of a run.
        _probe(lazy, file)
    kind = "ome-tiff" if tiff.is_ome else "imagej-tiff" if tiff.is_imagej else "tiff"
    attrs: dict[str, Any] = {
        "source": [file.name], "format": kind, "unit": "", "dtype_on_disk": base.dtype.str,
        **pixel_size(tiff), "identity": {"files": [file.identity()]},
    }  # fmt: skip
    if dtype.kind in "iu":
        attrs["saturation"] = float(np.iinfo(dtype).max)
    if "c" in layout.dims:
        count = view.shape[layout.dims.index("c")]
        names = channel_names(tiff, colour="S" in series.axes, count=count)
        if names:
            attrs["channel_names"] = names
    sizes = {d: chunks[a] for d, a in zip(layout.dims, layout.order, strict=True)} if chunks else None
    return to_dataset({"data": lazy}, layout.dims, attrs, sizes)


def _axis_names(axes: str, shape: tuple[int, ...], name: str) -> list[str | None]:
    """Stack axis of each axis of a series."""
    if all(letter in "QYX" for letter in axes) and axes.endswith("YX") and len(axes) <= 4:
        return list(plain_axes(len(axes), name))
    names: list[str | None] = []
    for letter, length in zip(axes, shape, strict=True):
        label = {"S": "c", "E": "c"}.get(letter) or axis_name(letter)
        if label is None and letter in _COUNTING and length > 1 and "t" not in names and "T" not in axes:
            label = "t"
        names.append(label)
    return names


def _reader(
    file: SourceFile, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, shape: tuple[int, ...]
) -> tuple[Reader, tuple[int, ...] | None]:
    """Map the series if it is contiguous, else decode it; with the sizes of its segments."""
    size = Path(file.local()).stat().st_size
    plain = series.dataoffset is not None and len(series.levels[0].pages) > 0
    if plain and series.dataoffset is not None:
        dtype = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
        end = series.dataoffset + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        _check_end(file, end, size)
        return MemmapReader(file, series.dataoffset, dtype, shape), None
    for page in series.pages:
        if page is not None and page.parent is tiff and page.dataoffsets:
            _check_end(
                file, max(o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)), size
            )
    with closing(series.aszarr(level=0)) as store:
        array: Any = zarr.open_array(store, mode="r")
        chunks = tuple(int(n) for n in array.chunks)
    return TiffReader(file, np.dtype(series.dtype).newbyteorder("="), shape), chunks


def _check_end(file: SourceFile, end: int, size: int) -> None:
    if end > size:
        raise InputError(f"{file.path} is truncated: its pixels end at byte {end}, the file at byte {size}")


def _probe(lazy: LazyArray, file: SourceFile) -> None:
    """Decode one pixel."""
    try:
        lazy.read(tuple(0 for _ in lazy.shape))
    except InputError as error:
        if "imagecodecs" in str(error):
            raise InputError(
                f"{file.path} is compressed in a way that needs another package: {error.__cause__}; run "
                "'pip install imagecodecs', or save the file uncompressed or with zlib"
            ) from error
        raise


@contextmanager
def _quiet(complaints: list[str] | None = None) -> Iterator[None]:
    """Collect tifffile's log messages: what matters of them is raised as an error."""

    def collect(record: logging.LogRecord) -> bool:
        if complaints is not None:
            complaints.append(record.getMessage())
        return False

    log = logging.getLogger("tifffile")
    log.addFilter(collect)
    try:
        yield
    finally:
        log.removeFilter(collect)
