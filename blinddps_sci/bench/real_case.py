"""What every case of `blinddps bench real` is made of: files, runs and what is written about them."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from astropy.io import fits
from imageio.v3 import imread
from numpy.typing import NDArray

from blinddps_sci.bench.row_file import Row
from blinddps_sci.bench.score import score_kernel
from blinddps_sci.engine.restore import restore
from blinddps_sci.errors import InputError
from blinddps_sci.metrics import kernel_width

__all__ = [
    "Image",
    "Images",
    "Outcome",
    "RealCase",
    "Restored",
    "about_peak",
    "read_image",
    "restored",
    "score_psf",
]

Image = NDArray[np.floating[Any]]

Images = Mapping[str, Mapping[str, Image]]
"""Method, and name of what it found, to image."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method made of the data of a case.

    Parameters
    ----------
    numbers : dict
        For its row.
    images : dict of str to ndarray
        To be looked at: ``image`` and, of a blind method, ``kernel``; others as the case has them.
    """

    numbers: Row
    images: dict[str, Image] = field(default_factory=dict)


@dataclass(frozen=True)
class RealCase:
    """Data that somebody measured, and what they are judged by.

    Parameters
    ----------
    title : str
        One line.
    files : tuple of str
        What is read, below the folder of the data; a case without one of them is left out.
    runs : callable
        Given the folder and the options of `restore`, the runs by item and method, in order. A run is a
        function without arguments: nothing is done until it is called.
    table : callable
        Rows to text.
    draw : callable
        Rows, images by method, and the path of a PNG file. Images of an earlier session may be missing.
    """

    title: str
    files: tuple[str, ...]
    runs: Callable[[Path, Mapping[str, Any]], dict[tuple[str, str], Callable[[], Outcome]]]
    table: Callable[[Sequence[Row]], str]
    draw: Callable[[Sequence[Row], Images, Path], None]

    def missing(self, folder: Path) -> list[str]:
        """Return which of the files are not in a folder."""
        return [name for name in self.files if not (folder / name).is_file()]


def read_image(path: Path) -> NDArray[Any]:
    """Return what a FITS, TIFF or PNG file holds, in its own numbers.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    suffix = path.suffixes[0].lower()
    read = fits.getdata if suffix == ".fits" else tifffile.imread if suffix == ".tif" else imread
    try:
        return np.asarray(read(path))
    except Exception as error:  # readers fail in ways of their own
        raise InputError(f"{path} cannot be read ({error}); get it anew") from error


@dataclass(frozen=True, eq=False)
class Restored:
    """What `restore` made of an image.

    Parameters
    ----------
    image : ndarray, (h, w)
        In the data's unit.
    kernel : ndarray, (K, K), optional
        Mean over the tiles; None if it was told.
    numbers : dict
        ``chi2``, ``seconds`` and ``warned``, the kinds of warnings that a user would have seen.
    """

    image: Image
    kernel: Image | None
    numbers: Row


def restored(source: Any, psf: Image | None = None, **options: Any) -> Restored:
    """Restore an image as a user would.

    Parameters
    ----------
    source : path or array
        As `restore` takes it.
    psf : ndarray, (K, K), optional
        Told, by a file.
    **options
        Of `restore`.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if psf is not None:
            file = Path(folder) / "psf.npy"
            np.save(file, psf)
            options["psf_file"] = str(file)
        begin = time.perf_counter()
        result = restore(source, **options)
        seconds = time.perf_counter() - begin
    kernel = result["psf_kernel"].mean(("frame", "channel", "node_y", "node_x")).values
    return Restored(
        image=np.squeeze(result["image"].values).astype(np.float64),
        kernel=None if psf is not None else kernel.astype(np.float64),
        numbers={
            "chi2": float(np.nanmean(result["chi2"].values)),
            "seconds": round(seconds, 1),
            "warned": " ".join(sorted({each.category.__name__ for each in caught})),
        },
    )


def about_peak(image: Image, side: int) -> Image:
    """Return the square of a side, even or odd, whose middle (side // 2) is an image's peak; zero outside."""
    padded = np.pad(image, side)
    y, x = (int(place) - side // 2 for place in np.unravel_index(int(padded.argmax()), padded.shape))
    return padded[y : y + side, x : x + side]


def score_psf(kernel: Image, measured: Image) -> Row:
    """Return how close an estimated PSF is to a measured one, and the widths of both.

    Parameters
    ----------
    kernel : ndarray, (K, K)
        Estimated.
    measured : ndarray, (h, w)
        Of any size; what lies further than K / 2 from its peak is left out, because faint wings weigh much
        in a width by moments, and negative values are cut off.

    Returns
    -------
    dict
        As `score_kernel`, with ``fwhm`` and ``fwhm_measured``, pixels.
    """
    positive, near = np.clip(kernel, 0, None), about_peak(np.clip(measured, 0, None), len(kernel))
    return {
        **score_kernel(positive, near),
        "fwhm": kernel_width(positive, kind="fwhm"),
        "fwhm_measured": kernel_width(near, kind="fwhm"),
    }
