"""From data to numbers that the sampler needs: the stretch and the noise, one per stack.

Both are measured on an overview of the whole stack, never on a tile, so that neighbouring
tiles are treated alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from xarray import Dataset

from blinddps_sci.engine.config import RestoreConfig, parse_noise
from blinddps_sci.errors import ConfigError
from blinddps_sci.io.stack import Window
from blinddps_sci.likelihoods.base import Likelihood
from blinddps_sci.likelihoods.gaussian import Gaussian
from blinddps_sci.likelihoods.poisson import Poisson
from blinddps_sci.likelihoods.poisson_gaussian import PoissonGaussian
from blinddps_sci.operators.stretch import AsinhStretch, LinearStretch

__all__ = ["NoiseModel", "choose_noise", "choose_stretch", "estimate_sigma"]

_BLOCK = 32
_HEAVY_TAIL = 8.0

_DISPLAYED = 0.01
"""Least noise of 8-bit data, as a share of their range: they were stretched, sharpened or compressed to
be looked at, and no blur explains them better than that."""


def choose_stretch(values: np.ndarray) -> LinearStretch | AsinhStretch:
    """Return the stretch of a stack from a sample of its finite values.

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
    """Return the standard deviation of white noise in an image (H, W), in its units.

    The median absolute diagonal difference of 2 x 2 pixels in blocks of 32; of the blocks the
    lower quartile counts, because structure only ever adds to it.

    References
    ----------
    D. L. Donoho, I. M. Johnstone, "Ideal spatial adaptation by wavelet shrinkage", 1994.
    """
    h, w = (side // 2 * 2 for side in image.shape)
    quads = image[:h, :w].astype(np.float64)
    detail = (quads[::2, ::2] - quads[1::2, ::2] - quads[::2, 1::2] + quads[1::2, 1::2]) / 2
    half = _BLOCK // 2
    levels = []
    for y in range(0, max(detail.shape[0] - half + 1, 1), half):
        for x in range(0, max(detail.shape[1] - half + 1, 1), half):
            block = detail[y : y + half, x : x + half]
            block = block[np.isfinite(block)]
            if block.size >= half:
                levels.append(np.median(np.abs(block)) / 0.6745)
    finite = detail[np.isfinite(detail)]
    if not levels and finite.size:  # so many pixels are masked that no block has enough of them
        levels = [np.median(np.abs(finite)) / 0.6745]
    return float(np.quantile(levels, 0.25)) if levels else 0.0


@dataclass(frozen=True)
class NoiseModel:
    """The noise of a stack, in data units.

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
    """

    kind: str
    sigma: float = 0.0
    gain: float = 1.0
    read_noise: float = 0.0
    saturation: float | None = None

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
        return PoissonGaussian(self.gain, self.read_noise, mask=mask, saturation=saturation)


def choose_noise(config: RestoreConfig, dataset: Dataset, overview: np.ndarray) -> NoiseModel:
    """Return the noise model that the option asks for, measuring what is not given.

    ``auto`` takes, in this order: a variance plane, gain and read noise of the header, and white
    noise estimated from the data, of which 8-bit data have at least 1 % of their range.

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
        return NoiseModel("poisson-gaussian", gain=numbers[0], read_noise=numbers[1], saturation=saturation)
    if kind == "poisson":
        if np.nanmedian(overview) < 0:
            raise ConfigError(
                "noise poisson needs counts, but most of the data is negative; "
                "use gaussian:SIGMA, or poisson-gaussian:GAIN,READ on data with its background"
            )
        return NoiseModel("poisson", gain=attrs.get("gain", 1.0), saturation=saturation)
    if "variance" in dataset:
        return NoiseModel("variance", saturation=saturation)
    if "gain" in attrs and "read_noise" in attrs:
        return NoiseModel(
            "poisson-gaussian", gain=attrs["gain"], read_noise=attrs["read_noise"], saturation=saturation
        )
    spread = float(np.nanpercentile(overview, 99.9) - np.nanpercentile(overview, 0.1))
    floor = 1e-3 * spread if spread > 0 else 1e-6 * _size(float(np.nanmedian(overview)))
    stored = np.dtype(attrs["dtype_on_disk"])
    if stored.kind in "iu":
        floor = max(floor, 12**-0.5 * _quantum(attrs))
    if stored.itemsize == 1:
        floor = max(floor, _DISPLAYED * spread)
    return NoiseModel("gaussian", sigma=max(estimate_sigma(overview), floor), saturation=saturation)


def _quantum(attrs: Mapping[Any, Any]) -> float:
    """Return the step between neighbouring values of integer data, in data units."""
    cards = {key: value for key, value, _ in attrs.get("header", ())}
    return abs(float(cards.get("BSCALE", 1.0)))
