"""What a napari image layer is to the library: the file that it was opened from, or a labelled array.

A file can be named on a command line; an array is written beside the output before a run, so that the
command and a later process find it there. Layers are known by what they offer: no napari is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blinddps_sci.errors import BlindDpsError
from napari_plugin.placement import Placement, full_resolution

if TYPE_CHECKING:
    import xarray as xr

    from napari_plugin.region import Region

__all__ = ["CALIBRATION", "LayerSource", "likely_path", "part_of", "source_of", "write_input"]

CALIBRATION = ("dark", "flat", "bad_pixels")
"""Options that change what is opened, of the whole detector: they come before a region is cut."""

_CHUNK = 256

_COMPARED = 64
"""Side, in pixels, of the part of a layer that is compared with its file."""


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
        Options of `blinddps_sci.restore` without which the file is not what was chosen.
    """

    name: str
    source: Any
    options: Mapping[str, Any]

    @property
    def path(self) -> Path | None:
        """The file; None for an array."""
        return Path(self.source) if isinstance(self.source, str) else None


def source_of(
    layer: Any, chosen: Mapping[str, int] | None = None, calibration: Mapping[str, str] | None = None
) -> LayerSource:
    """Return what is to be restored of an image layer.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer.
    chosen : mapping of str to int, optional
        Positions along the axes t, c and z of which one is to be restored; all of the others.
    calibration : mapping, optional
        Files by their option, of `CALIBRATION`.

    Raises
    ------
    InputError
        As `Placement.of`.
    """
    placement, chosen, given = Placement.of(layer), dict(chosen or {}), dict(calibration or {})
    found = None if {"t", "z"} & set(chosen) else _file_of(layer, placement.dims)
    if found is not None:
        path, options = found
        channel = {"channel": chosen["c"]} if "c" in chosen else {}
        return LayerSource(layer.name, path, options | channel | given)
    array = _labelled(layer, placement)
    planes = array.isel({d: at for d, at in chosen.items() if d in array.dims})
    return LayerSource(layer.name, planes, given)


def likely_path(layer: Any) -> Path | None:
    """Return the file that a layer comes from, without a look into it; None if there is none."""
    if "fingerprint" in layer.metadata:  # one of the images of a result, which its path does not tell
        return None
    path = layer.metadata.get("path") or layer.source.path
    return Path(path).absolute() if path is not None and Path(path).exists() else None


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
            attributes={"units": array.attrs["units"]} if "units" in array.attrs else {},
        )
        planes = [range(n) for dim, n in sizes.items() if dim not in "yx"]
        for plane in product(*planes):
            for top in range(y0 // _CHUNK * _CHUNK, y1, _CHUNK):
                rows = slice(max(top, y0), min(top + _CHUNK, y1))
                window: tuple[Any, ...] = (*plane, rows, slice(x0, x1))
                stored[window] = array.variable[window].values
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def _file_of(layer: Any, dims: tuple[str, ...]) -> tuple[str, dict[str, Any]] | None:
    """Return the file that a layer shows all of, and the options it takes; None if there is none."""
    from blinddps_sci import open_stack

    path = likely_path(layer)
    options = {key: layer.metadata[key] for key in ("hdu", "channel") if layer.metadata.get(key) is not None}
    if path is None:
        return None
    try:
        found = open_stack(path, **options)["data"]
    except BlindDpsError:
        return None
    shown = full_resolution(layer)
    sizes = dict(zip(dims, shown.shape, strict=True))
    same = {d: n for d, n in found.sizes.items() if n != 1} == {d: n for d, n in sizes.items() if n != 1}
    return (str(path), options) if same and _alike(found, shown) else None


def _alike(stack: xr.DataArray, shown: Any) -> bool:
    """Return whether the middles of the first planes agree: a layer may have been changed since."""
    import numpy as np

    middle = tuple(slice(max(n - _COMPARED, 0) // 2, (n + _COMPARED) // 2) for n in shown.shape[-2:])
    first, own = (
        np.asarray(array[(*(0,) * (array.ndim - 2), *middle)], dtype=np.float64) for array in (stack, shown)
    )
    # A reader may take a pixel out that the layer shows.
    usable = np.isfinite(first) & np.isfinite(own)
    return bool(np.allclose(first[usable], own[usable], rtol=1e-5, atol=0.0))


def _labelled(layer: Any, placement: Placement) -> Any:
    """Return the layer's data as a lazy `xarray.DataArray`."""
    import numpy as np
    import xarray as xr

    data = full_resolution(layer)
    if not isinstance(data, np.ndarray) and not hasattr(data, "__dask_graph__"):
        import dask.array as da  # anything else, such as a Zarr array, xarray would read as a whole

        from_array: Any = da.from_array
        data = from_array(data, chunks=getattr(data, "chunks", "auto"))
    coords = {}
    for dim, length in zip(placement.dims, data.shape, strict=True):
        if dim in "zyx" and placement.units[dim] != "pixel":
            steps = placement.translate[dim] + np.arange(length) * placement.scale[dim]
            coords[dim] = xr.Variable(dim, steps, {"units": placement.units[dim]})
    unit = layer.metadata.get("unit")
    return xr.DataArray(data, dims=placement.dims, coords=coords, attrs={"units": unit} if unit else {})


def _ome(array: xr.DataArray) -> dict[str, Any]:
    """Return NGFF 0.5 metadata of one level, with the steps and units of its coordinates."""
    types = {"t": "time", "c": "channel"}
    axes, scale, first = [], [], []
    for dim in map(str, array.dims):
        axis = {"name": dim, "type": types.get(dim, "space")}
        step, begin = 1.0, 0.0
        if dim in array.coords and array.sizes[dim] > 1:
            values = array.coords[dim].values
            step, begin = float(values[1] - values[0]), float(values[0])
            axis["unit"] = str(array.coords[dim].attrs["units"])
        axes.append(axis)
        scale.append(step)
        first.append(begin)
    placed: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if any(first):
        placed.append({"type": "translation", "translation": first})
    level = {"path": "0", "coordinateTransformations": placed}
    return {"version": "0.5", "multiscales": [{"name": "input", "axes": axes, "datasets": [level]}]}
