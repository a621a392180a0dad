"""Comparisons and measurements behind `blinddps bench`, over the public face.

Nothing else in the package depends on them.
"""

from __future__ import annotations

__all__ = [
    "NOISES",
    "QUALITY_METHODS",
    "REAL_CASES",
    "SCALE_KINDS",
    "SKY_KINDS",
    "SKY_METHODS",
    "SKY_PSFS",
    "SPEED_METHODS",
    "TASK_NAMES",
]

# They stand here, where nothing is imported, because the command line shows them in its help.
QUALITY_METHODS = "blurred,split,richardson-lucy,wiener,blind-rl,split-true-psf"
"""Methods of `blinddps bench quality`."""

NOISES = (0.01, 0.02)
"""Standard deviations of the noise of its cases on the scale of [0, 1]."""

SPEED_METHODS = "split-fast,split,split-best,dps-1000-sqrt"
"""Methods of `blinddps bench speed`."""

SCALE_KINDS = ("memory", "model", "overhead", "plan", "project", "seams", "stragglers", "strong")
"""Parts of `blinddps bench scale`."""

REAL_CASES = ("lines", "pair", "psf", "stars", "shakes")
"""Cases of `blinddps bench real`."""

SKY_KINDS = ("stars", "galaxies")
"""Fields of `blinddps bench photometry`."""

SKY_PSFS = ("moffat", "long-exposure", "aberrated", "tracking")
"""Families of PSFs that blur them."""

SKY_METHODS = ("input", "fast", "default", "true-psf")
"""What it measures: the data as they are, presets of `restore`, and the fast one told the PSF."""

TASK_NAMES = (
    "box-inpainting",
    "random-inpainting",
    "super-resolution",
    "gaussian-deblurring",
    "motion-deblurring",
    "non-uniform-deblurring",
    "poisson-deblurring",
    "phase-retrieval",
    "blind-deblurring",
    "blind-super-resolution",
    "turbulence",
)
"""Tasks of `blinddps bench tasks`, in the order of its table."""
