"""Choosing a channel and a region of a stack, lazily and with its world coordinates kept right.

`open_stack` calls these after a reader has opened the whole file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr

from blinddps_sci.errors import InputError
from blinddps_sci.io.axes import MIN_SIDE

__all__ = ["Region", "crop", "parse_region", "select_channel"]

Region = tuple[tuple[int, int], tuple[int, int]]
"""((y0, y1), (x0, x1)): half-open rows and columns, 0-based."""

_ALLOWED = "give y0:y1,x0:x1 in whole 0-based pixels, half-open, such as 0:512,128:640"


def parse_region(region: str | Sequence[Any], height: int, width: int) -> Region:
    """Read a region and check it against the image.

    Parameters
    ----------
    region : str or sequence
        ``"y0:y1,x0:x1"``, where an omitted end means the image's, or ((y0, y1), (x0, x1)).
    height, width : int
        Size of the image in pixels.

    Returns
    -------
    tuple of (int, int)
        ((y0, y1), (x0, x1)).

    Raises
    ------
    InputError
        If it cannot be read, reaches outside the image or is smaller than 8 x 8.
    """
    try:
        parts: Sequence[Any] = region.split(",") if isinstance(region, str) else region
        rows, columns = parts
        y, x = (_span(part, size) for part, size in ((rows, height), (columns, width)))
    except (ValueError, TypeError) as error:
        raise InputError(f"region {region!r} cannot be read; {_ALLOWED}") from error
    for (start, stop), size in ((y, height), (x, width)):
        if not 0 <= start < stop <= size:
            raise InputError(
                f"region {region!r} does not lie in the image of {height} x {width} pixels; {_ALLOWED}"
            )
    if min(y[1] - y[0], x[1] - x[0]) < MIN_SIDE:
        raise InputError(f"region {region!r} is smaller than {MIN_SIDE} x {MIN_SIDE} pixels")
    return y, x


def crop(stack: xr.Dataset, region: str | Sequence[Any]) -> xr.Dataset:
    """Crop a stack.

    Parameters
    ----------
    stack : xarray.Dataset
        From a reader.
    region : str or sequence
        See `parse_region`.

    Returns
    -------
    xarray.Dataset
        Nothing is read. CRPIX in `wcs_header` moves with the crop, so that every pixel keeps its
        position on the sky; `region` holds [[y0, y1], [x0, x1]] in pixels of the file, `origin` the place of
        the first pixel in `pixel_unit`.
    """
    sizes = stack["data"].sizes
    (y0, y1), (x0, x1) = parse_region(region, sizes["y"], sizes["x"])
    part = stack.isel(y=slice(y0, y1), x=slice(x0, x1))
    before = stack.attrs.get("region", [[0, 0], [0, 0]])
    oy, ox = before[0][0], before[1][0]
    part.attrs = {**stack.attrs, "region": [[oy + y0, oy + y1], [ox + x0, ox + x1]]}
    step, origin = stack.attrs.get("pixel_scale", [1.0, 1.0]), dict(stack.attrs.get("origin", {}))
    for name, first, size in (("y", y0, step[0]), ("x", x0, step[1])):
        origin[name] = origin.get(name, 0.0) + first * size
    part.attrs["origin"] = origin
    if "wcs_header" in stack.attrs:
        from blinddps_sci.io.wcs import shift_wcs

        part.attrs["wcs_header"] = shift_wcs(stack.attrs["wcs_header"], y0, x0)
    return part


def select_channel(stack: xr.Dataset, channel: int | str) -> xr.Dataset:
    """Take one channel.

    Parameters
    ----------
    stack : xarray.Dataset
        From a reader.
    channel : int or str
        0-based position, or a name out of `channel_names`.

    Returns
    -------
    xarray.Dataset
        Without the axis `c`; `channel` holds the name or position.

    Raises
    ------
    InputError
        If the stack has no channels, or not this one.
    """
    if "c" not in stack["data"].dims:
        raise InputError(
            f"channel {channel!r} was asked for, but the input has the axes {stack['data'].dims} only"
        )
    names = list(stack.attrs.get("channel_names", []))
    count = stack["data"].sizes["c"]
    text = str(channel).strip()
    if isinstance(channel, str) and text in names:
        position = names.index(text)
    elif text.isdecimal() and int(text) < count:
        position = int(text)
    else:
        known = f" named {', '.join(names)}" if names else ""
        raise InputError(f"there is no channel {channel!r}; the input has {count} (0 to {count - 1}){known}")
    one = stack.isel(c=position, drop=True)
    one.attrs = {k: v for k, v in stack.attrs.items() if k != "channel_names"}
    one.attrs["channel"] = names[position] if names else position
    return one


def _span(part: Any, size: int) -> tuple[int, int]:
    """One axis of a region."""
    if isinstance(part, str):
        start, stop = part.split(":")
        return int(start) if start.strip() else 0, int(stop) if stop.strip() else size
    if isinstance(part, slice):
        return part.indices(size)[:2]
    start, stop = part
    if int(start) != start or int(stop) != stop:
        raise ValueError(part)
    return int(start), int(stop)
