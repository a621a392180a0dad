"""`blinddps bench single-frame`: the published problem of turbulence, and what each of its priors is worth.

One frame, tilted by the published field, blurred by one Gaussian, with noise of 0.02; restored by `Dps` with
priors of the scene, the kernel and the tilts, and without one or the other of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blinddps_sci.bench.cases import PSF_SIZE, Case, sharp_images
from blinddps_sci.bench.methods import Outcome
from blinddps_sci.bench.quality import compare
from blinddps_sci.bench.row_file import Row
from blinddps_sci.engine.job import ALGORITHM
from blinddps_sci.engine.restore import restore
from blinddps_sci.operators.warp import Warp
from blinddps_sci.priors.tilt import PUBLISHED_RANGE
from blinddps_sci.simulate import gaussian, patchwise_tilt
from blinddps_sci.simulate.blur import blur, valid_origin

__all__ = ["run_single_frame", "single_frame_cases"]

_NOISE = 0.02
_REACH = 5
_WIDTHS = (1.0, 2.5)
"""Deviations of the Gaussian kernels, pixels."""

_FULL: dict[str, Any] = {
    "model": "turbulence",
    "frames": "single",
    "tilt_prior": "published",
    "kernel_prior": "kernel-small",
    "reach": _REACH,
}
_METHODS: dict[str, dict[str, Any]] = {
    "full": _FULL,
    "no tilt": {"kernel_prior": "kernel-small", "psf": "shared"},
    "uniform tilt prior": _FULL | {"tilt_prior": "uniform"},
    "uniform kernel prior": _FULL | {"kernel_prior": "uniform"},
}


def run_single_frame(
    *,
    data: Path | None = None,
    count: int = 8,
    size: int = 128,
    steps: int = 1000,
    samples: int = 1,
    seed: int = 0,
    json: Path | None = None,
    resume: bool = False,
) -> list[Row]:
    """Restore generic images by the full model and its ablations; see `compare` for the rows.

    Parameters
    ----------
    data : Path, optional
        Folder of sharp images; scikit-image's by default.
    count, size, seed : int
        How many images, their side in pixels, and the seed of everything.
    steps : int
        Of `Dps`.
    samples : int
        Draws of each restoration, of which the mean is compared.
    json, resume
        As of `run_quality`.
    """

    def run(name: str, case: Case) -> Outcome:
        if name == "blurred":
            return Outcome(case.data)
        options: dict[str, Any] = {"psf_size": PSF_SIZE, "tile": size, "overlap": size // 4, "unit": size}
        found = restore(
            case.data,
            sampler="dps",
            steps=steps,
            chains=1,
            samples=samples,
            prior=case.label,
            noise=f"gaussian:{case.noise}",
            seed=seed,
            **options | _METHODS[name],
        )
        kernel = found["psf_kernel"].mean(("frame", "channel", "node_y", "node_x")).values
        return Outcome(found["image"].values, kernel, chi2=float(np.nanmean(found["chi2"].values)))

    made = single_frame_cases(data, count, size, seed)
    settings = {
        "data": None if data is None else str(data),
        "size": size,
        "steps": steps,
        "samples": samples,
        "seed": seed,
        "algorithm": ALGORITHM,
    }
    return compare(made, ["blurred", *_METHODS], count, run, settings, json, resume)


def single_frame_cases(data: Path | None, count: int, size: int, seed: int) -> Iterator[Case]:
    """Yield frames of generic images, tilted, blurred and with noise; see `cases`."""
    side = size + PSF_SIZE - 1 + 2 * _REACH
    images = sharp_images(data, side)
    for number in range(count):
        name, image = images[number % len(images)]
        rng = np.random.default_rng([seed, number])
        y, x = (int(rng.integers(length - side + 1)) for length in image.shape)
        scene = image[y : y + side, x : x + side]
        tilt = patchwise_tilt(size + PSF_SIZE - 1, rng).clip(-PUBLISHED_RANGE, PUBLISHED_RANGE)
        kernel = gaussian(PSF_SIZE, float(rng.uniform(*_WIDTHS)))
        tilted = Warp(torch.from_numpy(tilt)[None, None], _REACH).apply(torch.from_numpy(scene)[None, None])
        exact = blur(tilted[0, 0].numpy(), kernel)
        frame = (exact + _NOISE * rng.standard_normal(exact.shape)).astype(np.float32)
        first = _REACH + valid_origin(PSF_SIZE)
        truth = scene[first : first + size, first : first + size]
        yield Case(number, name, "gaussian and tilts", "generic", _NOISE, truth, frame, kernel)
