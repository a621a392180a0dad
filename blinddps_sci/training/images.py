"""Training images: folders of pictures and FITS frames, and simulated scenes, as patches.

A `Pack` holds every training image once as 8-bit planes at several scales, each with its
domain label; `Pack.batch` cuts random patches with random contrast, so that the network
learns the structures and not one normalisation.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from skimage.io import imread
from skimage.transform import rescale

from blinddps_sci.errors import InputError
from blinddps_sci.simulate import SCENES, random_scene
from blinddps_sci.training.loader import spread

__all__ = ["LABELS", "Pack", "held_out", "held_out_planes", "independent", "trained_on"]

LABELS = ("astro", "micro", "generic", "unlabelled")
"""Domain labels of the image network; the last stands for 'not told'."""

_KEPT_FOR_TESTS = {"hubble_deep_field", "moon", "cell", "retina"}
"""Pictures of scikit-image that the demo and the benchmark restore."""

_SCALES = (1.0, 0.7, 0.5, 0.35)
_PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
_FITS = {".fits", ".fit", ".fts"}

_BESIDE = {
    "ERR", "ERROR", "STD", "STDDEV", "SIGMA", "RMS", "UNCERT", "VAR", "VARIANCE", "STAT", "IVAR", "INVVAR",
    "WHT", "WEIGHT", "DQ", "MASK", "FLAGS", "CON", "CTX", "EXP", "EXPTIME", "SAMP", "TIME", "AREA", "PSF",
    "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT", "WAVELENGTH", "WCSDVARR", "D2IMARR",
}  # fmt: skip
"""Names of FITS extensions that stand beside an image and are none."""


def held_out(path: Path) -> bool:
    """Say whether an image is never trained on: a tenth, by file name, and scikit-image's own."""
    return zlib.crc32(path.name.encode()) % 10 == 0 or path.stem in _KEPT_FOR_TESTS


def held_out_planes(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the domain and the planes, on [0, 1], of the images below ``folder`` never trained on.

    Pictures that the demo and the benchmark report on are left out: nothing is measured on them.
    """
    rng = np.random.default_rng(0)
    for path, domain in _images(folder):
        if held_out(path) and path.stem not in _KEPT_FOR_TESTS:
            for plane in _planes(path, domain, rng):
                yield domain, plane


def independent(planes: Iterable[tuple[str, np.ndarray]], smallest: int) -> dict[str, list[np.ndarray]]:
    """Return, by domain, the planes of so many pixels or more, those of one picture in colours but once.

    Parameters
    ----------
    planes : iterable of (str, ndarray (H, W))
        Domains and planes, from `held_out_planes`.
    smallest : int
        Least side, pixels.
    """
    found: dict[str, list[np.ndarray]] = {}
    for domain, plane in planes:
        if min(plane.shape) >= smallest:
            found.setdefault(domain, []).append(plane)
    if "astro" in found:  # neighbours are colours of one picture, which must not tell of each other
        found["astro"] = found["astro"][::3]
    return found


def trained_on(folder: Path) -> list[tuple[Path, str]]:
    """Return the images below ``folder`` that are trained on, in order, each with its domain."""
    return [(path, domain) for path, domain in _images(folder) if not held_out(path)]


def _images(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the images below ``folder``, in order, each with its domain; folders named ``psf`` have none."""
    for path in sorted(folder.rglob("*")):
        # What lies above the folder must not decide: its own name may, a home's may not.
        parts = (folder.name, *path.relative_to(folder).parts[:-1])
        if path.suffix.lower() in _PICTURES | _FITS and "psf" not in parts:
            yield path, next((label for label in LABELS[:2] if label in parts), "generic")


def _planes(path: Path, domain: str, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the 2-D planes of one file on [0, 1]: 8-bit pictures as stored, others by `display`."""
    if path.suffix.lower() in _FITS:
        from astropy.io import fits

        with fits.open(path) as hdus:
            for values in _science(hdus):
                yield display(_finite(values), rng)
        return
    stored = imread(path)
    image, shown = _finite(stored), stored.dtype == np.uint8
    planes: Iterable[np.ndarray] = [image] if image.ndim == 2 else []
    if image.ndim == 3 and image.shape[-1] in (3, 4):
        channels = image[..., :3]
        # Each colour of an astronomical composite is a filter of its own.
        planes = np.moveaxis(channels, -1, 0) if domain == "astro" else [channels.mean(-1)]
    for plane in planes:
        yield plane / 255 if shown else display(plane, rng)


def _science(hdus: Iterable[Any]) -> list[np.ndarray]:
    """Return the planes of a FITS file that are images: those named SCI, else all but what stands beside.

    Integers beside floating numbers are flags or counts of exposures.
    """
    planes = [hdu for hdu in hdus if hdu.name not in _BESIDE and getattr(hdu.data, "ndim", 0) == 2]
    found = [hdu.data for hdu in planes if hdu.name == "SCI"] or [hdu.data for hdu in planes]
    return [values for values in found if values.dtype.kind == "f"] or found


def _finite(values: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.asarray(values, dtype=np.float32), posinf=0.0, neginf=0.0)


def display(flux: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stretch a linear image to [0, 1] as a display would: percentiles, linear or asinh."""
    low, high = np.percentile(flux, [rng.uniform(0.1, 2), rng.uniform(99.0, 99.95)])
    scaled: np.ndarray = (flux - low) / max(high - low, 1e-12)
    if rng.random() < 0.5:
        softening = np.exp(rng.uniform(np.log(0.02), np.log(0.5)))
        scaled = np.arcsinh(scaled / softening) / np.arcsinh(1 / softening)
    return scaled.clip(0, 1)


def _levels(plane: np.ndarray, smallest: int) -> Iterator[np.ndarray]:
    for scale in _SCALES:
        if min(plane.shape) * scale < smallest:
            return
        small = plane if scale == 1 else rescale(plane, scale, anti_aliasing=True)
        yield np.clip(np.rint(small * 255), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Pack:
    """Training planes and their domains.

    Parameters
    ----------
    planes : list of ndarray of uint8, (H, W)
        Images on a display scale.
    domains : ndarray of int, (N,)
        Index into `LABELS` of each plane.
    """

    planes: list[np.ndarray]
    domains: np.ndarray

    @classmethod
    def read(cls, folder: Path, *, size: int, scenes: int = 0, seed: int = 0, workers: int = 0) -> Pack:
        """Collect the images below ``folder`` and add simulated scenes.

        A file below a folder named ``astro`` or ``micro`` gets that label, any other
        ``generic``. Held-out files (`held_out`) and folders named ``psf`` are passed over.

        Raises
        ------
        InputError
            If there is no readable image.
        """
        files = trained_on(folder)
        read = spread(partial(_read, size, seed), range(len(files)), files, workers=workers)
        read += spread(partial(_simulate, size, seed), range(scenes), workers=workers)
        planes = [plane for some, _ in read for plane in some]
        domains = [LABELS.index(domain) for some, domain in read for _ in some]
        if not planes:
            raise InputError(f"{folder} holds no image of at least {size} pixels; give --data another folder")
        return cls(planes, np.array(domains))

    @classmethod
    def load(cls, path: Path) -> Pack:
        """Read a pack written by `save`."""
        with np.load(path) as stored:
            shapes, flat = json.loads(str(stored["shapes"])), stored["pixels"]
            domains = stored["domains"]
        planes, at = [], 0
        for height, width in shapes:
            planes.append(flat[at : at + height * width].reshape(height, width))
            at += height * width
        return cls(planes, domains)

    def save(self, file: Path | BinaryIO) -> None:
        """Write the pack to one ``.npz`` file, given by its path or open."""
        np.savez(
            file,
            pixels=np.concatenate([plane.ravel() for plane in self.planes]),
            shapes=np.array(json.dumps([plane.shape for plane in self.planes])),
            domains=self.domains,
        )

    def probabilities(self, size: int = 1) -> np.ndarray:
        """Return the chance of drawing from each plane: equal by domain, by area inside one.

        Planes that have no patch of ``size`` pixels have none.

        Raises
        ------
        InputError
            If no plane has one.
        """
        areas = np.array(
            [plane.size if min(plane.shape) >= size else 0 for plane in self.planes], dtype=float
        )
        if not areas.any():
            raise InputError(
                f"no training image has a patch of {size} pixels; choose a recipe of smaller ones"
            )
        for domain in np.unique(self.domains[areas > 0]):
            areas[self.domains == domain] /= areas[self.domains == domain].sum()
        chances: np.ndarray = areas / areas.sum()
        return chances

    def batches(
        self, count: int, size: int, seed: Sequence[int], *, large: float = 0.0
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield batches for ever: patches (B, 1, size, size) on [-1, 1] and labels (B,).

        A share of ``large`` of the batches has a quarter of the patches at twice the side.
        """
        rng = np.random.default_rng(seed)
        usual = (count, size, np.cumsum(self.probabilities(size)))
        wide = (max(count // 4, 1), 2 * size, np.cumsum(self.probabilities(2 * size))) if large else usual
        while True:
            count, size, chance = wide if rng.random() < large else usual
            chosen = np.searchsorted(chance, rng.random(count) * chance[-1], side="right")
            patches = np.stack([_patch(self.planes[i], size, rng) for i in chosen])[:, None]
            labels = self.domains[chosen].copy()
            # 'generic' has seen every domain; 'unlabelled' is what the network does when not told.
            told = rng.random(count)
            labels[told < 0.3] = LABELS.index("generic")
            labels[told < 0.15] = LABELS.index("unlabelled")
            yield patches, labels


def _read(size: int, seed: int, index: int, file: tuple[Path, str]) -> tuple[list[np.ndarray], str]:
    """Return the planes of one file at all scales, and their domain."""
    path, domain = file
    rng = np.random.default_rng([seed, 0, index])
    return [level for plane in _planes(path, domain, rng) for level in _levels(plane, size)], domain


def _simulate(size: int, seed: int, index: int) -> tuple[list[np.ndarray], str]:
    """Return one simulated scene, and its domain."""
    names = sorted(SCENES)
    name = names[index % len(names)]
    rng = np.random.default_rng([seed, 1, index])
    scene = display(random_scene((2 * size, 2 * size), rng, name), rng)
    return [np.rint(scene * 255).astype(np.uint8)], SCENES[name].domain


def _patch(plane: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    y, x = (rng.integers(0, side - size + 1) for side in plane.shape)
    patch: np.ndarray = plane[y : y + size, x : x + size].astype(np.float32)
    patch = (patch + rng.random(patch.shape, dtype=np.float32) - 0.5) / 255
    patch = np.rot90(patch, int(rng.integers(4)))
    if rng.random() < 0.5:
        patch = patch.T
    gamma, gain = float(np.exp(rng.normal(0, 0.2))), float(np.exp(rng.uniform(np.log(0.5), np.log(1.25))))
    shown = gain * np.clip(patch, 0, None) ** gamma + rng.uniform(0, max(0.0, 0.6 * (1 - gain)))
    return np.ascontiguousarray(2 * shown - 1, dtype=np.float32)
