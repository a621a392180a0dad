"""The noise: likelihoods of the data given a prediction, and reduced chi-squared.

A sampler takes whitened residuals and precisions, per item; maps, masks and saturation are
part of the likelihood.
"""

from __future__ import annotations

from blinddps_sci.likelihoods.base import Likelihood, Observation, chi2_map, reduced_chi2
from blinddps_sci.likelihoods.gaussian import Gaussian
from blinddps_sci.likelihoods.poisson import Poisson
from blinddps_sci.likelihoods.poisson_gaussian import PoissonGaussian

__all__ = [
    "Gaussian",
    "Likelihood",
    "Observation",
    "Poisson",
    "PoissonGaussian",
    "chi2_map",
    "reduced_chi2",
]
