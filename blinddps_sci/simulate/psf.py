"""Point-spread functions: the public face of the kernel simulators.

Training draws `random_kernels` from here; tests and benchmarks call the single models. Every kernel
is (K, K) float32, non-negative, with sum one and its centre at ``K // 2``, for true convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.analytic import airy, gaussian, moffat
from blinddps_sci.simulate.arguments import check_between, check_choice, check_size
from blinddps_sci.simulate.atmosphere import long_exposure, short_exposure
from blinddps_sci.simulate.centring import Kernel, centre, centroid
from blinddps_sci.simulate.families import Family, convolve_kernels, family_table
from blinddps_sci.simulate.microscope import microscope_psf
from blinddps_sci.simulate.motion import camera_motion, path_kernel, tracking_error
from blinddps_sci.simulate.pupil import Pupil, pupil_psf
from blinddps_sci.simulate.screens import phase_screen, structure_function

__all__ = [
    "FAMILIES",
    "Family",
    "Pupil",
    "airy",
    "camera_motion",
    "centre",
    "centroid",
    "convolve_kernels",
    "gaussian",
    "long_exposure",
    "microscope_psf",
    "moffat",
    "path_kernel",
    "phase_screen",
    "pupil_psf",
    "random_kernel",
    "random_kernels",
    "short_exposure",
    "structure_function",
    "tracking_error",
]

_TABLE = family_table()

#: Names of the families of `random_kernel`, each with one line of description.
FAMILIES: dict[str, str] = {name: family.description for name, family in _TABLE.items()}

# A kernel with more light than this on its outermost ring of pixels was cut off; draw again.
_RING = 0.03
_TRIES = 8


def random_kernel(size: int, rng: np.random.Generator, family: str | Sequence[str] | None = None) -> Kernel:
    """Draw a kernel: a family, then its parameters from broad ranges.

    Parameters
    ----------
    size : int
        Side K in pixels, at least 8.
    rng : numpy.random.Generator
        Source of all randomness.
    family : str or sequence of str, optional
        A name or names out of `FAMILIES`; by default all of them, by their weights.

    Returns
    -------
    ndarray, (K, K), float32
        Non-negative, sum one, centroid on pixel ``K // 2``.

    Raises
    ------
    ConfigError
        If `size` is too small or a family is not known.

    Notes
    -----
    Ranges: Gaussian sigma 0.3 pixel to K/7; motion up to 0.8 K; D/r0 1 to 12 as far as the seeing
    disc fits; lambda/D 0.8 to 6 pixels; aberrations up to 0.6 waves rms. Kernels that carry more
    than 3 % of their light on the outermost ring of pixels are drawn again.

    Examples
    --------
    >>> import numpy as np
    >>> from blinddps_sci.simulate.psf import random_kernel
    >>> random_kernel(32, np.random.default_rng(1), "motion").shape
    (32, 32)
    """
    size = check_size(size, smallest=8)
    names = _names(family)
    weights = np.array([_TABLE[name].weight for name in names])
    # The family is drawn once: the rejection below must not change the families' frequencies.
    draw = _TABLE[names[int(rng.choice(len(names), p=weights / weights.sum()))]].draw
    reach = float(size)
    kernel = draw(size, reach, rng)
    for _ in range(_TRIES):
        if _ring_flux(kernel) <= _RING:
            break
        reach *= 0.95
        kernel = draw(size, reach, rng)
    return centre(kernel)


def random_kernels(
    n: int, size: int, seed: int, families: Sequence[str] | None = None, *, first: int = 0
) -> Kernel:
    """Draw `n` kernels; the i-th depends on `seed` and i only.

    Parameters
    ----------
    n : int
        Number of kernels.
    size : int
        Side K in pixels, at least 8.
    seed : int
        Non-negative.
    families : sequence of str, optional
        Names out of `FAMILIES`; by default all.
    first : int
        The i of the first kernel, for a series that is drawn in parts.

    Returns
    -------
    ndarray, (n, K, K), float32
        As from `random_kernel`.

    Raises
    ------
    ConfigError
        If a number is negative, `size` is too small or a family is not known.
    """
    count = int(check_between("n", n, 0))
    seed = int(check_between("seed", seed, 0))
    size = check_size(size, smallest=8)
    kernels = np.empty((count, size, size), dtype=np.float32)
    for i in range(count):
        kernels[i] = random_kernel(size, np.random.default_rng([seed, first + i]), families)
    return kernels


def _names(family: str | Sequence[str] | None) -> list[str]:
    if family is None:
        return list(_TABLE)
    wanted = [family] if isinstance(family, str) else list(family)
    if not wanted:
        msg = f"families: the list is empty; name some of {', '.join(_TABLE)}, or give none for all"
        raise ConfigError(msg)
    return [check_choice("family", name, _TABLE) for name in wanted]


def _ring_flux(kernel: Kernel) -> float:
    """Share of the light on the outermost ring of pixels."""
    return float(1.0 - kernel[1:-1, 1:-1].sum())
