"""Pictures of a report, as PNG data URIs.

Row zero is at the top or at the bottom (``origin``), as matplotlib has it: astronomers see it at the bottom.
"""

from __future__ import annotations

import base64
import io
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["Origin", "heat_map", "kernels", "limits", "overview"]

Plane = NDArray[Any]
Origin = Literal["upper", "lower"]


def limits(image: Plane) -> tuple[float, float]:
    """Return the percentiles of an image between which it is shown; of one without a value (0, 1)."""
    finite = image[np.isfinite(image)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(finite, (0.5, 99.5))
    return float(low), float(high)


def overview(image: Plane, span: tuple[float, float], unit: str, origin: Origin) -> str:
    """Draw an image with the scale of its values."""
    return _drawn(image, 5.0, unit, origin, cmap="gray", vmin=span[0], vmax=span[1])


def heat_map(values: Plane, what: str, origin: Origin) -> str:
    """Draw one value for each tile."""
    low, high = limits(values)
    return _drawn(values, 4.0, what, origin, cmap="viridis", vmin=low, vmax=high)


def kernels(grid: NDArray[Any], origin: Origin) -> str:
    """Draw a grid of kernels (n_y, n_x, K, K), each by the root of its values relative to its peak."""
    n_y, n_x, size, _ = grid.shape
    peaks = np.nanmax(grid, axis=(2, 3), keepdims=True, initial=1e-30)
    tiled = np.full((n_y * (size + 1), n_x * (size + 1)), np.nan)
    tiles = tiled.reshape(n_y, size + 1, n_x, size + 1).transpose(0, 2, 1, 3)
    tiles[:, :, :size, :size] = np.sqrt(np.clip(grid, 0, None) / peaks)
    return _drawn(tiled, 6.0, "root of value over peak", origin, cmap="magma", vmin=0, vmax=1)


def _drawn(image: Plane, side: float, label: str, origin: Origin, **how: Any) -> str:
    height, width = image.shape
    ratio = min(max(height / width, 0.2), 3.0)
    drawing = Figure(figsize=(side + 1, side * ratio + 0.3), layout="constrained", dpi=110)
    axes = drawing.add_subplot()
    shown = axes.imshow(image, origin=origin, interpolation="nearest", **how)
    axes.set_xticks([])
    axes.set_yticks([])
    drawing.colorbar(shown, ax=axes, label=label, shrink=0.8)
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
