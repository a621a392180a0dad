"""What photutils measures on an image of the sky, against the catalogue and the true image.

The same code and the same thresholds are used for the input and for its restoration.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from blinddps_sci.bench.sky_fields import SkyField

__all__ = ["score_sky"]

Image = NDArray[np.floating[Any]]
Row = dict[str, Any]

_SIGMAS = 3.0
_CONNECTED = 5
"""A source has so many connected pixels above so many times the noise of the input's sky."""

_NEAR = 2.0
"""Pixels within which a detection is that of a source of the catalogue, or half the PSF's width."""

_APERTURE = 5.0
"""Radius of a star's aperture, pixels; a galaxy's is 2.5 effective radii larger."""

_ANNULUS = (4.0, 10.0)
"""The sky is the median between these distances from the aperture's edge, pixels."""

_ALONE = 12.0
"""Sources with another one of a fifth of their light within so many pixels are not measured one by one."""

_BRIGHT = 10.0
"""Positions and shapes are of sources of so many times the noise in an aperture, or more."""

_CORRECTING = 30.0
"""The aperture correction of an image is measured on its stars of so many times the noise, or more."""

_BOX = 9
"""Side of the box in which a centroid is taken, pixels."""


def score_sky(image: Image, field: SkyField) -> tuple[Row, list[Row]]:
    """Measure an image of a field.

    Parameters
    ----------
    image : ndarray, (N, N)
        The input, or its restoration, electrons.
    field : SkyField
        What it is of.

    Returns
    -------
    summary : dict
        ``found``, ``false`` and ``sources`` (counts), ``shift_y`` and ``shift_x`` (median centroid less the
        true one), ``moved_y`` and ``moved_x`` (less that in the input), ``scatter`` (of a centroid along one
        axis), ``fwhm`` and ``fwhm_true`` (medians, of stars), ``ellipticity`` (median difference, of
        galaxies) and ``sky`` (less the true one, electrons).
    sources : list of dict
        For each source of the catalogue its ``magnitude``, whether it was ``found``, its ``signal`` over the
        noise of its aperture, and if it stands alone the relative error of the ``flux`` in the aperture
        against the same of the true image; of a star also the ``corrected`` one, after the correction
        for what lies outside of the aperture, which the image's own bright stars tell.
    """
    alone = _alone(field)
    found, false = _detected(image, field)
    (fluxes, skies), (true, _) = _fluxes(image, field), _fluxes(field.truth, field)
    signals = true / np.sqrt(np.maximum(true, 0.0) + _areas(field) * field.noise**2)
    correction = _correction(image, field, alone & (signals >= _CORRECTING))
    sources = [
        {
            "magnitude": float(field.magnitudes[i]),
            "found": bool(found[i]),
            "signal": float(signals[i]),
            "flux": float(fluxes[i] / true[i] - 1.0) if alone[i] else None,
            "corrected": float(correction * fluxes[i] / true[i] - 1.0) if alone[i] and correction else None,
        }
        for i in range(len(field.flux))
    ]
    bright = alone & (signals >= _BRIGHT)
    summary: Row = {
        "sources": len(sources),
        "found": int(found.sum()),
        "false": false,
        "sky": float(np.median(skies)) - field.sky,
        "measured": int(bright.sum()),
    }
    return summary | _shapes(image, field, bright), sources


def _alone(field: SkyField) -> NDArray[np.bool_]:
    """Return which sources have no neighbour that counts."""
    gaps = np.linalg.norm(field.positions[:, None] - field.positions, axis=-1)
    np.fill_diagonal(gaps, np.inf)
    reach = _ALONE + field.sizes[:, None] + field.sizes
    beside = (gaps < reach) & (field.flux > 0.2 * field.flux[:, None])
    return np.asarray(~beside.any(axis=1))


def _detected(image: Image, field: SkyField) -> tuple[NDArray[np.bool_], int]:
    """Return which sources are detected, and how many detections are of none, in the catalogue or not."""
    from photutils.segmentation import SourceCatalog, SourceFinder
    from photutils.utils.exceptions import NoDetectionsWarning

    net = image - np.median(image)
    finder = SourceFinder(_CONNECTED, progress_bar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        segments = finder(net, _SIGMAS * field.noise)
    if segments is None:
        return np.zeros(len(field.flux), dtype=bool), 0
    catalogue = SourceCatalog(net, segments)
    places = np.column_stack([catalogue.y_centroid, catalogue.x_centroid])
    edge = 12  # the catalogue says nothing of what lies nearer to the edge
    inner = ((places >= edge) & (places <= np.array(image.shape) - 1 - edge)).all(axis=1)
    # A galaxy's knots and a blend of two stars lie on light that is there.
    radius = max(_NEAR, 0.5 * field.fwhm)
    to_detection, _ = cKDTree(places).query(field.positions)
    # A centroid may lie inside of the edge, and its source outside.
    sources = np.vstack([np.column_stack([field.positions, field.sizes]), field.others])
    beyond = cdist(places, sources[:, :2]) - sources[:, 2]
    spurious = inner & (beyond > radius).all(axis=1)
    return to_detection <= radius, int(spurious.sum())


def _areas(field: SkyField) -> Image:
    return np.asarray(np.pi * (_APERTURE + 2.5 * field.sizes) ** 2)


def _fluxes(image: Image, field: SkyField, factor: float = 1.0) -> tuple[Image, Image]:
    """Return the fluxes in apertures (of so many times the usual radius) and the local skies."""
    from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture

    fluxes, skies = [], []
    for (y, x), size in zip(field.positions, field.sizes, strict=True):
        radius = factor * (_APERTURE + 2.5 * size)
        ring = CircularAnnulus((x, y), radius + _ANNULUS[0], radius + _ANNULUS[1])
        sky = float(ApertureStats(image, ring).median)
        fluxes.append(float(ApertureStats(image, CircularAperture((x, y), radius), local_bkg=sky).sum))
        skies.append(sky)
    return np.array(fluxes), np.array(skies)


def _correction(image: Image, field: SkyField, bright: NDArray[np.bool_]) -> float | None:
    """Return the light of bright stars in a wide aperture over that in the usual one; None of galaxies."""
    if field.kind != "stars" or not bright.any():
        return None
    narrow, wide = (_fluxes(image, field, factor)[0][bright] for factor in (1.0, 2.0))
    return float(np.median(wide / narrow))


def _shapes(image: Image, field: SkyField, bright: NDArray[np.bool_]) -> Row:
    """Return mean shift and scatter of the positions, and widths or ellipticities."""
    from photutils.centroids import centroid_2dg, centroid_sources
    from photutils.psf import fit_fwhm

    if not bright.any():
        return dict.fromkeys(("shift_y", "shift_x", "moved_y", "moved_x", "scatter"))
    y, x = field.positions[bright].T
    net, true = image - field.sky, field.truth - field.sky
    with warnings.catch_warnings():
        # A fit that does not converge has a value all the same, which the medians bear.
        warnings.simplefilter("ignore")
        offsets = [
            np.array(centroid_sources(each, x, y, box_size=_BOX, centroid_func=centroid_2dg)) - (x, y)
            for each in (net, true, field.data - field.sky)
        ]
        shifts, moved = offsets[0] - offsets[1], offsets[0] - offsets[2]  # a galaxy's own fit may be off
        row: Row = {
            "shift_x": float(np.nanmedian(shifts[0])),
            "shift_y": float(np.nanmedian(shifts[1])),
            "moved_x": float(np.nanmedian(moved[0])),
            "moved_y": float(np.nanmedian(moved[1])),
            "scatter": float(1.4826 * np.nanmedian(np.abs(shifts - np.nanmedian(shifts, axis=1)[:, None]))),
        }
        if field.kind == "stars":
            places = np.column_stack([x, y])
            widths = [fit_fwhm(each, xypos=places, fit_shape=_BOX) for each in (net, true)]
            return row | {"fwhm": float(np.median(widths[0])), "fwhm_true": float(np.median(widths[1]))}
    return row | {"ellipticity": _ellipticity(net, true, field, bright)}


def _ellipticity(net: Image, true: Image, field: SkyField, bright: NDArray[np.bool_]) -> float:
    """Return the median difference of the galaxies' ellipticities, by moments in their apertures."""
    from photutils.aperture import ApertureStats, CircularAperture

    found = []
    for (y, x), size in zip(field.positions[bright], field.sizes[bright], strict=True):
        aperture = CircularAperture((x, y), _APERTURE + size)
        one, other = (float(ApertureStats(each, aperture).ellipticity.value) for each in (net, true))
        found.append(one - other)
    return float(np.nanmedian(found))
