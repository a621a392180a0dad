"""A known PSF from a file: the non-blind problem."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from blinddps_sci.errors import InputError

__all__ = ["read_psf"]


def read_psf(source: str) -> np.ndarray:
    """Read a point-spread function and normalise it.

    Parameters
    ----------
    source : str
        FITS, TIFF or ``.npy`` file with one 2-D image, its centre at ``K // 2``.

    Returns
    -------
    ndarray of float32, (K, K)
        Non-negative, sum one; an oblong image is padded to a square.

    Raises
    ------
    InputError
        If the file cannot be read or holds no usable PSF.
    """
    path = Path(source)
    if not path.is_file():
        raise InputError(f"PSF file {source} does not exist")
    try:
        with warnings.catch_warnings():
            # What a reader of a damaged file warns of, the error says.
            warnings.simplefilter("ignore")
            image = np.squeeze(_read(path).astype(np.float64, casting="same_kind"))
    except Exception as error:  # a damaged file fails in any way: EOFError, IndexError, struct.error, ...
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"PSF file {source} cannot be read as FITS, TIFF or npy ({first})") from None
    if image.ndim != 2 or min(image.shape) < 3:
        raise InputError(f"PSF file {source} holds an array of shape {image.shape}; one 2-D image is needed")
    if not np.isfinite(image).all():
        raise InputError(f"PSF file {source} has values that are not finite; replace them by zero")
    # Measured PSFs scatter about zero in their wings; a kernel cannot be negative.
    image = np.clip(image, 0, None)
    if image.sum() <= 0:
        raise InputError(f"PSF file {source} has no positive value")
    side = max(image.shape)
    before = [side // 2 - length // 2 for length in image.shape]
    square = np.pad(image, [(b, side - length - b) for b, length in zip(before, image.shape, strict=True)])
    return np.asarray(square / square.sum(), dtype=np.float32)


def _read(path: Path) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if suffix in (".tif", ".tiff"):
        import tifffile

        return np.asarray(tifffile.imread(path))
    from astropy.io import fits

    with fits.open(path, memmap=False) as hdus:
        return np.asarray(next((hdu.data for hdu in hdus if hdu.is_image and hdu.data is not None), ()))
