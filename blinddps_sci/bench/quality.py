"""`blinddps bench quality`: simulated blur on held-out images, against truth.

Each image is blurred by its own PSF, with its own noise, all from one seed; every method sees
the same data. The classical methods are given the true PSF, the blind ones are not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from skimage.io import imread
from skimage.restoration import richardson_lucy, unsupervised_wiener
from skimage.transform import rescale

from blinddps_sci.engine.restore import restore
from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.metrics import mnc, psnr_shift, ssim_shift
from blinddps_sci.simulate import random_kernel
from blinddps_sci.simulate.blur import blur, valid_origin

__all__ = ["Case", "cases", "format_table", "run_quality"]

_PSF = 32
_BORDER = 12
_MAX_SHIFT = 4
_FAMILIES = ("motion", "moffat", "aberrated", "long-exposure", "defocus", "tracking")
_OWN = {"moon": "astro", "cell": "micro", "hubble_deep_field": "astro", "retina": "micro"}
_PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}


@dataclass(frozen=True)
class Case:
    """One blurred image with its truth, on a scale of [0, 1].

    Parameters
    ----------
    name, family : str
        Of the image and of its PSF.
    label : str
        Domain label for the image prior.
    truth, data : ndarray of float32, (N, N)
        The sharp image and what is given to the methods.
    kernel : ndarray of float32, (K, K)
        The true PSF.
    """

    name: str
    family: str
    label: str
    truth: np.ndarray
    data: np.ndarray
    kernel: np.ndarray


def _scenes(folder: Path | None) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield names, labels and sharp grey images on [0, 1]."""
    if folder is None:
        for name, label in (
            ("moon", "astro"),
            ("cell", "micro"),
            ("hubble_deep_field", "astro"),
            ("retina", "micro"),
        ):
            yield name, label, getattr(skimage.data, name)()
        return
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES)
    if not files:
        raise InputError(f"{folder} holds no PNG, JPEG or TIFF image")
    # One image of each folder in turn, so that few images already cover all kinds.
    by_folder: dict[Path, list[Path]] = {}
    for path in files:
        by_folder.setdefault(path.parent, []).append(path)
    for position in range(max(map(len, by_folder.values()))):
        for members in by_folder.values():
            if position < len(members):
                path = members[position]
                label = next((known for known in ("astro", "micro") if known in path.parts), "generic")
                yield path.stem, label, _read(path)


def _read(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:  # given a path, its readers leave damaged files open
            return np.asarray(imread(file))
    except Exception as error:  # and fail in ways of their own
        raise InputError(f"{path} cannot be read as an image; remove it from the folder") from error


def _sharp(image: np.ndarray, side: int) -> np.ndarray | None:
    """Return a grey crop (side, side) on [0, 1], halved in scale to be sharp, or None if too small."""
    grey = image[..., :3].mean(axis=-1) if image.ndim == 3 else image
    low, high = np.percentile(grey, [0.1, 99.9])
    scaled = np.clip((grey.astype(np.float64) - low) / max(high - low, 1e-9), 0, 1)
    if min(scaled.shape) >= 2 * side:
        scaled = rescale(scaled, 0.5, anti_aliasing=True)
    if min(scaled.shape) < side:
        return None
    y, x = ((length - side) // 2 for length in scaled.shape)
    return np.asarray(scaled[y : y + side, x : x + side], dtype=np.float32)


def cases(folder: Path | None, count: int, size: int, noise: float, seed: int) -> list[Case]:
    """Return ``count`` cases of ``size`` pixels, the same for the same arguments.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    InputError
        If no image is large enough.
    """
    if count < 1 or not 64 <= size <= 4096 or not 0 < noise < 1 or seed < 0:
        raise ConfigError(
            f"images {count}, size {size}, noise {noise}, seed {seed}: images is at least 1, "
            "size 64 to 4096, noise between 0 and 1, seed not negative"
        )
    made: list[Case] = []
    for name, label, image in _scenes(folder):
        scene = _sharp(image, size + _PSF - 1)
        if scene is None:
            continue
        rng = np.random.default_rng([seed, len(made)])
        family = _FAMILIES[len(made) % len(_FAMILIES)]
        kernel = random_kernel(_PSF, rng, family)
        blurred = blur(scene, kernel)
        data = blurred + noise * rng.standard_normal(blurred.shape)
        first = valid_origin(_PSF)
        truth = scene[first : first + size, first : first + size]
        made.append(Case(name, family, label, truth, data.astype(np.float32), kernel))
        if len(made) == count:
            break
    if not made:
        raise InputError(f"no image is at least {size + _PSF - 1} pixels on each side; lower --size")
    return made


Outcome = tuple[np.ndarray, np.ndarray | None, float | None]
"""An image, the estimated PSF and the reduced chi-squared, where the method has them."""

Method = Callable[[Case], Outcome]


def _dps(
    case: Case, noise: float, steps: int, samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, float]:
    result = restore(
        case.data,
        prior=case.label,
        noise=f"gaussian:{noise}",
        steps=steps,
        samples=samples,
        seed=seed,
        unit=1024,
    )
    kernel = result["psf_kernel"].mean(("frame", "channel", "node_y", "node_x"))
    return result["image"].values, kernel.values, float(np.nanmean(result["chi2"].values))


def _score(case: Case, image: np.ndarray, kernel: np.ndarray | None) -> dict[str, float | None]:
    inside = (slice(_BORDER, -_BORDER),) * 2
    pair = (image[inside], case.truth[inside], _MAX_SHIFT, 1.0)
    return {
        "psnr": float(psnr_shift(*pair)),
        "ssim": float(ssim_shift(*pair)),
        "mnc": None if kernel is None else float(mnc(kernel, case.kernel)),
    }


def run_quality(
    *, data: Path | None, images: int, size: int, noise: float, steps: int, samples: int, seed: int
) -> list[dict[str, Any]]:
    """Run every method on every case and return one row each.

    Parameters
    ----------
    data : Path, optional
        Folder of sharp images; scikit-image's own by default.
    images, size : int
        How many, and their side in pixels.
    noise : float
        Standard deviation of the noise on the scale of [0, 1].
    steps, samples, seed : int
        Of the sampler.

    Raises
    ------
    ConfigError, InputError
        As `cases`.
    """
    methods: dict[str, Method] = {
        "blurred": lambda case: (case.data, None, None),
        "richardson-lucy, true PSF": lambda case: (
            richardson_lucy(np.clip(case.data, 0, None), case.kernel, num_iter=30, clip=False),
            None,
            None,
        ),
        "unsupervised wiener, true PSF": lambda case: (
            unsupervised_wiener(case.data, case.kernel, rng=seed, clip=False)[0],
            None,
            None,
        ),
        "dps, blind": lambda case: _dps(case, noise, steps, samples, seed),
    }
    rows = []
    for case in cases(data, images, size, noise, seed):
        for method, run in methods.items():
            begin = time.perf_counter()
            image, kernel, chi2 = run(case)
            seconds = time.perf_counter() - begin
            rows.append(
                {
                    "image": case.name,
                    "psf": case.family,
                    "method": method,
                    **_score(case, image, kernel),
                    "chi2": chi2,
                    "seconds": round(seconds, 2),
                }
            )
    return rows


def format_table(rows: list[dict[str, Any]]) -> str:
    """Return the rows and each method's means as a Markdown table."""

    def cell(value: Any) -> str:
        return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)

    columns = ("image", "psf", "method", "psnr", "ssim", "mnc", "chi2", "seconds")
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    means = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        mean: dict[str, Any] = {"image": "**mean**", "psf": "", "method": method}
        for column in columns[3:]:
            values = [row[column] for row in own if row[column] is not None]
            mean[column] = float(np.mean(values)) if values else None
        means.append(mean)
    lines += ["| " + " | ".join(cell(row[column]) for column in columns) + " |" for row in [*rows, *means]]
    return "\n".join(lines)
