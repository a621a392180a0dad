"""Where the parts of a result lie: its axes, their scale and units, its PSF nodes and the tiles these serve.

The layers are placed by it and the panel finds by it which point-spread function belongs to a click.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ResultSpace", "cell_edges", "space_of"]

_UNITS = {"micrometer": "micrometer", "arcsec": "arcsecond"}


@dataclass(frozen=True, eq=False)
class ResultSpace:
    """Axes and nodes of a result.

    Attributes
    ----------
    path : str
        Of the store.
    sizes : dict of str to int
        Axes of the image and their lengths, in order; of a burst led by its frames ``t``, which the
        image does not have.
    dims : tuple of str
        Axes of the image.
    scale, origin : dict of str to float
        Size of a pixel, and position of the first one, along every axis, in `unit`.
    unit : str
        Of y, x and z, by napari's name; ``"pixel"`` if it is not known.
    node_y, node_x : ndarray, float64, (n,)
        Nodes in 0-based pixels.
    edge_y, edge_x : ndarray, float64, (n + 1,)
        Borders between their tiles; see `cell_edges`.
    metadata : dict
        What every layer of the result says of it: `path`, `status`, `fingerprint`, `unit`.
    """

    path: str
    sizes: Mapping[str, int]
    dims: tuple[str, ...]
    scale: Mapping[str, float]
    origin: Mapping[str, float]
    unit: str
    node_y: NDArray[Any]
    node_x: NDArray[Any]
    edge_y: NDArray[Any]
    edge_x: NDArray[Any]
    metadata: Mapping[str, Any]

    @property
    def plane_dims(self) -> tuple[str, ...]:
        """Axes along which PSFs differ, besides the nodes."""
        return tuple(self.sizes)[:-2]

    @property
    def grid(self) -> tuple[int, int]:
        """Number of nodes along y and along x."""
        return len(self.node_y), len(self.node_x)

    @property
    def name(self) -> str:
        """What the names of the layers begin with."""
        return Path(self.path).stem

    def options(self, dims: Sequence[str]) -> dict[str, Any]:
        """Return how napari is told where a layer with some of the axes lies."""
        return {
            "scale": [self.scale[dim] for dim in dims],
            "translate": [self.origin[dim] for dim in dims],
            "units": tuple(self.unit if dim in ("z", "y", "x") else "pixel" for dim in dims),
            "axis_labels": tuple(dims),
            "metadata": dict(self.metadata),
        }

    def keys(self, plane: Sequence[int]) -> tuple[int, int]:
        """Return (frame, channel) in the arrays of PSFs and figures for a position on `plane_dims`."""
        at = dict(zip(self.plane_dims, plane, strict=True))
        return at.get("t", 0) * self.sizes.get("z", 1) + at.get("z", 0), at.get("c", 0)

    def plane_at(self, point: Sequence[float]) -> tuple[int, ...]:
        """Return the position on `plane_dims` nearest to a point of the world; what it leaves out is 0.

        Parameters
        ----------
        point : sequence of float
            World coordinates, the last two y and x, as of napari's ``viewer.dims.point``.
        """
        lead = list(point)[:-2][-len(self.plane_dims) or len(point) :]
        lead = [0.0] * (len(self.plane_dims) - len(lead)) + lead
        found = []
        for dim, value in zip(self.plane_dims, lead, strict=True):
            index = round((value - self.origin[dim]) / self.scale[dim])
            found.append(min(max(index, 0), self.sizes[dim] - 1))
        return tuple(found)

    def node_at(self, y: float, x: float) -> tuple[int, int] | None:
        """Return the node whose tile a pixel lies in; None outside the image."""
        import numpy as np

        found = []
        for edges, value in ((self.edge_y, y), (self.edge_x, x)):
            if not edges[0] <= value <= edges[-1]:
                return None
            found.append(min(int(np.searchsorted(edges, value, side="right")) - 1, len(edges) - 2))
        return found[0], found[1]

    def cell(self, iy: int, ix: int) -> NDArray[Any]:
        """Return the corners of a node's tile, (4, 2), (y, x) in pixels."""
        import numpy as np

        top, bottom = self.edge_y[iy : iy + 2]
        left, right = self.edge_x[ix : ix + 2]
        return np.array([[top, left], [top, right], [bottom, right], [bottom, left]])


def space_of(store: Any) -> ResultSpace:
    """Read where the parts of a result lie.

    Parameters
    ----------
    store : ResultStore
        From `blinddps_sci.open_result`.

    Returns
    -------
    ResultSpace
        Its own.
    """
    record = store.attrs
    dims = store.dims
    sizes = dict(zip(dims, store.array("scale0/image").shape, strict=True))
    if store.tilt() is not None and "t" not in sizes:
        sizes = {"t": int(store.array("psf/kernel").shape[0]), **sizes}
    y, x = record.get("pixel_scale") or (1.0, 1.0)
    known = {"y": float(y), "x": float(x), "z": float(record.get("z_scale") or 1.0)}
    origin = record.get("origin") or {}
    scale = {dim: known.get(dim, 1.0) for dim in sizes}
    position = store.array("psf/position")[:]
    node_y, node_x = position[:, 0, 0], position[0, :, 1]
    return ResultSpace(
        path=fspath(store.path),
        sizes=sizes,
        dims=dims,
        scale=scale,
        origin={dim: float(origin.get(dim, 0.0)) for dim in sizes},
        unit=_UNITS.get(str(record.get("pixel_unit")), "pixel"),
        node_y=node_y,
        node_x=node_x,
        edge_y=cell_edges(node_y, sizes["y"]),
        edge_x=cell_edges(node_x, sizes["x"]),
        metadata={
            "path": fspath(store.path),
            "status": store.status,
            "fingerprint": record.get("fingerprint"),
            "unit": record.get("unit", ""),
        },
    )


def cell_edges(nodes: Any, length: int) -> Any:
    """Return the borders between the tiles of nodes along an axis.

    Parameters
    ----------
    nodes : ndarray, float64, (n,)
        0-based pixels, rising.
    length : int
        Of the axis.

    Returns
    -------
    ndarray, float64, (n + 1,)
        From -0.5, the first pixel's edge, to the last one's. Nodes of a plan are the middles of tiles that
        lie side by side, whatever their sizes; of other nodes the borders are half way between them.
    """
    import numpy as np

    edges = [-0.5]
    for node in nodes:
        edges.append(2.0 * node - edges[-1])
    if edges[-1] == length - 0.5 and (np.diff(edges) > 0).all():
        return np.array(edges)
    return np.concatenate([[-0.5], (nodes[1:] + nodes[:-1]) / 2.0, [length - 0.5]])
