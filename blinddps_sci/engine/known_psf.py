"""A known PSF from a file: the non-blind problem."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from blinddps_sci.errors import InputError

__all__ = ["read_psf"]

_PREFERRED = ("DET_DIST", "DET_SAMP", "PSFGRID")
"""Extensions of FITS files that are sampled as the detector is."""


def read_psf(source: str) -> np.ndarray:
    """Read a point-spread function and normalise it.

    Parameters
    ----------
    source : str
        FITS, TIFF or ``.npy`` file with one 2-D image, its centre at ``K // 2``, sampled as the data are. Of
        FITS one of the extensions DET_DIST, DET_SAMP (STPSF) and PSFGRID (of this package) counts, else the
        first image; of STDPSF samples, which are of whole pixels, every ``OVERSAMP``-th is taken.

    Returns
    -------
    ndarray of float32, (K, K)
        Non-negative, sum one; an oblong image is padded to a square.

    Raises
    ------
    InputError
        If the file cannot be read, holds no usable PSF, or one of finer pixels.
    """
    path = Path(source)
    if not path.is_file():
        raise InputError(f"PSF file {source} does not exist")
    try:
        with warnings.catch_warnings():
            # What a reader of a damaged file warns of, the error says.
            warnings.simplefilter("ignore")
            image = np.squeeze(_read(path).astype(np.float64, casting="same_kind"))
    except InputError:
        raise
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
        images = [hdu for hdu in hdus if hdu.is_image and hdu.data is not None]
        if not images:
            return np.empty(0)
        chosen = min(images, key=lambda hdu: (*_PREFERRED, hdu.name).index(hdu.name))
        finer = 1 if chosen.name in _PREFERRED else int(chosen.header.get("OVERSAMP", 1))
        if finer > 1 and "NXPSFS" not in chosen.header:
            raise InputError(f"PSF file {path} has {finer} samples a pixel; give it at the data's sampling")
        return _at_pixels(np.asarray(chosen.data), finer)


def _at_pixels(image: np.ndarray, finer: int) -> np.ndarray:
    """Return the samples of a PSF that lie whole pixels from its centre."""
    y, x = (length // 2 % finer for length in image.shape[-2:])
    return image[..., y::finer, x::finer]
