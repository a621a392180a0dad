"""Comparisons and measurements behind `blinddps bench`, over the public face.

Nothing else in the package depends on them.
"""

from __future__ import annotations

__all__ = ["QUALITY_METHODS", "SCALE_KINDS", "SPEED_METHODS", "TASK_NAMES"]

# They stand here, where nothing is imported, because the command line shows them in its help.
QUALITY_METHODS = "blurred,split,richardson-lucy,wiener,blind-rl,split-true-psf"
"""Methods of `blinddps bench quality`."""

SPEED_METHODS = "split-fast,split,split-best,dps-1000-sqrt"
"""Methods of `blinddps bench speed`."""

SCALE_KINDS = ("memory", "model", "overhead", "plan", "project", "seams", "stragglers", "strong")
"""Parts of `blinddps bench scale`."""

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
