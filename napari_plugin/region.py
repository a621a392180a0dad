"""Which part of an image is meant: a drawn rectangle or what the window shows, as pixels of the layer.

Layers are known by what they offer (``world_to_data``, ``corner_pixels``...), so that no display is needed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from blinddps_sci.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SMALLEST", "Region", "middle_of", "region_of_rectangle", "region_of_view", "region_text", "sides"]

Region = tuple[tuple[int, int], tuple[int, int]]
"""((y0, y1), (x0, x1)): half-open rows and columns, 0-based."""

SMALLEST = 8
"""Pixels that a side has at least."""


def region_text(region: Region) -> str:
    """Return a region as the library's option: ``y0:y1,x0:x1``."""
    return ",".join(f"{start}:{stop}" for start, stop in region)


def sides(region: Region) -> tuple[int, int]:
    """Return height and width of a region in pixels."""
    (y0, y1), (x0, x1) = region
    return y1 - y0, x1 - x0


def region_of_rectangle(layer: Any, shapes: Any) -> Region:
    """Return the pixels of a layer that a shape covers: the selected one, else the last one drawn.

    Parameters
    ----------
    layer : napari.layers.Image
        What is to be restored.
    shapes : napari.layers.Shapes
        Where it was drawn; it may have another scale and fewer axes.

    Raises
    ------
    InputError
        If there is no shape, or it does not cover at least 8 x 8 pixels of the layer.
    """
    if not len(shapes.data):
        raise InputError(f"layer {shapes.name!r} holds no shape; draw a rectangle in it")
    chosen = sorted(shapes.selected_data) or [len(shapes.data) - 1]
    corners = [layer.world_to_data(shapes.data_to_world(vertex))[-2:] for vertex in shapes.data[chosen[-1]]]
    return _clipped(corners, _plane_of(layer), f"the shape in {shapes.name!r}")


def region_of_view(layer: Any) -> Region:
    """Return the pixels of a layer that the window shows.

    Raises
    ------
    InputError
        If it shows less than 8 x 8 of them.
    """
    # Of a layer with several levels these are the first and the last pixel at the level that is shown.
    factors = layer.downsample_factors[layer.data_level][-2:] if layer.multiscale else (1.0, 1.0)
    first, last = (corner[-2:] for corner in layer.corner_pixels)
    low = [n * factor for n, factor in zip(first, factors, strict=True)]
    high = [(n + 1) * factor - 1 for n, factor in zip(last, factors, strict=True)]
    return _clipped([low, high], _plane_of(layer), "the current view")


def middle_of(region: Region, side: int) -> Region:
    """Return the middle of a region, no side of it longer than so many pixels."""

    def shorten(start: int, stop: int) -> tuple[int, int]:
        first = start + max(stop - start - side, 0) // 2
        return first, min(first + side, stop)

    return shorten(*region[0]), shorten(*region[1])


def _plane_of(layer: Any) -> tuple[int, int]:
    data = layer.data[0] if layer.multiscale else layer.data
    height, width = data.shape[-2:]
    return int(height), int(width)


def _clipped(corners: Iterable[Any], plane: tuple[int, int], what: str) -> Region:
    """Return the pixels that the box about some points touches; a pixel's centre has a whole number."""
    spans = []
    for values, length in zip(zip(*corners, strict=True), plane, strict=True):
        low, high = min(values), max(values)
        start, stop = math.floor(low + 0.5), math.ceil(high + 0.5)
        spans.append((min(max(start, 0), length), min(max(stop, 0), length)))
    region = (spans[0], spans[1])
    if min(sides(region)) < SMALLEST:
        raise InputError(
            f"{what} covers less than {SMALLEST} x {SMALLEST} pixels of the image; make it larger"
        )
    return region
