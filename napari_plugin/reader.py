"""Opening a result in napari: restored image, its standard deviation, and where the PSF was estimated.

Nothing but the standard library is imported until a result is opened, and no Qt at all: napari calls
`get_reader` for every ``.zarr`` that is dropped on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

__all__ = ["LayerData", "get_reader", "half_maximum_width", "read_result"]

LayerData = tuple[Any, dict[str, Any], str]
"""What napari makes a layer of: data, keyword arguments, kind of layer."""

Reader = Callable[[Any], list[LayerData]]

_UNITS = {"micrometer": "micrometer", "arcsec": "arcsecond"}
_FINE = 4


def get_reader(path: str | PathLike[str] | Sequence[str]) -> Reader | None:
    """Say whether this plugin opens a path.

    Parameters
    ----------
    path : str, os.PathLike or list of str
        What was dropped on napari.

    Returns
    -------
    callable or None
        `read_result` for a result store of blinddps-sci; None for anything else, other Zarr included.
    """
    if not isinstance(path, str | PathLike):
        if len(path) != 1:
            return None
        path = path[0]
    try:
        metadata = json.loads(Path(path, "zarr.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    attributes = metadata.get("attributes") if isinstance(metadata, dict) else None
    return read_result if isinstance(attributes, dict) and "blinddps" in attributes else None


def read_result(path: str | PathLike[str] | Sequence[str]) -> list[LayerData]:
    """Open a result as napari layers.

    Parameters
    ----------
    path : str, os.PathLike or list of str
        One result store.

    Returns
    -------
    list of (data, dict, str)
        Two image layers, lazy and with their pyramids, the standard deviation hidden; and a points
        layer of the PSF nodes with the features `fwhm` (pixels), `chi2`, `node_y` and `node_x`.
    """
    from blinddps_sci import open_result

    where = path if isinstance(path, str | PathLike) else path[0]
    store = open_result(where)
    record = store.attrs
    unit = _UNITS.get(str(record.get("pixel_unit")), "pixel")
    size = record.get("pixel_scale") or [1.0, 1.0]
    space = {"y": float(size[0]), "x": float(size[1]), "z": float(record.get("z_scale") or 1.0)}
    shared = {
        "scale": [space.get(dim, 1.0) for dim in store.dims],
        "units": tuple(unit if dim in space else "pixel" for dim in store.dims),
        "axis_labels": tuple(store.dims),
        "metadata": {
            "path": fspath(where),
            "status": store.status,
            "fingerprint": record.get("fingerprint"),
            "unit": record.get("unit", ""),
        },
    }
    stem = Path(where).stem
    restored = _image(store, "image", {**shared, "name": f"{stem} restored"})
    deviation = _image(store, "std", {**shared, "name": f"{stem} standard deviation", "visible": False})
    plane = {**shared, **{key: tuple(shared[key])[-2:] for key in ("scale", "units", "axis_labels")}}
    return [restored, deviation, _nodes(store, {**plane, "name": f"{stem} PSF nodes"})]


def half_maximum_width(kernel: Any) -> float:
    """Full width at half maximum of a PSF.

    Parameters
    ----------
    kernel : array_like, (K, K)
        Non-negative.

    Returns
    -------
    float
        Diameter in pixels of the circle with the area above half the maximum, the PSF being linear
        between pixels; NaN for a PSF that is not finite or zero.
    """
    import numpy as np

    values = np.pad(np.asarray(kernel, np.float64), 1)
    if not np.isfinite(values).all() or values.max() <= 0:
        return float("nan")
    for _ in range(2):
        old = np.arange(len(values))
        fine = np.arange((len(values) - 1) * _FINE + 1) / _FINE
        values = np.stack([np.interp(fine, old, column) for column in values.T])
    area = np.count_nonzero(values >= values.max() / 2.0) / _FINE**2
    return float(2.0 * np.sqrt(area / np.pi))


def _image(store: Any, variable: str, options: dict[str, Any]) -> LayerData:
    """One image with its pyramid, and the contrast of its smallest level."""
    import dask.array as da
    import numpy as np
    import zarr

    root = zarr.open_group(str(store.path), mode="r")
    images: Any = root.attrs["ome"]
    paths = [
        level["path"]
        for image in images["multiscales"]
        for level in image["datasets"]
        if level["path"].endswith(f"/{variable}")
    ]
    from_zarr: Any = da.from_zarr
    levels = [from_zarr(store.array(path), chunks=store.array(path).chunks) for path in paths]
    smallest = np.asarray(levels[-1][(0,) * (levels[-1].ndim - 2)])
    there = smallest[np.isfinite(smallest)]
    if there.size:
        low, high = (float(value) for value in np.percentile(there, (0.5, 99.5)))
        options = {**options, "contrast_limits": (low, high if high > low else low + 1.0)}
    data = levels if len(levels) > 1 else levels[0]
    return data, {**options, "multiscale": len(levels) > 1, "colormap": "gray"}, "image"


def _nodes(store: Any, options: dict[str, Any]) -> LayerData:
    """Positions of the PSF nodes, with the mean over frames and channels of their figures."""
    import numpy as np

    psf, chi2 = store.psf(), np.asarray(store.quality()["chi2"])
    position = psf["position"].values
    rows, columns = position.shape[:2]
    kernels = psf["kernel"].values
    widths = np.array([half_maximum_width(kernel) for kernel in kernels.reshape(-1, *kernels.shape[-2:])])
    features = {
        "fwhm": _mean(widths.reshape(-1, rows * columns)),
        "chi2": _mean(chi2.reshape(-1, rows * columns)),
        "node_y": np.repeat(np.arange(rows), columns),
        "node_x": np.tile(np.arange(columns), rows),
    }
    spacing = np.concatenate([np.diff(position[:, 0, 0]), np.diff(position[0, :, 1]), [64.0]]).min()
    look = {"size": float(spacing) / 8.0, "face_color": "transparent", "border_color": "cyan"}
    return position.reshape(-1, 2), {**options, **look, "features": features}, "points"


def _mean(values: Any) -> Any:
    """Mean over the first axis of what is there; NaN where nothing is."""
    import numpy as np

    there = np.isfinite(values)
    total = np.where(there, values, 0.0).sum(axis=0)
    return np.where(there.any(axis=0), total / np.maximum(there.sum(axis=0), 1), np.nan)
