"""The arrays of a result store: names, axes, shards and fill values, in one place.

`blinddps_sci.io.result.create_result` makes them through `make_arrays`; the pyramid adds levels with
the same `make_level`. Empty shards are not stored: what was never written reads as fill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from blinddps_sci.errors import ConfigError

__all__ = [
    "DQ_BITS",
    "Geometry",
    "add_trajectory",
    "blocks",
    "make_arrays",
    "make_level",
    "node_positions",
    "nodes_per_key",
]

DQ_BITS = {"masked_input": 1, "saturated": 2, "no_result": 4}
"""Bits of `dq`: the input pixel was masked; it was saturated; there is no result here, because the
unit is quarantined or has not been restored. The last is the fill value."""

PSF_DIMS = ("frame", "channel", "node_y", "node_x", "ky", "kx")
TILE_DIMS = ("frame", "channel", "tile_y", "tile_x")


@dataclass(frozen=True)
class Geometry:
    """Sizes of a result.

    Attributes
    ----------
    sizes : dict of str to int
        Axes of the image, in order, and their lengths.
    node_y, node_x : ndarray, float64, (n,)
        PSF nodes in 0-based pixels of the image.
    frames, channels, kernel_size : int
        Of the PSF arrays.
    shard, chunk : int
        Sides in pixels; a shard holds whole chunks.
    tilt_y, tilt_x : ndarray, float64, (n,), or None
        Tilt nodes, if tilts are kept.
    """

    sizes: Mapping[str, int]
    node_y: np.ndarray[Any, np.dtype[np.float64]]
    node_x: np.ndarray[Any, np.dtype[np.float64]]
    frames: int
    channels: int
    kernel_size: int
    shard: int
    chunk: int
    tilt_y: np.ndarray[Any, np.dtype[np.float64]] | None = None
    tilt_x: np.ndarray[Any, np.dtype[np.float64]] | None = None

    def __post_init__(self) -> None:
        for name in ("frames", "channels", "kernel_size", "shard", "chunk"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.shard % self.chunk:
            raise ConfigError(
                f"a shard of {self.shard} pixels does not hold whole chunks of {self.chunk}; "
                "choose a chunk that divides the shard"
            )
        if (self.tilt_y is None) != (self.tilt_x is None):
            raise ConfigError("tilt nodes need both tilt_y and tilt_x")


def node_positions(values: Any, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Check the positions of nodes along one axis.

    Parameters
    ----------
    values : array_like, (n,)
        0-based pixels.
    name : str
        Named in errors.

    Returns
    -------
    ndarray, float64, (n,)
        The same.

    Raises
    ------
    ConfigError
        If they are not finite and strictly increasing.
    """
    nodes = np.atleast_1d(np.asarray(values, np.float64))
    if nodes.ndim != 1 or nodes.size == 0 or not np.isfinite(nodes).all() or (np.diff(nodes) <= 0).any():
        raise ConfigError(f"{name} must be finite, strictly increasing pixel positions; got {values!r}")
    return nodes


def nodes_per_key(nodes: np.ndarray[Any, np.dtype[np.float64]], shard: int) -> int:
    """Nodes along an axis that may share a key, because whoever writes a shard writes all that lie in it.

    Parameters
    ----------
    nodes : ndarray, float64, (n,)
        From `node_positions`.
    shard : int
        Side in pixels.

    Returns
    -------
    int
        The nodes of a shard, if all shards have as many, the last one perhaps fewer; else one.
    """
    _, counts = np.unique(nodes // shard, return_counts=True)
    alike = (counts[:-1] == counts[0]).all() and counts[-1] <= counts[0]
    return int(counts[0]) if alike else 1


def blocks(length: int, shard: int, chunk: int) -> tuple[int, int]:
    """Shard and chunk along an axis, no larger than they need be.

    Parameters
    ----------
    length : int
        Of the axis.
    shard, chunk : int
        As configured.

    Returns
    -------
    shard, chunk : int
        The whole axis for one no longer than a chunk; else a shard of whole chunks.
    """
    if length <= chunk:
        return length, length
    return min(shard, math.ceil(length / chunk) * chunk), chunk


def make_arrays(root: zarr.Group, geometry: Geometry, facts: Mapping[str, Any]) -> None:
    """Create every array of a new result; no pixel is written but the positions of nodes.

    Parameters
    ----------
    root : zarr.Group
        Empty and writable.
    geometry : Geometry
        Sizes.
    facts : mapping
        Attributes of the stack, for units.
    """
    make_level(root, 0, geometry.sizes, geometry.shard, geometry.chunk, facts)
    grid = (geometry.frames, geometry.channels, geometry.node_y.size, geometry.node_x.size)
    key = (1, 1, *(nodes_per_key(nodes, geometry.shard) for nodes in (geometry.node_y, geometry.node_x)))
    size = geometry.kernel_size
    psf = root.create_group("psf")
    for name, what in (("kernel", "posterior mean PSF, sum one"), ("std", "posterior standard deviation")):
        _float_array(psf, name, (*grid, size, size), (*key, size, size), None, PSF_DIMS, {"long_name": what})
    _positions(psf, geometry.node_y, geometry.node_x)
    quality = root.create_group("quality")
    figures = {"chi2": "reduced chi-squared of the tile"}
    if geometry.tilt_y is not None:
        figures["weight"] = "how much the frame tells of the tile, one on average"
    for name, what in figures.items():
        _float_array(quality, name, grid, key, None, TILE_DIMS, {"long_name": what})
    if geometry.tilt_y is not None and geometry.tilt_x is not None:
        tilt = root.create_group("tilt")
        shape = (geometry.frames, geometry.tilt_y.size, geometry.tilt_x.size, 2)
        attrs = {"long_name": "displacement (dy, dx)", "units": "pixel"}
        shared = [nodes_per_key(nodes, geometry.shard) for nodes in (geometry.tilt_y, geometry.tilt_x)]
        chunk = (1, *shared, 2)
        _float_array(tilt, "displacement", shape, chunk, None, ("frame", "node_y", "node_x", "yx"), attrs)
        _positions(tilt, geometry.tilt_y, geometry.tilt_x)


def make_level(
    root: zarr.Group, level: int, sizes: Mapping[str, int], shard: int, chunk: int, facts: Mapping[str, Any]
) -> None:
    """Create the group of one level: image, std, at full resolution dq, and coordinates.

    Parameters
    ----------
    root : zarr.Group
        The result.
    level : int
        0 for full resolution.
    sizes : mapping of str to int
        Axes and lengths at this level.
    shard, chunk : int
        Sides in pixels.
    facts : mapping
        Attributes of the stack, for units.

    Notes
    -----
    The coordinates y and x are in pixels of the full resolution, so that levels lie on each other.
    """
    shared = ("unit", "pixel_scale", "pixel_unit", "z_scale", "region", "channel_names", "wcs_header")
    attrs = {key: facts[key] for key in shared if key in facts} if level == 0 else {}
    group = root.create_group(f"scale{level}", attributes=attrs)
    dims = tuple(sizes)
    shape = tuple(sizes.values())
    sides = {dim: blocks(sizes[dim], shard, chunk) for dim in ("y", "x")}
    shards = tuple(sides[dim][0] if dim in sides else 1 for dim in dims)
    chunks = tuple(sides[dim][1] if dim in sides else 1 for dim in dims)
    unit = {"units": facts["unit"]} if facts.get("unit") else {}
    names = {"image": "restored image", "std": "posterior standard deviation"}
    for name, what in names.items():
        _float_array(group, name, shape, chunks, shards, dims, {"long_name": what, **unit})
    if level == 0:
        flags: dict[str, Any] = {
            "long_name": "data quality",
            "flag_masks": list(DQ_BITS.values()),
            "flag_meanings": " ".join(DQ_BITS),
        }
        group.create_array(
            "dq",
            shape=shape,
            dtype="uint16",
            chunks=chunks,
            shards=shards,
            fill_value=DQ_BITS["no_result"],
            dimension_names=dims,
            attributes=flags,
        )
    for dim, word in (("y", "row"), ("x", "column")):
        values = np.arange(sizes[dim]) * 2.0**level + (2.0**level - 1.0) / 2.0
        _coordinate(group, dim, values, f"{word}, 0-based, at full resolution")


def add_trajectory(root: zarr.Group, images: Any, kernels: Any, sigmas: Any) -> None:
    """Add the group ``trajectory``, replacing one that is there.

    Parameters
    ----------
    root : zarr.Group
        The result.
    images : array_like, (steps, h, w)
        Estimates of the image in the data's unit.
    kernels : array_like, (steps, ..., K, K)
        Estimates of the kernels; may be empty.
    sigmas : array_like, (steps,)
        Noise level of each.
    """
    group = root.create_group("trajectory", overwrite=True)
    given: tuple[tuple[str, tuple[str, ...], Any], ...] = (
        ("image", ("y", "x"), images),
        ("kernel", ("ky", "kx"), kernels),
        ("sigma", (), sigmas),
    )
    for name, dims, steps in given:
        values = np.asarray(steps, np.float32)
        if values.size:
            inner = tuple(f"{name}_{axis}" for axis in range(values.ndim - 1 - len(dims)))
            group.create_array(name, data=values, dimension_names=("step", *inner, *dims))


def _float_array(
    group: zarr.Group,
    name: str,
    shape: Sequence[int],
    chunks: Sequence[int],
    shards: Sequence[int] | None,
    dims: Sequence[str],
    attrs: Mapping[str, Any],
) -> None:
    group.create_array(
        name,
        shape=tuple(shape),
        dtype="float32",
        chunks=tuple(chunks),
        shards=None if shards is None else tuple(shards),
        fill_value=float("nan"),
        dimension_names=tuple(dims),
        attributes=dict(attrs),
    )


def _coordinate(group: zarr.Group, name: str, values: Any, what: str) -> None:
    attrs: dict[str, Any] = {"units": "pixel", "long_name": what}
    array = group.create_array(
        name,
        shape=values.shape,
        dtype="float64",
        chunks=values.shape,
        dimension_names=(name,),
        attributes=attrs,
    )
    array[:] = values


def _positions(group: zarr.Group, y: Any, x: Any) -> None:
    """Write the (y, x) of every node."""
    values = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)
    array = group.create_array(
        "position",
        shape=values.shape,
        dtype="float64",
        chunks=values.shape,
        dimension_names=("node_y", "node_x", "yx"),
        attributes={"units": "pixel", "long_name": "0-based (y, x) of the node"},
    )
    array[:] = values
