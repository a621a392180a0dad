"""Numbers about results: closeness to a truth, photometry, resolution, calibration, seams.

NumPy and SciPy only, on plain arrays, so that any stage and any user may call them; reduced
chi-squared belongs to the noise model and lives in `blinddps_sci.likelihoods`.
"""

from __future__ import annotations

from blinddps_sci.metrics.aligned import Alignment, align, psnr_shift, ssim_shift
from blinddps_sci.metrics.coverage import coverage, gaussian_coverage, z_scores
from blinddps_sci.metrics.flux import aperture_flux, aperture_flux_error, relative_flux_error
from blinddps_sci.metrics.frc import RingCorrelation, resolution, ring_correlation
from blinddps_sci.metrics.image import psnr, ssim
from blinddps_sci.metrics.kernel import ellipticity, kernel_centroid, kernel_covariance, kernel_width, mnc
from blinddps_sci.metrics.seams import seam_energy

__all__ = [
    "Alignment",
    "RingCorrelation",
    "align",
    "aperture_flux",
    "aperture_flux_error",
    "coverage",
    "ellipticity",
    "gaussian_coverage",
    "kernel_centroid",
    "kernel_covariance",
    "kernel_width",
    "mnc",
    "psnr",
    "psnr_shift",
    "relative_flux_error",
    "resolution",
    "ring_correlation",
    "seam_energy",
    "ssim",
    "ssim_shift",
    "z_scores",
]
