"""What photutils measures on an image of the sky, against the catalogue and the true image.

The same code and the same thresholds are used for the input and for its restoration.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from blinddps_sci.bench.sky_fields import SkyField
from blinddps_sci.errors import ConfigError

__all__ = ["check_photutils", "score_sky"]

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

_BOX = 9
"""Side of the box in which a centroid is taken, pixels."""


def check_photutils() -> None:
    """Refuse to begin without photutils.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        import photutils  # noqa: F401
    except ImportError:
        raise ConfigError("this benchmark needs photutils; pip install 'blinddps-sci[bench]'") from None


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
        ``found``, ``false`` and ``sources`` (counts), ``shift_y`` and ``shift_x`` (mean centroid less the
        true one), ``scatter`` (of a centroid along one axis), ``fwhm`` and ``fwhm_true`` (medians, of
        stars), ``ellipticity`` (mean difference, of galaxies) and ``sky`` (less the true one, electrons).
    sources : list of dict
        For each source of the catalogue its ``magnitude``, whether it was ``found``, and if it stands alone
        its relative error of ``flux`` in an aperture against the same of the true image, and its
        ``signal`` over the noise of that aperture.
    """
    alone = _alone(field)
    found, false = _detected(image, field)
    errors, signals, skies = _fluxes(image, field)
    sources = [
        {
            "magnitude": float(magnitude),
            "found": bool(seen),
            "flux": float(error) if single else None,
            "signal": float(signal),
        }
        for magnitude, seen, error, single, signal in zip(
            field.magnitudes, found, errors, alone, signals, strict=True
        )
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
    """Return which sources are detected, and how many detections are not of any."""
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
    to_source, nearest = cKDTree(field.positions).query(places)
    spurious = inner & (to_source > radius + field.sizes[nearest])
    return to_detection <= radius, int(spurious.sum())


def _fluxes(image: Image, field: SkyField) -> tuple[Image, Image, Image]:
    """Return relative errors of the aperture fluxes, signals over noise, and the local skies."""
    from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture

    errors, signals, skies = [], [], []
    for (y, x), size in zip(field.positions, field.sizes, strict=True):
        radius = _APERTURE + 2.5 * size
        aperture = CircularAperture((x, y), radius)
        ring = CircularAnnulus((x, y), radius + _ANNULUS[0], radius + _ANNULUS[1])
        sky, true_sky = (float(ApertureStats(each, ring).median) for each in (image, field.truth))
        light, true = (
            float(ApertureStats(each, aperture, local_bkg=level).sum)
            for each, level in ((image, sky), (field.truth, true_sky))
        )
        errors.append(light / true - 1.0)
        signals.append(true / np.sqrt(max(true, 0.0) + aperture.area * field.noise**2))
        skies.append(sky)
    return np.array(errors), np.array(signals), np.array(skies)


def _shapes(image: Image, field: SkyField, bright: NDArray[np.bool_]) -> Row:
    """Return mean shift and scatter of the positions, and widths or ellipticities."""
    from photutils.centroids import centroid_2dg, centroid_sources
    from photutils.psf import fit_fwhm

    if not bright.any():
        return dict.fromkeys(("shift_y", "shift_x", "scatter", "fwhm", "fwhm_true", "ellipticity"))
    y, x = field.positions[bright].T
    net, true = image - field.sky, field.truth - field.sky
    with warnings.catch_warnings():
        # A fit that does not converge has a value all the same, which the medians bear.
        warnings.simplefilter("ignore")
        offsets = [
            np.array(centroid_sources(each, x, y, box_size=_BOX, centroid_func=centroid_2dg)) - (x, y)
            for each in (net, true)
        ]
        moved = (offsets[0] - offsets[1]).T  # a fit of a galaxy is not centred on its own
        moved = moved[np.isfinite(moved).all(axis=1)]
        row: Row = {
            "shift_x": float(np.median(moved[:, 0])),
            "shift_y": float(np.median(moved[:, 1])),
            "scatter": float(1.4826 * np.median(np.abs(moved - np.median(moved, axis=0)))),
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
