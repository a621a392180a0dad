"""Opening a stack: the first step of the flow, one function for every kind of input.

`open_stack` finds the reader of a file or array and then selects channel and region; the result is
lazy, and `read_window` turns parts of it into arrays.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from blinddps_sci.errors import InputError
from blinddps_sci.io.selection import crop, select_channel
from blinddps_sci.io.window import Window, check_finite, overview, read_window

__all__ = ["Window", "check_finite", "open_stack", "overview", "read_window"]

_PACKED = (".gz", ".bz2", ".xz")
_SUFFIXES = {
    ".fits": "fits", ".fit": "fits", ".fts": "fits", ".fz": "fits",
    ".tif": "tiff", ".tiff": "tiff", ".btf": "tiff", ".tf8": "tiff", ".ser": "ser",
    ".png": "picture", ".bmp": "picture", ".jpg": "picture", ".jpeg": "picture",
    ".avi": "video", ".mp4": "video", ".mkv": "video", ".mov": "video",
}  # fmt: skip


def open_stack(
    source: Any,
    *,
    hdu: int | str | None = None,
    channel: int | str | None = None,
    region: str | Sequence[Any] | None = None,
    dark: str | Path | None = None,
    flat: str | Path | None = None,
    bad_pixels: str | Path | None = None,
) -> xr.Dataset:
    """Open images as a lazy, labelled stack.

    Parameters
    ----------
    source : path, list of paths, array or NDData
        A FITS file (also ``.fz``, ``.gz``), an OME-Zarr or Zarr folder, a TIFF file, a PNG, BMP or JPEG
        picture, a SER or other video; a list or a folder of files, the frames of one scene, stacked on `t`; a
        numpy or dask array; an `xarray.DataArray` or `xarray.Dataset`; an astropy `CCDData` or `NDData`.
    hdu : int or str, optional
        FITS extension: index, EXTNAME, or ``"EXTNAME,EXTVER"``. By default the first SCI, else the
        first image.
    channel : int or str, optional
        Position or name on the axis `c`, which it removes.
    region : str or ((y0, y1), (x0, x1)), optional
        Crop, as in ``"0:512,128:640"``: half-open, 0-based, in pixels of the file.
    dark, flat, bad_pixels : path, optional
        Files of calibration frames of the whole detector, of any kind that can be opened; see
        `blinddps_sci.io.calibration`.

    Returns
    -------
    xarray.Dataset
        `data` (float32, native byte order, scaled, missing values NaN) with the subset present of
        the axes (t, c, z, y, x), in that order; `variance` (float32, the data's unit squared) and
        `mask` (bool, True is bad) if known. Nothing but headers has been read: indexing reads the
        window asked for, in this process or, after pickling, in another.

        Attributes, JSON-able: `source` (file names), `format`, `unit`, `dtype_on_disk`,
        `pixel_scale` [y, x] with `pixel_unit` ('arcsec', 'micrometer' or 'pixel'), `identity`
        (fingerprint of the input); where known `z_scale`, `origin` (place of the first pixel by axis, in
        `pixel_unit`), `wcs_header` (FITS cards as text),
        `header` and `primary_header` (lists of [key, value, comment]), `gain` (electrons per unit),
        `read_noise` and `saturation` (the data's unit), `channel_names`, `channel`, `region`,
        `variance_source`, `mask_source`, `hdu`.

    Raises
    ------
    InputError
        If the input is missing, of an unknown kind, damaged, not an image of at least 8 x 8 real
        numbers, or if `hdu`, `channel` or `region` do not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> stack = open_stack(np.zeros((3, 64, 48)), region="0:32,8:40")
    >>> dict(stack["data"].sizes)
    {'t': 3, 'y': 32, 'x': 32}
    """
    stack = _open(source, hdu)
    frames = [None if path is None else _open_path(Path(path), None) for path in (dark, flat, bad_pixels)]
    if any(frame is not None for frame in frames):
        from blinddps_sci.io.calibration import calibrate

        stack = calibrate(stack, *frames)
    if channel is not None:
        stack = select_channel(stack, channel)
    if region is not None:
        stack = crop(stack, region)
    if "wcs_header" in stack.attrs:
        stack.attrs["wcs_sides"] = list(stack["data"].shape[-2:])
    return stack


def _open(source: Any, hdu: int | str | None) -> xr.Dataset:
    """Find the reader."""
    if isinstance(source, str | os.PathLike):
        return _open_path(Path(source), hdu)
    if isinstance(source, list | tuple):
        return _open_frames(source, hdu)
    if hdu is not None:
        raise InputError(
            f"hdu={hdu!r} was given with a {type(source).__name__}; it applies to FITS files only"
        )
    if isinstance(source, xr.DataArray | xr.Dataset):
        from blinddps_sci.io.arrays import open_xarray

        return open_xarray(source)
    if hasattr(source, "uncertainty") and hasattr(source, "wcs"):
        from blinddps_sci.io.nddata import open_nddata

        return open_nddata(source)
    if isinstance(source, np.ndarray) or hasattr(source, "__dask_graph__"):
        from blinddps_sci.io.arrays import open_array

        return open_array(source)
    raise InputError(
        f"a {type(source).__name__} cannot be opened; give a path, a list of paths, a numpy, dask or xarray "
        "array, or an astropy CCDData or NDData"
    )


def _open_frames(sources: Sequence[Any], hdu: int | str | None) -> xr.Dataset:
    """One file, or several as frames."""
    if not sources or not all(isinstance(source, str | os.PathLike) for source in sources):
        kinds = sorted({type(source).__name__ for source in sources})
        raise InputError(f"a list of {', '.join(kinds) or 'nothing'} cannot be opened; give a list of paths")
    parts = [_open_path(Path(source), hdu) for source in sources]
    if len(parts) == 1:
        return parts[0]
    from blinddps_sci.io.frames import join_frames

    return join_frames(parts)


def _open_path(path: Path, hdu: int | str | None) -> xr.Dataset:
    """Choose by suffix; a folder is Zarr, or holds frames."""
    frames = _frames_in(path)
    if frames:
        return _open_frames(frames, hdu)
    kind = "zarr" if path.is_dir() else _kind(path)
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if kind == "fits":
        from blinddps_sci.io.fits import open_fits

        return open_fits(path, hdu)
    if hdu is not None:
        raise InputError(f"hdu={hdu!r} was given with {path}; it applies to FITS files only")
    if kind == "zarr":
        from blinddps_sci.io.ome_zarr import open_zarr

        return open_zarr(path)
    if kind == "tiff":
        from blinddps_sci.io.tiff import open_tiff

        return open_tiff(path)
    if kind == "picture":
        from blinddps_sci.io.picture import open_picture

        return open_picture(path)
    if kind == "ser":
        from blinddps_sci.io.ser import open_ser

        return open_ser(path)
    if kind == "video":
        from blinddps_sci.io.video import open_video

        return open_video(path)
    raise InputError(
        f"{path} is of an unknown kind; known are {' '.join(sorted(_SUFFIXES))} (FITS also with "
        f"{' '.join(_PACKED)}) and folders: .zarr, or of frames"
    )


def _frames_in(folder: Path) -> list[Path]:
    """Return the files of a folder that can be opened, in the order of the numbers in their names.

    Raises
    ------
    InputError
        If they are of several kinds.
    """
    if not folder.is_dir() or folder.suffix == ".zarr":
        return []
    files = [path for path in folder.iterdir() if path.is_file() and _kind(path) is not None]
    kinds = sorted({str(_kind(path)) for path in files})
    if len(kinds) > 1:
        raise InputError(f"{folder} holds files of several kinds ({', '.join(kinds)}); name those to be read")
    return sorted(files, key=_with_numbers)


def _with_numbers(path: Path) -> list[tuple[int, str]]:
    """Return a key by which frame2 comes before frame10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _kind(path: Path) -> str | None:
    """Format that a file's suffix promises."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        inner = _SUFFIXES.get(suffixes[-2]) if len(suffixes) > 1 else None
        return inner if inner == "fits" else None
    return _SUFFIXES.get(suffixes[-1]) if suffixes else None
