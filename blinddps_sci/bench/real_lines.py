"""Four fluorescent lines through a confocal microscope whose PSF was measured with beads.

Two of the lines are closer than the PSF is wide: how deep the valley between them becomes says what was
resolved, how even the lines are what it cost, and a fifth line what was made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage, signal
from skimage.restoration import richardson_lucy

from blinddps_sci.bench.classical import richardson_lucy_of
from blinddps_sci.bench.real_case import (
    Image,
    Images,
    Outcome,
    RealCase,
    Restored,
    about_peak,
    read_image,
    restored,
    score_psf,
)
from blinddps_sci.bench.real_pictures import Panel, draw_panels
from blinddps_sci.bench.row_file import Row
from blinddps_sci.bench.table import markdown
from blinddps_sci.errors import InputError

__all__ = ["CASE", "bead_psf", "score_lines"]

_FOLDER = "micro/confocal_bead_psf_and_grid"
_LINES = f"{_FOLDER}/DeconvolutionSampleVerticalGrid1AU-crop.tif"
_BEADS = f"{_FOLDER}/Bead_Image1_crop.tif"

_PIXEL = 22.0
"""Side of a pixel, nanometres."""

_CROP = (10, 25, 25)
"""Planes, rows and columns of the PSF on each side of a bead."""

_PROMINENCE = 0.1
"""A line stands out by so much of the brightest one's height."""

_NEAR = 90.0
"""Nanometres by which a restoration may have moved a line."""

_WIDE = 44.0
"""Along-line variation is that of the columns so near to a line, nanometres."""

_ITERATIONS = 50
"""Of Richardson-Lucy, where the published comparison has the best of both."""

_COLUMNS = {
    "method": "image",
    "lines": "lines",
    "valley": "valley / peak",
    "variation": "along-line variation",
    "fwhm_nm": "FWHM, nm",
    "mnc": "PSF: MNC",
    "width_error": "error of its rms width",
    "psf_fwhm_nm": "its FWHM, nm",
    "chi2": "chi2",
    "seconds": "seconds",
}


def score_lines(image: Image, places: Sequence[float], pixel: float) -> Row:
    """Measure vertical lines.

    Parameters
    ----------
    image : ndarray, (h, w)
        Any unit.
    places : sequence of 4 floats
        Columns, in order, near which the lines are.
    pixel : float
        Nanometres.

    Returns
    -------
    dict
        ``lines``, how many stand out of the profile along x by a tenth of the brightest's height over the
        background, the 5th percentile; ``valley``, the least between the two closest lines over the mean of
        their heights, and ``fwhm_nm``, the mean full width at half maximum of the others, on that
        profile; ``variation``, the standard deviation along a line over its height, mean over the
        columns near the four lines.
    """
    profile = image.mean(axis=0)
    background = float(np.percentile(profile, 5))
    height = profile - background
    found, _ = signal.find_peaks(height, prominence=_PROMINENCE * height.max())
    reach = round(_NEAR / pixel)
    peaks = [_highest(height, round(place), reach) for place in places]
    first = int(np.argmin(np.diff(peaks)))
    pair, others = peaks[first : first + 2], peaks[:first] + peaks[first + 2 :]
    half = round(_WIDE / pixel)
    columns = [image[:, x - half : x + half + 1] for x in peaks]
    return {
        "lines": len(found),
        "valley": float(height[pair[0] : pair[1] + 1].min() / height[pair].mean()),
        "variation": float(np.mean([c.std(axis=0).mean() / (c.mean() - background) for c in columns])),
        "fwhm_nm": pixel * float(np.mean([_width(height, x) for x in others])),
    }


def _highest(height: Image, place: int, reach: int) -> int:
    first = max(place - reach, 0)
    return first + int(np.argmax(height[first : place + reach + 1]))


def _width(height: Image, peak: int) -> float:
    """Return the full width at half maximum of a peak, pixels, interpolated; up to the edges at most."""
    level = height[peak] / 2
    width = 0.0
    for side in (height[peak:], height[peak::-1]):
        below = np.flatnonzero(side < level)
        if not below.size:
            width += len(side) - 0.5
            continue
        outside = int(below[0])
        width += outside - (level - side[outside]) / (side[outside - 1] - side[outside])
    return float(width)


def bead_psf(beads: Image) -> Image:
    """Return the mean of the beads in a stack (z, y, x) as a PSF, (21, 51, 51), of sum one.

    Raises
    ------
    InputError
        If there is no bead.
    """
    smooth = ndimage.gaussian_filter(beads.astype(np.float64), 1.5)
    tops = (smooth == ndimage.maximum_filter(smooth, size=_CROP[1])) & (smooth > 0.25 * smooth.max())
    dark = float(np.median(beads))
    padded = np.pad(beads - dark, [(reach, reach) for reach in _CROP])
    crops = [
        padded[tuple(slice(at, at + 2 * reach + 1) for at, reach in zip(place, _CROP, strict=True))]
        for place in np.argwhere(tops)
    ]
    if not crops or dark >= beads.max():
        raise InputError("the stack of beads shows none")
    mean = np.clip(np.mean(crops, axis=0), 0, None)
    return np.asarray(mean / mean.sum())


def _runs(folder: Path, options: Mapping[str, Any]) -> dict[tuple[str, str], Callable[[], Outcome]]:
    """Return the runs; images are summed over z, because a sum of planes is blurred by the sum of the PSF."""

    @cache
    def stack() -> Image:
        return np.asarray(read_image(folder / _LINES))

    @cache
    def psf() -> Image:
        return bead_psf(read_image(folder / _BEADS))

    def data(bin: int) -> Image:
        plane = stack().sum(axis=0, dtype=np.float32)
        height, width = (side // bin for side in plane.shape)
        blocks = plane[: height * bin, : width * bin].reshape(height, bin, width, bin)
        return np.asarray(blocks.sum(axis=(1, 3)))

    def judged(image: Image, bin: int = 1, found: Restored | None = None) -> Outcome:
        """Score an image and what else was found; the lines are where those of the data are."""
        raw = data(1).mean(axis=0)
        peaks, _ = signal.find_peaks(raw, prominence=_PROMINENCE * np.ptp(raw))
        if len(peaks) != 4:
            raise InputError(f"{folder / _LINES} shows {len(peaks)} lines, not four")
        row = score_lines(image, [(x + 0.5) / bin - 0.5 for x in peaks], _PIXEL * bin)
        images = {"image": image}
        if found is not None:
            row |= found.numbers
        if found is not None and found.kernel is not None:
            beads = ndimage.zoom(psf().sum(axis=0), 1 / bin, order=1, grid_mode=True, mode="grid-constant")
            scores = score_psf(found.kernel, beads)
            row |= scores | {"psf_fwhm_nm": _PIXEL * bin * scores["fwhm"]}
            images |= {"kernel": found.kernel, "measured": about_peak(beads, len(found.kernel))}
        return Outcome(row, images)

    def in_three_dimensions() -> Outcome:
        counts = stack().astype(np.float32)
        margin = [(2 * reach, 2 * reach) for reach in _CROP]  # nearer, the border comes in
        padded = np.pad(counts - counts.min(), margin, mode="reflect")
        found = richardson_lucy(padded, psf().astype(np.float32), num_iter=_ITERATIONS, clip=False)
        inner = tuple(slice(2 * reach, -2 * reach) for reach in _CROP)
        return judged(found[inner].mean(axis=0).astype(np.float64))

    def in_the_plane() -> Outcome:
        plane = data(1)
        dark = float(stack().min()) * len(stack())
        return judged(richardson_lucy_of(plane - dark, psf().sum(axis=0), _ITERATIONS))

    def run(bin: int = 1, told: bool = False) -> Outcome:
        counts = data(bin)
        found = restored(counts, psf().sum(axis=0) if told else None, prior="micro", **options)
        return judged(found.image, bin, found)

    plane = f"Richardson-Lucy {_ITERATIONS}, PSF of the beads"
    methods: dict[str, Callable[[], Outcome]] = {
        "data": lambda: judged(data(1)),
        f"{plane}, 3-D": in_three_dimensions,
        f"{plane}, 2-D": in_the_plane,
        "told the PSF of the beads": lambda: run(told=True),
        "blind": run,
        "data, 2 x 2 binned": lambda: judged(data(2), 2),
        "blind, 2 x 2 binned": lambda: run(2),
    }
    return {("", name): method for name, method in methods.items()}


def _draw(rows: Sequence[Row], images: Images, path: Path) -> None:
    panels = [
        Panel("data", _of(images, "data")),
        Panel("Richardson-Lucy, beads, 3-D", _of(images, "3-D")),
        Panel("told the PSF of the beads", _of(images, "told the PSF of the beads")),
        Panel("blind", _of(images, "blind")),
        Panel("PSF, blind", _of(images, "blind", "kernel"), kind="psf"),
        Panel("PSF, beads", _of(images, "blind", "measured"), kind="psf"),
    ]
    draw_panels(panels, path, across=3)


def _of(images: Images, method: str, what: str = "image") -> Image | None:
    return next((found.get(what) for name, found in images.items() if name.endswith(method)), None)


CASE = RealCase(
    title="four lines, confocal microscope, measured beads",
    files=(_LINES, _BEADS),
    runs=_runs,
    table=lambda rows: markdown(rows, _COLUMNS),
    draw=_draw,
)
