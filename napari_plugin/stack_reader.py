"""Opening stacks in napari: OME-Zarr, FITS, SER and TIFF, lazily, with the size of a pixel and its unit.

napari's own readers open OME-Zarr and TIFF without them, and FITS without the WCS's. Nothing but the
standard library is imported until a stack is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_plugin.ome_display import OmeDisplay, read_display
from napari_plugin.reader import get_reader as get_result_reader

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["get_reader", "read_stack"]

LayerData = tuple[Any, dict[str, Any], str]

_SUFFIXES = (".fits", ".fit", ".fts", ".fz", ".fits.gz", ".ser", ".tif", ".tiff")
_ZARR = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
_UNITS = {"micrometer": "micrometer", "arcsec": "arcsecond"}
_SIDE = 2048
_SAMPLE = 512
_COLOURS = {"r": "red", "g": "green", "b": "blue", "red": "red", "green": "green", "blue": "blue"}
_PALETTES = {2: ("magenta", "green"), 3: ("red", "green", "blue")}
_PALETTE = ("cyan", "magenta", "yellow", "red", "green", "blue")


def get_reader(path: str | PathLike[str] | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Say whether this plugin opens a path as a stack.

    Parameters
    ----------
    path : str, os.PathLike or list of str
        What was dropped on napari; several files are the frames of one scene.

    Returns
    -------
    callable or None
        `read_stack`; None for results of this package, which have a reader of their own, and for what
        has neither one of the suffixes nor the metadata of Zarr.
    """
    paths = [path] if isinstance(path, str | PathLike) else list(path)
    if not paths or (len(paths) == 1 and get_result_reader(paths[0]) is not None):
        return None
    return read_stack if all(_is_stack(Path(each)) for each in paths) else None


def read_stack(path: str | PathLike[str] | Sequence[str]) -> list[LayerData]:
    """Open a stack as napari layers.

    Parameters
    ----------
    path : str, os.PathLike or list of str
        One file or OME-Zarr folder; or several files, the frames of one scene.

    Returns
    -------
    list of (data, dict, str)
        One image layer, or one for each channel: lazy dask arrays of float32, those of OME-Zarr with
        their pyramid; with scale, units, axis labels and, of OME-Zarr, translate and channel colours.
        The metadata hold `path`, or `paths` of several files; `channel` and `hdu` as `open_stack` takes
        them; `unit` of the values, and the cards `wcs_header`.

    Raises
    ------
    InputError
        If it cannot be read as a stack.
    """
    from blinddps_sci import open_levels, open_stack

    paths = [fspath(each) for each in ([path] if isinstance(path, str | PathLike) else path)]
    where: Any = paths[0] if len(paths) == 1 else paths
    display = OmeDisplay()
    if isinstance(where, str) and Path(where).is_dir():
        levels, display = open_levels(where), read_display(where)
    else:
        levels = [open_stack(where)]
    metadata = {"path": where} if isinstance(where, str) else {"paths": where}
    facts = levels[0].attrs
    kept = ("hdu", "unit", "wcs_header")
    metadata |= {key: facts[key] for key in kept if facts.get(key) not in (None, "")}
    arrays = [_lazy(level) for level in levels]
    dims = [str(dim) for dim in levels[0]["data"].dims]
    placement = _placement(dims, facts, display)
    name = _stem(Path(paths[0]))
    if "c" not in dims:
        look = dict(display.channels[0]) if len(display.channels) == 1 else {}
        # A channel's name says little beside the file's.
        look = {"colormap": "gray", **look, "name": name}
        return [_layer(arrays, {**placement, **look, "metadata": metadata})]
    at = dims.index("c")
    plane = {key: [*values[:at], *values[at + 1 :]] for key, values in placement.items()}
    layers = []
    for number in range(arrays[0].shape[at]):
        look = _channel_look(number, arrays[0].shape[at], facts, display)
        options = {**plane, **look, "metadata": {**metadata, "channel": number}}
        options["name"] = f"{name} {look['name']}"
        index = (*[slice(None)] * at, number)
        layers.append(_layer([array[index] for array in arrays], options))
    return layers


class _Window:
    """A lazy stack as dask reads it: by slices, from any thread."""

    def __init__(self, stack: xr.Dataset) -> None:
        self._variable = stack["data"].variable
        self.shape, self.dtype, self.ndim = stack["data"].shape, stack["data"].dtype, stack["data"].ndim

    def __getitem__(self, key: Any) -> Any:
        return self._variable[key].values


def _lazy(stack: xr.Dataset) -> Any:
    """Return the stack as a dask array in the chunks of its file, or in planes."""
    import dask.array as da

    wanted = stack["data"].encoding.get("preferred_chunks", {})
    chunks = tuple(
        min(n, int(wanted.get(dim, _SIDE if dim in ("y", "x") else 1)))
        for dim, n in stack["data"].sizes.items()
    )
    from_array: Any = da.from_array
    # Without a name of its own, dask would read the whole stack to make one.
    return from_array(_Window(stack), chunks=chunks, name=False, asarray=False)


def _is_stack(path: Path) -> bool:
    if path.is_dir():
        return any((path / name).is_file() for name in _ZARR)
    return path.is_file() and path.name.lower().endswith(_SUFFIXES)


def _stem(path: Path) -> str:
    """Return the name of a file without what says its format."""
    name = path.name
    for suffix in (".gz", ".fz", ".zarr", ".fits", ".fit", ".fts", ".tiff", ".tif", ".ser", ".ome"):
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return name or path.name


def _placement(dims: Sequence[str], facts: Any, display: OmeDisplay) -> dict[str, list[Any]]:
    """Return scale, translate, units and labels of the axes."""
    unit = _UNITS.get(str(facts.get("pixel_unit")), "pixel")
    y, x = facts.get("pixel_scale") or (1.0, 1.0)
    space = {"z": float(facts.get("z_scale") or 1.0), "y": float(y), "x": float(x)}
    step = {dim: space.get(dim, display.time[0] if dim == "t" else 1.0) for dim in dims}
    units = {dim: unit if dim in space else display.time[1] if dim == "t" else "pixel" for dim in dims}
    return {
        "scale": [step[dim] for dim in dims],
        "translate": [display.origin.get(dim, 0.0) * step[dim] for dim in dims],
        "units": [units[dim] for dim in dims],
        "axis_labels": list(dims),
    }


def _channel_look(number: int, count: int, facts: Any, display: OmeDisplay) -> dict[str, Any]:
    """Return name and colour of a channel: the file's, else napari's usual ones."""
    names = facts.get("channel_names") or []
    name = names[number] if len(names) == count else f"channel {number}"
    palette = _PALETTES.get(count, _PALETTE)
    look: dict[str, Any] = {
        "name": name,
        "colormap": _COLOURS.get(name.lower(), palette[number % len(palette)]) if count > 1 else "gray",
        "blending": "additive" if count > 1 else "translucent_no_depth",
    }
    return look | (dict(display.channels[number]) if len(display.channels) == count else {})


def _layer(levels: list[Any], options: dict[str, Any]) -> LayerData:
    """Return one image layer; its contrast is that of the middle of its smallest level."""
    import numpy as np

    if "contrast_limits" not in options:
        smallest = levels[-1]
        lead = tuple(n // 2 for n in smallest.shape[:-2])
        spans = (slice(max(0, (n - _SAMPLE) // 2), (n + _SAMPLE) // 2) for n in smallest.shape[-2:])
        values = np.asarray(smallest[(*lead, *spans)])
        there = values[np.isfinite(values)]
        if there.size:
            low, high = (float(value) for value in np.percentile(there, (0.1, 99.9)))
            options["contrast_limits"] = (low, high if high > low else low + 1.0)
    multiscale = len(levels) > 1
    return levels if multiscale else levels[0], {**options, "multiscale": multiscale}, "image"
