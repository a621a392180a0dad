"""`blinddps bench turbulence`: bursts through turbulence, restored, beside simpler ways to use them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import structural_similarity
from skimage.registration import phase_cross_correlation
from tqdm import tqdm

from blinddps_sci.bench.bursts import BurstCase, read_case, simulated_cases
from blinddps_sci.bench.real_bursts import COLUMNS, judge
from blinddps_sci.bench.row_file import Row, check_written, keep_rows
from blinddps_sci.bench.table import markdown
from blinddps_sci.bench.torchmfbd_method import has_torchmfbd, torchmfbd_restored
from blinddps_sci.engine.photometry import estimate_sigma
from blinddps_sci.engine.registration import register
from blinddps_sci.engine.restore import restore
from blinddps_sci.metrics.image import psnr_from_mse

__all__ = ["run_turbulence", "score_burst", "wiener_of_tiles"]

Image = NDArray[np.floating[Any]]

_TRIM = 8
"""Pixels along the border that a shift may have spoilt."""

_PATCH, _STEP = 32, 20
"""Side and distance of the patches whose displacements are the distortion, pixels."""

_LUCKY = 0.5

_COLUMNS = {
    "case": "burst",
    "method": "method",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "distortion": "distortion, px",
    "offset": "offset, px",
    "chi2": "chi2",
    "seconds": "seconds",
}


def score_burst(image: Image, truth: Image, border: int) -> dict[str, float]:
    """Return how close a restored scene is to the truth, up to one displacement of the whole.

    Parameters
    ----------
    image, truth : ndarray, (h, w)
    border : int
        Pixels at the edges that are not compared.

    Returns
    -------
    dict
        ``psnr`` (dB) and ``ssim`` on the range of the truth; ``distortion``, the rms displacement of
        patches against each other; ``offset_y`` and ``offset_x`` of the whole, all in pixels.
    """
    inner = (slice(border, truth.shape[0] - border), slice(border, truth.shape[1] - border))
    moved = _displacement(truth[inner], image[inner])
    aligned = ndimage.shift(image, moved, order=3, mode="nearest")[inner]
    part = (slice(_TRIM, -_TRIM),) * 2
    one, other = truth[inner][part].astype(np.float64), aligned[part].astype(np.float64)
    span = float(truth.max() - truth.min())
    return {
        "psnr": float(psnr_from_mse(float(np.mean((one - other) ** 2)), span)),
        "ssim": float(structural_similarity(one, other, data_range=span)),
        "distortion": _distortion(one, other),
        "offset_y": -float(moved[0]),
        "offset_x": -float(moved[1]),
    }


def _distortion(truth: Image, image: Image) -> float:
    places = (range(0, side - _PATCH + 1, _STEP) for side in truth.shape)
    rows, columns = (list(starts) for starts in places)
    moved = []
    for y in rows:
        for x in columns:
            box = (slice(y, y + _PATCH), slice(x, x + _PATCH))
            moved.append(_displacement(truth[box], image[box]))
    found = np.array(moved)
    return float(np.sqrt(((found - found.mean(axis=0)) ** 2).sum(axis=1).mean()))


def _displacement(truth: Image, image: Image) -> NDArray[np.float64]:
    """Return by how much (dy, dx) an image has to be moved to lie on the truth."""
    one, other = (each - each.mean() for each in (truth, image))
    moved, _, _ = phase_cross_correlation(one, other, upsample_factor=50, normalization=None)
    return np.array([float(moved[0]), float(moved[1])])


def _best_frame(case: BurstCase) -> Image:
    return np.asarray(case.frames[np.argmax(case.frames.std(axis=(1, 2)))])


def _mean(case: BurstCase) -> Image:
    return np.asarray(case.frames.mean(axis=0))


def _registered_mean(case: BurstCase) -> Image:
    return register(case.frames).mean


def _lucky(case: BurstCase) -> Image:
    sharpness = register(case.frames).sharpness
    count = max(1, round(_LUCKY * len(case.frames)))
    return register(case.frames[np.sort(np.argsort(-sharpness)[:count])]).mean


def wiener_of_tiles(case: BurstCase) -> Image:
    """Return the multi-frame Wiener restoration (h, w) with the true PSF of every frame and node."""
    size = case.psfs.shape[-1]
    noise = estimate_sigma(case.frames[0]) ** 2 / float(case.truth.var())
    level = float(case.frames.mean())
    padded = np.pad(case.frames - level, ((0, 0), (size, size), (size, size)), mode="reflect")
    total = np.zeros(case.truth.shape)
    rows, columns = _hats(case.node_y, case.truth.shape[0]), _hats(case.node_x, case.truth.shape[1])
    for i, (y0, wy) in enumerate(rows):
        for j, (x0, wx) in enumerate(columns):
            box = (slice(y0, y0 + len(wy) + 2 * size), slice(x0, x0 + len(wx) + 2 * size))
            tiles = padded[(slice(None), *box)]
            taper = np.outer(*(_taper(side, size) for side in tiles.shape[1:]))
            shape = tiles.shape[1:]
            kernels = np.zeros((len(tiles), *shape))
            kernels[:, :size, :size] = case.psfs[:, i, j]
            spectra = np.fft.rfft2(np.roll(kernels, (-(size // 2), -(size // 2)), axis=(1, 2)))
            data = np.fft.rfft2(tiles * taper)
            found = (spectra.conj() * data).sum(axis=0) / ((np.abs(spectra) ** 2).sum(axis=0) + noise)
            inner = np.fft.irfft2(found, shape)[size : size + len(wy), size : size + len(wx)]
            total[y0 : y0 + len(wy), x0 : x0 + len(wx)] += np.outer(wy, wx) * inner
    return total + level


def _hats(nodes: NDArray[np.float64], length: int) -> list[tuple[int, NDArray[np.float64]]]:
    """Return the linear weights of nodes over pixels, each with its first pixel."""
    dense = [np.interp(np.arange(length), nodes, row) for row in np.eye(len(nodes))]
    supports = [np.flatnonzero(row) for row in dense]
    return [(int(s[0]), row[s[0] : s[-1] + 1]) for s, row in zip(supports, dense, strict=True) if s.size]


def _taper(length: int, ramp: int) -> NDArray[np.float64]:
    """Return a window that falls to zero over a ramp at both ends."""
    rising = np.sin(np.pi / 2 * (np.arange(ramp) + 0.5) / ramp) ** 2
    return np.concatenate([rising, np.ones(length - 2 * ramp), rising[::-1]])


_SIMPLE: dict[str, Callable[[BurstCase], Image]] = {
    "best frame": _best_frame,
    "mean": _mean,
    "registered mean": _registered_mean,
    "lucky shift-and-add": _lucky,
    "Wiener with the true PSFs": wiener_of_tiles,
}


def _peers(case: BurstCase) -> dict[str, Callable[[BurstCase], Image]]:
    """Return the methods that a case is compared with, torchmfbd among them where it can run."""
    telescope = case.telescope
    if telescope is None or not has_torchmfbd():
        return _SIMPLE
    return {
        **_SIMPLE,
        "torchmfbd, told the telescope": lambda case: torchmfbd_restored(case.frames, telescope),
    }


def run_turbulence(
    files: Sequence[Path] = (),
    *,
    size: int = 192,
    frames: int = 12,
    seed: int = 0,
    json: Path | None = None,
    pictures: Path | None = None,
    **options: Any,
) -> str:
    """Restore bursts and return tables of the scores of every method.

    Parameters
    ----------
    files : sequence of Path
        Bursts with their truth, npz, and real ones of any other kind, which the frames judge that are
        not restored; without any a solar and a lunar one are simulated.
    size, frames, seed
        Of the simulated bursts; size and frames of each half of the real ones, at most.
    json : Path, optional
        File for the numbers.
    pictures : Path, optional
        Folder for the restored images.
    **options
        Of `blinddps_sci.restore`.
    """
    check_written(json)
    real = [path for path in files if path.suffix != ".npz"]
    known = [read_case(path) for path in files if path not in real]
    cases = known if files else list(simulated_cases(size, frames, seed))
    rows, judged = list[Row](), list[Row]()
    for case in tqdm(cases, unit="burst", file=sys.stderr):
        border = max(min(case.truth.shape) // 6, 1)
        for method, simple in _peers(case).items():
            begin = time.perf_counter()
            image = simple(case)
            seconds = time.perf_counter() - begin
            rows.append(_row(case, method, image, border, seconds))
        begin = time.perf_counter()
        restored = restore(case.frames, model="turbulence", **options)
        image, seconds = restored["image"].values, time.perf_counter() - begin
        rows.append(_row(case, "blinddps", image, border, seconds) | {"chi2": float(restored["chi2"].mean())})
        _keep(pictures, case.name, {str(name): restored[name].values for name in restored})
    for path in real:
        found, scenes = judge(path, size, frames, **options)
        judged += found
        _keep(pictures, path.stem, scenes)
    keep_rows(json, {"size": size, "frames": frames, "seed": seed, **options}, rows + judged)
    tables = [markdown(rows, _COLUMNS)] if rows else []
    return "\n\n".join(tables + ([markdown(judged, COLUMNS)] if judged else []))


def _keep(folder: Path | None, name: str, arrays: dict[str, Any]) -> None:
    """Write arrays into a folder, if one is asked for."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"{name.replace('/', '_')}.npz", **arrays)


def _row(case: BurstCase, method: str, image: Image, border: int, seconds: float) -> Row:
    scores = score_burst(image, case.truth, border)
    y, x = _mean_tilt(case)
    offset = float(np.hypot(scores["offset_y"] - y, scores["offset_x"] - x))
    return {"case": case.name, "method": method, **scores, "offset": offset, "seconds": seconds}


def _mean_tilt(case: BurstCase) -> tuple[float, float]:
    """Return by how much all frames together have moved the scene: no method can know it."""
    place = np.arange(case.psfs.shape[-1]) - case.psfs.shape[-1] // 2
    total = case.psfs.sum(axis=(-2, -1))
    y = (case.psfs * place[:, None]).sum(axis=(-2, -1)) / total
    x = (case.psfs * place).sum(axis=(-2, -1)) / total
    return float(y.mean()), float(x.mean())
