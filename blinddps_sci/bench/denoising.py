"""`blinddps bench denoising`: the image prior alone, as a denoiser, beside the classical ones.

A prior is as good as it tells images from noise. What is compared is its estimate of an image given the image
and noise, one evaluation of the network (Tweedie's formula), of which sampling makes everything else.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from blinddps_sci.bench.cases import case_settings, sharp_crops
from blinddps_sci.bench.denoising_classical import (
    CANDIDATES,
    METHODS,
    SIGMAS,
    TUNED,
    Classical,
)
from blinddps_sci.bench.denoising_pictures import draw_denoised
from blinddps_sci.bench.extras import need
from blinddps_sci.bench.row_file import Row, earlier_rows, keep_rows
from blinddps_sci.errors import ConfigError, PriorError
from blinddps_sci.metrics import psnr
from blinddps_sci.priors.registry import load_prior
from blinddps_sci.priors.wrap import Denoiser

__all__ = ["Noisy", "run_denoising", "tune_classical"]

_NEEDED = ("case", "domain", "sigma", "psnr")


@dataclass(frozen=True, eq=False)
class Noisy:
    """An image with noise, on the scale of [0, 1].

    Parameters
    ----------
    number : int
        Of the image.
    name, domain : str
        Of the image.
    sigma : float
        Standard deviation of the noise.
    truth, data : ndarray of float32, (N, N)
        Without and with it; values with noise are not cut off.
    """

    number: int
    name: str
    domain: str
    sigma: float
    truth: np.ndarray
    data: np.ndarray

    def score(self, image: np.ndarray) -> float:
        """Return the PSNR, dB, of an image (N, N), clipped to [0, 1]."""
        return psnr(np.clip(image, 0, 1), self.truth, 1.0)


def run_denoising(
    *,
    data: Path | None = None,
    held_out: Iterable[tuple[str, np.ndarray]] | None = None,
    count: int = 24,
    size: int = 128,
    seed: int = 0,
    prior: str = "shipped",
    json: Path | None = None,
    resume: bool = False,
    pictures: Path | None = None,
) -> list[Row]:
    """Denoise the images by every method and return one row for each image and noise level.

    Parameters
    ----------
    data, held_out
        Which images: see `blinddps_sci.bench.quality.run_quality`.
    count, size, seed : int
        How many images, their side in pixels, and the seed of crops and noise.
    prior : str
        Name or path of an image network.
    json, resume
        File for settings and rows, written anew after every row, and whether to go on from it.
    pictures : Path, optional
        Folder for a picture of the first image of each domain.

    Returns
    -------
    list of dict
        ``psnr``, dB, by method: ``noisy``, ``prior`` and the classical ones; ``seconds`` of all but the
        first.

    Raises
    ------
    ConfigError, InputError, OutputError
        If an option is out of its range, PyWavelets is missing, there is no image, or the file to go on from
        is of other settings or would be replaced.
    PriorError
        If there is no such network, or it is not one of single planes.
    """
    need("pywt", "wavelets")
    network, card = load_prior(prior, "image")
    if network.net.config.in_channels != 1:
        raise PriorError(f"prior {prior!r} has several channels; give a network of one channel")
    settings = {**case_settings(data, held_out, size, seed), "prior": card.sha256}
    rows = earlier_rows(json, resume, settings, _NEEDED)
    done = {(row["case"], row["sigma"]) for row in rows}
    first: dict[str, int] = {}
    shown: dict[str, list[tuple[float, dict[str, np.ndarray], dict[str, float]]]] = {}
    for case in _progress(_noisy(data, held_out, count, size, seed), count * len(SIGMAS)):
        known = (case.number, case.sigma) in done
        # Images are not in the file of the rows.
        drawn = pictures is not None and first.setdefault(case.domain, case.number) == case.number
        if known and not drawn:
            continue
        images, row = _denoised(network, case)
        if drawn:
            shown.setdefault(case.domain, []).append((case.sigma, images, row["psnr"]))
        if not known:
            rows.append(row)
            keep_rows(json, settings, rows)
    rows.sort(key=lambda row: (row["case"], row["sigma"]))
    keep_rows(json, settings, rows)
    if pictures is not None:
        draw_denoised(pictures, shown)
    return rows


def _denoised(network: Denoiser, case: Noisy) -> tuple[dict[str, np.ndarray], Row]:
    """Return what every method makes of an image, the truth among it, and the row."""
    tuned = TUNED[case.domain, case.sigma]
    images, seconds = {"noisy": case.data}, {}
    for name in ("prior", *METHODS):
        begin = time.perf_counter()
        images[name] = tweedie(network, case) if name == "prior" else tuned[name](case.data, case.sigma)
        seconds[name] = round(time.perf_counter() - begin, 3)
    row = {
        "case": case.number,
        "image": case.name,
        "domain": case.domain,
        "sigma": case.sigma,
        "psnr": {name: case.score(image) for name, image in images.items()},
        "seconds": seconds,
    }
    return images | {"truth": case.truth}, row


@torch.no_grad()
def tweedie(network: Denoiser, case: Noisy) -> np.ndarray:
    """Return the network's estimate (N, N) of an image, told its domain if it has labels."""
    known = case.domain in network.labels
    label = torch.tensor([network.labels.index(case.domain)]) if known else None
    # The network's domain is [-1, 1].
    noisy = torch.from_numpy(2 * case.data - 1)[None, None]
    found = network(noisy, torch.tensor([2 * case.sigma]), label)
    return np.asarray((found[0, 0].numpy() + 1) / 2)


def tune_classical(
    held_out: Iterable[tuple[str, np.ndarray]],
    data: Path | None,
    *,
    count: int = 24,
    size: int = 128,
    seed: int = 0,
) -> dict[tuple[str, float], dict[str, Classical]]:
    """Choose the parameters of the classical methods, for each domain and noise level.

    Parameters
    ----------
    held_out, data, count, size, seed
        Images on which those with the highest mean PSNR are chosen: see `run_denoising`.

    Raises
    ------
    ConfigError, InputError
        As `run_denoising`.
    """
    need("pywt", "wavelets")
    total: dict[tuple[str, float], dict[str, np.ndarray]] = {}
    for case in _progress(_noisy(data, held_out, count, size, seed), count * len(SIGMAS)):
        for name, candidates in CANDIDATES.items():
            scores = np.array([case.score(each(case.data, case.sigma)) for each in candidates])
            sums = total.setdefault((case.domain, case.sigma), {})
            sums[name] = sums.get(name, 0) + scores
    return {
        place: {name: CANDIDATES[name][int(np.argmax(scores))] for name, scores in sums.items()}
        for place, sums in sorted(total.items())
    }


def _noisy(
    folder: Path | None,
    held_out: Iterable[tuple[str, np.ndarray]] | None,
    count: int,
    size: int,
    seed: int,
) -> Iterator[Noisy]:
    """Yield the images at every noise level, the same for the same arguments."""
    if count < 1 or not 80 <= size <= 1024 or seed < 0:
        raise ConfigError(
            f"images {count}, size {size}, seed {seed}: images is at least 1, size 80 to 1024, "
            "seed not negative"
        )
    for number, (name, domain, crop) in enumerate(sharp_crops(folder, count, size, seed, held_out=held_out)):
        for place, sigma in enumerate(SIGMAS):
            noise = np.random.default_rng([seed, number, place]).standard_normal(crop.shape)
            data = (crop + sigma * noise).astype(np.float32)
            yield Noisy(number, name, domain, sigma, crop, data)


def _progress(cases: Iterable[Noisy], count: int) -> Iterator[Noisy]:
    with tqdm(total=count, unit="image", file=sys.stderr, dynamic_ncols=True) as bar:
        for case in cases:
            yield case
            bar.update()
