"""The layers of a result: images, chi-squared, PSF nodes and tilts, each where the input lies.

All are lazy: pixels and figures are read when they are shown, so that a run at work may be looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from os import PathLike
from typing import Any

from napari_plugin.psf_figures import shape_of
from napari_plugin.result_space import ResultSpace, space_of

__all__ = ["LayerData", "layers_of"]

LayerData = tuple[Any, dict[str, Any], str]
"""What napari makes a layer of: data, keyword arguments, kind of layer."""

MAX_KERNELS = 5000
"""Of a result with more, only every n-th row and column of nodes is shown."""

_OVERVIEW = 1024
_BLOCK = 512
_SAMPLES = 8


def layers_of(path: str | PathLike[str]) -> list[LayerData]:
    """Make all layers of a result.

    Parameters
    ----------
    path : str or os.PathLike
        The store, or the file that it lies beside.

    Returns
    -------
    list of (data, dict, str)
        Restored image; standard deviation, chi-squared and, of a burst, weight, which are hidden; points of
        the PSF nodes; of a burst the tilts as vectors. PSFs and figures of a burst have its frames as an
        axis before those of the image.
    """
    from blinddps_sci import open_result

    store = open_result(path)
    space = space_of(store)
    hidden = {"visible": False}
    layers = [
        _image(store, space, "image", "restored"),
        _image(store, space, "std", "standard deviation", hidden),
    ]
    diverging = {**hidden, "colormap": "coolwarm", "contrast_limits": (0.0, 2.0)}
    layers += [
        _figure(store, space, name, word, diverging)
        for name, word in (("chi2", "chi-squared"), ("weight", "weight"))
        if name in store.quality()
    ]
    layers.append(_nodes(store, space))
    if store.tilt() is not None:
        layers.append(_tilts(store, space))
    return layers


def _image(
    store: Any, space: ResultSpace, variable: str, word: str, look: Mapping[str, Any] | None = None
) -> LayerData:
    """One image with its pyramid, and the contrast of pixels spread over it."""
    import dask.array as da
    import numpy as np
    from dask.base import tokenize

    from_zarr: Any = da.from_zarr
    stored = [store.array(path) for path in _stored_levels(store, variable)]
    # napari keeps what it has read by Dask's names, which would be those of a store that was replaced.
    state = tokenize(space.path, space.metadata["fingerprint"], store.status)
    levels = [from_zarr(array, chunks=array.chunks, name=f"{state}-{array.path}") for array in stored]
    # A run at work has no pyramid yet.
    while max(levels[-1].shape[-2:]) > _OVERVIEW:
        levels.append(levels[-1][..., ::2, ::2])
    options: dict[str, Any] = {
        **space.options(space.dims),
        "name": f"{space.name} {word}",
        "colormap": "gray",
        "multiscale": len(levels) > 1,
        # What a run at work has not written yet must be read again.
        "cache": store.status == "complete",
        **(look or {}),
    }
    seen = _spread_pixels(levels[0])
    if seen.size:
        low, high = (float(value) for value in np.percentile(seen, (0.5, 99.5)))
        options["contrast_limits"] = (low, high if high > low else low + 1.0)
    return levels if len(levels) > 1 else levels[0], options, "image"


def _stored_levels(store: Any, variable: str) -> list[str]:
    import zarr

    images: Any = zarr.open_group(str(store.path), mode="r").attrs["ome"]
    paths = [level["path"] for image in images["multiscales"] for level in image["datasets"]]
    return [path for path in paths if path.endswith(f"/{variable}")]


def _spread_pixels(array: Any) -> Any:
    """Return finite pixels of blocks spread evenly over the middle plane, without reading all of it."""
    import numpy as np

    plane = array[tuple(size // 2 for size in array.shape[:-2])]
    rows, columns = (_spread(count) for count in plane.numblocks)
    blocks = [np.asarray(plane.blocks[int(i), int(j)]) for i in rows for j in columns]
    values = np.concatenate([block.ravel() for block in blocks])
    return values[np.isfinite(values)]


def _spread(count: int) -> Any:
    import numpy as np

    return np.unique(np.linspace(0, count - 1, min(count, _SAMPLES)).round().astype(int))


def _figure(store: Any, space: ResultSpace, name: str, word: str, look: Mapping[str, Any]) -> LayerData:
    """Show a figure of every tile as an image of the full size: each pixel has its tile's."""
    figures = store.array(f"quality/{name}")
    levels = [_figure_level(space, figures, 1)]
    while max(levels[-1].shape[-2:]) > _OVERVIEW:
        levels.append(_figure_level(space, figures, 2 ** len(levels)))
    options = {
        **space.options(tuple(space.sizes)),
        "name": f"{space.name} {word}",
        "multiscale": len(levels) > 1,
        "interpolation2d": "nearest",
        "cache": store.status == "complete",
        **look,
    }
    return levels if len(levels) > 1 else levels[0], options, "image"


def _figure_level(space: ResultSpace, figures: Any, factor: int) -> Any:
    """One level: the indices of each axis are broadcast, and looked up block by block."""
    import dask.array as da
    import numpy as np

    axes = {dim: np.arange(size) for dim, size in space.sizes.items()}
    for dim, edges in (("y", space.edge_y), ("x", space.edge_x)):
        pixels = np.arange(math.ceil(space.sizes[dim] / factor)) * factor + (factor - 1) / 2.0
        axes[dim] = np.searchsorted(edges[1:-1], pixels, side="right")
    index: dict[str, Any] = {}
    from_array: Any = da.from_array
    apply: Any = da.apply_gufunc
    for dim, values in axes.items():
        shape = [-1 if other == dim else 1 for other in axes]
        index[dim] = from_array(values.reshape(shape), chunks=_BLOCK if dim in "yx" else 1)
    none = from_array(np.zeros((1,) * len(axes), int))
    frame = index.get("t", none) * space.sizes.get("z", 1) + index.get("z", none)
    where = (frame, index.get("c", none), index["y"], index["x"])
    return apply(_look_up, "(),(),(),()->()", *where, figures=figures, output_dtypes=np.float32)


def _look_up(frame: Any, channel: Any, row: Any, column: Any, figures: Any) -> Any:
    """Read the figures at indices that are broadcast, but not more of them than the block needs."""
    import numpy as np

    indices = [np.asarray(index) for index in (frame, channel, row, column)]
    first = [int(index.min()) for index in indices]
    window = figures[
        tuple(slice(low, int(index.max()) + 1) for low, index in zip(first, indices, strict=True))
    ]
    return window[tuple(index - low for low, index in zip(first, indices, strict=True))]


def _nodes(store: Any, space: ResultSpace) -> LayerData:
    """Points at the PSF nodes with the figures of their PSFs, coloured by the width."""
    import numpy as np

    kernels = store.array("psf/kernel")
    step = math.ceil(math.sqrt(max(math.prod(kernels.shape[:4]) / MAX_KERNELS, 1.0)))
    rows, columns = (np.arange(count)[(count - 1) % step // 2 :: step] for count in space.grid)
    planes = list(np.ndindex(*(space.sizes[dim] for dim in space.plane_dims)))
    position, features = [], []
    for plane in planes:
        frame, channel = space.keys(plane)
        stack = kernels[frame, channel][np.ix_(rows, columns)]
        chi2 = store.array("quality/chi2")[frame, channel]
        for i, iy in enumerate(rows):
            for j, ix in enumerate(columns):
                shape = shape_of(stack[i, j])
                position.append((*plane, space.node_y[iy], space.node_x[ix]))
                features.append((shape.fwhm, shape.ellipticity, shape.angle, chi2[iy, ix], iy, ix))
    names = ("fwhm", "ellipticity", "angle", "chi2", "node_y", "node_x")
    table = dict(zip(names, np.array(features).T, strict=True))
    table.update({name: table[name].astype(int) for name in ("node_y", "node_x")})
    known = table["fwhm"][np.isfinite(table["fwhm"])]
    limits = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    cell = min(np.diff(space.edge_y).min(), np.diff(space.edge_x).min())
    options = {
        **space.options(tuple(space.sizes)),
        "name": f"{space.name} PSF nodes",
        "features": table,
        "size": float(cell) / 6.0,
        "face_color": "fwhm",
        "face_colormap": "viridis",
        "face_contrast_limits": limits if limits[1] > limits[0] else (limits[0], limits[0] + 1.0),
        "border_color": "black",
        "border_width": 0.08,
        "opacity": 0.9,
    }
    return np.array(position), options, "points"


def _tilts(store: Any, space: ResultSpace) -> LayerData:
    """Displacements of every frame as arrows at the nodes, magnified by a power of two."""
    import numpy as np

    tilt = store.tilt()
    field, nodes = np.asarray(tilt["displacement"]), np.asarray(tilt["position"])
    there = np.isfinite(field).all(axis=-1)
    sizes = np.hypot(field[..., 0], field[..., 1])
    cell = min(np.diff(space.edge_y).min(), np.diff(space.edge_x).min())
    usual = float(np.percentile(sizes[there], 90)) if there.any() else 0.0
    factor = 2 ** max(round(math.log2(0.5 * cell / usual)), 0) if usual > 0 else 1
    start, way, feature = [], [], []
    for plane in np.ndindex(*(space.sizes[dim] for dim in space.plane_dims)):
        frame, _ = space.keys(plane)
        here = there[frame]
        start += [(*plane, *at) for at in nodes[here]]
        way += [(*[0.0] * len(plane), *by) for by in field[frame][here]]
        feature += sizes[frame][here].tolist()
    data = np.stack(
        [np.array(start).reshape(-1, len(space.sizes)), np.array(way).reshape(-1, len(space.sizes))], axis=1
    )
    options = {
        **space.options(tuple(space.sizes)),
        "name": f"{space.name} tilts x{factor}",
        "length": float(factor),
        "edge_width": float(cell) / 24.0,
        "edge_color": "orange",
        "vector_style": "arrow",
        "features": {"pixels": np.array(feature)},
    }
    return data, options, "vectors"
