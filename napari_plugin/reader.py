"""Opening a result in napari: which folders are results, and nothing else.

Nothing but the standard library is imported until a result is opened, and no Qt at all: napari calls
`get_reader` for every ``.zarr`` that is dropped on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from napari_plugin.result_layers import LayerData, layers_of

__all__ = ["LayerData", "get_reader", "read_result"]

Reader = Callable[[Any], list[LayerData]]


def get_reader(path: str | PathLike[str] | Sequence[str]) -> Reader | None:
    """Say whether this plugin opens a path.

    Parameters
    ----------
    path : str, os.PathLike or list of str
        What was dropped on napari.

    Returns
    -------
    callable or None
        `read_result` for a result store of blinddps-sci; None for anything else, other Zarr included.
    """
    if not isinstance(path, str | PathLike):
        if len(path) != 1:
            return None
        path = path[0]
    try:
        metadata = json.loads(Path(path, "zarr.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    attributes = metadata.get("attributes") if isinstance(metadata, dict) else None
    return read_result if isinstance(attributes, dict) and "blinddps" in attributes else None


def read_result(path: str | PathLike[str] | Sequence[str]) -> list[LayerData]:
    """Open a result as napari layers.

    Parameters
    ----------
    path : str, os.PathLike or list of str
        One result store, finished or at work.

    Returns
    -------
    list of (data, dict, str)
        As `layers_of`.
    """
    return layers_of(path if isinstance(path, str | PathLike) else path[0])
