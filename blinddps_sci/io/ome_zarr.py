"""Reading Zarr: OME-Zarr 0.4 and 0.5, the package's own results, and plain arrays.

Only metadata is read on opening; every process opens the array by its path when it first needs a
window.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from xarray.backends.zarr import FillValueCoder
from zarr.errors import ZarrUserWarning

from blinddps_sci.errors import InputError
from blinddps_sci.io.arrays import named_axes
from blinddps_sci.io.axes import Layout, axis_name, check_image, layout_of
from blinddps_sci.io.files import reason
from blinddps_sci.io.lazy import Key, LazyArray, View, to_dataset
from blinddps_sci.io.pixel_size import physical
from blinddps_sci.io.provenance import IMAGE_FACTS, RECORD
from blinddps_sci.io.values import Scaled

__all__ = ["ZarrReader", "is_zarr", "open_levels", "open_zarr"]

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
_OWN_IMAGE = "scale0/image"
_SPACE = ("z", "y", "x")


@dataclass(frozen=True)
class ZarrReader:
    """Reader of one Zarr array; see `blinddps_sci.io.lazy.Reader`.

    Attributes
    ----------
    path : str
        Folder of the array.
    version : str
        Hash of the array's metadata; reading refuses once they have changed.
    dtype : dtype
        Type of the stored numbers.
    shape : tuple of int
        Length of every axis.
    """

    path: str
    version: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, folder: Path) -> ZarrReader:
        """Return the reader of the array in a folder, as it is now."""
        version = _fingerprint(str(folder))
        array = _array(str(folder), version, os.getpid())
        return cls(str(folder), version, np.dtype(array.dtype), tuple(array.shape))

    def read(self, key: Key) -> np.ndarray[Any, np.dtype[Any]]:
        """Read one window; see `Reader.read`."""
        if _fingerprint(self.path) != self.version:
            raise InputError(f"{self.path} has changed since it was opened; open it again")
        return np.asarray(_array(self.path, self.version, os.getpid())[key])


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a Zarr group or array.

    Parameters
    ----------
    path : Path
        Any path.

    Returns
    -------
    bool
        True if it holds Zarr metadata of version 2 or 3.
    """
    return path.is_dir() and any((path / name).is_file() for name in _METADATA)


def open_zarr(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a Zarr folder as a stack.

    Parameters
    ----------
    path : str or os.PathLike
        An OME-Zarr image (0.4 or 0.5; of a bioformats2raw container the first image), a result of
        this package (with the header and the world coordinates of its input), an array, or a group
        with exactly one array of two or more axes. It may lie inside a store, such as
        ``plate.zarr/A/1/0``.

    Returns
    -------
    xarray.Dataset
        Lazy `data` of the full-resolution level.

    Raises
    ------
    InputError
        If it is not Zarr, the metadata are damaged, or no single image can be chosen.

    Notes
    -----
    The pixel size is the product of the scales of the level and of the multiscale. A plain array's
    axes come from `dimension_names` (version 3) or `_ARRAY_DIMENSIONS`; without names two axes are
    (y, x), three (t, y, x) and four (t, c, y, x). scale_factor, add_offset and _FillValue (CF conventions)
    are applied, as xarray writes them: in version 2 an array's own fill value counts if it is not zero.
    """
    with _readable(path) as folder:
        return _open(folder)


def open_levels(path: str | os.PathLike[str]) -> list[xr.Dataset]:
    """Open an OME-Zarr image at all its resolutions.

    Parameters
    ----------
    path : str or os.PathLike
        As `open_zarr`.

    Returns
    -------
    list of xarray.Dataset
        Lazy: what `open_zarr` gives, then the smaller levels. What is no OME-Zarr has one level.

    Raises
    ------
    InputError
        As `open_zarr`.
    """
    with _readable(path) as folder:
        levels = [_open(folder)]
        image = _image(folder)
        if image is not None:
            where, ome = image
            smaller = range(1, len(ome["multiscales"][0]["datasets"]))
            levels.extend(_multiscale(where, ome, level) for level in smaller)
        return levels


@contextmanager
def _readable(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Say in one sentence what is wrong with a folder that cannot be read."""
    folder = Path(path).expanduser().absolute()
    if not is_zarr(folder):
        raise InputError(f"{path} is not a Zarr folder, and holds no frames")
    try:
        yield folder
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"{path} cannot be read as Zarr: {type(error).__name__}: {reason(error)}") from error


def _image(folder: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """Folder and OME metadata of a group that is an image, or that holds one as bioformats2raw does."""
    node = zarr.open(str(folder), mode="r")
    if isinstance(node, zarr.Array):
        return None
    attrs: Any = dict(node.attrs)
    ome = attrs.get("ome", attrs)
    if not isinstance(ome, Mapping):
        return None
    if ome.get("multiscales"):
        return folder, ome
    inner = "bioformats2raw.layout" in ome and not is_zarr(folder / _OWN_IMAGE) and is_zarr(folder / "0")
    return _image(folder / "0") if inner else None


def _open(folder: Path) -> xr.Dataset:
    image = _image(folder)
    if image is not None:
        where, ome = image
        stack = _multiscale(where, ome)
        record: Any = zarr.open_group(str(where), mode="r").attrs.get(RECORD, {})
        stack.attrs.update({key: record[key] for key in IMAGE_FACTS if key in record})
        return stack
    node = zarr.open(str(folder), mode="r")
    if isinstance(node, zarr.Array):
        return _plain(folder, node, folder.name)
    attrs: Any = dict(node.attrs)
    ome = attrs.get("ome", attrs)
    if isinstance(ome, Mapping) and ("plate" in ome or "well" in ome):
        raise InputError(
            f"{folder.name} is a plate or a well; give the folder of one image, such as {folder.name}/A/1/0"
        )
    if is_zarr(folder / _OWN_IMAGE):
        return _plain(folder / _OWN_IMAGE, zarr.open_array(str(folder / _OWN_IMAGE), mode="r"), folder.name)
    with warnings.catch_warnings():
        # Foreign files in a store are common and not ours to report.
        warnings.simplefilter("ignore", ZarrUserWarning)
        images = [(name, array) for name, array in node.arrays() if array.ndim >= 2]
    if len(images) != 1:
        names = ", ".join(sorted(name for name, _ in images)) or "none"
        raise InputError(
            f"{folder.name} is a Zarr group without OME metadata whose image arrays are: {names}; "
            "give the path of one array"
        )
    name, array = images[0]
    return _plain(folder / name, array, folder.name)


def _multiscale(folder: Path, ome: Mapping[str, Any], number: int = 0) -> xr.Dataset:
    """One level of the first multiscale image, by default that of full resolution."""
    image = ome["multiscales"][0]
    level = image["datasets"][number]
    where = folder / level["path"]
    if not is_zarr(where):
        raise InputError(f"{folder.name} names the array {level['path']!r}, which does not exist")
    array = zarr.open_array(str(where), mode="r")
    axes = [a if isinstance(a, Mapping) else {"name": a} for a in image.get("axes") or "tczyx"]
    if len(axes) != array.ndim:
        raise InputError(f"{folder.name} names {len(axes)} axes for an array of shape {array.shape}")
    names = [_ome_axis(axis) for axis in axes]
    layout = layout_of(names, array.shape, folder.name)
    scale, first = _transformed(level, image, array.ndim)
    attrs: dict[str, Any] = {"format": "ome-zarr", **_pixel_size(names, axes, scale)}
    origin = _origin(names, axes, first)
    if any(origin.values()):
        attrs["origin"] = origin
    channels = _channel_names(ome.get("omero"))
    if "c" in layout.dims and len(channels) == array.shape[names.index("c")]:
        attrs["channel_names"] = channels
    unit = array.attrs.get("units", array.attrs.get("unit", ""))
    return _stack(where, array, layout, {**attrs, "unit": str(unit)}, folder.name)


def _plain(where: Path, array: zarr.Array[Any], name: str) -> xr.Dataset:
    """One array without OME metadata."""
    stored: Any = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    names = named_axes(list(stored or ()), array.ndim, name)
    layout = layout_of(names, array.shape, name)
    attrs = {"format": "zarr", "pixel_scale": [1.0, 1.0], "pixel_unit": "pixel"}
    unit = array.attrs.get("units", array.attrs.get("unit", ""))
    return _stack(where, array, layout, {**attrs, "unit": str(unit)}, name)


def _stack(
    where: Path, array: zarr.Array[Any], layout: Layout, attrs: dict[str, Any], name: str
) -> xr.Dataset:
    """Lazy dataset of one array."""
    reader = ZarrReader.of(where)
    view = View(reader, layout.order, layout.fixed)
    check_image(view.shape, view.dtype, name)
    scale, offset = (_number(array.attrs.get(key)) for key in ("scale_factor", "add_offset"))
    steps = Scaled(1.0 if scale is None else scale, offset or 0.0, _missing(array))
    lazy = LazyArray(view, np.dtype(np.float32), (steps,), name)
    known = {
        "source": [name],
        **attrs,
        "dtype_on_disk": view.dtype.str,
        "identity": {"files": [{"name": name, "metadata": reader.version, "sample": _sample(lazy)}]},
    }
    chunks = {dim: int(array.chunks[axis]) for dim, axis in zip(layout.dims, layout.order, strict=True)}
    return to_dataset({"data": lazy}, layout.dims, known, chunks)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _missing(array: zarr.Array[Any]) -> float | None:
    """Return the stored number that stands for a missing value, if there is one."""
    found: Any = array.attrs.get("_FillValue")
    if isinstance(found, str):
        found = FillValueCoder.decode(found, array.dtype)
    elif found is None and array.metadata.zarr_format == 2 and "_ARRAY_DIMENSIONS" in array.attrs:
        found = array.fill_value or None
    return _number(found.item() if isinstance(found, np.generic) else found)


def _ome_axis(axis: Mapping[str, Any]) -> str | None:
    """Axis of the stack: by name, or by type for a name that says nothing."""
    by_type = {"time": "t", "channel": "c"}.get(str(axis.get("type", "")).lower())
    return by_type or axis_name(axis.get("name"))


def _channel_names(omero: Any) -> list[str]:
    """Labels of OMERO's rendering settings, if they are what they should be."""
    channels = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(channels, list) or not all(isinstance(channel, Mapping) for channel in channels):
        return []
    return [str(channel.get("label", number)) for number, channel in enumerate(channels)]


def _transformed(
    level: Mapping[str, Any], image: Mapping[str, Any], ndim: int
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Size and place of the first pixel: the transformations of a level, then those of its multiscale."""
    scale, first = np.ones(ndim), np.zeros(ndim)
    for holder in (level, image):
        for transform in holder.get("coordinateTransformations") or []:
            if transform.get("type") == "scale":
                factors = np.asarray(transform["scale"], np.float64)
                scale, first = scale * factors, first * factors
            elif transform.get("type") == "translation":
                first = first + np.asarray(transform["translation"], np.float64)
    return scale, first


def _origin(names: list[str | None], axes: list[Mapping[str, Any]], first: Any) -> dict[str, float]:
    """`origin` of the axes of space, in `pixel_unit`."""
    return {
        name: physical(float(place), axis.get("unit"))[0]
        for name, axis, place in zip(names, axes, first, strict=True)
        if name in _SPACE
    }


def _pixel_size(names: list[str | None], axes: list[Mapping[str, Any]], scale: Any) -> dict[str, Any]:
    """`pixel_scale`, `pixel_unit` and `z_scale` of the axes."""
    sizes = {
        name: physical(float(size), axis.get("unit"))
        for name, axis, size in zip(names, axes, scale, strict=True)
        if name in _SPACE
    }
    if sizes["y"][1] != sizes["x"][1]:
        raise InputError(f"the axes y and x have different units: {sizes['y'][1]} and {sizes['x'][1]}")
    found: dict[str, Any] = {"pixel_scale": [sizes["y"][0], sizes["x"][0]], "pixel_unit": sizes["y"][1]}
    if "z" in sizes:
        found["z_scale"] = sizes["z"][0]
    return found


def _fingerprint(path: str) -> str:
    """Hash of an array's own metadata files, whatever their formatting."""
    digest = hashlib.blake2b(digest_size=16)
    for name in ("zarr.json", ".zarray"):
        try:
            text = Path(path, name).read_text(encoding="utf-8")
        except OSError:
            continue
        digest.update(json.dumps(json.loads(text), sort_keys=True).encode())
    return digest.hexdigest()


def _sample(array: LazyArray) -> str:
    """Hash of a window in two corners and the middle: the same metadata may hold another image."""
    digest = hashlib.blake2b(digest_size=16)
    height, width = array.shape[-2:]
    lead = tuple(0 for _ in array.shape[:-2])
    for y, x in ((0, 0), (height // 2 - 4, width // 2 - 4), (height - 8, width - 8)):
        digest.update(array.read((*lead, slice(y, y + 8), slice(x, x + 8))).data)
    return digest.hexdigest()


@lru_cache(maxsize=64)
def _array(path: str, version: str, pid: int) -> zarr.Array[Any]:
    """Open an array once per process and version; it holds no file descriptor."""
    return zarr.open_array(path, mode="r")
