"""The PSFs of a result as an STDPSF file, which `photutils.psf.GriddedPSFModel.read` opens.

`blinddps_sci.io.export` offers this to users; nothing here needs photutils.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from astropy.io import fits
from scipy import ndimage

from blinddps_sci.errors import ConfigError, OutputError
from blinddps_sci.io.fits_export import odd_kernels
from blinddps_sci.io.fits_header import primary_header
from blinddps_sci.io.output_path import replacing
from blinddps_sci.io.result_store import ResultStore

__all__ = ["export_psf"]

OVERSAMPLING = 4
"""Samples per pixel and axis of every STDPSF file."""

# These counts of PSFs mean a mosaic of detectors to photutils.
_MOSAICS = (36, 56, 90, 200)
_MOST_NODES = 999

Array = np.ndarray[Any, np.dtype[Any]]


def export_psf(
    store: ResultStore,
    path: str | os.PathLike[str],
    *,
    frame: int = 0,
    channel: int = 0,
    overwrite: bool = False,
) -> None:
    """Write the PSFs of a result for photutils.

    Parameters
    ----------
    store : ResultStore
        The result.
    path : str or os.PathLike
        The file, ``.fits``.
    frame, channel : int
        Whose PSFs.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        If the file exists, its name cannot be read by photutils, no node has a PSF, or writing fails.
    ConfigError
        If there is no such frame or channel.

    Notes
    -----
    The format is STDPSF: a cube of PSFs of four samples a pixel, the value of a sample being the
    fraction of the flux in the pixel centred there, and node positions from one. Samples between
    pixels are those of the cubic spline through the PSF, so that at whole pixels the model has the
    PSF's own values. STDPSF is written instead of the STPSF (WebbPSF) layout because released
    versions of photutils up to 3.0 swap x and y of the latter, and later ones do not.

    A node without a PSF (its unit is quarantined) gets the nearest node's. photutils wants at least
    two rows and columns of nodes, unless there is one node, and takes 36, 56, 90 or 200 PSFs for a
    mosaic of detectors: the last row or column is then repeated one spacing further out, which
    changes the model nowhere inside the grid.

    References
    ----------
    .. [1] J. Anderson and I. R. King, PASP 112, 1360 (2000), https://doi.org/10.1086/316632
    """
    name = os.path.basename(os.fspath(path))
    if not name.lower().endswith((".fits", ".fit", ".fts")):
        raise OutputError(f"{path} is not a FITS name; photutils wants one that ends with .fits")
    # It takes the instrument from names of three or four parts.
    if name.count("_") in (2, 3):
        raise OutputError(
            f"photutils reads names with two or three underscores as those of an instrument: rename {name}"
        )
    kernels = store.array("psf/kernel")
    for what, given, count in (("frame", frame, kernels.shape[0]), ("channel", channel, kernels.shape[1])):
        if not 0 <= given < count:
            raise ConfigError(f"{what} {given} does not exist; the result has {count}, from 0")
    if max(kernels.shape[2:4]) > _MOST_NODES:
        raise OutputError(f"STDPSF files have at most {_MOST_NODES} nodes a side; the result has more")
    position = np.asarray(store.array("psf/position")[...])
    grid = _filled(odd_kernels(np.asarray(kernels[frame, channel])), store)
    grid, y, x = _regular(grid, position[:, 0, 0], position[0, :, 1])
    hdu = fits.PrimaryHDU(_oversampled(grid), primary_header(store.attrs, store.status))
    _describe(hdu.header, y, x)
    with replacing(path, overwrite=overwrite) as partial:
        hdu.writeto(partial)


def _filled(grid: Array, store: ResultStore) -> Array:
    """Give nodes without a PSF the nearest node's."""
    missing = ~np.isfinite(grid).all(axis=(-2, -1))
    if missing.all():
        raise OutputError(f"{store.path} has no PSF yet; export it when the run has estimated one")
    if not missing.any():
        return grid
    nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
    filled: Array = grid[tuple(nearest)]
    return filled


def _regular(grid: Array, y: Array, x: Array) -> tuple[Array, Array, Array]:
    """Repeat the last row or column of nodes where photutils cannot read the grid as it is."""
    if grid.shape[:2] == (1, 1):
        return grid, y, x
    if len(y) == 1:
        grid, y = np.concatenate([grid, grid], axis=0), np.append(y, y[0] + 1.0)
    if len(x) == 1:
        grid, x = np.concatenate([grid, grid], axis=1), np.append(x, x[0] + 1.0)
    if len(y) * len(x) in _MOSAICS:
        grid, x = np.concatenate([grid, grid[:, -1:]], axis=1), np.append(x, 2.0 * x[-1] - x[-2])
    return grid, y, x


def _oversampled(grid: Array) -> Array:
    """Sample the cubic splines through the PSFs four times a pixel, (node, ky, kx)."""
    side = grid.shape[-1]
    fine = np.arange(OVERSAMPLING * (side - 1) + 1) / OVERSAMPLING
    # Knots at the outermost samples, as of the spline that photutils puts through the result.
    where = np.meshgrid(fine, fine, indexing="ij")
    planes = grid.reshape(-1, side, side).astype(np.float64)
    out = np.empty((len(planes), fine.size, fine.size), np.float32)
    for number, plane in enumerate(planes):
        out[number] = ndimage.map_coordinates(np.pad(plane, 2), [axis + 2 for axis in where], order=3)
    return out


def _describe(header: fits.Header, y: Array, x: Array) -> None:
    """Add the cards of the format; positions count from one."""
    header["NXPSFS"] = (len(x), "PSFs in a row")
    header["NYPSFS"] = (len(y), "rows of PSFs")
    for key, values in (("IPSFX", x), ("JPSFY", y)):
        for number, value in enumerate(values, start=1):
            header[f"{key}{number:02d}"] = (float(value) + 1.0, "pixel, from one")
    header["OVERSAMP"] = (OVERSAMPLING, "samples per pixel")
