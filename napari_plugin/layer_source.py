"""What a napari image layer is to the library: the file that it was opened from, or a labelled array.

A file can be named on a command line; an array is written beside the output before a run, so that the
command and a later process find it there. Layers are known by what they offer: no napari is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blinddps_sci.errors import BlindDpsError, InputError

if TYPE_CHECKING:
    import xarray as xr

    from napari_plugin.region import Region

__all__ = ["LayerSource", "axes_of", "part_of", "source_of", "write_input"]

_PLAIN = {2: "yx", 3: "tyx", 4: "tcyx"}
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class LayerSource:
    """A layer, or the planes of it that were chosen.

    Parameters
    ----------
    name : str
        Of the layer.
    source : str or xarray.DataArray
        Path of a file, or the lazy array with its axes and, if known, coordinates in physical units.
    options : mapping
        Options of `blinddps_sci.restore` without which the file is not what the layer shows.
    dims : tuple of str
        Axes of the layer, out of (t, c, z, y, x); also those of which one position was chosen.
    scale, translate, units : mapping of str to float or str
        Placement of the layer along its axes.
    """

    name: str
    source: Any
    options: Mapping[str, Any]
    dims: tuple[str, ...]
    scale: Mapping[str, float]
    translate: Mapping[str, float]
    units: Mapping[str, str]

    @property
    def path(self) -> Path | None:
        """The file; None for an array."""
        return Path(self.source) if isinstance(self.source, str) else None

    def placement(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return scale and units for a layer with some of the axes; nothing if it has others."""
        if not set(labels) <= set(self.dims):
            return {}
        return {
            "scale": [self.scale[dim] for dim in labels],
            "units": [self.units[dim] for dim in labels],
            "axis_labels": tuple(labels),
        }

    def origin(self, labels: Sequence[str], region: Region | None) -> list[float]:
        """Return where the first pixel of a region lies, along some of the axes."""
        first = {"y": 0, "x": 0} if region is None else {"y": region[0][0], "x": region[1][0]}
        return [self.translate.get(d, 0.0) + first.get(d, 0) * self.scale.get(d, 1.0) for d in labels]


def axes_of(layer: Any) -> tuple[str, ...]:
    """Return the axes of an image layer, out of (t, c, z, y, x): as labelled, else as the library counts.

    Raises
    ------
    InputError
        If the layer is no image of real numbers that can be restored.
    """
    if layer.rgb:
        raise InputError(
            f"layer {layer.name!r} is a colour picture; split its channels first: right-click, Split RGB"
        )
    data = _full(layer)
    if data.dtype.kind not in "iuf":
        raise InputError(f"layer {layer.name!r} holds {data.dtype} values; only real numbers can be restored")
    labels = tuple(str(label).lower() for label in layer.axis_labels)
    if set(labels) <= set("tczyx") and len(set(labels)) == data.ndim and labels[-2:] == ("y", "x"):
        return labels
    if data.ndim not in _PLAIN:
        raise InputError(
            f"layer {layer.name!r} has {data.ndim} axes; label them t, c, z, y, x so that they can be told"
        )
    return tuple(_PLAIN[data.ndim])


def source_of(layer: Any, chosen: Mapping[str, int] | None = None) -> LayerSource:
    """Return what is to be restored of an image layer.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer.
    chosen : mapping of str to int, optional
        Positions along the axes t, c and z of which one is to be restored; all of the others.

    Raises
    ------
    InputError
        As `axes_of`.
    """
    dims, chosen = axes_of(layer), dict(chosen or {})
    scale, translate = (
        {dim: float(value) for dim, value in zip(dims, values, strict=True)}
        for values in (layer.scale, layer.translate)
    )
    units = {dim: str(unit) for dim, unit in zip(dims, layer.units, strict=True)}
    found = None if {"t", "z"} & set(chosen) else _file_of(layer, dims)
    if found is not None:
        path, options = found
        options |= {"channel": chosen["c"]} if "c" in chosen else {}
        return LayerSource(layer.name, path, options, dims, scale, translate, units)
    array = _labelled(layer, dims, scale, units)
    array = array.isel({dim: at for dim, at in chosen.items() if dim in dims})
    return LayerSource(layer.name, array, {}, dims, scale, translate, units)


def part_of(source: LayerSource, chosen: Mapping[str, int], region: Region | None) -> xr.Dataset:
    """Return planes and a region of a layer as a lazy stack, whatever it was opened from.

    Raises
    ------
    InputError
        If the file cannot be read any more.
    """
    from blinddps_sci import open_stack

    stack = open_stack(source.source, **source.options)
    here = {dim: [at] for dim, at in chosen.items() if dim in stack["data"].dims}
    stack = stack.isel(here)
    return stack if region is None else open_stack(stack, region=region)


def write_input(array: xr.DataArray, path: Path, region: Region | None = None) -> None:
    """Write an array as OME-Zarr 0.5, of which nothing but a region is computed and takes space.

    Parameters
    ----------
    array : xarray.DataArray
        Of a `LayerSource`.
    path : Path
        The folder; one that is there is replaced, if it is Zarr.
    region : Region, optional
        Rows and columns that will be read.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    import zarr

    from blinddps_sci.errors import OutputError

    if path.exists() and not (path / "zarr.json").is_file():
        raise OutputError(f"{path} exists and is no Zarr folder; choose another output")
    sizes = {str(dim): size for dim, size in array.sizes.items()}
    (y0, y1), (x0, x1) = region or ((0, sizes["y"]), (0, sizes["x"]))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        root = zarr.create_group(str(path), attributes={"ome": _ome(array)}, overwrite=True)
        stored = root.create_array(
            "0",
            shape=array.shape,
            dtype=array.dtype,
            chunks=tuple(min(_CHUNK, n) if dim in "yx" else 1 for dim, n in sizes.items()),
            dimension_names=tuple(sizes),
        )
        planes = [range(n) for dim, n in sizes.items() if dim not in "yx"]
        for plane in _positions(planes):
            for top in range(y0 // _CHUNK * _CHUNK, y1, _CHUNK):
                rows = slice(max(top, y0), min(top + _CHUNK, y1))
                window = (*plane, rows, slice(x0, x1))
                stored[window] = array.variable[window].values
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def _positions(planes: Sequence[range]) -> Any:
    from itertools import product

    return product(*planes)


def _full(layer: Any) -> Any:
    return layer.data[0] if layer.multiscale else layer.data


def _file_of(layer: Any, dims: tuple[str, ...]) -> tuple[str, dict[str, Any]] | None:
    """Return the file that a layer shows all of, and the options it takes; None if there is none."""
    from blinddps_sci import open_stack

    if "fingerprint" in layer.metadata:  # one of the images of a result, which its path does not tell
        return None
    path = layer.metadata.get("path") or layer.source.path
    options = {key: layer.metadata[key] for key in ("hdu", "channel") if layer.metadata.get(key) is not None}
    if path is None or not Path(path).exists():
        return None
    try:
        found = open_stack(path, **options)["data"]
    except BlindDpsError:
        return None
    same = tuple(n for n in found.shape if n != 1) == tuple(n for n in _full(layer).shape if n != 1)
    return (str(Path(path).absolute()), options) if same and set(dims) <= set(found.dims) | {"t"} else None


def _labelled(layer: Any, dims: tuple[str, ...], scale: Mapping[str, float], units: Mapping[str, str]) -> Any:
    """Return the layer's data as a lazy `xarray.DataArray`."""
    import numpy as np
    import xarray as xr

    data = _full(layer)
    if not isinstance(data, np.ndarray) and not hasattr(data, "__dask_graph__"):
        import dask.array as da  # anything else, such as a Zarr array, xarray would read as a whole

        from_array: Any = da.from_array
        data = from_array(data, chunks=getattr(data, "chunks", "auto"))
    coords = {}
    for dim in dims:
        if dim in "zyx" and units[dim] != "pixel":
            steps = np.arange(data.shape[dims.index(dim)]) * scale[dim]
            coords[dim] = xr.Variable(dim, steps, {"units": units[dim]})
    unit = layer.metadata.get("unit")
    return xr.DataArray(data, dims=dims, coords=coords, attrs={"units": unit} if unit else {})


def _ome(array: xr.DataArray) -> dict[str, Any]:
    """Return NGFF 0.5 metadata of one level, with the steps and units of its coordinates."""
    types = {"t": "time", "c": "channel"}
    axes, scale = [], []
    for dim in map(str, array.dims):
        axis = {"name": dim, "type": types.get(dim, "space")}
        step = 1.0
        if dim in array.coords and array.sizes[dim] > 1:
            values = array.coords[dim].values
            step = float(values[1] - values[0])
            axis["unit"] = str(array.coords[dim].attrs["units"])
        axes.append(axis)
        scale.append(step)
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    return {"version": "0.5", "multiscales": [{"name": "input", "axes": axes, "datasets": [level]}]}
