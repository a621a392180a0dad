"""From data to numbers that the sampler needs: the stretch and the noise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from xarray import Dataset

from blinddps_sci.engine.config import RestoreConfig, parse_noise
from blinddps_sci.errors import ConfigError, MisfitWarning
from blinddps_sci.io.stack import Window
from blinddps_sci.likelihoods.base import Likelihood
from blinddps_sci.likelihoods.correlated import block_noise
from blinddps_sci.likelihoods.gaussian import Gaussian
from blinddps_sci.likelihoods.photon_transfer import NoiseCurve, noise_curve
from blinddps_sci.likelihoods.poisson import Poisson
from blinddps_sci.likelihoods.poisson_gaussian import PoissonGaussian
from blinddps_sci.operators.stretch import AsinhStretch, LinearStretch

__all__ = ["NoiseModel", "choose_noise", "choose_stretch", "estimate_sigma"]

_HEAVY_TAIL = 8.0

_DISPLAYED = 0.01
"""Least noise of 8-bit data, as a share of their range: they were stretched, sharpened or compressed to
be looked at, and no blur explains them better than that."""

_FAINTEST = 1e-3
"""Least noise that is alike at all levels, as a share of the range; that of photons differs by level."""

_GREYS = 256
"""Data of so few values are 8-bit data, however they are stored."""

_PEDESTAL = 0.2
"""Relative difference of a variance from the header's by which the level of no light is not that of zero."""

_CONTRADICTED = 2.0
"""Factor between the gains of header and data from which the user is told."""


def choose_stretch(values: np.ndarray) -> LinearStretch | AsinhStretch:
    """Return the stretch of data from a sample of its finite values.

    Linear between the 0.1 and 99.9 percentiles, unless a few pixels are far brighter than the
    rest (stars on a sky): then asinh, softened at three times the spread of the sky.
    """
    low, lower, middle, upper, high = np.percentile(values, [0.1, 5, 50, 95, 99.9]).tolist()
    if high <= low:
        high = low + _size(low)
    spread = max(upper - lower, 1e-6 * (high - low))
    if high - middle <= _HEAVY_TAIL * spread:
        return LinearStretch(low, high)
    sky = 1.4826 * float(np.median(np.abs(values - middle)))
    softening = min(max(3 * sky, 1e-3 * (high - low)), high - low)
    return AsinhStretch(low, high, softening)


def _size(constant: float) -> float:
    """Return a scale for an image of one value: the value's, or one for zero."""
    return abs(constant) or 1.0


def estimate_sigma(image: np.ndarray) -> float:
    """Return the standard deviation of the noise in an image (H, W), in its units, as if it were all alike.

    Zero if there is nothing to tell it by; see `noise_curve`.
    """
    return math.sqrt(noise_curve(image).constant)


@dataclass(frozen=True)
class NoiseModel:
    """The noise of data, in their units.

    Parameters
    ----------
    kind : str
        ``gaussian``, ``poisson``, ``poisson-gaussian`` or ``variance`` (a plane in the data).
    sigma : float
        Standard deviation of Gaussian noise.
    gain : float
        Electrons per data unit.
    read_noise : float
        Standard deviation of the read noise.
    saturation : float, optional
        Values from here on are lower limits.
    background : float
        Light that was taken off the data and left its photon noise in them; negative where the data have a
        pedestal, a level without light.
    """

    kind: str
    sigma: float = 0.0
    gain: float = 1.0
    read_noise: float = 0.0
    saturation: float | None = None
    background: float = 0.0

    def likelihood(self, window: Window, device: torch.device) -> Likelihood:
        """Return the likelihood of a window of the data, of one plane or of a burst, with its mask."""

        def plane(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device).reshape(1, -1, *array.shape[-2:])

        mask, saturation = plane(window.mask), self.saturation
        if self.kind == "variance" and window.variance is not None:
            return Gaussian(variance=plane(window.variance), mask=mask, saturation=saturation)
        if self.kind == "gaussian":
            return Gaussian(self.sigma, mask=mask, saturation=saturation)
        if self.kind == "poisson":
            return Poisson(self.gain, mask=mask, saturation=saturation)
        return PoissonGaussian(
            self.gain, self.read_noise, background=self.background, mask=mask, saturation=saturation
        )


def choose_noise(config: RestoreConfig, dataset: Dataset, overview: np.ndarray) -> NoiseModel:
    """Return the noise model that the option asks for, measuring what is not given.

    ``auto`` takes a variance plane first, then gain and read noise of the header, and measures what
    these do not say: gain and read noise, or one level of noise where it does not grow with the brightness.
    8-bit data have at least 1 % of their range, and data compressed in blocks the noise of these.

    Parameters
    ----------
    config : RestoreConfig
        The options.
    dataset : Dataset
        From `open_stack`.
    overview : ndarray, (H, W)
        A window of the data at full resolution, NaN where masked.

    Raises
    ------
    ConfigError
        If Poisson noise is asked for and most of the data is negative.
    """
    kind, numbers = parse_noise(config.noise)
    attrs = dataset.attrs
    saturation = attrs.get("saturation")
    if kind == "gaussian":
        return NoiseModel("gaussian", sigma=numbers[0], saturation=saturation)
    if kind == "poisson-gaussian":
        gain, read_noise, *background = numbers
        return NoiseModel(
            "poisson-gaussian",
            gain=gain,
            read_noise=read_noise,
            saturation=saturation,
            background=sum(background),
        )
    if kind == "poisson":
        if np.nanmedian(overview) < 0:
            raise ConfigError(
                "noise poisson needs counts, but most of the data is negative; "
                "use gaussian:SIGMA, or poisson-gaussian:GAIN,READ on data with its background"
            )
        return NoiseModel("poisson", gain=attrs.get("gain", 1.0), saturation=saturation)
    if "variance" in dataset:
        return NoiseModel("variance", saturation=saturation)
    return _measured(attrs, overview, saturation)


def _measured(attrs: Mapping[Any, Any], overview: np.ndarray, saturation: float | None) -> NoiseModel:
    """Return the noise by the header and, where it says nothing, by the data."""
    image = overview if saturation is None else np.where(overview < saturation, overview, np.nan)
    floor = _least(attrs, overview)
    gain, read_noise = attrs.get("gain"), attrs.get("read_noise")
    curve = noise_curve(image)
    if gain is None:
        if not curve.rises:
            sigma = max(curve.constant**0.5, floor, _FAINTEST * (curve.high - curve.low))
            return NoiseModel("gaussian", sigma=sigma, saturation=saturation)
        return _poisson_gaussian(curve, floor, saturation)
    _check_gain(gain, curve)
    known = noise_curve(image, slope=1.0 / gain)
    if read_noise is None:
        return _poisson_gaussian(known, floor, saturation)
    return NoiseModel(
        "poisson-gaussian",
        gain=gain,
        read_noise=read_noise,
        saturation=saturation,
        background=_background(known, gain, read_noise),
    )


def _poisson_gaussian(curve: NoiseCurve, floor: float, saturation: float | None) -> NoiseModel:
    """Return the noise of a curve: one that says of no noise where no light is has a pedestal."""
    pedestal = curve.intercept <= floor**2
    variance = max(curve.variance(curve.low), curve.least) if pedestal else curve.intercept
    return NoiseModel(
        "poisson-gaussian",
        gain=1.0 / curve.slope,
        read_noise=max(variance**0.5, floor),
        saturation=saturation,
        # The line stays where it is, and ends at the read noise.
        background=(curve.intercept - variance) / curve.slope if pedestal else 0.0,
    )


def _background(curve: NoiseCurve, gain: float, read_noise: float) -> float:
    """Return the light that the data lack (or, negative, have too much of) to have the header's noise."""
    excess = curve.intercept - read_noise**2
    dark = max(curve.low, 0.0) / gain + read_noise**2
    if curve.stretch != 1.0 or abs(excess) < _PEDESTAL * dark:
        return 0.0
    return max(excess * gain, -curve.low)


def _check_gain(gain: float, curve: NoiseCurve) -> None:
    """Tell the user of a gain that the data contradict: of a mean of frames, or a camera's dial."""
    if not curve.rises or curve.stretch != 1.0:
        return
    ratio = gain * curve.slope
    if not 1.0 / _CONTRADICTED <= ratio <= _CONTRADICTED:
        warnings.warn(
            f"the header's gain is {gain:.4g} e-/unit, but the noise of the data is that of "
            f"{1.0 / curve.slope:.3g}; the header's is used: give --noise poisson-gaussian:GAIN,READ "
            "if it is not that of these data (of a mean of several frames, say)",
            MisfitWarning,
            stacklevel=5,
        )


def _least(attrs: Mapping[Any, Any], overview: np.ndarray) -> float:
    """Return the least standard deviation that data of this range and kind can have."""
    values = overview[np.isfinite(overview)]
    spread = float(np.percentile(values, 99.9) - np.percentile(values, 0.1))
    floor = 1e-6 * (spread if spread > 0 else _size(float(np.median(values))))
    stored = np.dtype(attrs["dtype_on_disk"])
    if stored.kind in "iu":
        floor = max(floor, 12**-0.5 * _quantum(attrs))
    if stored.itemsize == 1 or np.unique(values).size <= _GREYS:
        floor = max(floor, _DISPLAYED * spread)
    return max(floor, block_noise(overview))


def _quantum(attrs: Mapping[Any, Any]) -> float:
    """Return the step between neighbouring values of integer data, in data units."""
    cards = {key: value for key, value, _ in attrs.get("header", ())}
    return abs(float(cards.get("BSCALE", 1.0)))
