"""Panels side by side: what was measured, what was made of it, and what is known to be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

from blinddps_sci.bench.real_case import Image

__all__ = ["Panel", "draw_panels"]

_FAINT = 0.02
"""Share of the range below which the stretch of the sky is linear."""


@dataclass(frozen=True, eq=False)
class Panel:
    """A picture of a figure.

    Parameters
    ----------
    title : str
        Above it.
    image : ndarray, (h, w), optional
        Nothing is drawn without one.
    like : ndarray, optional
        Whose range it has; its own otherwise.
    kind : str
        ``grey`` from the least to the largest value; ``sky`` by an inverse hyperbolic sine, which shows faint
        and bright; ``psf``, its root in colours.
    """

    title: str
    image: Image | None
    like: Image | None = None
    kind: str = "grey"


def draw_panels(panels: Sequence[Panel], path: Path, across: int) -> None:
    """Draw panels in rows as a PNG file; nothing if none of them has an image."""
    shown = [panel for panel in panels if panel.image is not None]
    if not shown:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    across = min(across, len(shown))
    down = -(-len(shown) // across)
    figure, axes = pyplot.subplots(
        down, across, figsize=(2.2 * across, 2.45 * down), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, panel in zip(axes.flat, shown, strict=False):
        grey, colours = _displayed(panel)
        axis.imshow(grey, cmap=colours, vmin=0, vmax=1)
        axis.set_title(panel.title, fontsize=9)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _displayed(panel: Panel) -> tuple[Image, str]:
    """Return the panel's image on [0, 1] and its colours."""
    image = np.asarray(panel.image, dtype=np.float64)
    known = image if panel.like is None else np.asarray(panel.like, dtype=np.float64)
    if panel.kind == "psf":
        return np.sqrt(np.clip(image / known.max(), 0, 1)), "magma"
    low, high = np.nanpercentile(known, [2 if panel.kind == "sky" else 0.2, 99.8])
    scaled = np.clip((image - low) / max(high - low, np.finfo(float).tiny), 0, 1)
    if panel.kind == "sky":
        scaled = np.arcsinh(scaled / _FAINT) / np.arcsinh(1 / _FAINT)
    return scaled, "gray"
