"""Saving an image layer as OME-Zarr, TIFF or FITS, with its scale, its units and the names of its axes.

A restored image that nobody has changed is exported by the library, with all that its result says of it.
A file that napari's dialog has asked about is replaced, at once and as a whole; a folder never is, and
neither is a file whose name the dialog has not seen because its suffix was missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_plugin.saved_layer import is_restored_image, placement_of, turned

__all__ = ["write_fits", "write_tiff", "write_zarr"]


def write_zarr(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Save an image layer as OME-Zarr 0.5; a whole result, where the layer is its restored image.

    Parameters
    ----------
    path : str
        Folder; ``.zarr`` is added if it is missing.
    data : array or sequence of arrays
        Of the layer; of a pyramid the first is saved, and a new pyramid is made.
    attributes : mapping
        The layer's.

    Returns
    -------
    list of str
        The path written.

    Raises
    ------
    BlindDpsError
        If the path exists, cannot be written, or the format has no place for the layer's axes.
    """
    return _write(path, data, attributes, (".zarr",))


def write_tiff(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Save an image layer as TIFF: for ImageJ, or OME-TIFF by the name ``.ome.tif``; see `write_zarr`."""
    return _write(path, data, attributes, (".tif", ".tiff"))


def write_fits(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Save an image layer as FITS, with the WCS of the file it was opened from; see `write_zarr`."""
    return _write(path, data, attributes, (".fits", ".fit"))


def _write(path: str, data: Any, attributes: Mapping[str, Any], suffixes: Sequence[str]) -> list[str]:
    """Save or export a layer."""
    from blinddps_sci import open_result, save_image

    metadata = attributes.get("metadata") or {}
    target = _target(path, suffixes, metadata.get("path"))
    image = data[0] if attributes.get("multiscale") else data
    if is_restored_image(image, attributes) and _export(open_result(metadata["path"]), target):
        return [str(target)]
    if turned(attributes):
        from napari.utils.notifications import show_warning

        show_warning(f"{target.name} keeps scale and position, not how the layer is rotated or sheared")
    image, axes = placement_of(image, attributes)
    cards = str(metadata.get("wcs_header") or "")
    save_image(image, target, axes, unit=str(metadata.get("unit") or ""), wcs=cards, overwrite=True)
    return [str(target)]


def _target(path: str, suffixes: Sequence[str], source: str | None) -> Path:
    """Name of the file, with its suffix, if it may be written."""
    from blinddps_sci.errors import OutputError

    target = Path(path).expanduser().absolute()
    if not target.name.lower().endswith(tuple(suffixes)):
        target = target.with_name(f"{target.name}{suffixes[0]}")
        if target.exists():
            raise OutputError(f"{target} exists; choose another name, or give this one whole to replace it")
    if source is not None and target.exists() and target.samefile(source):
        raise OutputError(f"{target} is what the layer is read from; choose another name")
    return target


def _export(store: Any, target: Path) -> bool:
    """Export a result with its provenance; say no to a Zarr copy of one that is not finished."""
    from blinddps_sci.engine.restore import copy_result, exporter_for

    if target.suffix.lower() != ".zarr":
        exporter_for(target)(store, target, overwrite=True)
        return True
    if store.status != "complete":
        return False
    copy_result(store, target)
    return True
