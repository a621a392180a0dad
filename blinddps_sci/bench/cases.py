"""Cases of `blinddps bench`: simulated blur and noise on held-out images, with the truth.

A case is a domain, a blur family and a noise level. Its image, crop and kernel are drawn from the
seed alone, before any method runs, so that every method and every run sees the same data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from skimage.io import imread
from skimage.transform import rescale

from blinddps_sci.bench import NOISES
from blinddps_sci.bench.score import score_image
from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.simulate import random_kernel
from blinddps_sci.simulate.blur import blur, valid_origin

__all__ = [
    "DOMAINS",
    "FAMILIES",
    "NOISES",
    "PSF_SIZE",
    "Case",
    "case_settings",
    "cases",
    "sharp_crops",
    "sharp_images",
]

DOMAINS = ("astro", "micro", "generic")
"""Labels of the image prior that have cases."""

FAMILIES = ("motion", "aberrated", "moffat", "defocus")
"""Families of the kernels."""

PSF_SIZE = 32
"""Side of the kernels, pixels."""

_WANTED = (18.0, 30.0)
"""PSNR of the input, dB: below there is little left to restore, above there is little to gain."""

_TRIES = 60
_CROPS = 8
_OWN = {
    "astro": ("hubble_deep_field", "moon"),
    "micro": ("cell", "retina"),
    "generic": ("camera", "coffee", "coins", "astronaut", "brick", "gravel"),
}
_PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}


@dataclass(frozen=True, eq=False)
class Case:
    """One blurred image with its truth, on a scale of [0, 1].

    Parameters
    ----------
    number : int
        Place in the series; the case of a number is the same however long the series is.
    name, family : str
        Of the image and of its PSF.
    label : str
        Domain label for the image prior.
    noise : float
        Standard deviation of the noise.
    truth, data : ndarray of float32, (N, N)
        The sharp image and what is given to the methods.
    kernel : ndarray of float32, (K, K)
        The true PSF.
    """

    number: int
    name: str
    family: str
    label: str
    noise: float
    truth: np.ndarray
    data: np.ndarray
    kernel: np.ndarray


@dataclass(frozen=True)
class _Source:
    """A sharp image that is loaded when a case asks for it."""

    name: str
    load: Callable[[], np.ndarray]


def case_settings(data: Path | None, held_out: object | None, size: int, seed: int) -> dict[str, Any]:
    """Return what decides which cases, or crops, there are, for the file of a benchmark."""
    return {
        "data": None if data is None else str(data),
        "held_out": held_out is not None,
        "size": size,
        "seed": seed,
    }


def cases(
    folder: Path | None,
    count: int,
    size: int,
    seed: int,
    noises: Sequence[float] = NOISES,
    *,
    held_out: Iterable[tuple[str, np.ndarray]] | None = None,
) -> Iterator[Case]:
    """Return ``count`` cases of ``size`` pixels one by one, the same for the same arguments.

    Domains alternate, families and noise levels run through all combinations with them, and each
    domain's images take turns. An image on which no kernel gives an input of 18 to 30 dB in 60 draws
    makes room for the next image of its domain; a number without any such image has no case.

    Parameters
    ----------
    folder : Path, optional
        Sharp images; a picture below a folder named ``astro`` or ``micro`` is of that domain, others
        are ``generic``. scikit-image's own by default.
    count, size : int
        How many, and their side in pixels.
    seed : int
        Of crops, kernels and noise.
    noises : sequence of float
        Standard deviations on the scale of [0, 1].
    held_out : iterable of (str, ndarray (H, W)), optional
        Domain and sharp image on [0, 1], of those below ``folder`` that training leaves out; they
        take the place of its pictures. The i-th of a domain, from zero, is named ``domain-i``.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    InputError
        If there is no image, one cannot be read, or none is large enough.
    """
    if (
        count < 1
        or not 64 <= size <= 4096
        or seed < 0
        or not noises
        or not all(0 < noise < 1 for noise in noises)
    ):
        raise ConfigError(
            f"cases {count}, size {size}, noise {', '.join(map(str, noises))}, seed {seed}: cases is at "
            "least 1, size 64 to 4096, noise between 0 and 1, seed not negative"
        )
    sources = (
        _sources(folder) if held_out is None else _held_out_sources(folder, held_out, size + PSF_SIZE - 1)
    )
    return _cases(sources, count, size, seed, noises)


def sharp_images(folder: Path | None, side: int, domain: str = "generic") -> list[tuple[str, np.ndarray]]:
    """Return the names and the images on [0, 1] of a domain that are at least ``side`` pixels on each side.

    Raises
    ------
    InputError
        If there is none.
    """
    read = ((source.name, _sharp(source.load(), side)) for source in _sources(folder).get(domain, []))
    found = [(name, image) for name, image in read if image is not None]
    if not found:
        raise InputError(f"no {domain} image is at least {side} pixels on each side; lower --size")
    return found


def sharp_crops(
    folder: Path | None,
    count: int,
    side: int,
    seed: int,
    *,
    held_out: Iterable[tuple[str, np.ndarray]] | None = None,
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield the name, the domain and ``count`` crops (side, side) of sharp images on [0, 1].

    Domains alternate and each domain's images take turns; of eight crops of an image the one with the
    most contrast is taken. See `cases` for the arguments.

    Raises
    ------
    InputError
        If there is no image, one cannot be read, or none is large enough.
    """
    sources = _sources(folder) if held_out is None else _held_out_sources(folder, held_out, side)
    domains = list(sources)
    scene = cache(lambda source: _sharp(source.load(), side))
    for number in range(count):
        turn, place = divmod(number, len(domains))
        own = sources[domains[place]]
        turns = (own[(turn + offset) % len(own)] for offset in range(len(own)))
        fitting = ((source.name, image) for source in turns if (image := scene(source)) is not None)
        name, image = next(fitting, ("", None))
        if image is None:
            raise InputError(
                f"no {domains[place]} image is at least {side} pixels on each side; lower --size"
            )
        rng = np.random.default_rng([seed, number])
        corners = [[int(rng.integers(length - side + 1)) for length in image.shape] for _ in range(_CROPS)]
        crops = [image[y : y + side, x : x + side] for y, x in corners]
        yield name, domains[place], max(crops, key=np.std)


def _cases(
    sources: dict[str, list[_Source]], count: int, size: int, seed: int, noises: Sequence[float]
) -> Iterator[Case]:
    """Yield the cases; see `cases`."""
    domains, side = list(sources), size + PSF_SIZE - 1
    scene = cache(lambda source: _sharp(source.load(), side))
    for number in range(count):
        turn, place = divmod(number, len(domains))
        family = FAMILIES[(turn + place) % len(FAMILIES)]
        # Every combination of domain and family has been there before the noise levels change places.
        noise = noises[(number + number // (len(domains) * len(FAMILIES))) % len(noises)]
        own = sources[domains[place]]
        for offset in range(len(own)):
            source = own[(turn + turn // len(FAMILIES) + offset) % len(own)]
            image = scene(source)
            rng = np.random.default_rng([seed, number, offset])
            drawn = None if image is None else _blurred(image, size, family, noise, rng)
            if drawn is not None:
                yield Case(number, source.name, family, domains[place], noise, *drawn)
                break
        else:
            if all(scene(source) is None for members in sources.values() for source in members):
                raise InputError(f"no image is at least {side} pixels on each side; lower --size")


def _blurred(
    image: np.ndarray, size: int, family: str, noise: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return (truth, data, kernel) of a crop, or None if no kernel leaves the input in the range."""
    side, first = size + PSF_SIZE - 1, valid_origin(PSF_SIZE)
    for _ in range(_TRIES):
        y, x = (int(rng.integers(length - side + 1)) for length in image.shape)
        scene = image[y : y + side, x : x + side]
        kernel = random_kernel(PSF_SIZE, rng, family)
        exact = blur(scene, kernel)
        data = (exact + noise * rng.standard_normal(exact.shape)).astype(np.float32)
        truth = scene[first : first + size, first : first + size]
        if _WANTED[0] <= score_image(data, truth)["psnr"] <= _WANTED[1]:
            return truth, data, kernel
    return None


def _sources(folder: Path | None) -> dict[str, list[_Source]]:
    """Return the sharp images of every domain that has some."""
    if folder is None:
        return {
            label: [_Source(name, getattr(skimage.data, name)) for name in names]
            for label, names in _OWN.items()
        }
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES)
    if not files:
        raise InputError(f"{folder} holds no PNG, JPEG or TIFF image")
    # One image of each folder in turn, so that few images already cover all kinds.
    by_folder: dict[Path, list[Path]] = {}
    for path in files:
        by_folder.setdefault(path.parent, []).append(path)
    found: dict[str, list[_Source]] = {label: [] for label in DOMAINS}
    for position in range(max(map(len, by_folder.values()))):
        for members in by_folder.values():
            if position < len(members):
                path = members[position]
                inner = path.relative_to(folder.parent).parts
                label = next((known for known in DOMAINS if known in inner), "generic")
                found[label].append(_Source(path.stem, partial(_read, path)))
    return {label: members for label, members in found.items() if members}


def _held_out_sources(
    folder: Path | None, planes: Iterable[tuple[str, np.ndarray]], side: int
) -> dict[str, list[_Source]]:
    """Return the images of at least ``side`` pixels that training leaves out, by domain."""
    found: dict[str, list[_Source]] = {label: [] for label in DOMAINS}
    numbers = dict.fromkeys(DOMAINS, 0)
    try:
        for label, plane in planes:
            # Many small ones in a row would all make room for the same next image.
            if min(plane.shape) >= side:
                found[label].append(_Source(f"{label}-{numbers[label]}", partial(np.asarray, plane)))
            numbers[label] += 1
    except Exception as error:  # readers fail in ways of their own
        raise InputError(
            f"an image below {folder} cannot be read ({error}); remove it from the folder"
        ) from error
    if not any(found.values()):
        raise InputError(
            f"{folder} holds no image of at least {side} pixels on each side that training leaves out; "
            "give the folder of the training images, or a smaller --size"
        )
    # Neighbours are colours of one picture, and pictures of one kind: few cases should see many kinds.
    return {
        label: [members[i] for i in np.random.default_rng(0).permutation(len(members))]
        for label, members in found.items()
        if members
    }


def _read(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:  # given a path, its readers leave damaged files open
            return np.asarray(imread(file))
    except Exception as error:  # and fail in ways of their own
        raise InputError(f"{path} cannot be read as an image; remove it from the folder") from error


def _grey(image: np.ndarray) -> np.ndarray:
    """Return the mean (H, W) of the colours of an image, or of the first of a stack, without alpha."""
    while image.ndim > 3 or (image.ndim == 3 and image.shape[-1] > 4):
        image = image[0]
    if image.ndim < 3:
        return image
    return np.asarray(image[..., : 3 if image.shape[-1] > 2 else 1].mean(axis=-1))


def _sharp(image: np.ndarray, side: int) -> np.ndarray | None:
    """Return the grey image on [0, 1], halved in scale to be sharp, or None if smaller than ``side``."""
    grey = _grey(image)
    low, high = np.percentile(grey, [0.1, 99.9])
    scaled = np.clip((grey.astype(np.float64) - low) / max(high - low, 1e-9), 0, 1)
    if min(scaled.shape) >= 2 * side:
        scaled = rescale(scaled, 0.5, anti_aliasing=True)
    return None if min(scaled.shape) < side else np.asarray(scaled, dtype=np.float32)
