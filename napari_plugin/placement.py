"""Where a layer lies in the world, so that what is made of it lies there, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blinddps_sci.errors import InputError

if TYPE_CHECKING:
    from napari_plugin.region import Region

__all__ = ["Placement", "axes_of", "full_resolution"]

_PLAIN = {2: "yx", 3: "tyx", 4: "tcyx"}


@dataclass(frozen=True)
class Placement:
    """Axes of a layer, and its scale, translation and units along them.

    Parameters
    ----------
    dims : tuple of str
        Out of (t, c, z, y, x).
    scale, translate, units : mapping of str to float or str
        By axis.
    """

    dims: tuple[str, ...]
    scale: Mapping[str, float]
    translate: Mapping[str, float]
    units: Mapping[str, str]

    @classmethod
    def of(cls, layer: Any) -> Placement:
        """Return where an image layer lies.

        Raises
        ------
        InputError
            As `axes_of`.
        """
        dims = axes_of(layer)
        scale, translate = (
            {dim: float(value) for dim, value in zip(dims, values, strict=True)}
            for values in (layer.scale, layer.translate)
        )
        return cls(dims, scale, translate, {d: str(u) for d, u in zip(dims, layer.units, strict=True)})

    def options(self, dims: Sequence[str], region: Region | None = None) -> dict[str, Any]:
        """Return how napari is told where a layer of some of the axes lies that begins with a region.

        An axis that this layer does not have, such as a burst's result's of length one, is plain.
        """
        first = {} if region is None else {"y": region[0][0], "x": region[1][0]}
        scale = [self.scale.get(dim, 1.0) for dim in dims]
        return {
            "scale": scale,
            "translate": [
                self.translate.get(dim, 0.0) + first.get(dim, 0) * step
                for dim, step in zip(dims, scale, strict=True)
            ],
            "units": tuple(self.units.get(dim, "pixel") for dim in dims),
            "axis_labels": tuple(dims),
        }


def full_resolution(layer: Any) -> Any:
    """Return the array of an image layer, of several levels the finest."""
    return layer.data[0] if layer.multiscale else layer.data


def axes_of(layer: Any) -> tuple[str, ...]:
    """Return the axes of an image layer, out of (t, c, z, y, x): as labelled, else as the library counts.

    Raises
    ------
    InputError
        If the layer is no image of real numbers that can be restored.
    """
    if layer.rgb:
        raise InputError(
            f"layer {layer.name!r} is a colour picture; split its channels first: right-click, Split RGB"
        )
    data = full_resolution(layer)
    if data.dtype.kind not in "iuf":
        raise InputError(f"layer {layer.name!r} holds {data.dtype} values; only real numbers can be restored")
    labels = tuple(str(label).lower() for label in layer.axis_labels)
    if set(labels) <= set("tczyx") and len(set(labels)) == data.ndim and labels[-2:] == ("y", "x"):
        return labels
    if data.ndim not in _PLAIN:
        raise InputError(
            f"layer {layer.name!r} has {data.ndim} axes; label them t, c, z, y, x so that they can be told"
        )
    return tuple(_PLAIN[data.ndim])
