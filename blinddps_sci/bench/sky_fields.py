"""Fields of stars and of galaxies for `blinddps bench photometry`, with their catalogue.

Everything is in electrons: sources on a flat sky, blurred by a known PSF, exposed with photon and read
noise. The true image is what a telescope without blur would have sent to the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from astropy.modeling.models import Sersic2D
from numpy.typing import NDArray

from blinddps_sci.bench import SKY_KINDS, SKY_PSFS
from blinddps_sci.errors import ConfigError
from blinddps_sci.metrics import kernel_width
from blinddps_sci.simulate import expose, random_kernel
from blinddps_sci.simulate.blur import blur, valid_origin
from blinddps_sci.simulate.points import add_points

__all__ = ["PSF_SIZE", "ZERO_POINT", "SkyField", "make_field"]

Image = NDArray[np.floating[Any]]

PSF_SIZE = 32
ZERO_POINT = 25.0
"""Magnitude of one electron."""

STAR_WIDTH = 0.7
"""Standard deviation of a star in the true image, pixels: just enough to be sampled."""

_SKY, _READ_NOISE = 200.0, 5.0
_WIDTHS = (2.5, 6.0)
"""Full width at half maximum of the PSFs, pixels."""

_STARS, _GALAXIES = 2.0, 0.55
"""Sources per 1000 pixels."""

_STAR_MAGNITUDES, _GALAXY_MAGNITUDES = (13.0, 19.0), (12.0, 18.0)
_RADII, _INDICES, _AXIS_RATIOS = (1.5, 5.0), (0.8, 2.5), (0.35, 1.0)
_SAMPLES = 5
"""Samples of a galaxy per pixel and axis."""

_EDGE = 12
"""Sources of the catalogue are so many pixels or more from the edge; others lie beyond."""

_TRIES = 200


@dataclass(frozen=True, eq=False)
class SkyField:
    """An exposure of simulated sky with its truth, in electrons per pixel.

    Parameters
    ----------
    kind, psf : str
        Of the sources and of the blur.
    truth, data : ndarray, (N, N)
        Without blur and noise, and as the detector gave it; both have the sky.
    kernel : ndarray, (K, K)
        The true PSF, its centroid at ``K // 2``.
    positions : ndarray, (n, 2)
        0-based (y, x) of the catalogue.
    flux : ndarray, (n,)
        Total electrons of each source.
    sizes : ndarray, (n,)
        Effective radii, pixels; zero for stars.
    others : ndarray, (m, 3)
        (y, x) and effective radius of sources that are not in the catalogue, nearer to the edge or beyond.
    noise : float
        Standard deviation of the sky in the data, electrons.
    fwhm : float
        Of the true PSF, pixels.
    """

    kind: str
    psf: str
    truth: Image
    data: Image
    kernel: Image
    positions: Image
    flux: Image
    sizes: Image
    others: Image
    noise: float
    fwhm: float

    @property
    def magnitudes(self) -> Image:
        """Magnitudes of the catalogue, (n,)."""
        return np.asarray(ZERO_POINT - 2.5 * np.log10(self.flux))

    @property
    def sky(self) -> float:
        """Electrons of the sky in every pixel."""
        return _SKY


def make_field(kind: str, psf: str, size: int, seed: int) -> SkyField:
    """Simulate an exposure.

    Parameters
    ----------
    kind : str
        One of `SKY_KINDS`.
    psf : str
        One of `SKY_PSFS`.
    size : int
        Side, pixels.
    seed : int
        Of everything random.

    Raises
    ------
    ConfigError
        If a name is not known or the size is not 64 to 2048.
    """
    if kind not in SKY_KINDS or psf not in SKY_PSFS or not 64 <= size <= 2048 or seed < 0:
        raise ConfigError(
            f"field of {kind!r} with {psf!r}, size {size}, seed {seed}: give {' or '.join(SKY_KINDS)}; a PSF "
            f"of {', '.join(SKY_PSFS)}; a size of 64 to 2048; a seed that is not negative"
        )
    rng = np.random.default_rng([seed, SKY_KINDS.index(kind), SKY_PSFS.index(psf)])
    side, first = size + PSF_SIZE - 1, valid_origin(PSF_SIZE)
    kernel = _kernel(psf, rng)
    density, magnitudes = (_STARS, _STAR_MAGNITUDES) if kind == "stars" else (_GALAXIES, _GALAXY_MAGNITUDES)
    count = max(4, round(density * side * side / 1000))
    places = rng.uniform(0, side - 1, (count, 2))
    flux = 10 ** (-0.4 * (rng.uniform(*magnitudes, count) - ZERO_POINT))
    scene = np.zeros((side, side), dtype=np.float32)
    if kind == "stars":
        sizes = np.zeros(count)
        add_points(scene, places[:, 0], places[:, 1], flux, STAR_WIDTH)
    else:
        sizes = np.exp(rng.uniform(np.log(_RADII[0]), np.log(_RADII[1]), count))
        for place, radius, light in zip(places, sizes, flux, strict=True):
            _add_galaxy(scene, place, radius, light, rng)
    exposure = expose(np.maximum(blur(scene, kernel), 0.0), rng, background=_SKY, read_noise=_READ_NOISE)
    inside = ((places >= first + _EDGE) & (places <= first + size - 1 - _EDGE)).all(axis=1)
    window = slice(first, first + size)
    return SkyField(
        kind=kind,
        psf=psf,
        truth=scene[window, window].astype(np.float64) + _SKY,
        data=exposure.frame,
        kernel=kernel,
        positions=places[inside] - first,
        flux=flux[inside],
        sizes=sizes[inside],
        others=np.column_stack([places - first, sizes])[~inside],
        noise=float(np.hypot(np.sqrt(_SKY), _READ_NOISE)),
        fwhm=kernel_width(kernel, kind="fwhm"),
    )


def _kernel(psf: str, rng: np.random.Generator) -> Image:
    """Draw PSFs until one has the width of a usual seeing."""
    draw = partial(random_kernel, PSF_SIZE, rng, psf)
    for _ in range(_TRIES):
        kernel = draw()
        if _WIDTHS[0] <= kernel_width(kernel, kind="fwhm") <= _WIDTHS[1]:
            return kernel
    raise AssertionError(f"no PSF of {psf} has a width of {_WIDTHS} pixels")


def _add_galaxy(
    scene: NDArray[np.float32], place: Image, radius: float, flux: float, rng: np.random.Generator
) -> None:
    """Add an elliptical Sersic profile of so much light, in place, averaged over each pixel."""
    ratio, angle = rng.uniform(*_AXIS_RATIOS), rng.uniform(0, np.pi)
    index = rng.uniform(*_INDICES)
    half = int(np.ceil(8 * radius + 3))
    y0, x0 = (round(float(c)) - half for c in place)
    fine = (np.arange((2 * half + 1) * _SAMPLES) + 0.5) / _SAMPLES - 0.5
    model = Sersic2D(1.0, radius, index, place[1] - x0, place[0] - y0, ellip=1.0 - ratio, theta=angle)
    values = model(*np.meshgrid(fine, fine)).reshape(2 * half + 1, _SAMPLES, 2 * half + 1, _SAMPLES)
    stamp = values.mean(axis=(1, 3))
    stamp *= flux / stamp.sum()
    rows, columns = (
        slice(max(start, 0), min(start + 2 * half + 1, length))
        for start, length in zip((y0, x0), scene.shape, strict=True)
    )
    scene[rows, columns] += stamp[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0]
