"""What of an image layer is saved: its array in the order t, c, z, y, x, and the place of each axis.

Also tells whether a layer is the restored image of a result, so that the result itself is exported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from blinddps_sci.errors import BlindDpsError, InputError

if TYPE_CHECKING:
    from blinddps_sci import Axis

__all__ = ["is_restored_image", "placement_of", "turned"]

_ORDER = "tczyx"
_ROWS = 512

# napari's names of units: how many of the file's unit each is.
_UNITS = {
    "nanometer": (1e-3, "micrometer"), "micrometer": (1.0, "micrometer"), "millimeter": (1e3, "micrometer"),
    "centimeter": (1e4, "micrometer"), "meter": (1e6, "micrometer"),
    "milliarcsecond": (1e-3, "arcsec"), "arcsecond": (1.0, "arcsec"), "arcminute": (60.0, "arcsec"),
    "degree": (3600.0, "arcsec"),
    "millisecond": (1e-3, "second"), "second": (1.0, "second"), "minute": (60.0, "second"),
    "hour": (3600.0, "second"),
    "pixel": (1.0, "pixel"), "": (1.0, "pixel"),
}  # fmt: skip


def placement_of(image: Any, attributes: Mapping[str, Any]) -> tuple[Any, list[Axis]]:
    """Find the axes of a layer.

    Parameters
    ----------
    image : array
        Full resolution; of a colour picture with the colours last.
    attributes : mapping
        The layer's: `axis_labels`, `scale`, `translate`, `units`, `rgb`.

    Returns
    -------
    image : array
        Lazy if it was, its axes in the order t, c, z, y, x.
    axes : list of Axis
        With step and origin in micrometre, arcsec, second or pixel.

    Raises
    ------
    InputError
        If it has more axes than that, or a unit that files do not know.
    """
    from blinddps_sci import Axis

    rgb = bool(attributes.get("rgb"))
    ndim = image.ndim - rgb
    units = [str(unit) for unit in attributes.get("units") or ["pixel"] * ndim]
    names = _names(attributes.get("axis_labels") or (), units, ndim)
    for name, unit in zip(names, units, strict=True):
        if unit not in _UNITS:
            known = ", ".join(filter(None, _UNITS))
            raise InputError(f"axis {name} has the unit {unit!r}; images are saved with one of {known}")
    placed = {}
    places = (attributes.get("scale"), attributes.get("translate"))
    scale, first = (
        [default] * ndim if values is None else list(values)
        for values, default in zip(places, (1.0, 0.0), strict=True)
    )
    for i, name in enumerate(names):
        factor, unit = _UNITS[units[i]]
        placed[name] = Axis(name, float(scale[i]) * factor, unit, float(first[i]) * factor)
    if rgb:
        if "c" in names:
            raise InputError("a colour picture with another axis c cannot be saved; split its channels first")
        names.append("c")
        placed["c"] = Axis("c")
    order = [names.index(name) for name in _ORDER if name in names]
    if order != sorted(order):
        image = _lazy(image).transpose(order)
    return image, [placed[name] for name in _ORDER if name in placed]


def turned(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a layer is shown rotated, sheared or by an affine transform, which no file keeps."""
    import numpy as np

    for key in ("rotate", "affine"):
        matrix = attributes.get(key)
        if matrix is not None and not np.allclose(matrix, np.eye(len(matrix))):
            return True
    shear = attributes.get("shear")
    return shear is not None and bool(np.any(shear))


def is_restored_image(image: Any, attributes: Mapping[str, Any]) -> bool:
    """Tell whether a layer is the restored image of a result, pixel by pixel and with its scale.

    Parameters
    ----------
    image : array
        Full resolution.
    attributes : mapping
        The layer's; `metadata` has the result's `path` and `fingerprint` if it comes from one.
    """
    import numpy as np

    from blinddps_sci import open_result

    metadata = attributes.get("metadata") or {}
    if not metadata.get("path") or metadata.get("fingerprint") is None or attributes.get("rgb"):
        return False
    try:
        store = open_result(metadata["path"])
    except BlindDpsError:
        return False
    record, stored = store.attrs, store.array("scale0/image")
    if record.get("fingerprint") != metadata["fingerprint"] or tuple(image.shape) != tuple(stored.shape):
        return False
    y, x = record.get("pixel_scale") or (1.0, 1.0)
    step = {"y": y, "x": x, "z": record.get("z_scale") or 1.0}
    axes = placement_of(image, attributes)[1]
    if tuple(axis.name for axis in axes) != store.dims or not all(
        np.isclose(axis.step, step.get(axis.name, 1.0), rtol=1e-6) for axis in axes
    ):
        return False
    for plane in np.ndindex(*stored.shape[:-2]):
        for start in range(0, stored.shape[-2], _ROWS):
            where = (*plane, slice(start, start + _ROWS))
            if not np.array_equal(np.asarray(image[where]), stored[where], equal_nan=True):
                return False
    return True


def _names(labels: Sequence[Any], units: Sequence[str], ndim: int) -> list[str]:
    """Axes by their labels; without any, y and x are last, and what has their unit before them is z."""
    names = [str(label).lower() for label in labels]
    if len(names) == ndim == len(set(names)) and {"y", "x"} <= set(names) <= set(_ORDER):
        return names
    if ndim > len(_ORDER) or ndim < 2:
        raise InputError(
            f"a layer of {ndim} axes cannot be saved; an image has y and x, and t, c and z at most"
        )
    deep = ndim == len(_ORDER) or (ndim > 2 and units[-3] == units[-1] != "pixel")
    lead = {0: "", 1: "z" if deep else "t", 2: "tz" if deep else "tc", 3: "tcz"}[ndim - 2]
    return [*lead, "y", "x"]


def _lazy(image: Any) -> Any:
    """Return an array that can be transposed without being read."""
    if hasattr(image, "transpose"):
        return image
    import dask.array as da

    from_array: Any = da.from_array
    return from_array(image, chunks=getattr(image, "chunks", "auto"))
