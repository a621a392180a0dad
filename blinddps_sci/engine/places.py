"""Where the results of a unit lie in the store, told by the plan or by the store itself."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from blinddps_sci.io.result import ResultStore
from blinddps_sci.tiling.plan import Plan, Unit

__all__ = ["frame_of", "index_of", "leading_of", "node_slices", "plan_of"]


def index_of(plane: int, leading: Mapping[str, int]) -> dict[str, int]:
    """Return the position of a plane along the leading axes, given their sizes in order."""
    where = np.unravel_index(plane, tuple(leading.values())) if leading else ()
    return {dim: int(i) for dim, i in zip(leading, where, strict=True)}


def frame_of(index: Mapping[str, int], leading: Mapping[str, int]) -> int:
    """Return which of the PSF's frames a plane has: time and depth are counted together."""
    return index.get("t", 0) * leading.get("z", 1) + index.get("z", 0)


def node_slices(plan: Plan, unit: Unit) -> tuple[slice, slice]:
    """Return which rows and columns of its plane's nodes are those of a unit."""
    tiles = plan.tiles(unit)
    (top, left), (bottom, right) = tiles[0].index, tiles[-1].index
    return slice(top, bottom + 1), slice(left, right + 1)


def leading_of(store: ResultStore) -> dict[str, int]:
    """Return the sizes of a store's axes before (y, x), in order."""
    return dict(zip(store.dims[:-2], store.array("scale0/image").shape[:-2], strict=True))


def plan_of(store: ResultStore) -> Plan:
    """Return the plan by which a store is filled."""
    config = store.attrs["config"]
    return Plan(
        shape=store.array("scale0/image").shape[-2:],
        planes=math.prod(leading_of(store).values()),
        tile=config["tile"],
        overlap=config["overlap"],
        unit=config["unit"],
        kernel_size=store.array("psf/kernel").shape[-1],
        reach=config["reach"] if config["model"] == "turbulence" else 0,
    )
