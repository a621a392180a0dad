"""One picture for each domain of what `blinddps bench denoising` finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from blinddps_sci.errors import OutputError

__all__ = ["draw_denoised"]

_SIDE = 1.7
"""Inches of an image."""


def draw_denoised(
    folder: Path, found: Mapping[str, Sequence[tuple[float, Mapping[str, np.ndarray], Mapping[str, float]]]]
) -> None:
    """Write ``denoising-DOMAIN.png`` for each domain: a row for each noise level, a column for each image.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    found : mapping
        By domain: noise level, images (N, N) on [0, 1] by name, and the PSNR of those that have one.

    Raises
    ------
    OutputError
        If the pictures cannot be written.
    """
    matplotlib.use("Agg")
    from matplotlib import pyplot

    for domain, rows in found.items():
        columns = list(rows[0][1])
        figure, axes = pyplot.subplots(
            len(rows),
            len(columns),
            figsize=(_SIDE * len(columns), (_SIDE + 0.2) * len(rows)),
            layout="constrained",
            squeeze=False,
        )
        for line, (sigma, images, scores) in zip(axes, rows, strict=True):
            for axis, name in zip(line, columns, strict=True):
                axis.imshow(np.clip(images[name], 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                axis.set(xticks=[], yticks=[])
                score = f", {scores[name]:.1f} dB" if name in scores else ""
                axis.set_title(f"{name}{score}", fontsize="x-small")
            line[0].set_ylabel(f"noise {sigma:g}", fontsize="small")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(folder / f"denoising-{domain}.png", dpi=130, format="png")
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {error.strerror}") from None
        finally:
            pyplot.close(figure)
