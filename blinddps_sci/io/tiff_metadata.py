"""Pixel sizes and channel names of TIFF files: OME-XML, ImageJ tags, the resolution tags.

The three say the same in different units; a stack has micrometres.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import tifffile

from blinddps_sci.io.pixel_size import physical

__all__ = ["channel_names", "pixel_size"]

_RESOLUTION_UNITS = {2: "inch", 3: "centimeter"}
_PRINT_LIMIT = 20.0


def pixel_size(tiff: tifffile.TiffFile) -> dict[str, Any]:
    """Size of a pixel.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        Open file.

    Returns
    -------
    dict
        `pixel_scale` [y, x], `pixel_unit` and, if known, `z_scale`; a scale of one pixel if the file
        does not tell.

    Notes
    -----
    In order: PhysicalSizeX/Y/Z of OME-XML (micrometres by default); ImageJ's unit with the
    resolution tags (pixels per unit) and its spacing; the resolution tags with an absolute unit. The
    last are taken only below 20 micrometres a pixel: above, they are the density of a print (72 dpi
    is 353 micrometres), which image editors write into every file.
    """
    pixels = _ome_pixels(tiff)
    if pixels is not None:
        return _from_ome(pixels)
    page = tiff.pages.first
    x, y = _per_unit(page, "XResolution"), _per_unit(page, "YResolution")
    found: dict[str, Any] = {"pixel_scale": [1.0, 1.0], "pixel_unit": "pixel"}
    imagej: Mapping[str, Any] | None = tiff.imagej_metadata
    if imagej is not None:
        unit = str(imagej.get("unit", ""))
        if x and y and physical(1.0, unit)[1] != "pixel":
            found = _scales(physical(1 / y, unit), physical(1 / x, unit))
            if isinstance(imagej.get("spacing"), int | float):
                found["z_scale"] = physical(abs(float(imagej["spacing"])), unit)[0]
        return found
    tag = page.tags.get("ResolutionUnit")
    unit = _RESOLUTION_UNITS.get(int(tag.value) if tag is not None else 0, "")
    if x and y and unit and physical(1 / x, unit)[0] < _PRINT_LIMIT:
        return _scales(physical(1 / y, unit), physical(1 / x, unit))
    return found


def channel_names(tiff: tifffile.TiffFile, *, colour: bool, count: int) -> list[str]:
    """Names of the channels.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        Open file.
    colour : bool
        Whether the channels are the samples of a colour image.
    count : int
        Number of channels.

    Returns
    -------
    list of str
        `count` names, or none if the file has no names for all of them.
    """
    names: list[str] = []
    pixels = _ome_pixels(tiff)
    if colour:
        names = list("RGBA"[:count])
    elif pixels is not None:
        named = [channel.get("Name") for channel in pixels.iterfind("{*}Channel")]
        names = [str(name) for name in named if name]
    elif tiff.imagej_metadata is not None:
        labels = tiff.imagej_metadata.get("Labels") or []
        names = [str(label) for label in labels]
    return names if len(names) == count else []


def _ome_pixels(tiff: tifffile.TiffFile) -> ElementTree.Element | None:
    """Find the Pixels element of the first image."""
    if not tiff.is_ome or not tiff.ome_metadata:
        return None
    try:
        return ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
    except ElementTree.ParseError:
        return None


def _from_ome(pixels: ElementTree.Element) -> dict[str, Any]:
    """Read PhysicalSize."""
    sizes = {}
    for axis in "XYZ":
        text = pixels.get(f"PhysicalSize{axis}")
        if text is not None and float(text) > 0:
            sizes[axis] = physical(float(text), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    if not {"X", "Y"} <= set(sizes):
        return {"pixel_scale": [1.0, 1.0], "pixel_unit": "pixel"}
    found = _scales(sizes["Y"], sizes["X"])
    if "Z" in sizes and sizes["Z"][1] == found["pixel_unit"]:
        found["z_scale"] = sizes["Z"][0]
    return found


def _scales(y: tuple[float, str], x: tuple[float, str]) -> dict[str, Any]:
    if y[1] != x[1]:
        return {"pixel_scale": [1.0, 1.0], "pixel_unit": "pixel"}
    return {"pixel_scale": [y[0], x[0]], "pixel_unit": x[1]}


def _per_unit(page: Any, name: str) -> float:
    """Pixels per unit from a rational tag; zero if absent."""
    tag = page.tags.get(name)
    try:
        numerator, denominator = tag.value
        return float(numerator) / float(denominator)
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        return 0.0
