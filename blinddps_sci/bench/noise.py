"""`blinddps bench noise`: how close `--noise auto` comes to the noise of simulated detectors.

Scenes are blurred, exposed and, in some of the cases, interpolated or compressed; the standard deviation
that is chosen is compared with the true one where the image is dark, at its median and where it is bright.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from imageio.v3 import imread, imwrite
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import downscale_local_mean
from tqdm import tqdm

from blinddps_sci.bench.row_file import check_written, keep_rows
from blinddps_sci.bench.table import markdown
from blinddps_sci.engine.config import make_config
from blinddps_sci.engine.photometry import NoiseModel, choose_noise
from blinddps_sci.errors import ConfigError
from blinddps_sci.io import open_stack
from blinddps_sci.simulate import SCENES, expose, random_kernel, random_scene
from blinddps_sci.simulate.blur import blur

__all__ = ["DETECTORS", "KINDS", "Detector", "run_noise", "simulated", "true_and_found"]

Image = NDArray[np.floating[Any]]
Row = dict[str, Any]

KINDS = ("stars", "galaxies", "nebula", "lunar", "nuclei", "filaments", "natural")
"""Scenes: of `blinddps_sci.simulate`, and pictures of scikit-image, halved in scale."""

_PICTURES = ("camera", "coffee", "astronaut", "rocket")
_FAMILIES = ("moffat", "motion", "aberrated")
_KERNEL = 32

_PLACES = {"dark": 0.05, "middle": 0.5, "bright": 0.995}
"""Where of an image, as quantiles of the true brightness, the noise is compared."""

_COLUMNS = {
    "detector": "data",
    "cases": "cases",
    **{place: f"σ found / true, {place}" for place in _PLACES},
    "gain": "gain found / true",
    "chosen": "photon noise seen",
}


@dataclass(frozen=True)
class Detector:
    """What the scenes are exposed to.

    Parameters
    ----------
    mean : float
        Mean signal, data units.
    gain : float, optional
        Electrons per data unit; None for Gaussian noise alone.
    read_noise : float
        Standard deviation, data units.
    offset : float
        Pedestal, data units.
    after : callable
        What is done to the frame afterwards.
    scale : float
        Of the true standard deviation by that.
    """

    mean: float
    gain: float | None
    read_noise: float
    offset: float = 0.0
    after: Callable[[Image], Image] = field(default=np.asarray)
    scale: float = 1.0


def _resampled(frame: Image) -> Image:
    """Return the frame moved by half a pixel along each axis, by linear interpolation."""
    return np.asarray(ndimage.shift(frame, (0.5, 0.5), order=1, mode="nearest"))


def _compressed(frame: Image) -> Image:
    """Return the frame as 8 bits, through JPEG of quality 80."""
    low, high = np.percentile(frame, [0.0, 99.9])
    file = io.BytesIO()
    grey = np.clip((frame - low) / (high - low) * 255.0, 0, 255).round().astype(np.uint8)
    imwrite(file, grey, extension=".jpg", quality=80)
    return np.asarray(imread(file.getvalue(), extension=".jpg"))


DETECTORS = {
    "Gaussian, 1 %": Detector(1.0, None, 0.01),
    "Gaussian, 0.2 %": Detector(1.0, None, 0.002),
    "30 e-, read 3 e-": Detector(30.0, 1.0, 3.0),
    "300 e-, read 5 e-": Detector(300.0, 1.0, 5.0),
    "3000 e-, read 5 e-": Detector(3000.0, 1.0, 5.0),
    "30 000 e- at 4 e-/unit, read 12 e-": Detector(7500.0, 4.0, 3.0),
    "3000 e-, read 5 e-, pedestal 500": Detector(3000.0, 1.0, 5.0, offset=500.0),
    "300 e-, interpolated": Detector(300.0, 1.0, 5.0, after=_resampled, scale=0.5),
}
"""Kinds of data whose true noise is known."""


def simulated(kind: str, detector: Detector, seed: int, size: int) -> tuple[Image, Image, Image]:
    """Return a frame, and the true brightness and noise (standard deviation) of every pixel.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    detector : Detector
        What the scene is exposed to.
    seed, size : int
        Of everything random, and the side of the frame.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    side = size + _KERNEL - 1
    scene = random_scene((side, side), rng, kind) if kind in SCENES else _picture(side, rng)
    kernel = random_kernel(_KERNEL, rng, str(rng.choice(_FAMILIES)))
    flux = blur(scene, kernel).astype(np.float64)
    if detector.gain is None:  # the noise is a share of the range
        flux = flux / (np.percentile(flux, 99.9) - np.percentile(flux, 0.1))
        noisy = flux + detector.read_noise * rng.standard_normal(flux.shape)
        sigma = np.full(flux.shape, detector.read_noise)
    else:
        flux = np.maximum(flux, 0.0) * detector.mean
        exposure = expose(
            flux, rng, gain=detector.gain, read_noise=detector.read_noise, offset=detector.offset
        )
        noisy, flux = exposure.frame.astype(np.float64), flux + detector.offset
        sigma = np.sqrt(exposure.variance.astype(np.float64))
    return detector.after(noisy), flux, detector.scale * sigma


def _picture(side: int, rng: np.random.Generator) -> Image:
    """Return a piece of a picture, linear in the light and halved in scale to be sharp; mean one."""
    picture = getattr(skimage.data, str(rng.choice(_PICTURES)))() / 255.0
    grey = picture if picture.ndim == 2 else picture.mean(axis=-1)
    light = downscale_local_mean(grey**2.2, (2, 2))
    if min(light.shape) < side:
        light = np.pad(light, [(0, max(side - length, 0)) for length in light.shape], mode="symmetric")
    y, x = (int(rng.integers(length - side + 1)) for length in light.shape)
    cut = light[y : y + side, x : x + side]
    return np.asarray(cut / cut.mean())


def true_and_found(frame: Image, flux: Image, sigma: Image) -> tuple[NoiseModel, dict[str, float]]:
    """Return the noise that is chosen, and its standard deviation over the true one at three levels."""
    stack = open_stack(frame)
    model = choose_noise(make_config({}), stack, np.asarray(frame))
    order = np.argsort(flux, axis=None)
    ratios = {}
    for place, share in _PLACES.items():
        half = max(order.size // 200, 1)
        middle = int(np.clip(share * order.size, half, order.size - half))
        near = order[middle - half : middle + half]
        level, true = flux.flat[near].mean(), float(np.sqrt((sigma.flat[near] ** 2).mean()))
        ratios[place] = _sigma(model, float(level)) / true
    return model, ratios


def _sigma(model: NoiseModel, level: float) -> float:
    if model.kind == "gaussian":
        return model.sigma
    return float(np.sqrt(max(level + model.background, 0.0) / model.gain + model.read_noise**2))


def run_noise(*, count: int = 4, size: int = 256, seed: int = 0, json: Path | None = None) -> str:
    """Measure the noise of simulated data and return tables of what was found over what is true.

    Parameters
    ----------
    count : int
        Cases of each scene and detector.
    size, seed : int
        Side of the frames, and seed of everything random.
    json : Path, optional
        File for the rows.

    Returns
    -------
    str
        Medians over the cases, with the 10 and 90 percentiles in brackets: by detector, and by scene. The
        last line is of JPEG, where what matters of the true error is its low frequencies.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    """
    if not 1 <= count <= 1000 or not 64 <= size <= 2048 or seed < 0:
        raise ConfigError(
            f"cases {count}, size {size}, seed {seed}: cases is 1 to 1000, size 64 to 2048, seed not negative"
        )
    check_written(json)
    rows = list(_rows(count, size, seed))
    keep_rows(json, {"cases": count, "size": size, "seed": seed}, rows)
    by_detector = [_summary(rows, "detector", name) for name in DETECTORS]
    by_scene = [_summary(rows, "scene", kind) for kind in KINDS]
    jpeg = [row["jpeg"] for row in rows if "jpeg" in row]
    last = f"JPEG of quality 80, σ found / true error of blocks: {_spread(jpeg)}"
    others = {name: text for name, text in _COLUMNS.items() if name != "detector"}
    tables = markdown(by_detector, _COLUMNS), markdown(by_scene, {"scene": "scene", **others})
    return "\n\n".join([*tables, last])


def _rows(count: int, size: int, seed: int) -> Iterator[Row]:
    cases = [(name, kind, number) for name in DETECTORS for kind in KINDS for number in range(count)]
    for name, kind, number in tqdm(cases, unit="image", file=sys.stderr):
        detector = DETECTORS[name]
        frame, flux, sigma = simulated(kind, detector, seed + number, size)
        model, ratios = true_and_found(frame, flux, sigma)
        row: Row = {"detector": name, "scene": kind, "number": number, "kind": model.kind, **ratios}
        if detector.gain is not None and model.kind == "poisson-gaussian":
            row["gain"] = detector.scale**2 * model.gain / detector.gain
        yield row
    for kind in KINDS:
        for number in range(count):
            yield {
                "detector": "JPEG",
                "scene": kind,
                "number": number,
                "jpeg": _jpeg(kind, seed + number, size),
            }


def _jpeg(kind: str, seed: int, size: int) -> float:
    """Return the noise chosen for a picture in JPEG over its true error at the scale of half a block."""
    frame, flux, _ = simulated(kind, DETECTORS["Gaussian, 0.2 %"], seed, size)
    stored = _compressed(frame)
    model = choose_noise(make_config({}), open_stack(stored), stored)
    low, high = np.percentile(frame, [0.0, 99.9])
    error = stored.astype(np.float64) - np.clip((flux - low) / (high - low) * 255.0, 0, 255)
    coarse = 4.0 * downscale_local_mean(error, (4, 4)).std()
    return float(_sigma(model, float(np.median(stored))) / coarse)


def _summary(rows: list[Row], key: str, value: str) -> Row:
    own = [row for row in rows if row[key] == value and "dark" in row]
    gains = [row["gain"] for row in own if "gain" in row]
    return {
        key: value,
        "cases": len(own),
        **{place: _spread([row[place] for row in own]) for place in _PLACES},
        "gain": _spread(gains) if gains else "",
        "chosen": f"{100 * np.mean([row['kind'] != 'gaussian' for row in own]):.0f} %",
    }


def _spread(values: list[float]) -> str:
    low, middle, high = np.percentile(values, [10, 50, 90])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
