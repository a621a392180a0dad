"""An estimate beside its truth, checked once.

Every metric of an image takes its two arrays through `as_pair`, so that shapes, masks and
non-finite values are refused in the same words everywhere and the metrics hold mathematics only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blinddps_sci.errors import InputError

__all__ = ["Pair", "as_image", "as_pair", "check_data_range"]


@dataclass(frozen=True)
class Pair:
    """Two arrays of one shape, finite where they are usable.

    Parameters
    ----------
    estimate, truth : ndarray, float64, any shape
        The restored and the true values, in one unit. Unusable pixels hold zero in both.
    usable : ndarray, bool, the same shape
        True where the pixel counts.
    """

    estimate: NDArray[np.float64]
    truth: NDArray[np.float64]
    usable: NDArray[np.bool_]


def as_pair(estimate: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None) -> Pair:
    """Check two arrays and hand them on as float64.

    Parameters
    ----------
    estimate, truth : array_like, real, any shape
        The restored and the true values, in one unit.
    mask : array_like of bool, the same shape, optional
        True marks an unusable pixel. Without it every pixel counts.

    Returns
    -------
    Pair
        Copies in float64; the arguments are not changed.

    Raises
    ------
    InputError
        If the shapes differ, nothing is usable, or a usable value is not finite.
    """
    first = np.array(estimate, dtype=np.float64)
    second = np.array(truth, dtype=np.float64)
    if first.shape != second.shape:
        raise InputError(
            f"the estimate has shape {first.shape} and the truth {second.shape}; "
            "a metric compares equal shapes: crop or resample one of them"
        )
    usable = np.ones(first.shape, bool) if mask is None else ~np.asarray(mask, dtype=bool)
    if usable.shape != first.shape:
        raise InputError(
            f"the mask has shape {usable.shape} and the images {first.shape}; give one mask value per pixel"
        )
    if not usable.any():
        raise InputError("no pixel is usable (the images are empty or the mask is True everywhere)")
    for name, array in (("estimate", first), ("truth", second)):
        bad = int(np.count_nonzero(~np.isfinite(array[usable])))
        if bad:
            raise InputError(f"the {name} has {bad} NaN or infinite values; mark them True in `mask`")
        array[~usable] = 0.0
    return Pair(first, second, usable)


def as_image(image: ArrayLike, name: str = "image") -> NDArray[np.float64]:
    """Check one two-dimensional finite array and hand it on as float64.

    Parameters
    ----------
    image : array_like, real, (y, x)
        Any unit.
    name : str
        What the message of an error calls it.

    Returns
    -------
    ndarray, float64, (y, x)

    Raises
    ------
    InputError
        If it is not two-dimensional, is empty, or holds a value that is not finite.
    """
    array = np.asarray(image, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise InputError(f"the {name} has shape {array.shape}; give a non-empty (y, x) array")
    if not np.isfinite(array).all():
        raise InputError(f"the {name} has NaN or infinite values; replace them or cut them away first")
    return array


def check_data_range(data_range: float) -> float:
    """Return `data_range` if it can be one.

    Parameters
    ----------
    data_range : float
        Largest minus smallest value that the data can take, in the data's unit.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If it is not positive and finite.
    """
    if not (np.isfinite(data_range) and data_range > 0):
        raise InputError(
            f"data_range is {data_range}; it must be positive and finite: "
            "give the largest minus the smallest value of the data's scale (1.0 for images in [0, 1])"
        )
    return float(data_range)
