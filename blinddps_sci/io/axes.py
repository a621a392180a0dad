"""The names of a stack's axes, and which arrays are images at all.

Every reader of `blinddps_sci.io` maps its own axis names to the subset present of (t, c, z, y, x)
with these rules, and refuses what cannot be restored with the same sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from blinddps_sci.errors import InputError

__all__ = [
    "AXES", "COLOURS", "MIN_SIDE", "Axis", "Layout", "axis_name", "check_image", "layout_of", "plain_axes",
]  # fmt: skip

AXES = ("t", "c", "z", "y", "x")
"""Time or frame, channel, depth, row, column: the order of every stack."""

COLOURS = ("red", "green", "blue")
"""The channels of a colour picture."""

MIN_SIDE = 8
"""Smallest side of an image in pixels."""

_SYNONYMS = {
    "time": "t", "frame": "t", "frames": "t",
    "channel": "c", "channels": "c", "band": "c", "wavelength": "c",
    "depth": "z", "row": "y", "col": "x", "column": "x",
}  # fmt: skip

_PLAIN = {2: ("y", "x"), 3: ("t", "y", "x"), 4: ("t", "c", "y", "x")}


@dataclass(frozen=True)
class Axis:
    """One axis of an image that is saved, and where its pixels lie.

    Attributes
    ----------
    name : str
        One of `AXES`.
    step : float
        Distance between neighbours, in `unit`.
    unit : str
        ``"micrometer"``, ``"arcsec"``, ``"second"`` or ``"pixel"``.
    origin : float
        Where the first pixel's centre is, in `unit`.
    """

    name: str
    step: float = 1.0
    unit: str = "pixel"
    origin: float = 0.0


@dataclass(frozen=True)
class Layout:
    """Where a stack's axes lie in a stored array.

    Attributes
    ----------
    dims : tuple of str
        Axes of the stack, in the order of `AXES`.
    order : tuple of int
        Stored axis behind each of them.
    fixed : tuple of (int, int)
        Stored axes of length one that are left out, with the index 0.
    """

    dims: tuple[str, ...]
    order: tuple[int, ...]
    fixed: tuple[tuple[int, int], ...] = ()


def axis_name(name: object) -> str | None:
    """Translate the name of an axis.

    Parameters
    ----------
    name : object
        A stored name, such as ``"Y"`` or ``"time"``.

    Returns
    -------
    str or None
        One of `AXES`, or None for a name that means nothing here.
    """
    text = str(name).lower()
    return text if text in AXES else _SYNONYMS.get(text)


def plain_axes(ndim: int, name: str) -> tuple[str, ...]:
    """Axes of an array that does not name them.

    Parameters
    ----------
    ndim : int
        Number of axes.
    name : str
        Named in errors.

    Returns
    -------
    tuple of str
        (y, x), (t, y, x) or (t, c, y, x).

    Raises
    ------
    InputError
        If there are fewer than two axes or more than four.
    """
    if ndim not in _PLAIN:
        raise InputError(
            f"{name} has {ndim} axes without names; 2 are read as (y, x), 3 as (t, y, x) and 4 as "
            "(t, c, y, x): name the axes t, c, z, y, x (OME-Zarr, or an xarray.DataArray)"
        )
    return _PLAIN[ndim]


def layout_of(names: Sequence[str | None], shape: Sequence[int], name: str) -> Layout:
    """Find the stack's axes in a stored array.

    Parameters
    ----------
    names : sequence of str or None
        One of `AXES` for each stored axis, or None for an axis without a place in a stack.
    shape : sequence of int
        Length of each stored axis.
    name : str
        Named in errors.

    Returns
    -------
    Layout
        Axes of length one that have no place, or whose name is taken by a longer one, are left out.

    Raises
    ------
    InputError
        If y or x is missing, or a longer axis has no place.
    """
    taken: dict[str, int] = {}
    spare: list[int] = []
    for axis, (label, length) in enumerate(zip(names, shape, strict=True)):
        if label is None or (label in taken and length == 1):
            spare.append(axis)
        elif label in taken and shape[taken[label]] == 1:
            spare.append(taken[label])
            taken[label] = axis
        elif label in taken:
            spare.append(axis)
        else:
            taken[label] = axis
    unplaced = [axis for axis in spare if shape[axis] != 1]
    if unplaced or not {"y", "x"} <= set(taken):
        raise InputError(
            f"{name} has axes {tuple(n or '?' for n in names)} of shape {tuple(shape)}; a stack has y and x "
            "and at most one each of t, c and z: select or rename the others first"
        )
    dims = tuple(label for label in AXES if label in taken)
    return Layout(dims, tuple(taken[label] for label in dims), tuple((axis, 0) for axis in sorted(spare)))


def check_image(shape: Sequence[int], dtype: DTypeLike, name: str) -> None:
    """Refuse what is not a restorable image.

    Parameters
    ----------
    shape : sequence of int
        Lengths of the axes, (..., y, x).
    dtype : dtype_like
        Stored type.
    name : str
        Named in errors.

    Raises
    ------
    InputError
        If the type is not integer or real, an axis is empty, or a side is under `MIN_SIDE` pixels.
    """
    kind = np.dtype(dtype)
    if kind.kind not in "iuf":
        raise InputError(
            f"{name} has dtype {kind}; images are integer or floating-point, not complex, boolean or text"
        )
    if 0 in shape:
        raise InputError(f"{name} has no pixels: its shape is {tuple(shape)}")
    if min(shape[-2:]) < MIN_SIDE:
        raise InputError(
            f"{name} is {shape[-2]} x {shape[-1]} pixels; an image must be at least {MIN_SIDE} x {MIN_SIDE}"
        )
