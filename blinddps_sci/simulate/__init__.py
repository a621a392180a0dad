"""Simulated data: scenes, point-spread functions, turbulence and a detector.

Training draws its examples from here and the tests their truth; numpy and scipy only.
The reference blur is `blinddps_sci.simulate.blur.blur`; its module keeps that name to itself.
"""

from __future__ import annotations

from blinddps_sci.simulate.burst import Burst, simulate_burst
from blinddps_sci.simulate.detector import Exposure, add_gaussian, expose
from blinddps_sci.simulate.patchwise import patchwise_tilt
from blinddps_sci.simulate.psf import (
    FAMILIES,
    Pupil,
    airy,
    camera_motion,
    centre,
    centroid,
    convolve_kernels,
    gaussian,
    long_exposure,
    microscope_psf,
    moffat,
    path_kernel,
    phase_screen,
    pupil_psf,
    random_kernel,
    random_kernels,
    short_exposure,
    structure_function,
    tracking_error,
)
from blinddps_sci.simulate.scenes import SCENES, random_scene, random_scenes
from blinddps_sci.simulate.turbulence import PRESETS, Atmosphere, Layer, Setting, Telescope
from blinddps_sci.simulate.zernike import noll_covariance, zernike

__all__ = [
    "FAMILIES",
    "PRESETS",
    "SCENES",
    "Atmosphere",
    "Burst",
    "Exposure",
    "Layer",
    "Pupil",
    "Setting",
    "Telescope",
    "add_gaussian",
    "airy",
    "camera_motion",
    "centre",
    "centroid",
    "convolve_kernels",
    "expose",
    "gaussian",
    "long_exposure",
    "microscope_psf",
    "moffat",
    "noll_covariance",
    "patchwise_tilt",
    "path_kernel",
    "phase_screen",
    "pupil_psf",
    "random_kernel",
    "random_kernels",
    "random_scene",
    "random_scenes",
    "short_exposure",
    "simulate_burst",
    "structure_function",
    "tracking_error",
    "zernike",
]
