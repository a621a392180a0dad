"""An open result: its status, its arrays, and the writing of units, PSFs and figures into it.

`blinddps_sci.io.result` makes it; workers write to keys of their own, and users read it with xarray.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import xarray as xr
import zarr
from numpy.typing import ArrayLike
from zarr.errors import ZarrUserWarning

from blinddps_sci.errors import OutputError
from blinddps_sci.io.ngff import ome_attributes
from blinddps_sci.io.provenance import RECORD, interval_95, plain
from blinddps_sci.io.pyramid import add_levels, damaged_levels
from blinddps_sci.io.result_layout import add_trajectory
from blinddps_sci.io.shards import write_keys

__all__ = ["SENTENCES", "ResultStore", "Status", "consolidate"]

SENTENCES = {"running": "The run has not finished.", "complete": "The run is complete."}
"""The statuses, and what is said if nothing better is known."""

Status = Literal["running", "complete"]
Nodes = int | slice


@dataclass(frozen=True)
class ResultStore:
    """A result on disk. It holds a path, no data, and may be pickled.

    Attributes
    ----------
    path : Path
        Folder of the Zarr v3 group.
    mode : str
        ``"r"`` to read, ``"r+"`` to write.

    Notes
    -----
    Every write replaces whole keys, each owned by one writer: an old or torn shard is deleted before
    the new one is written, because Zarr would read it first. A shard that holds nothing but the fill
    value (NaN; `no_result` in `dq`) has no key, so the keys do not tell what has been computed.
    """

    path: Path
    mode: str = "r"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "mode": self.mode}

    @property
    def status(self) -> str:
        """``"running"`` or ``"complete"``."""
        return str(self._root().attrs["status"])

    @property
    def sentence(self) -> str:
        """The status as a sentence."""
        return str(self._root().attrs["status_sentence"])

    @property
    def attrs(self) -> dict[str, Any]:
        """Record of the run and of its input: what `create_result` was given, as plain values."""
        record: Any = self._root().attrs[RECORD]
        return dict(record)

    @property
    def dims(self) -> tuple[str, ...]:
        """Axes of the image, out of (t, c, z, y, x)."""
        return tuple(str(name) for name in self.array("scale0/image").metadata.dimension_names)

    def array(self, name: str) -> Any:
        """Open one array, such as ``"scale0/image"``, ``"psf/kernel"`` or ``"quality/chi2"``.

        Returns
        -------
        zarr.Array
            Writable if the store is.

        Raises
        ------
        OutputError
            If the store has no such array.
        """
        try:
            array = self._arrays[name]
        except KeyError:
            array = self._root().get(name)
            if not isinstance(array, zarr.Array):
                raise OutputError(f"{self.path} has no array {name!r}") from None
            self._arrays[name] = array
        return array

    def write_region(self, name: str, index: Mapping[str, int], y: slice, x: slice, array: ArrayLike) -> None:
        """Write whole shards of one image plane.

        Parameters
        ----------
        name : {"image", "std", "dq"}
            Array of ``scale0``; also written ``"scale0/image"``...
        index : mapping of str to int
            Position on each of the axes t, c and z that the image has.
        y, x : slice
            Rows and columns; they start on a shard's edge and end on one or on the image's.
        array : array_like, (h, w)
            float32 in the data's unit; for `dq` a sum of `DQ_BITS`.

        Raises
        ------
        OutputError
            If the region is not one of whole shards, the index or the shape does not fit, or the
            store is read-only or cannot be written.
        """
        name = name.removeprefix("scale0/")
        if name not in ("image", "std", "dq"):
            raise OutputError(f"{name!r} is not an image of the result; write image, std or dq")
        lead = self.dims[:-2]
        if set(index) != set(lead):
            raise OutputError(f"index {dict(index)} is not one plane: give a position on each of {lead}")
        self._write(f"scale0/{name}", (*(index[dim] for dim in lead), y, x), array)

    def write_psf(
        self, frame: int, channel: int, iy: Nodes, ix: Nodes, kernel: ArrayLike, std: ArrayLike | None = None
    ) -> None:
        """Write the PSFs of the nodes of whole keys: of those that lie in a shard.

        Parameters
        ----------
        frame, channel : int
            Which plane.
        iy, ix : int or slice
            Which nodes.
        kernel : array_like, (n_y, n_x, K, K)
            Non-negative, sum one, centre at ``K // 2``; stored as float32. An integer has no axis here.
        std : array_like, (n_y, n_x, K, K), optional
            Its standard deviation.

        Raises
        ------
        OutputError
            If there are no such nodes, they share a key with others, the shape is wrong, or the store
            cannot be written.
        """
        for name, values in (("psf/kernel", kernel), ("psf/std", std)):
            if values is not None:
                self._write(name, (frame, channel, iy, ix, slice(None), slice(None)), values)

    def write_quality(self, frame: int, channel: int, iy: Nodes, ix: Nodes, **figures: ArrayLike) -> None:
        """Write figures of the tiles of whole keys; see `write_psf`.

        Parameters
        ----------
        frame, channel : int
            Which plane.
        iy, ix : int or slice
            Which tiles.
        **figures : array_like, (n_y, n_x)
            ``chi2`` and, of a burst, ``weight``.

        Raises
        ------
        OutputError
            As `write_psf`.
        """
        for name, values in figures.items():
            self._write(f"quality/{name}", (frame, channel, iy, ix), values)

    def write_tilt(self, frame: int, iy: Nodes, ix: Nodes, displacement: ArrayLike) -> None:
        """Write the tilts of the nodes of whole keys; see `write_psf`.

        Parameters
        ----------
        frame, iy, ix : int, int or slice, int or slice
            Which frame, which nodes.
        displacement : array_like, (n_y, n_x, 2)
            (dy, dx) in pixels.

        Raises
        ------
        OutputError
            As `write_psf`, or if the store keeps no tilts.
        """
        self._write("tilt/displacement", (frame, iy, ix, slice(None)), displacement)

    def write_trajectory(self, images: ArrayLike, kernels: ArrayLike, sigmas: ArrayLike) -> None:
        """Keep how the estimates of the first unit came about, as the group ``trajectory``.

        Parameters
        ----------
        images : array_like, (steps, h, w)
            Estimates of the image in the data's unit.
        kernels : array_like, (steps, ..., K, K)
            Estimates of the kernels; may be empty.
        sigmas : array_like, (steps,)
            Noise level of each.

        Raises
        ------
        OutputError
            If the store is read-only or cannot be written.
        """
        root = self._root(writing=True)
        try:
            add_trajectory(root, images, kernels, sigmas)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror or error}") from error
        consolidate(self.path)

    def update_attrs(self, **attrs: Any) -> None:
        """Add to the record of the run.

        Parameters
        ----------
        **attrs
            Numbers, text, lists and mappings; they replace entries of the same name.

        Raises
        ------
        OutputError
            If the store is read-only, or a value cannot be stored.
        """
        root = self._root(writing=True)
        root.attrs[RECORD] = {**self.attrs, **plain(attrs)}
        consolidate(self.path)

    def set_status(self, status: Status, sentence: str | None = None) -> None:
        """Say how the run stands.

        Parameters
        ----------
        status : {"running", "complete"}
            For programs.
        sentence : str, optional
            For people.

        Raises
        ------
        OutputError
            If the status is another one or the store cannot be written.
        """
        if status not in SENTENCES:
            raise OutputError(f"status {status!r} is not one of {', '.join(SENTENCES)}")
        self._root(writing=True).attrs.update(
            {"status": status, "status_sentence": sentence or SENTENCES[status]}
        )
        consolidate(self.path)

    def build_pyramid(self) -> int:
        """Make the levels ``scale1``... of image and std, and name them in the OME metadata.

        Returns
        -------
        int
            Number of levels, the full resolution included; the last is no larger than 512 pixels.
            Levels that are there already are made anew.

        Raises
        ------
        OutputError
            If the store is read-only or cannot be written.
        """
        root, record = self._root(writing=True), self.attrs
        try:
            levels = add_levels(root, record, int(record["shard"]), int(record["chunk"]))
            root.attrs["ome"] = ome_attributes(self.dims, record, levels)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror or error}") from error
        consolidate(self.path)
        return levels

    def damaged_levels(self) -> dict[str, str]:
        """Return the arrays of the levels ``scale1``... that are not the means of the level before.

        Returns
        -------
        dict of str to str
            Their names, and what is wrong with them; `build_pyramid` makes them anew.
        """
        return dict(damaged_levels(self._root()))

    def finish(self, sentence: str | None = None) -> None:
        """Mark the result complete.

        Parameters
        ----------
        sentence : str, optional
            What came out, such as that three units are quarantined.

        Notes
        -----
        Files of interrupted writes are removed, and metadata are consolidated, so that opening the
        store reads one file.
        """
        for leftover in self.path.rglob("*.partial"):
            leftover.unlink(missing_ok=True)
        self.set_status("complete", sentence)

    def dataset(self, chunks: Any = None) -> xr.Dataset:
        """Open the full resolution for xarray; nothing is read.

        Parameters
        ----------
        chunks : optional
            As of `xarray.open_zarr`: None for lazy arrays without Dask, ``{}`` for Dask arrays.

        Returns
        -------
        xarray.Dataset
            `image`, `std` (float32; its `interval_95` is half that interval over it) and `dq` (uint16), with
            coordinates y and x in 0-based pixels, and c if the channels have names. Attributes: those of the
            stack (`unit`, `pixel_scale`, `wcs_header`...), `status` and the run's `fingerprint`.
        """
        opened = self._open_group("scale0", chunks)
        record = self.attrs
        opened.attrs.update({"status": self.status, "fingerprint": record.get("fingerprint", "")})
        if wide := interval_95(record):
            opened["std"].attrs["interval_95"] = wide
        names = record.get("channel_names") or []
        if "c" in opened.sizes and len(names) == opened.sizes["c"]:
            opened = opened.assign_coords(c=list(names))
        return opened

    def psf(self) -> xr.Dataset:
        """Open the PSFs for xarray.

        Returns
        -------
        xarray.Dataset
            `kernel`, `std` (frame, channel, node_y, node_x, ky, kx); `position` (node_y, node_x, 2), (y, x).
        """
        return self._open_group("psf", None)

    def quality(self) -> xr.Dataset:
        """Open the figures of every tile for xarray.

        Returns
        -------
        xarray.Dataset, float32, (frame, channel, tile_y, tile_x)
            Reduced ``chi2``; of a burst ``weight``, one on average. NaN where nothing was restored.
        """
        return self._open_group("quality", None)

    def tilt(self) -> xr.Dataset | None:
        """Open the tilts for xarray.

        Returns
        -------
        xarray.Dataset or None
            `displacement` (frame, node_y, node_x, 2) as (dy, dx) in pixels and `position`; None if
            the result has no tilts.
        """
        return self._open_group("tilt", None) if "tilt" in self._root() else None

    @cached_property
    def _arrays(self) -> dict[str, Any]:
        return {}

    def _root(self, *, writing: bool = False) -> zarr.Group:
        if writing and self.mode == "r":
            raise OutputError(f"{self.path} is open for reading only; open it with mode='r+'")
        mode: Literal["r", "r+"] = "r" if self.mode == "r" else "r+"
        return zarr.open_group(str(self.path), mode=mode, use_consolidated=False)

    def _open_group(self, name: str, chunks: Any) -> xr.Dataset:
        opened: xr.Dataset = xr.open_zarr(
            str(self.path), group=name, chunks=chunks, consolidated=False, decode_timedelta=False
        )
        return opened

    def _write(self, name: str, key: tuple[int | slice, ...], values: ArrayLike) -> None:
        if self.mode == "r":
            raise OutputError(f"{self.path} is open for reading only; open it with mode='r+'")
        write_keys(self.path / name, self.array(name), key, values)


def consolidate(path: Path) -> None:
    """Copy the metadata of all arrays into the group, so that opening the store reads one file.

    Parameters
    ----------
    path : Path
        Folder of the store.
    """
    with warnings.catch_warnings():
        # It is not part of the Zarr v3 specification yet; readers without it read the arrays' own files.
        warnings.simplefilter("ignore", ZarrUserWarning)
        zarr.consolidate_metadata(str(path))
