"""What is measured once on a stack, before its first unit: the range and the noise of every channel.

A channel has its own: one dye is brighter than another, and the mean of two pixels has half the variance. All
its slices, frames and tiles share them, so that neighbours are treated alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from xarray import Dataset

from blinddps_sci.engine.config import RestoreConfig
from blinddps_sci.engine.photometry import NoiseModel, choose_noise, choose_stretch
from blinddps_sci.engine.registration import filled, register
from blinddps_sci.engine.seeing import contrast
from blinddps_sci.errors import InputError
from blinddps_sci.io import Window, check_finite, overview, read_window
from blinddps_sci.operators.stretch import AsinhStretch, LinearStretch

__all__ = ["Channel", "measure_channels"]

_STRETCHES = {kind.__name__: kind for kind in (AsinhStretch, LinearStretch)}

_UNTOLD = 1.4
"""Contrast of a scene over that of its frame, if there is only one frame to tell."""

_TELLING, _TELLING_SIDE = 24, 256
"""Frames of a burst that tell of its scene's contrast, and their side, pixels."""

_MEASURED = 16
"""Channels that are measured at most: of a spectrum of thousands, neighbours are alike."""

_SAMPLE_SIDE = 1024
_PLAIN = 64
"""Windows of a single value after which the noise is measured on one."""


@dataclass(frozen=True)
class Channel:
    """What has been measured of one channel of a stack.

    Parameters
    ----------
    stretch : LinearStretch or AsinhStretch
        Between flux and the image network's domain.
    noise : NoiseModel
        Of the detector, in data units.
    """

    stretch: LinearStretch | AsinhStretch
    noise: NoiseModel

    @property
    def as_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes it again."""
        return {
            "stretch": {"kind": type(self.stretch).__name__, **asdict(self.stretch)},
            "noise": asdict(self.noise),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Mapping[str, Any]]) -> Channel:
        """Return what `as_dict` describes."""
        stretch = dict(values["stretch"])
        kind = _STRETCHES[stretch.pop("kind")]
        return cls(kind(**stretch), NoiseModel(**values["noise"]))


def measure_channels(dataset: Dataset, config: RestoreConfig) -> tuple[Channel, ...]:
    """Measure the range and the noise of every channel of a stack, in order; of one without channels, once.

    A channel without a usable pixel, of which nothing is restored, borrows those of the nearest that has
    some. So do most of very many.

    Raises
    ------
    InputError
        If no pixel is usable.
    ConfigError
        If Poisson noise is asked for and most of a channel is negative.
    """
    count = dataset["data"].sizes.get("c", 1)
    some = np.unique(np.linspace(0, count - 1, min(count, _MEASURED)).round().astype(int)).tolist()
    part = dataset.isel(c=some) if len(some) < count else dataset
    # A shutter that stayed closed says nothing of the range of other frames.
    values = overview(part, plain=not config.merges)
    wider = _widening(dataset, config)
    found: dict[int, Channel] = {}
    for channel, shown in zip(some, values, strict=True):
        sample = _sample(dataset.isel(c=slice(channel, channel + 1)) if count > 1 else dataset)
        if sample is not None:
            noise = choose_noise(config, dataset, sample)
            stretch = choose_stretch(shown if shown.size else sample[np.isfinite(sample)])
            found[channel] = Channel(_widened(stretch, wider), noise)
    if not found:
        check_finite(dataset)
        raise InputError(
            "no pixel has a finite value with a positive, finite variance; check the error plane"
        )
    return tuple(found[min(found, key=lambda near: abs(near - channel))] for channel in range(count))


def _widening(dataset: Dataset, config: RestoreConfig) -> float:
    """Return by how much the range of a scene exceeds that of its frames, alike for all its colours."""
    if config.model != "turbulence":
        return 1.0
    return _contrast(dataset) if config.merges else _UNTOLD


def _widened(stretch: LinearStretch | AsinhStretch, factor: float) -> LinearStretch | AsinhStretch:
    return stretch.widened(factor) if factor != 1.0 and isinstance(stretch, LinearStretch) else stretch


def _contrast(dataset: Dataset) -> float:
    """Return by how much the range of a burst's scene exceeds that of its frames, told by their middle."""
    sizes = dataset["data"].sizes
    if "t" not in sizes:
        return _UNTOLD
    index = {str(dim): n // 2 for dim, n in sizes.items() if dim not in ("t", "y", "x")}
    y, x = (_middle(sizes[dim], _TELLING_SIDE) for dim in ("y", "x"))
    some = np.unique(np.linspace(0, sizes["t"] - 1, _TELLING).round().astype(int))
    windows = (read_window(dataset, {"t": int(t), **index}, y, x) for t in some)
    frames = [filled(window.data, window.mask) for window in windows if not _plain(window)]
    return contrast(register(np.stack(frames)).moved) if len(frames) > 1 else _UNTOLD


def _sample(dataset: Dataset) -> np.ndarray | None:
    """Return a window at full resolution, NaN where masked, of which at least half is usable.

    Without such a window, the one with the most usable pixels; None if there is none.
    """
    fullest, most, plain = None, 0.0, 0
    for index, y, x in _windows(dataset):
        window = read_window(dataset, index, y, x)
        usable = 1.0 - float(window.mask.mean())
        if _plain(window):
            plain += usable > 0
            usable *= 1e-3  # better than nothing
        if usable > most:
            fullest, most = np.where(window.mask, np.nan, window.data), usable
        if most >= 0.5 or plain >= _PLAIN:
            break
    return fullest


def _plain(window: Window) -> bool:
    """Return whether all usable values of a window are one, or there is none."""
    usable = window.data[~window.mask]
    return not usable.size or bool(usable.min() == usable.max())


def _windows(dataset: Dataset) -> Iterator[tuple[dict[str, int], slice, slice]]:
    """Yield the middle of every plane, then all of each; the first of a stack may be dark or out of focus."""
    sizes = {str(dim): size for dim, size in dataset["data"].sizes.items()}
    height, width = sizes.pop("y"), sizes.pop("x")
    planes = [dict(zip(sizes, where, strict=True)) for where in np.ndindex(*sizes.values())]
    planes = planes[len(planes) // 2 :] + planes[: len(planes) // 2]

    def span(start: int, length: int) -> slice:
        return slice(start, min(start + _SAMPLE_SIDE, length))

    for plane in planes:
        yield plane, _middle(height, _SAMPLE_SIDE), _middle(width, _SAMPLE_SIDE)
    for plane in planes:
        for y in range(0, height, _SAMPLE_SIDE):
            for x in range(0, width, _SAMPLE_SIDE):
                yield plane, span(y, height), span(x, width)


def _middle(length: int, side: int) -> slice:
    """Return the middle of an axis, of so many pixels or all."""
    start = max((length - side) // 2, 0)
    return slice(start, min(start + side, length))
