"""What OME-Zarr says of an image's look and place beyond what a stack keeps: origin, time step, channels.

Only the JSON of the group is read; whatever is missing or damaged there is left to napari's defaults.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

__all__ = ["OmeDisplay", "read_display"]

_TIMES = ("nanosecond", "microsecond", "millisecond", "second", "minute", "hour", "day")


@dataclass(frozen=True)
class OmeDisplay:
    """What is known of an image.

    Attributes
    ----------
    origin : dict of str to float
        Where the first pixel lies along an axis, in pixels.
    time : tuple of (float, str)
        Step along t and its unit; one pixel if it is not said.
    channels : tuple of dict
        napari's options for each channel: `name`, `colormap`, `contrast_limits`, `visible`.
    """

    origin: Mapping[str, float] = field(default_factory=dict)
    time: tuple[float, str] = (1.0, "pixel")
    channels: tuple[Mapping[str, Any], ...] = ()


def read_display(path: str | PathLike[str]) -> OmeDisplay:
    """Read what an OME-Zarr group says.

    Parameters
    ----------
    path : str or os.PathLike
        A group of version 0.4 or 0.5, or a bioformats2raw container.

    Returns
    -------
    OmeDisplay
        Empty for anything else.
    """
    try:
        ome = _metadata(Path(path))
        return OmeDisplay(*_placed(ome), tuple(map(_channel, ome.get("omero", {}).get("channels", ()))))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, ZeroDivisionError):
        return OmeDisplay()


def _metadata(folder: Path) -> Mapping[str, Any]:
    """Attributes of the group that holds the image."""
    if (folder / "zarr.json").is_file():
        attributes = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    else:
        attributes = json.loads((folder / ".zattrs").read_text(encoding="utf-8"))
    ome: Mapping[str, Any] = attributes.get("ome", attributes)
    return _metadata(folder / "0") if "bioformats2raw.layout" in ome and "multiscales" not in ome else ome


def _placed(ome: Mapping[str, Any]) -> tuple[dict[str, float], tuple[float, str]]:
    """Origin and time step of the level of full resolution."""
    image = ome["multiscales"][0]
    axes = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in image["axes"]]
    scale, first = [1.0] * len(axes), [0.0] * len(axes)
    # In the order they are applied: those of the level, then those of the image.
    for holder in (image["datasets"][0], image):
        for transform in holder.get("coordinateTransformations") or ():
            for i, value in enumerate(transform.get(transform["type"], ())):
                if transform["type"] == "scale":
                    scale[i], first[i] = scale[i] * value, first[i] * value
                elif transform["type"] == "translation":
                    first[i] += value
    names = [str(axis["name"]).lower() for axis in axes]
    time = (1.0, "pixel")
    if "t" in names and axes[names.index("t")].get("unit") in _TIMES:
        time = (float(scale[names.index("t")]), axes[names.index("t")]["unit"])
    return {name: first[i] / scale[i] for i, name in enumerate(names)}, time


def _channel(channel: Mapping[str, Any]) -> dict[str, Any]:
    """Options for one channel, from OMERO's rendering settings."""
    options: dict[str, Any] = {}
    if channel.get("label"):
        options["name"] = str(channel["label"])
    colour = str(channel.get("color", ""))
    if len(colour) == 6 and set(colour.lower()) <= set("0123456789abcdef"):
        options["colormap"] = f"#{colour}"
    window = channel.get("window") or {}
    if "start" in window and "end" in window and window["start"] < window["end"]:
        options["contrast_limits"] = (float(window["start"]), float(window["end"]))
    if "active" in channel:
        options["visible"] = bool(channel["active"])
    return options
