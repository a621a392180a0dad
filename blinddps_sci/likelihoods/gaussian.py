"""Gaussian noise of known standard deviation: one number, or a map from the file.

The choice for sky-limited images, and for any data that come with an error plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor

from blinddps_sci.errors import ConfigError
from blinddps_sci.likelihoods.base import matched
from blinddps_sci.likelihoods.diagonal import Diagonal, check_positive

__all__ = ["Gaussian"]


@dataclass(frozen=True, eq=False)
class Gaussian(Diagonal):
    """Additive Gaussian noise, ``y = prediction + sigma n``.

    Parameters
    ----------
    sigma : float or Tensor, broadcastable to the data, optional
        Standard deviation in data units.
    variance : float or Tensor, broadcastable to the data, optional
        Its square instead, in data units squared. Infinity takes a pixel out.
    mask : Tensor of bool, optional
        True marks an unusable pixel; see `Observation`.
    saturation : float or Tensor, optional
        In data units; see `Observation`.

    Raises
    ------
    ConfigError
        If not exactly one of sigma and variance is given, or a number is not positive.
    InputError
        If a map has NaN, or values that are not positive, outside the mask.

    Notes
    -----
    ``nll = sum (y - prediction)^2 / (2 sigma^2) + log sigma + log(2 pi) / 2``.
    """

    sigma: float | Tensor | None = None
    variance: float | Tensor | None = None
    mask: Tensor | None = None
    saturation: float | Tensor | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("sigma", "variance") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError(
                f"a Gaussian with {' and '.join(given) or 'no level of noise'}: give either sigma or variance"
            )
        check_positive(given[0], getattr(self, given[0]), self.mask)

    def deviation(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return the standard deviation in data units, broadcastable to the data."""
        if self.sigma is not None:
            return matched(self.sigma, data)
        # One of the two is there: construction has seen to it.
        return matched(cast("float | Tensor", self.variance), data).sqrt()
