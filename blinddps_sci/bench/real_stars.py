"""Five frames of the globular cluster M13 that drift: one is restored, and the others judge it.

A star that is there is there in the other frames too. Their registered mean is deeper than the one frame,
and linear: it has no prior in common with the restoration.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.stats import mad_std
from numpy.typing import NDArray
from scipy.ndimage import shift
from scipy.signal import fftconvolve
from scipy.spatial import cKDTree

from blinddps_sci.bench.extras import need
from blinddps_sci.bench.real_case import Image, Images, Outcome, RealCase, Restored, read_image, restored
from blinddps_sci.bench.real_pictures import Panel, draw_panels
from blinddps_sci.bench.row_file import Row
from blinddps_sci.bench.table import markdown
from blinddps_sci.engine.registration import displacement

__all__ = ["CASE", "Witness", "score_stars"]

_FILES = tuple(f"astro/m13_burst/M13_blue_{n:04d}_crop512.fits" for n in range(1, 6))

_SIDE = 256
"""Of the middle of the frame that is restored, pixels."""

_SIGMAS = 3.0
"""A source has five connected pixels above so many times the noise of the filtered input."""

_SMOOTH = 3.0
"""Standard deviation of the Gaussian through which sources are looked for in every image, pixels: stars are
rings of ten pixels here, the telescope being out of focus."""

_EDGE = 12
"""Sources nearer to the edge do not count, pixels."""

_APERTURE, _RING = 8.0, (12.0, 18.0)
"""Radius of an aperture, and of the ring of its sky, pixels."""

_CONFIRMED = 3.0
"""A source is there if the other frames have so many times the scatter of their apertures."""

_BRIGHT = 6.0
"""Fluxes and radii are of stars that the other frames have at so many times that scatter."""

_ALONE = 12.0
"""And that have no neighbour of a fifth of their light within so many pixels."""

_COLUMNS = {
    "method": "image",
    "sources": "sources",
    "unconfirmed": "of them, not in the other frames",
    "chance": "at random places, %",
    "found": "of the other frames' sources found, %",
    "stars": "stars measured",
    "flux": "flux against the others, %",
    "flux_scatter": "its scatter, %",
    "radius": "their half-light radius, px",
    "psf_radius": "that of the PSF, px",
    "chi2": "chi2",
    "warned": "warned of",
    "seconds": "seconds",
}


@dataclass(frozen=True, eq=False)
class Witness:
    """What other frames have to say of a field.

    Parameters
    ----------
    image : ndarray, (h, w)
        Their registered mean, on the grid of the frame that is judged.
    """

    image: Image

    def signal(self, places: Image) -> Image:
        """Return the light at places (n, 2) over the scatter of apertures about the whole field, (n,)."""
        grid = np.stack(
            np.meshgrid(*(np.arange(_EDGE, side - _EDGE, 8.0) for side in self.image.shape), indexing="ij"),
            -1,
        )
        scatter = mad_std(_fluxes(self.image, grid.reshape(-1, 2), 0.5 * _APERTURE))
        return np.asarray(_fluxes(self.image, places, 0.5 * _APERTURE) / scatter)

    def chance(self, count: int = 2000) -> float:
        """Return the share of random places that it would confirm: in a crowd there is light everywhere."""
        rng = np.random.default_rng(0)
        places = rng.uniform(_EDGE, np.array(self.image.shape) - 1 - _EDGE, (count, 2))
        return float(np.mean(self.signal(places) >= _CONFIRMED))


def _fluxes(image: Image, places: Image, radius: float) -> Image:
    """Return the light in apertures above the median of a ring."""
    from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture

    positions = np.asarray(places)[:, ::-1]
    skies = ApertureStats(image, CircularAnnulus(positions, *_RING)).median
    return np.asarray(ApertureStats(image, CircularAperture(positions, radius), local_bkg=skies).sum)


def sources_of(image: Image, noise: float) -> Image:
    """Return the places (n, 2) of sources, those near the edge left out.

    Parameters
    ----------
    image : ndarray, (h, w)
        Any unit.
    noise : float
        Standard deviation of the filtered sky.
    """
    from photutils.segmentation import SourceCatalog, SourceFinder
    from photutils.utils.exceptions import NoDetectionsWarning

    net = _filtered(image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        segments = SourceFinder(5, progress_bar=False)(net, _SIGMAS * noise)
    if segments is None:
        return np.zeros((0, 2))
    catalogue = SourceCatalog(net, segments)
    places = np.column_stack([catalogue.y_centroid, catalogue.x_centroid])
    inner = (places >= _EDGE) & (places <= np.array(image.shape) - 1 - _EDGE)
    return np.asarray(places[inner.all(axis=1)])


def _filtered(image: Image) -> Image:
    """Return an image through a filter for stars: a Gaussian less the mean of a ring about it."""
    reach = int(_RING[1])
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _SMOOTH) ** 2)
    ring = _around(reach).astype(np.float64)
    kernel = np.outer(line, line) / line.sum() ** 2 - ring / ring.sum()
    padded = np.pad(image.astype(np.float64), reach, mode="reflect")
    return np.asarray(fftconvolve(padded, kernel, mode="valid"))


def score_stars(image: Image, witness: Witness, noise: float) -> Row:
    """Judge an image of stars by other frames of the same field.

    Parameters
    ----------
    image : ndarray, (h, w)
        A frame, or its restoration.
    witness : Witness
        The others.
    noise : float
        Standard deviation of the filtered sky of the *frame*, for all images.

    Returns
    -------
    dict
        ``sources`` and how many of them are ``unconfirmed``; ``chance``, the share of random places that
        would be confirmed, and ``found``, the share of the other frames' own sources, per cent; ``flux`` and
        ``flux_scatter``, median and scaled median absolute deviation of the difference to the other
        frames, per cent, of ``stars`` bright ones that stand alone; ``radius``, within which half of the
        light of their mean lies, pixels.
    """
    places = sources_of(image, noise)
    confirmed = witness.signal(places) >= _CONFIRMED if len(places) else np.zeros(0, dtype=bool)
    known = sources_of(witness.image, noise)
    near = cKDTree(places).query(known)[0] <= _SMOOTH if len(places) and len(known) else np.zeros(len(known))
    row: Row = {
        "sources": len(places),
        "unconfirmed": int((~confirmed).sum()),
        "chance": 100 * witness.chance(),
        "found": 100 * float(np.mean(near)) if len(known) else None,
    }
    return row | _stars(image, witness, known)


def _stars(image: Image, witness: Witness, known: Image) -> Row:
    """Return fluxes and half-light radius of the bright stars that stand alone."""
    if len(known):
        light = _fluxes(witness.image, known, _APERTURE)
        gaps = np.linalg.norm(known[:, None] - known, axis=-1)
        np.fill_diagonal(gaps, np.inf)
        crowded = ((gaps < _ALONE) & (light > 0.2 * light[:, None])).any(axis=1)
        known = known[~crowded & (witness.signal(known) >= _BRIGHT)]
    if not len(known):
        return {"stars": 0}
    errors = 100 * (_fluxes(image, known, _APERTURE) / _fluxes(witness.image, known, _APERTURE) - 1)
    return {
        "stars": len(known),
        "flux": float(np.median(errors)),
        "flux_scatter": float(mad_std(errors)),
        "radius": _half_light(_mean_star(image, known)),
    }


def _mean_star(image: Image, places: Image) -> Image:
    """Return the mean of the surroundings of stars, less that of the ring about them."""
    reach = int(_RING[1])
    padded = np.pad(image, reach, mode="reflect")
    corners = np.rint(places).astype(int)
    star = np.mean([padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1] for y, x in corners], axis=0)
    return np.asarray(star - np.median(star[_around(reach)]))


def _half_light(star: Image) -> float:
    """Return the radius about the middle (K // 2) that holds half of the light within an aperture, pixels."""
    y, x = (np.arange(side) - side // 2 for side in star.shape)
    distance = np.hypot(y[:, None], x).ravel()
    order = np.argsort(distance, kind="stable")
    inner = distance[order] <= _APERTURE
    light = np.cumsum(star.ravel()[order][inner])
    return float(distance[order][inner][np.argmax(light >= light[-1] / 2)])


def _around(reach: int) -> NDArray[np.bool_]:
    """Return where a square of side 2 reach + 1 is the ring of the sky."""
    line = np.arange(-reach, reach + 1)
    distance = np.hypot(line[:, None], line)
    return np.asarray((distance >= _RING[0]) & (distance <= _RING[1]))


def _runs(folder: Path, options: Mapping[str, Any]) -> dict[tuple[str, str], Callable[[], Outcome]]:
    @cache
    def frames() -> Image:
        need("photutils", "sources' fluxes and places")
        return np.stack([read_image(folder / name).astype(np.float32) for name in _FILES])

    def middle(image: Image) -> Image:
        y, x = ((side - min(side, _SIDE)) // 2 for side in image.shape)
        return image[y : y + _SIDE, x : x + _SIDE].astype(np.float64)

    @cache
    def witness() -> Witness:
        # Registered by their stars: what the detector has in every frame at the same place would win.
        first, *others = frames()
        stars = _filtered(first)
        moved = [shift(other, displacement(stars, _filtered(other)), mode="nearest") for other in others]
        return Witness(middle(np.mean(moved, axis=0)))

    def judged(image: Image, found: Restored | None = None) -> Outcome:
        noise = float(mad_std(_filtered(middle(frames()[0]))))
        row = score_stars(image, witness(), noise)
        images = {"image": image, "others": witness().image}
        if found is not None and found.kernel is not None:
            row |= found.numbers | {"psf_radius": _half_light(found.kernel)}
            images |= {"kernel": found.kernel}
        return Outcome(row, images)

    def run() -> Outcome:
        counts = middle(frames()[0]).astype(np.uint16)  # as the file has them: the noise is measured on them
        found = restored(counts, prior="astro", noise="auto", **options)
        return judged(found.image, found)

    return {("", "frame 1"): lambda: judged(middle(frames()[0])), ("", "blind"): run}


def _draw(rows: Sequence[Row], images: Images, path: Path) -> None:
    frame, blind = images.get("frame 1", {}), images.get("blind", {})
    panels = [
        Panel("frame 1", frame.get("image")),
        Panel("frame 1, restored blind", blind.get("image")),
        Panel("mean of frames 2 to 5", frame.get("others")),
        Panel("PSF, blind", blind.get("kernel"), kind="psf"),
    ]
    draw_panels(panels, path, across=4)


CASE = RealCase(
    title="M13, one frame of a burst, judged by the others",
    files=_FILES,
    runs=_runs,
    table=lambda rows: markdown(rows, _COLUMNS),
    draw=_draw,
)
