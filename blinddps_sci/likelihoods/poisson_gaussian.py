"""Photon noise and read noise together: a CCD or CMOS camera.

The density is Gaussian with a variance that follows the brightness, which the read noise
makes accurate also where there are few photons.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from blinddps_sci.likelihoods.base import matched
from blinddps_sci.likelihoods.diagonal import Diagonal, Weights, check_positive, check_weights

__all__ = ["PoissonGaussian"]


@dataclass(frozen=True, eq=False)
class PoissonGaussian(Diagonal):
    """Photon noise plus Gaussian read noise.

    Parameters
    ----------
    gain : float or Tensor, broadcastable to the data
        Electrons per data unit.
    read_noise : float or Tensor, broadcastable to the data
        Standard deviation in data units (electrons divided by gain), positive; use `Poisson`
        for a detector without.
    background : float or Tensor, broadcastable to the data
        Level in data units that was subtracted from the data and left its noise in them.
    weights : 'model' or 'data'
        What the variance comes from: the prediction (unbiased flux) or the data (too faint).
    mask : Tensor of bool, optional
        True marks an unusable pixel; see `Observation`.
    saturation : float or Tensor, optional
        In data units; see `Observation`.

    Raises
    ------
    ConfigError
        If gain or read noise is not positive, or the weights are not one of the two.
    InputError
        If a map has NaN, or values that are not positive, outside the mask.

    Notes
    -----
    ``variance = max(source + background, 0) / gain + read_noise^2`` and
    ``nll = sum (y - prediction)^2 / (2 variance) + log(2 pi variance) / 2``, whose logarithm
    depends on the prediction with model weights.

    References
    ----------
    A. Foi et al., "Practical Poissonian-Gaussian noise modeling and fitting for single-image
    raw-data", IEEE Trans. Image Process. 17, 1737 (2008), doi:10.1109/TIP.2008.2001399.
    """

    gain: float | Tensor
    read_noise: float | Tensor
    background: float | Tensor = 0.0
    weights: Weights = "model"
    mask: Tensor | None = None
    saturation: float | Tensor | None = None

    def __post_init__(self) -> None:
        check_positive("gain", self.gain, self.mask)
        check_positive("read_noise", self.read_noise, self.mask)
        check_weights(self.weights)

    def deviation(self, prediction: Tensor, data: Tensor) -> Tensor:
        """Return the standard deviation in data units, (B, ...)."""
        source = prediction if self.weights == "model" else data
        gain = matched(self.gain, data)
        # In electrons, because the square of a flux in SI units leaves the range of float32.
        photons = (gain * (source + matched(self.background, data))).clamp(min=0)
        return (photons + (gain * matched(self.read_noise, data)) ** 2).sqrt() / gain
