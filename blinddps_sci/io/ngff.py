"""OME-NGFF 0.5 metadata of a result: how other programs find its images, their axes and their size.

The result store writes it on creation and again when the pyramid is there; nothing here opens a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["IMAGES", "TYPES", "UNITS", "VERSION", "axes", "multiscale", "ome_attributes", "spacing"]

VERSION = "0.5"

IMAGES = {"image": "restored image", "std": "posterior standard deviation"}
"""Arrays of a level that are images, and their names for a viewer."""

TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
UNITS = {"arcsec": "arcsecond"}


def spacing(dims: Sequence[str], facts: Mapping[str, Any]) -> dict[str, float]:
    """Distance between neighbours along every axis.

    Parameters
    ----------
    dims : sequence of str
        Out of (t, c, z, y, x).
    facts : mapping
        `pixel_scale` [y, x] and `z_scale` of a stack, if known.

    Returns
    -------
    dict of str to float
        In `pixel_unit`; one along t and c, and where nothing is known.
    """
    y, x = facts.get("pixel_scale") or (1.0, 1.0)
    known = {"y": float(y), "x": float(x), "z": float(facts.get("z_scale") or 1.0)}
    return {dim: known.get(dim, 1.0) for dim in dims}


def axes(dims: Sequence[str], unit: str) -> list[dict[str, str]]:
    """Describe axes.

    Parameters
    ----------
    dims : sequence of str
        Out of (t, c, z, y, x).
    unit : str
        ``"micrometer"``, ``"arcsec"``, any other name of a unit, or ``"pixel"`` for none.

    Returns
    -------
    list of dict
        `name`, `type` and, for the axes of space, `unit`.
    """
    described = []
    for dim in dims:
        axis = {"name": dim, "type": TYPES[dim]}
        if TYPES[dim] == "space" and unit not in ("", "pixel"):
            axis["unit"] = UNITS.get(unit, unit)
        described.append(axis)
    return described


def multiscale(variable: str, dims: Sequence[str], facts: Mapping[str, Any], levels: int) -> dict[str, Any]:
    """Describe one image and its pyramid.

    Parameters
    ----------
    variable : str
        A key of `IMAGES`.
    dims : sequence of str
        Its axes.
    facts : mapping
        `pixel_scale`, `pixel_unit`, `z_scale`, `origin`.
    levels : int
        Number of levels, the full resolution included.

    Returns
    -------
    dict
        One entry of ``multiscales``.

    Notes
    -----
    A pixel of level n covers ``2^n`` pixels a side, so that its centre lies ``(2^n - 1) / 2`` pixels
    behind the first one's: by so much, and by the origin, the level is translated.
    """
    step, origin = spacing(dims, facts), facts.get("origin") or {}
    datasets = []
    for level in range(levels):
        factor = {dim: float(2**level) if dim in ("y", "x") else 1.0 for dim in dims}
        transforms = [{"type": "scale", "scale": [step[dim] * factor[dim] for dim in dims]}]
        shift = [origin.get(dim, 0.0) + step[dim] * (factor[dim] - 1.0) / 2.0 for dim in dims]
        if any(shift):
            transforms.append({"type": "translation", "translation": shift})
        datasets.append({"path": f"scale{level}/{variable}", "coordinateTransformations": transforms})
    return {
        "name": IMAGES[variable],
        "axes": axes(dims, str(facts.get("pixel_unit", "pixel"))),
        "datasets": datasets,
        "type": "mean",
    }


def ome_attributes(dims: Sequence[str], facts: Mapping[str, Any], levels: int = 1) -> dict[str, Any]:
    """Value of the attribute ``ome`` of a result.

    Parameters
    ----------
    dims : sequence of str
        Axes of the images.
    facts : mapping
        `pixel_scale`, `pixel_unit`, `z_scale`, `origin`.
    levels : int
        Number of levels of both images.

    Returns
    -------
    dict
        ``version`` and ``multiscales``, the restored image first.

    References
    ----------
    .. [1] OME-NGFF 0.5, https://ngff.openmicroscopy.org/0.5/
    """
    images = [multiscale(variable, dims, facts, levels) for variable in IMAGES]
    return {"version": VERSION, "multiscales": images}
