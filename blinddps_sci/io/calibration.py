"""Detector calibration: dark, flat and bad pixels taken out of a stack, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from blinddps_sci.errors import InputError
from blinddps_sci.io.arrays import VariableReader
from blinddps_sci.io.lazy import Key, LazyArray, to_dataset

__all__ = ["calibrate"]

Array = np.ndarray[Any, np.dtype[Any]]
Plane = np.ndarray[Any, np.dtype[np.float32]]

_MOST = 99.0
"""Percentile of dark and flat that says where the brightest usable pixels saturate."""


def calibrate(
    stack: xr.Dataset,
    dark: xr.Dataset | None = None,
    flat: xr.Dataset | None = None,
    bad: xr.Dataset | None = None,
) -> xr.Dataset:
    """Return a stack whose data are ``(data - dark) / (flat / median of flat)``, lazily.

    Parameters
    ----------
    stack : xarray.Dataset
        From `open_stack`.
    dark, flat, bad : xarray.Dataset, optional
        From `open_stack`; of several frames the mean counts. Bad are pixels that are not zero there, and
        those where the flat is not above zero or dark or flat have no value.

    Returns
    -------
    xarray.Dataset
        As the stack. Its variance, if it has one, is divided by the square of the flat, and the level of
        saturation is that at which the first pixels saturate. Gain and read noise stay as they are.

    Raises
    ------
    InputError
        If a frame has not the size of the stack, or the flat is nowhere above zero.
    """
    shape = tuple(stack["data"].shape[-2:])
    offset = _master(dark, "dark", shape, np.zeros(shape, np.float32))
    sensitivity = _master(flat, "flat", shape, np.ones(shape, np.float32))
    good = np.isfinite(offset) & np.isfinite(sensitivity) & (sensitivity > 0)
    if bad is not None:
        good &= _planes(bad, "bad-pixel", shape).max(axis=0) == 0
    if not good.any():
        raise InputError("the calibration leaves no usable pixel; check the flat and the bad pixels")
    sensitivity = sensitivity / np.median(sensitivity[good])
    offset, sensitivity = np.where(good, offset, 0), np.where(good, sensitivity, 1)
    arrays = {"data": _Calibrated(_reader(stack, "data"), offset, sensitivity)}
    if "variance" in stack:
        arrays["variance"] = _Calibrated(_reader(stack, "variance"), np.zeros_like(offset), sensitivity**2)
    masked = _Flagged(_reader(stack, "mask") if "mask" in stack else None, ~good, stack["data"].shape)
    attrs = dict(stack.attrs)
    if attrs.get("saturation") is not None:
        dark_level, flat_level = np.percentile(offset[good], _MOST), np.percentile(sensitivity[good], _MOST)
        attrs["saturation"] = float((attrs["saturation"] - dark_level) / flat_level)
    given = {"dark": dark, "flat": flat, "bad_pixels": bad}
    own = {name: each.attrs.get("identity") for name, each in given.items() if each is not None}
    attrs["identity"] = {"data": attrs.get("identity"), **own}
    lazy = {name: LazyArray(reader, np.dtype(np.float32)) for name, reader in arrays.items()}
    return to_dataset(
        {**lazy, "mask": LazyArray(masked, np.dtype(bool))},
        [str(dim) for dim in stack["data"].dims],
        attrs,
        stack["data"].encoding.get("preferred_chunks"),
    )


def _reader(stack: xr.Dataset, name: str) -> VariableReader:
    return VariableReader(stack[name].variable)


def _master(frames: xr.Dataset | None, name: str, shape: Sequence[int], default: Plane) -> Plane:
    return default if frames is None else _planes(frames, name, shape).mean(axis=0)


def _planes(frames: xr.Dataset, name: str, shape: Sequence[int]) -> Plane:
    """Return all planes of a calibration, (N, h, w), NaN where they are masked."""
    values = frames["data"].values.astype(np.float32)
    if values.shape[-2:] != tuple(shape):
        raise InputError(
            f"the {name} frame has {values.shape[-2]} x {values.shape[-1]} pixels, the data {shape[0]} x "
            f"{shape[1]}; give one of the same detector and read-out"
        )
    if "mask" in frames:
        values = np.where(frames["mask"].values, np.nan, values)
    return values.reshape(-1, *values.shape[-2:])


@dataclass(frozen=True, eq=False)
class _Calibrated:
    """Reader of values without an offset and over a sensitivity, each (h, w)."""

    base: VariableReader
    offset: Plane
    sensitivity: Plane

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def read(self, key: Key) -> Array:
        """Read one window; see `Reader.read`."""
        return (self.base.read(key) - self.offset[key[-2:]]) / self.sensitivity[key[-2:]]


@dataclass(frozen=True, eq=False)
class _Flagged:
    """Reader of a mask, if there is one, with more pixels (h, w) masked in every frame."""

    base: VariableReader | None
    flags: np.ndarray[Any, np.dtype[np.bool_]]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(bool)

    def read(self, key: Key) -> Array:
        """Read one window; see `Reader.read`."""
        own = self.flags[key[-2:]]
        if self.base is not None:
            return self.base.read(key).astype(bool) | own
        lengths = [
            len(range(*k.indices(n))) for k, n in zip(key, self.shape, strict=True) if isinstance(k, slice)
        ]
        return np.broadcast_to(own, lengths)
