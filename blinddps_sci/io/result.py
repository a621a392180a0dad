"""Creating and opening the result store, where every unit writes its shard.

The driver creates a store with `create_result`, workers write through the `ResultStore`, and the
driver ends with `ResultStore.build_pyramid` and `ResultStore.finish`; users open it with
`open_result`, or with xarray, napari and anything else that reads OME-Zarr.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr
import zarr
from numpy.typing import ArrayLike

from blinddps_sci.errors import ConfigError, InputError, OutputError
from blinddps_sci.io.ngff import ome_attributes
from blinddps_sci.io.output_path import output_path_for, store_path_for
from blinddps_sci.io.provenance import RECORD, new_record
from blinddps_sci.io.result_layout import DQ_BITS, Geometry, make_arrays, node_positions
from blinddps_sci.io.result_store import SENTENCES, ResultStore, consolidate

__all__ = [
    "DQ_BITS",
    "ResultStore",
    "create_result",
    "open_result",
    "output_path_for",
    "store_path_for",
]


def create_result(
    path: str | os.PathLike[str],
    *,
    template: xr.Dataset,
    node_y: ArrayLike,
    node_x: ArrayLike,
    frames: int = 1,
    channels: int = 1,
    kernel_size: int = 32,
    shard: int = 1024,
    chunk: int = 256,
    attrs: Mapping[str, Any] | None = None,
    dims: Sequence[str] | None = None,
    tilt_y: ArrayLike | None = None,
    tilt_x: ArrayLike | None = None,
    overwrite: bool = False,
) -> ResultStore:
    """Create an empty result with all its arrays.

    Parameters
    ----------
    path : str or os.PathLike
        Folder of the new store; its parent exists.
    template : xarray.Dataset
        The stack that is restored, from `blinddps_sci.io.open_stack`: gives axes, lengths and facts.
    node_y, node_x : array_like, (n,)
        PSF nodes, 0-based pixels of the image.
    frames, channels, kernel_size : int
        Lengths of these axes of the PSF arrays, and K.
    shard, chunk : int
        Sides in pixels; a unit of work writes one shard. Clipped to the image.
    attrs : mapping, optional
        What the run knows of itself; see `blinddps_sci.io.provenance.new_record`.
    dims : sequence of str, optional
        Axes of the image, if not those of the stack, as (c, y, x) of a burst; a new one has length one.
    tilt_y, tilt_x : array_like, (n,), optional
        Tilt nodes; without them no tilts are kept.
    overwrite : bool
        Whether an existing result may be replaced. It is removed once the new one is ready.

    Returns
    -------
    ResultStore
        Writable, with status ``"running"``.

    Raises
    ------
    OutputError
        If the parent is missing, the path exists and may not be overwritten or is no result, or the
        store cannot be written. Nothing is left behind.
    ConfigError
        If sizes or nodes are not usable.
    """
    target = Path(path).expanduser().absolute()
    _check_target(target, overwrite)
    geometry = Geometry(
        sizes=_sizes(template["data"], dims),
        node_y=node_positions(node_y, "node_y"),
        node_x=node_positions(node_x, "node_x"),
        frames=int(frames),
        channels=int(channels),
        kernel_size=int(kernel_size),
        shard=int(shard),
        chunk=int(chunk),
        tilt_y=None if tilt_y is None else node_positions(tilt_y, "tilt_y"),
        tilt_x=None if tilt_x is None else node_positions(tilt_x, "tilt_x"),
    )
    record = new_record(template.attrs, {**(attrs or {}), "shard": geometry.shard, "chunk": geometry.chunk})
    _make(target, geometry, record)
    return ResultStore(target, "r+")


def _sizes(stack: xr.DataArray, dims: Sequence[str] | None) -> dict[str, int]:
    """Return the axes of the image and their lengths."""
    names = tuple(str(dim) for dim in (stack.dims if dims is None else dims))
    if names[-2:] != ("y", "x"):
        raise ConfigError(f"a result has the axes (..., y, x); got {names}")
    return {name: int(stack.sizes.get(name, 1)) for name in names}


def _make(target: Path, geometry: Geometry, record: Mapping[str, Any]) -> None:
    """Make a new store beside its place, and put it there; nothing is left behind if that fails."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        _write_empty(partial, geometry, record)
        _put_in_place(partial, target)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def open_result(path: str | os.PathLike[str], mode: str = "r") -> ResultStore:
    """Open a result.

    Parameters
    ----------
    path : str or os.PathLike
        Folder of the store, or the FITS or TIFF file that it lies beside.
    mode : {"r", "r+"}
        To read, or also to write.

    Returns
    -------
    ResultStore
        The result.

    Raises
    ------
    InputError
        If there is no result of this package.
    ConfigError
        If the mode is another one.
    """
    if mode not in ("r", "r+"):
        raise ConfigError(f"mode {mode!r} is not one of 'r' and 'r+'")
    given = Path(path).expanduser().absolute()
    beside = given.with_name(f"{given.name}.zarr")
    target = beside if not given.is_dir() and beside.is_dir() else given
    if not (target / "zarr.json").is_file():
        raise InputError(f"{path} is not a result: there is no Zarr store at {target}")
    attrs = zarr.open_group(str(target), mode="r", use_consolidated=False).attrs
    if RECORD not in attrs:
        raise InputError(f"{target} was not written by blinddps-sci: it has no attribute {RECORD!r}")
    return ResultStore(target, mode)


def _write_empty(path: Path, geometry: Geometry, record: Mapping[str, Any]) -> None:
    """Write the metadata of a new store."""
    attributes = {
        "status": "running",
        "status_sentence": SENTENCES["running"],
        "ome": ome_attributes(tuple(geometry.sizes), record),
        RECORD: dict(record),
    }
    root = zarr.create_group(str(path), zarr_format=3, attributes=attributes)
    make_arrays(root, geometry, record)
    consolidate(path)


def _check_target(target: Path, overwrite: bool) -> None:
    """Refuse a place that must not be written."""
    if not target.parent.is_dir():
        raise OutputError(
            f"{target} cannot be made: the folder {target.parent} does not exist; make it first"
        )
    if not target.exists():
        return
    if not overwrite:
        raise OutputError(f"{target} exists; choose another name, resume it, or allow it to be overwritten")
    try:
        open_result(target)
    except (OSError, ValueError, KeyError):
        raise OutputError(
            f"{target} exists and is not a result; it is not overwritten: remove it yourself"
        ) from None


def _put_in_place(partial: Path, target: Path) -> None:
    """Rename a finished folder, replacing an old one."""
    if not target.exists():
        partial.rename(target)
        return
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)
