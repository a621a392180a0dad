"""Whether a tiled result shows its tiles: gradient energy on seam lines over elsewhere.

A seam is a step between two neighbouring rows or columns that the scene does not have; on an
image without seams the lines of the tile grid are lines like any other.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blinddps_sci.errors import InputError
from blinddps_sci.metrics.pair import as_pair

__all__ = ["seam_energy"]


def seam_energy(
    image: ArrayLike,
    rows: Iterable[int] = (),
    columns: Iterable[int] = (),
    *,
    mask: ArrayLike | None = None,
) -> float:
    """Mean squared step across seam lines, relative to the other lines.

    Parameters
    ----------
    image : array_like, real, (y, x)
        The fused result, or its difference from the truth, which tells a seam from the scene.
    rows, columns : iterable of int
        Seam positions: r is the line between rows r - 1 and r, so ``1 <= r < image.shape[0]``;
        the same for columns. A seam line is where a tile's data begins.
    mask : array_like of bool, (y, x), optional
        True marks an unusable pixel; a step that touches one does not count.

    Returns
    -------
    float
        1 on average without seams, above 1 with them; infinite where only the seams have steps,
        and 1 for an image without any step.

    Raises
    ------
    InputError
        If the image is not (y, x), a usable value is not finite, no seam is given, a seam lies
        outside, or every line is a seam.

    Notes
    -----
    Steps across rows and across columns are compared with lines of their own direction and the
    two ratios are averaged by the number of steps on their seams.
    """
    pair = as_pair(image, image, mask)
    if pair.truth.ndim != 2:
        raise InputError(f"the image has shape {pair.truth.shape}; give a (y, x) array")
    ratios, weights = [], []
    for axis, lines in enumerate((sorted(set(rows)), sorted(set(columns)))):
        if lines:
            ratio, count = _axis_ratio(pair.truth, pair.usable, lines, axis)
            ratios.append(ratio)
            weights.append(count)
    if not ratios:
        raise InputError("no seam line was given; give `rows`, `columns` or both")
    return float(np.average(ratios, weights=weights))


def _axis_ratio(
    image: NDArray[np.float64], usable: NDArray[np.bool_], lines: list[int], axis: int
) -> tuple[float, int]:
    """Return the ratio of one direction and the number of steps on its seams."""
    size = image.shape[axis]
    if lines[0] < 1 or lines[-1] >= size:
        raise InputError(f"seams {lines[0]} to {lines[-1]} do not lie in 1 to {size - 1} along axis {axis}")
    steps = np.moveaxis(np.diff(image, axis=axis) ** 2, axis, 0)
    pairs = np.moveaxis(usable, axis, 0)
    counted = pairs[1:] & pairs[:-1]
    on_seam = np.zeros(size - 1, bool)
    on_seam[np.array(lines) - 1] = True
    seam, other = (steps[where][counted[where]] for where in (on_seam, ~on_seam))
    if seam.size == 0 or other.size == 0:
        raise InputError(
            f"along axis {axis} {seam.size} usable steps lie on seams and {other.size} elsewhere; "
            "both are needed"
        )
    above, below = float(seam.mean()), float(other.mean())
    if below == 0:
        return (1.0 if above == 0 else float("inf")), seam.size
    return above / below, seam.size
