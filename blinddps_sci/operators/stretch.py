"""Monotone stretches between flux and the domain [-1, 1] of the image networks.

One stretch serves a whole channel of a stack, so that tiles share their scale. Both directions are defined
on the whole line: a star brighter than ``high`` lies above 1 and keeps its flux.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from blinddps_sci.errors import ConfigError

__all__ = ["AsinhStretch", "LinearStretch"]

T = TypeVar("T", float, Tensor)


@dataclass(frozen=True)
class LinearStretch:
    """``z = 2 (flux - low) / (high - low) - 1``.

    Parameters
    ----------
    low, high : float
        Flux in data units that becomes -1 and +1.

    Raises
    ------
    ConfigError
        If the limits are not finite with ``low < high``.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_limits(self.low, self.high)

    def widened(self, factor: float) -> LinearStretch:
        """Return the stretch about the same middle whose range is larger by a factor."""
        middle, half = (self.low + self.high) / 2, factor * (self.high - self.low) / 2
        return LinearStretch(middle - half, middle + half)

    def forward(self, flux: T) -> T:
        """Return z of a flux (float, or Tensor of any shape, in data units)."""
        return 2 * ((flux - self.low) / (self.high - self.low)) - 1

    def inverse(self, z: T) -> T:
        """Return the flux in data units of z, within [-1, 1] or beyond."""
        return self.low + (z + 1) * ((self.high - self.low) / 2)

    def slope(self, z: T) -> T:
        """Return d flux / d z at z, in data units; positive."""
        return _constant((self.high - self.low) / 2, z)


@dataclass(frozen=True)
class AsinhStretch:
    """``z = 2 asinh((flux - low) / softening) / asinh((high - low) / softening) - 1``.

    Linear for fluxes within ``softening`` of ``low``, logarithmic far above, so that one image
    holds the faint and the bright.

    Parameters
    ----------
    low, high : float
        Flux in data units that becomes -1 and +1.
    softening : float
        Flux in data units at which the stretch turns from linear to logarithmic, a few times
        the noise for instance.

    Raises
    ------
    ConfigError
        If the limits are not finite with ``low < high``, or the softening is not positive.

    References
    ----------
    R. H. Lupton, J. E. Gunn, A. S. Szalay, "A modified magnitude system that produces well-behaved
    magnitudes, colors, and errors even for low signal-to-noise ratio measurements", AJ 118, 1406
    (1999), doi:10.1086/301004.
    """

    low: float
    high: float
    softening: float

    def __post_init__(self) -> None:
        _check_limits(self.low, self.high)
        if not (math.isfinite(self.softening) and self.softening > 0):
            raise ConfigError(
                f"softening {self.softening!r}: give a positive flux in data units, "
                "a few times the noise for instance"
            )

    @property
    def _range(self) -> float:
        return math.asinh((self.high - self.low) / self.softening)

    def forward(self, flux: T) -> T:
        """Return z of a flux (float, or Tensor of any shape, in data units)."""
        scaled = (flux - self.low) / self.softening
        bent = torch.asinh(scaled) if isinstance(scaled, Tensor) else math.asinh(scaled)
        return bent * (2 / self._range) - 1

    def inverse(self, z: T) -> T:
        """Return the flux in data units of z, within [-1, 1] or beyond."""
        angle = (z + 1) * (self._range / 2)
        straight = torch.sinh(angle) if isinstance(angle, Tensor) else math.sinh(angle)
        return straight * self.softening + self.low

    def slope(self, z: T) -> T:
        """Return d flux / d z at z, in data units; positive."""
        angle = (z + 1) * (self._range / 2)
        rise = torch.cosh(angle) if isinstance(angle, Tensor) else math.cosh(angle)
        return rise * (self.softening * self._range / 2)


def _check_limits(low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"limits low {low!r}, high {high!r}: give two finite fluxes with low < high")


def _constant(value: float, like: T) -> T:
    return torch.full_like(like, value) if isinstance(like, Tensor) else value
