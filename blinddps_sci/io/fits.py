"""Reading FITS: which extension is the image, what goes with it, and where its pixels are.

Plain images are read at their offset by `MemmapReader`, compressed ones by `CompressedReader`; the
header becomes attributes through `blinddps_sci.io.header` and `blinddps_sci.io.wcs`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from astropy.io import fits
from astropy.io.fits.verify import VerifyError

from blinddps_sci.errors import InputError, MisfitWarning
from blinddps_sci.io.axes import COLOURS, Layout, check_image, layout_of
from blinddps_sci.io.compressed import CompressedReader, open_hdus
from blinddps_sci.io.files import SourceFile, reason, source_file
from blinddps_sci.io.header import cards, detector
from blinddps_sci.io.lazy import LazyArray, MemmapReader, Reader, Repeated, View, to_dataset
from blinddps_sci.io.pixel_size import physical
from blinddps_sci.io.values import Flagged, Scaled, inverse, squared
from blinddps_sci.io.wcs import pixel_scale, wcs_text

__all__ = ["Extension", "open_fits", "scan_extensions", "select_extension"]

Step = Callable[[Any], Any]

_RAW = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_IMAGES = ("SCI", "PRIMARY", "", "IMAGE", "DATA", "SCIENCE", "COMPRESSED_IMAGE")
_SIGMA = ("ERR", "ERROR", "STD", "STDDEV", "SIGMA", "RMS")
_VARIANCE = ("VAR", "VARIANCE", "STAT")
_INVERSE = ("IVAR", "INVVAR", "WHT")
_QUALITY = ("DQ", "MASK", "FLAGS")
_COMPANIONS = (*_SIGMA, *_VARIANCE, *_INVERSE, *_QUALITY, "UNCERT")
_UTYPES: dict[str, tuple[Step, ...]] = {
    "STDDEVUNCERTAINTY": (squared,),
    "VARIANCEUNCERTAINTY": (),
    "INVERSEVARIANCE": (inverse,),
}
# LSST's mask keeps a bit for detected sources: only these planes make a pixel unusable.
_LSST_BAD = ("MP_BAD", "MP_SAT", "MP_CR", "MP_NO_DATA")
# Most flags of these telescopes tell of what was mended; one says not to use the pixel.
_DO_NOT_USE, _DO_NOT_USE_OF = 1, ("JWST", "ROMAN")
_CHANNEL_CTYPES = (
    "WAVE", "AWAV", "FREQ", "ENER", "WAVN", "VRAD", "VOPT", "ZOPT", "VELO", "FELO", "BETA",
    "STOK", "LAMB", "RGB", "COLO", "CHAN",
)  # fmt: skip
_TIME_CTYPES = ("TIME", "UTC", "TAI", "TT", "TDB", "FRAM")
_COLOUR_KEYS = ("BAYERPAT", "COLORTYP", "COLORSPC")
_COLOUR_PROGRAMS = ("SIRIL", "PIXINSIGHT")
_DEPTH_CTYPES = ("DEPTH",)  # of images that this package writes


@dataclass(frozen=True)
class Extension:
    """One header-data unit, as much as is needed to read its pixels.

    Attributes
    ----------
    index, name, ver : int, str, int
        Position, EXTNAME in capitals, EXTVER.
    shape : tuple of int
        In numpy's order; empty for a table or an image without pixels.
    dtype : dtype
        Of the stored numbers.
    offset, end : int
        First byte of the data and the byte behind it.
    tiles : tuple of int or None
        Tile shape of a compressed image.
    header : astropy.io.fits.Header
        As read.
    """

    index: int
    name: str
    ver: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    end: int
    tiles: tuple[int, ...] | None
    header: fits.Header

    def __str__(self) -> str:
        what = " x ".join(map(str, self.shape)) if self.shape else "no image"
        return f"{self.index} {self.name or 'unnamed'},{self.ver} ({what})"


def scan_extensions(file: SourceFile) -> list[Extension]:
    """List a file's header-data units; only headers are read.

    Parameters
    ----------
    file : SourceFile
        Plain or packed FITS.

    Returns
    -------
    list of Extension
        In the file's order.

    Raises
    ------
    InputError
        If it is not FITS, or a header cannot be understood.
    """
    path = file.local()
    try:
        with open_hdus(path) as hdus:
            return [_describe(index, hdu) for index, hdu in enumerate(hdus)]
    except (OSError, ValueError, KeyError, TypeError, IndexError, VerifyError) as error:
        raise InputError(
            f"{file.path} cannot be read as FITS, it is truncated or damaged: {reason(error)}"
        ) from error


def select_extension(extensions: Sequence[Extension], hdu: int | str | None, name: str) -> Extension:
    """Choose the image.

    Parameters
    ----------
    extensions : sequence of Extension
        From `scan_extensions`.
    hdu : int, str or None
        Index, EXTNAME or ``"EXTNAME,EXTVER"``; None takes the first SCI, else the first image that
        is not another image's error or quality plane.
    name : str
        Named in errors.

    Returns
    -------
    Extension
        One that has an image of two or more axes.

    Raises
    ------
    InputError
        If there is no such extension or it holds no image.
    """
    known = "; ".join(map(str, extensions[:12])) + ("; ..." if len(extensions) > 12 else "")
    if hdu is None:
        images = [e for e in extensions if e.shape]
        first = (
            [e for e in images if e.name == "SCI"]
            or [e for e in images if e.name not in _COMPANIONS]
            or images
        )
        if not first:
            raise InputError(f"{name} has no image extension of two or more axes; it has {known}")
        return first[0]
    wanted, _, version = str(hdu).strip().upper().partition(",")
    if wanted.isdecimal() and not version:
        found = [e for e in extensions if e.index == int(wanted)]
    else:
        found = [e for e in extensions if e.name == wanted.strip() and version.strip() in ("", str(e.ver))]
    if not found:
        raise InputError(f"{name} has no extension {hdu!r}; it has {known}: give an index, NAME or NAME,VER")
    if not found[0].shape:
        raise InputError(
            f"extension {hdu!r} of {name} holds no image of two or more axes; the file has {known}"
        )
    return found[0]


def open_fits(path: str | os.PathLike[str], hdu: int | str | None = None) -> xr.Dataset:
    """Open a FITS image or cube as a stack.

    Parameters
    ----------
    path : str or os.PathLike
        ``.fits``, also ``.fz`` and gzip, bzip2 or xz streams (unpacked once per process).
    hdu : int, str or None
        See `select_extension`.

    Returns
    -------
    xarray.Dataset
        Lazy `data`, and `variance` and `mask` from the ERR, VAR, IVAR or WHT and DQ or MASK
        extensions of the same EXTVER.

    Raises
    ------
    InputError
        If the file is not readable FITS, is truncated, or holds no such image.

    Notes
    -----
    A third axis is `c` for a spectral, Stokes or colour CTYPE3, `z` for DEPTH, else `t`; three planes without
    CTYPE3 are red, green and blue if BAYERPAT, COLORTYP, COLORSPC or PROGRAM tell of colours. WHT is taken as
    inverse variance if there is no ERR, VAR or IVAR; `variance_source` says what was used. Every
    pixel whose DQ is not zero is masked, except in LSST masks, where the planes BAD, SAT, CR and
    NO_DATA count, and of JWST and Roman, where DO_NOT_USE does. A 2-D error or quality plane applies to every
    image of a cube.
    """
    file = source_file(path)
    extensions = scan_extensions(file)
    image = select_extension(extensions, hdu, file.name)
    layout = layout_of(_axis_names(image), image.shape, f"{file.name}, extension {image}")
    if "BAYERPAT" in image.header and "c" not in layout.dims:
        warnings.warn(
            f"{file.name} is the mosaic of a colour camera by its BAYERPAT, whose pattern would be taken for "
            "structure; separate its colours first, or record SER, of which they are separated",
            MisfitWarning,
            stacklevel=2,
        )
    reader = _placed(file, image, layout)
    check_image(reader.shape, image.dtype, f"{file.name}, extension {image}")
    arrays = {"data": LazyArray(reader, np.dtype(np.float32), (_scaling(image.header),), file.name)}
    attrs = _attributes(file, image, extensions[0].header)
    for role, (plane, steps) in _companions(extensions, image).items():
        beside = _companion_reader(file, plane, image, layout)
        dtype = np.dtype(bool if role == "mask" else np.float32)
        arrays[role] = LazyArray(beside, dtype, steps, f"{file.name}, extension {plane.name}")
        attrs[f"{role}_source"] = plane.name
    chunks = None
    if image.tiles:
        chunks = {dim: image.tiles[axis] for dim, axis in zip(layout.dims, layout.order, strict=True)}
    return to_dataset(arrays, layout.dims, attrs, chunks)


def _describe(index: int, hdu: Any) -> Extension:
    """Copy what is needed of an open header-data unit."""
    info = hdu.fileinfo()
    image = bool(hdu.is_image) and not isinstance(hdu, fits.GroupsHDU)
    shape = tuple(int(n) for n in hdu.shape) if image else ()
    shape = shape if len(shape) >= 2 and 0 not in shape else ()
    packed = isinstance(hdu, fits.CompImageHDU)
    dtype = np.dtype(_RAW[hdu.header["BITPIX"]]) if shape else np.dtype("u1")
    offset = int(info["datLoc"])
    size = (
        int(info["datSpan"]) if packed or not shape else int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    )
    tiles = tuple(int(n) for n in hdu.tile_shape) if packed and shape else None
    return Extension(
        index, str(hdu.name).upper(), int(hdu.ver), shape, dtype.newbyteorder("=") if packed else dtype,
        offset, offset + size, tiles, hdu.header.copy(),
    )  # fmt: skip


def _scaling(header: fits.Header) -> Scaled:
    """BSCALE, BZERO and, for integers, BLANK."""
    blank = header.get("BLANK") if header["BITPIX"] > 0 else None
    return Scaled(
        float(header.get("BSCALE", 1.0)),
        float(header.get("BZERO", 0.0)),
        None if blank is None else float(blank),
    )


def _axis_names(image: Extension) -> list[str | None]:
    """Stack axis of each numpy axis, from CTYPEn; an unnamed axis is `t` if that is free."""
    ndim = len(image.shape)
    names: list[str | None] = [None] * (ndim - 2) + ["y", "x"]
    for axis in range(ndim - 2):
        ctype = str(image.header.get(f"CTYPE{ndim - axis}", "")).strip().upper()
        if ctype.startswith(_CHANNEL_CTYPES):
            names[axis] = "c"
        elif ctype.startswith(_TIME_CTYPES):
            names[axis] = "t"
        elif ctype.startswith(_DEPTH_CTYPES):
            names[axis] = "z"
    if _is_rgb(image):
        names[0] = "c"
    free = [axis for axis in reversed(range(ndim - 2)) if names[axis] is None]
    if free and "t" not in names:
        names[max(free, key=lambda axis: image.shape[axis] > 1)] = "t"
    return names


def _is_rgb(image: Extension) -> bool:
    """Say whether an image is a colour picture, as the programs of amateurs write them: without CTYPE3."""
    if len(image.shape) != 3 or image.shape[0] != len(COLOURS) or "CTYPE3" in image.header:
        return False
    program = str(image.header.get("PROGRAM", "")).upper()
    return program.startswith(_COLOUR_PROGRAMS) or any(key in image.header for key in _COLOUR_KEYS)


def _placed(file: SourceFile, image: Extension, layout: Layout) -> Reader:
    """Reader of an extension with its axes in the stack's order.

    Raises
    ------
    InputError
        If the file ends before the data does.
    """
    path = file.local()
    have = Path(path).stat().st_size
    if image.end > have:
        raise InputError(
            f"{file.path} is truncated: extension {image} ends at byte {image.end}, the file at byte {have}"
        )
    base: Reader
    if image.tiles:
        base = CompressedReader(file, image.index, image.dtype, image.shape)
    else:
        base = MemmapReader(file, image.offset, image.dtype, image.shape)
    return View(base, layout.order, layout.fixed)


def _companion_reader(file: SourceFile, plane: Extension, image: Extension, layout: Layout) -> Reader:
    """Reader of an error or quality plane with the shape of the image."""
    if plane.shape == image.shape:
        return _placed(file, plane, layout)
    if plane.shape == image.shape[-2:]:
        lead = tuple(image.shape[axis] for axis in layout.order[:-2])
        return Repeated(_placed(file, plane, Layout(("y", "x"), (0, 1))), lead)
    raise InputError(
        f"{file.name}: extension {plane} does not have the shape of {image}; choose another image with hdu=, "
        "or remove the extension"
    )


def _companions(
    extensions: Sequence[Extension], image: Extension
) -> dict[str, tuple[Extension, tuple[Step, ...]]]:
    """Find the variance and the mask that belong to an image, with the steps from raw numbers."""
    if image.name not in _IMAGES:
        return {}
    beside = {
        e.name: e for e in reversed(extensions) if e.shape and e.ver == image.ver and e.index != image.index
    }
    found: dict[str, tuple[Extension, tuple[Step, ...]]] = {}
    rules = [(_SIGMA, (squared,)), (("UNCERT",), ()), (_VARIANCE, ()), (_INVERSE, (inverse,))]
    for names, steps in rules:
        plane = next((beside[n] for n in names if n in beside), None)
        if plane is None:
            continue
        if plane.name == "UNCERT":
            utype = str(plane.header.get("UTYPE", "StdDevUncertainty")).upper()
            if utype not in _UTYPES:
                raise InputError(
                    f"uncertainty of type {utype} cannot be read; write a standard deviation or variance"
                )
            steps = _UTYPES[utype]
        found["variance"] = (plane, (_scaling(plane.header), *steps))
        break
    quality = next((beside[n] for n in _QUALITY if n in beside), None)
    if quality is not None:
        bits = sum(1 << int(quality.header[key]) for key in _LSST_BAD if key in quality.header)
        if str(extensions[0].header.get("TELESCOP", "")).strip().upper() in _DO_NOT_USE_OF:
            bits = _DO_NOT_USE
        found["mask"] = (quality, (Flagged(bits or None, int(quality.header.get("BZERO", 0))),))
    return found


def _attributes(file: SourceFile, image: Extension, primary: fits.Header) -> dict[str, Any]:
    """Attributes of the stack from the image's header and the primary one."""
    headers = [image.header, primary]
    unit = str(image.header.get("BUNIT", "") or "").strip()
    text = wcs_text(image.header)
    scale, scale_unit = pixel_scale(text, headers)
    identity: dict[str, Any] = {**file.identity(), "hdu": image.index}
    if "DATASUM" in image.header:
        identity["datasum"] = str(image.header["DATASUM"])
    attrs: dict[str, Any] = {
        "source": [file.name], "format": "fits", "unit": unit,
        "hdu": f"{image.name},{image.ver}" if image.name else str(image.index),
        "dtype_on_disk": image.dtype.str, "pixel_scale": scale, "pixel_unit": scale_unit,
        "header": cards(image.header), "identity": {"files": [identity]}, **detector(headers, unit),
        **_depth(image, scale_unit),
    }  # fmt: skip
    if text:
        attrs["wcs_header"] = text
    if _is_rgb(image):
        attrs["channel_names"] = list(COLOURS)
    if image.index:
        attrs["primary_header"] = cards(primary)
    return attrs


def _depth(image: Extension, unit: str) -> dict[str, float]:
    """Distance between planes along z, if it is in the unit of y and x."""
    for axis in range(3, len(image.shape) + 1):
        if str(image.header.get(f"CTYPE{axis}", "")).startswith(_DEPTH_CTYPES):
            size = physical(float(image.header.get(f"CDELT{axis}", 1.0)), image.header.get(f"CUNIT{axis}"))
            return {"z_scale": size[0]} if size[1] == unit != "pixel" else {}
    return {}
