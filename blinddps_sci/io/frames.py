"""Several files as the frames of one scene.

The files stay separate and closed; a window of the stack reads the same window of each frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from blinddps_sci.errors import InputError
from blinddps_sci.io.arrays import VariableReader
from blinddps_sci.io.lazy import Joined, LazyArray, Reader, Repeated, to_dataset

__all__ = ["join_frames"]


def join_frames(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """Put stacks one behind the other on `t`.

    Parameters
    ----------
    parts : sequence of xarray.Dataset
        From a reader, of one shape but for the length of `t`.

    Returns
    -------
    xarray.Dataset
        Lazy, with `t` first. Header, WCS, pixel size and detector are those of the first part;
        `source` and `identity` name all of them.

    Raises
    ------
    InputError
        If axes, shapes, units, or the presence of variance and mask differ.
    """
    first = parts[0]
    for part in parts[1:]:
        _check_alike(first, part)
    dims = tuple(str(d) for d in first["data"].dims if d != "t")
    arrays = {}
    for role in ("data", "variance", "mask"):
        if role in first:
            readers = tuple(_with_frames(part[role].variable) for part in parts)
            arrays[role] = LazyArray(Joined(readers), np.dtype(first[role].dtype), (), "a frame")
    attrs = dict(first.attrs)
    attrs["source"] = [name for part in parts for name in part.attrs["source"]]
    attrs["identity"] = {"files": [file for part in parts for file in part.attrs["identity"]["files"]]}
    return to_dataset(arrays, ("t", *dims), attrs, first["data"].encoding.get("preferred_chunks"))


def _with_frames(variable: xr.Variable) -> Reader:
    reader = VariableReader(variable)
    return reader if "t" in variable.dims else Repeated(reader, (1,))


def _check_alike(first: xr.Dataset, other: xr.Dataset) -> None:
    """Refuse frames that do not fit together."""
    names = f"{first.attrs['source'][0]} and {other.attrs['source'][0]}"
    one, two = ({str(d): n for d, n in p["data"].sizes.items() if d != "t"} for p in (first, other))
    if one != two:
        raise InputError(f"{names} are not frames of one scene: their sizes are {one} and {two}")
    if first.attrs["unit"] != other.attrs["unit"]:
        raise InputError(f"{names} have different units: {first.attrs['unit']!r} and {other.attrs['unit']!r}")
    if set(first.data_vars) != set(other.data_vars):
        raise InputError(
            f"{names} do not both have variance and mask: {sorted(map(str, first.data_vars))} and "
            f"{sorted(map(str, other.data_vars))}"
        )
