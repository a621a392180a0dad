"""Arrays that are already open: numpy, dask, xarray.

They become the same lazy dataset as a file; an xarray or dask array is not computed here, only the
windows that are asked for later.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from blinddps_sci.errors import InputError, MisfitWarning
from blinddps_sci.io.axes import Layout, axis_name, check_image, layout_of, plain_axes
from blinddps_sci.io.lazy import Key, LazyArray, View, to_dataset
from blinddps_sci.io.pixel_size import physical
from blinddps_sci.io.values import Scaled

__all__ = ["VariableReader", "array_identity", "named_axes", "open_array", "open_xarray", "wrap_array"]

_DATA_NAMES = ("data", "image")
_UNIT_SIZE = {"pixel_scale": [1.0, 1.0], "pixel_unit": "pixel", "unit": ""}


@dataclass(frozen=True, eq=False)
class VariableReader:
    """Reader of an array held by an `xarray.Variable`; see `blinddps_sci.io.lazy.Reader`.

    Attributes
    ----------
    variable : xarray.Variable
        Over numpy, dask or a lazily indexed file. It pickles as its content does.
    """

    variable: xr.Variable

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        return tuple(self.variable.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""
        dtype: np.dtype[Any] = np.dtype(self.variable.dtype)
        return dtype

    def read(self, key: Key) -> np.ndarray[Any, np.dtype[Any]]:
        """Read one window; see `Reader.read`."""
        return np.asarray(self.variable[key].values)


def named_axes(names: Sequence[object], ndim: int, name: str) -> list[str | None]:
    """Translate stored axis names, falling back to the order of unnamed arrays.

    Parameters
    ----------
    names : sequence
        Stored names; empty, or `dim_0`, `dim_1`... of xarray, if there are none.
    ndim : int
        Number of axes.
    name : str
        Named in errors.

    Returns
    -------
    list of str or None
        For `blinddps_sci.io.axes.layout_of`.
    """
    if len(names) != ndim or all(n is None or str(n).startswith("dim_") for n in names):
        return list(plain_axes(ndim, name))
    return [axis_name(n) for n in names]


def open_array(array: Any) -> xr.Dataset:
    """Open a numpy or dask array as a stack.

    Parameters
    ----------
    array : ndarray, numpy.ma.MaskedArray or dask.array.Array
        (y, x), (t, y, x) or (t, c, y, x); real numbers in any unit. A masked array's mask is kept.

    Returns
    -------
    xarray.Dataset
        Lazy `data` (and `mask`).

    Raises
    ------
    InputError
        If it has fewer than two or more than four axes, is too small or is not real.
    """
    data, mask = array, None
    if isinstance(array, np.ma.MaskedArray):
        data, mask = np.ma.getdata(array), np.ma.getmaskarray(array)
    dims = plain_axes(data.ndim, "the array")
    layout = layout_of(dims, data.shape, "the array")
    attrs: dict[str, Any] = {"source": [], "format": "array", **_UNIT_SIZE}
    return wrap_array(data, layout, attrs, mask=mask)


def wrap_array(
    data: Any, layout: Layout, attrs: dict[str, Any], *, variance: Any = None, mask: Any = None
) -> xr.Dataset:
    """Make the lazy dataset of arrays in memory.

    Parameters
    ----------
    data : array or xarray.Variable
        The image.
    layout : Layout
        Where the stack's axes lie in it.
    attrs : dict
        Attributes; `dtype_on_disk` and `identity` are added.
    variance, mask : array or xarray.Variable, optional
        In the data's layout.

    Returns
    -------
    xarray.Dataset
        Lazy `data`, `variance`, `mask`.

    Raises
    ------
    InputError
        If the array is too small or is not real.
    """
    arrays, chunks = {}, None
    for role, values in (("data", data), ("variance", variance), ("mask", mask)):
        if values is None:
            continue
        variable = (
            values if isinstance(values, xr.Variable) else xr.Variable(_stored_dims(values.ndim), values)
        )
        view = View(VariableReader(variable), layout.order, layout.fixed)
        if role == "data":
            check_image(view.shape, variable.dtype, "the array")
            attrs = {**attrs, "dtype_on_disk": variable.dtype.str, "identity": array_identity(variable)}
            if variable.chunks is not None:
                chunks = {d: max(variable.chunks[a]) for d, a in zip(layout.dims, layout.order, strict=True)}
        if role == "mask":
            arrays[role] = LazyArray(view, np.dtype(bool), (), "the mask")
        else:
            arrays[role] = LazyArray(view, np.dtype(np.float32), (Scaled(),), f"the array's {role}")
    return to_dataset(arrays, layout.dims, attrs, chunks)


def open_xarray(source: xr.DataArray | xr.Dataset) -> xr.Dataset:
    """Open an xarray object as a stack.

    Parameters
    ----------
    source : xarray.DataArray or xarray.Dataset
        Axes named t, c, z, y, x in any order and case (or time, frame, channel, band, depth, row,
        column); without names as `open_array`. Of a dataset the variable `data`, `image` or the
        only one is taken, with `variance` and `mask` if present. A stack that `open_stack` made
        comes back as it is.

    Returns
    -------
    xarray.Dataset
        Lazy; the attributes of the source are kept, `units` becomes `unit`. World coordinates of a stack that
        was cut by other means than `open_stack` are left out, with a `MisfitWarning`.

    Raises
    ------
    InputError
        If no variable can be chosen, or its axes or type do not fit.
    """
    if isinstance(source, xr.DataArray):
        data, beside, attrs = source.variable, {}, dict(source.attrs)
    else:
        name = _data_name(source)
        data = source[name].variable
        beside = {role: source[role].variable for role in ("variance", "mask") if role in source.data_vars}
        attrs = {**source[name].attrs, **source.attrs}
    layout = layout_of(named_axes(data.dims, data.ndim, "the array"), data.shape, "the array")
    for role, variable in beside.items():
        if set(variable.dims) != set(data.dims) or variable.shape != tuple(
            variable.sizes[d] for d in variable.dims
        ):
            raise InputError(f"{role} has axes {variable.dims}, the data {data.dims}; they must be the same")
        if any(variable.sizes[dim] != data.sizes[dim] for dim in data.dims):
            raise InputError(
                f"{role} has shape {variable.shape}, the data {data.shape}; they must be the same"
            )
        beside[role] = variable.transpose(*data.dims) if variable.dims != data.dims else variable
    known = {"source": [], "format": "xarray", **_UNIT_SIZE, **_spacing(source), **_plain_attrs(attrs)}
    if not known["unit"]:
        known["unit"] = str(known.get("units", ""))
    sides = known.pop("wcs_sides", None)
    stack = wrap_array(data, layout, known, variance=beside.get("variance"), mask=beside.get("mask"))
    # A stack opened before keeps what is known about its file.
    stack.attrs.update({key: known[key] for key in ("identity", "dtype_on_disk") if key in known})
    if sides not in (None, list(stack["data"].shape[-2:])):
        _forget_place(stack)
    channel = next((d for d in data.dims if axis_name(d) == "c"), None)
    if "channel_names" not in stack.attrs and channel is not None and channel in source.coords:
        stack.attrs["channel_names"] = [str(value) for value in source.coords[channel].values]
    return stack


def _forget_place(stack: xr.Dataset) -> None:
    """Take away where a stack lies on the sky, of which a part was cut out that does not say which."""
    del stack.attrs["wcs_header"]
    warnings.warn(
        "the stack was cut after it was opened, and does not say where: its world coordinates are left out; "
        "use open_stack(..., region=) to keep them",
        MisfitWarning,
        stacklevel=4,
    )


def array_identity(variable: xr.Variable) -> dict[str, Any]:
    """Fingerprint of an array in memory.

    Parameters
    ----------
    variable : xarray.Variable
        Over numpy, dask or a lazily indexed file.

    Returns
    -------
    dict
        `shape`, `dtype` and either `blake2b` of all of a numpy array's bytes or, so that nothing is
        computed, `graph` (the name of a dask graph) or `blake2b` of a window in each corner.
    """
    found: dict[str, Any] = {"shape": [int(n) for n in variable.shape], "dtype": variable.dtype.str}
    if variable.chunks is not None:
        return {**found, "graph": str(getattr(variable.data, "name", ""))}
    digest = hashlib.blake2b(digest_size=16)
    # Variable.data would load a lazily indexed file.
    if isinstance(getattr(variable, "_data", None), np.ndarray):
        for block in variable.values if variable.ndim > 2 else [variable.values]:
            digest.update(np.ascontiguousarray(block).data)
    else:
        for corner in (slice(0, 8), slice(-8, None)):
            digest.update(np.ascontiguousarray(variable[(..., corner, corner)].values).data)
    return {**found, "blake2b": digest.hexdigest()}


def _plain_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes that JSON can hold; the others are left out."""
    kept = {}
    for key, value in attrs.items():
        plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        try:
            kept[str(key)] = json.loads(json.dumps(plain))
        except (TypeError, ValueError):
            continue
    return kept


def _spacing(source: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    """Pixel size and origin from evenly spaced y, x (and z) coordinates that have a unit."""
    sizes: dict[str, tuple[float, str]] = {}
    origin: dict[str, float] = {}
    for name, coord in source.coords.items():
        axis = axis_name(name)
        if axis not in ("z", "y", "x") or coord.ndim != 1 or coord.size < 2 or coord.dtype.kind not in "iuf":
            continue
        steps = np.diff(coord.values.astype(np.float64))
        step = abs(float(steps.mean()))
        if step > 0 and np.allclose(np.abs(steps), step, rtol=1e-3) and "units" in coord.attrs:
            sizes[axis] = physical(step, str(coord.attrs["units"]))
            origin[axis] = physical(float(coord.values[0]), str(coord.attrs["units"]))[0]
    if not {"y", "x"} <= set(sizes) or sizes["y"][1] != sizes["x"][1]:
        return {}
    found: dict[str, Any] = {"pixel_scale": [sizes["y"][0], sizes["x"][0]], "pixel_unit": sizes["y"][1]}
    if sizes.get("z", (0.0, ""))[1] == sizes["y"][1]:
        found["z_scale"] = sizes["z"][0]
    if any(origin.values()):
        found["origin"] = origin
    return found


def _stored_dims(ndim: int) -> tuple[str, ...]:
    return tuple(f"dim_{axis}" for axis in range(ndim))


def _data_name(source: xr.Dataset) -> str:
    """Name of the image variable of a dataset."""
    names = [str(n) for n, v in source.data_vars.items() if v.ndim >= 2]
    for name in _DATA_NAMES:
        if name in names:
            return name
    if len(names) != 1:
        raise InputError(
            f"the dataset has the variables {names}; name the image 'data', or pass one DataArray"
        )
    return names[0]
