"""A simulated observation as a FITS file, with its truth beside it."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
from astropy.io import fits

from blinddps_sci.errors import ConfigError, OutputError
from blinddps_sci.simulate.blur import blur, valid_origin
from blinddps_sci.simulate.detector import add_gaussian
from blinddps_sci.simulate.psf import FAMILIES, random_kernel
from blinddps_sci.simulate.scenes import SCENES, random_scene

__all__ = ["describe_choices", "write_frame"]


def describe_choices() -> str:
    """Return the kinds of scene and the PSF families, one a line."""
    scenes = [f"  {name:14s} {kind.domain:6s} {kind.description}" for name, kind in SCENES.items()]
    families = [f"  {name:14s} {text}" for name, text in FAMILIES.items()]
    return "\n".join(["scenes", *scenes, "PSF families (--psf)", *families])


def write_frame(
    path: Path,
    scene: str,
    *,
    psf: str = "mixture",
    psf_size: int = 32,
    size: int = 256,
    noise: float = 0.01,
    seed: int = 0,
    overwrite: bool = False,
) -> Path:
    """Simulate one frame and write SCI, ERR, TRUTH and PSF to a FITS file.

    Parameters
    ----------
    path : Path
        The file.
    scene, psf : str
        Kind of scene and PSF family.
    psf_size : int
        Side of the PSF, pixels.
    size : int
        Side of the frame, pixels.
    noise : float
        Standard deviation of the Gaussian noise, in units of the mean flux.
    seed : int
        Of everything random.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    ConfigError
        If the scene or the PSF family is unknown, or a number is out of its range.
    OutputError
        If the file exists, or its folder does not.
    """
    _check(path, scene, psf, psf_size, size, noise, seed, overwrite)
    rng = np.random.default_rng(seed)
    kernel = random_kernel(psf_size, rng, psf)
    truth = random_scene((size + psf_size - 1, size + psf_size - 1), rng, scene)
    exposure = add_gaussian(blur(truth, kernel), rng, noise)
    first = valid_origin(psf_size)
    inside = truth[first : first + size, first : first + size]
    hdus = fits.HDUList(
        [
            fits.PrimaryHDU(header=fits.Header({"SCENE": scene, "PSFKIND": psf, "SEED": seed})),
            fits.ImageHDU(exposure.frame.astype(np.float32), name="SCI"),
            fits.ImageHDU(np.sqrt(exposure.variance).astype(np.float32), name="ERR"),
            fits.ImageHDU(inside.astype(np.float32), name="TRUTH"),
            fits.ImageHDU(kernel, name="PSF"),
        ]
    )
    partial = path.with_name(f".{path.name}.partial")
    try:
        hdus.writeto(partial, overwrite=True)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _check(
    path: Path, scene: str, psf: str, psf_size: int, size: int, noise: float, seed: int, overwrite: bool
) -> None:
    if scene not in SCENES:
        raise ConfigError(f"unknown scene {scene!r}; choose one of {', '.join(SCENES)}")
    if psf not in FAMILIES:
        raise ConfigError(f"unknown PSF family {psf!r}; choose one of {', '.join(FAMILIES)}")
    if not (16 <= size <= 8192 and 8 <= psf_size <= 256 and 0 < noise < math.inf and seed >= 0):
        raise ConfigError(
            f"size {size}, psf-size {psf_size}, noise {noise}, seed {seed}: "
            "size is 16 to 8192, psf-size 8 to 256, noise positive, seed not negative"
        )
    if path.suffix.lower() not in (".fits", ".fit"):
        raise OutputError(f"output {path} has no known extension; use .fits")
    if not path.parent.is_dir():
        raise OutputError(f"folder {path.parent} does not exist; create it or choose another output")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; choose another name or give --overwrite")
