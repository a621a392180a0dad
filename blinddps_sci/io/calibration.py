"""Detector calibration: dark, flat and bad pixels taken out of a stack, window by window."""

from __future__ import annotations

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
        From `open_stack`; of several frames the mean counts, of each channel if they have channels. Bad are
        pixels that are not zero there, and those where the flat is not above zero or dark or flat have no
        value.

    Returns
    -------
    xarray.Dataset
        As the stack. Its variance, if it has one, is divided by the square of the flat, and the level of
        saturation is that at which the first pixels saturate. Gain and read noise stay as they are.

    Raises
    ------
    InputError
        If a frame has not the size or the channels of the stack, or the flat is nowhere above zero.
    """
    data = stack["data"]
    offset, sensitivity = _master(dark, "dark", data, 0.0), _master(flat, "flat", data, 1.0)
    good = np.isfinite(offset) & np.isfinite(sensitivity) & (sensitivity > 0)
    if bad is not None:
        good = good & (_planes(bad, "bad-pixel", data).max(axis=0) == 0)
    if not good.any():
        raise InputError("the calibration leaves no usable pixel; check the flat and the bad pixels")
    offset, sensitivity, good = np.broadcast_arrays(offset, sensitivity, good)
    middle = np.nanmedian(np.where(good, sensitivity, np.nan), axis=(-2, -1), keepdims=True)
    offset, sensitivity = np.where(good, offset, 0), np.where(good, sensitivity / middle, 1)
    channel = data.dims.index("c") if offset.ndim == 3 else None
    arrays = {"data": _Calibrated(_reader(stack, "data"), offset, sensitivity, channel)}
    if "variance" in stack:
        arrays["variance"] = _Calibrated(
            _reader(stack, "variance"), np.zeros_like(offset), sensitivity**2, channel
        )
    masked = _Flagged(_reader(stack, "mask") if "mask" in stack else None, ~good, data.shape, channel)
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
        [str(dim) for dim in data.dims],
        attrs,
        data.encoding.get("preferred_chunks"),
    )


def _reader(stack: xr.Dataset, name: str) -> VariableReader:
    return VariableReader(stack[name].variable)


def _master(frames: xr.Dataset | None, name: str, data: xr.DataArray, default: float) -> Plane:
    """Return the mean of a calibration, ([c,] h, w)."""
    if frames is None:
        return np.full(data.shape[-2:], default, np.float32)
    mean: Plane = _planes(frames, name, data).mean(axis=0)
    return mean


def _planes(frames: xr.Dataset, name: str, data: xr.DataArray) -> Plane:
    """Return all frames of a calibration, (N, [c,] h, w), NaN where they are masked."""
    values = frames["data"].values.astype(np.float32)
    if values.shape[-2:] != data.shape[-2:]:
        raise InputError(
            f"the {name} frame has {values.shape[-2]} x {values.shape[-1]} pixels, the data "
            f"{data.shape[-2]} x {data.shape[-1]}; give one of the same detector and read-out"
        )
    channels, wanted = (each.sizes.get("c", 1) for each in (frames["data"], data))
    if channels not in (1, wanted):
        raise InputError(f"the {name} frame has {channels} channels, the data {wanted}; give one of the same")
    if "mask" in frames:
        values = np.where(frames["mask"].values, np.nan, values)
    if channels == 1:
        return values.reshape(-1, *values.shape[-2:])
    values = np.moveaxis(values, frames["data"].dims.index("c"), -3)
    return values.reshape(-1, *values.shape[-3:])


def _part(plane: Array, key: Key, channel: int | None) -> Array:
    """Return what of a plane, (h, w) or (c, h, w), belongs to a window of a stack with such an axis c."""
    if channel is None:
        return np.asarray(plane[key[-2:]])
    part = np.asarray(plane[(key[channel], *key[-2:])])
    between = sum(isinstance(k, slice) for k in key[channel + 1 : -2])
    return part.reshape(*part.shape[:-2], *(1,) * between, *part.shape[-2:])


@dataclass(frozen=True, eq=False)
class _Calibrated:
    """Reader of values without an offset and over a sensitivity, each (h, w) or (c, h, w)."""

    base: VariableReader
    offset: Plane
    sensitivity: Plane
    channel: int | None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def read(self, key: Key) -> Array:
        """Read one window; see `Reader.read`."""
        offset, sensitivity = (_part(plane, key, self.channel) for plane in (self.offset, self.sensitivity))
        return (self.base.read(key) - offset) / sensitivity


@dataclass(frozen=True, eq=False)
class _Flagged:
    """Reader of a mask, if there is one, with more pixels, (h, w) or (c, h, w), masked in every frame."""

    base: VariableReader | None
    flags: np.ndarray[Any, np.dtype[np.bool_]]
    shape: tuple[int, ...]
    channel: int | None

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(bool)

    def read(self, key: Key) -> Array:
        """Read one window; see `Reader.read`."""
        own = _part(self.flags, key, self.channel)
        if self.base is not None:
            return self.base.read(key).astype(bool) | own
        lengths = [
            len(range(*k.indices(n))) for k, n in zip(key, self.shape, strict=True) if isinstance(k, slice)
        ]
        return np.broadcast_to(own, lengths)
