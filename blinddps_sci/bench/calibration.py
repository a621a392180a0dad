"""`blinddps bench calibration`: whether the truth lies where a restoration says, on simulated data.

Every case is restored twice: blind, and told its PSF. A row holds counts that add up over cases, so that a
run that is stopped goes on from its file.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from blinddps_sci.bench.calibration_counts import (
    compared,
    count_fluxes,
    count_frequencies,
    count_pixels,
    z_histogram,
)
from blinddps_sci.bench.calibration_table import draw_calibration, summarise_calibration
from blinddps_sci.bench.cases import Case, case_settings, cases
from blinddps_sci.bench.row_file import Row, check_written, earlier_rows, keep_rows, read_rows
from blinddps_sci.bench.score import score_image
from blinddps_sci.engine.job import ALGORITHM, Job
from blinddps_sci.engine.novelty import novelty_of
from blinddps_sci.engine.restore import prepare_restore
from blinddps_sci.engine.unit import estimate_unit, restore_unit
from blinddps_sci.errors import InputError
from blinddps_sci.metrics import kernel_width
from blinddps_sci.priors.registry import load_prior
from blinddps_sci.sampling.reconcile import reconcile

__all__ = ["METHODS", "read_held_out", "run_calibration"]

METHODS = ("blind", "known")
"""Ways in which every case is restored: the PSF is unknown, or told."""

_NEEDED = ("case", "method", "pixels", "counts", "frequencies", "fluxes", "z")


def run_calibration(
    *,
    data: Path | None = None,
    held_out: Iterable[tuple[str, np.ndarray]] | None = None,
    count: int = 12,
    size: int = 96,
    seed: int = 0,
    quality: str = "default",
    steps: int | None = None,
    chains: int | None = None,
    samples: int | None = None,
    json: Path | None = None,
    resume: bool = False,
    plot: Path | None = None,
) -> list[Row]:
    """Restore the cases and count how often intervals hold the truth; one row for each case and method.

    Parameters
    ----------
    data, held_out, count, size, seed
        Which cases: see `blinddps_sci.bench.quality.run_quality`.
    quality : str
        Preset of the sampler.
    steps, chains, samples : int, optional
        Instead of the preset's.
    json, resume
        File for settings, rows and summary, written anew after every row, and whether to go on from it.
    plot : Path, optional
        PNG file.

    Raises
    ------
    ConfigError, InputError, OutputError
        As `run_quality`.
    """
    given = {"quality": quality, "steps": steps, "chains": chains, "samples": samples}
    options = {name: value for name, value in given.items() if value is not None}
    settings = {
        **case_settings(data, held_out, size, seed),
        **given,
        "algorithm": ALGORITHM,
        **_networks(),
        "uncertainty": load_prior("shipped", "image")[1].uncertainty,
    }
    made = cases(data, count, size, seed, held_out=held_out)
    check_written(plot)
    rows = earlier_rows(json, resume, settings, _NEEDED)
    done = {(row["case"], row["method"]) for row in rows}
    with tqdm(total=count * len(METHODS), unit="run", file=sys.stderr, dynamic_ncols=True) as bar:
        for case in made:
            for method in METHODS:
                if (case.number, method) not in done:
                    rows.append(_row(case, method, options, seed))
                    keep_rows(json, settings, rows, summary=summarise_calibration(rows))
                bar.update()
    if not rows:
        raise InputError("no image gives an input of 18 to 30 dB; give other images or another --size")
    rows.sort(key=lambda row: (row["case"], METHODS.index(row["method"])))
    keep_rows(json, settings, rows, summary=summarise_calibration(rows))
    if plot is not None:
        draw_calibration(rows, plot)
    return rows


def read_held_out(path: Path) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows of an earlier run on held-out images, which may be fitted to, and its options.

    Raises
    ------
    InputError
        If the file is damaged, or its rows are of other images or other networks.
    """
    rows, settings = read_rows(path, _NEEDED)
    if not rows or not settings["held_out"] or not _networks().items() <= settings.items():
        raise InputError(f"{path} was not made of held-out images with the shipped weights; make it anew")
    return rows, {**settings, "count": len({row["case"] for row in rows})}


def _networks() -> dict[str, str]:
    """Return what tells the shipped networks from others."""
    return {name: load_prior("shipped", name)[1].sha256 for name in ("image", "kernel")}


def _row(case: Case, method: str, options: dict[str, Any], seed: int) -> Row:
    """Restore a case and count."""
    begin = time.perf_counter()
    options = {**options, "prior": case.label, "noise": f"gaussian:{case.noise}", "seed": seed}
    if method == "known":
        with tempfile.TemporaryDirectory() as folder:
            psf = Path(folder) / "psf.npy"
            np.save(psf, case.kernel)
            job = prepare_restore(case.data, {**options, "psf_file": str(psf)})
        draws, kernels = restore_unit(job, 0, None).images, None
    else:
        job = prepare_restore(case.data, options)
        draws, kernels = _blind(job)
    novelty = novelty_of(job)
    found = compared(draws, case.truth, job.uncertainty)
    return {
        "case": case.number,
        "image": case.name,
        "domain": case.label,
        "psf": case.family,
        "noise": case.noise,
        "method": method,
        "draws": len(draws),
        "seconds": round(time.perf_counter() - begin, 2),
        "input_psnr": score_image(case.data, case.truth)["psnr"],
        "psnr": score_image(draws.mean(axis=0), case.truth)["psnr"],
        "uncertainty": asdict(job.uncertainty),
        "novelty": None if novelty is None else novelty.as_dict["score"],
        "error": float(np.sqrt(np.mean(found.error**2))),
        "std": float(np.sqrt(np.mean(found.std**2))),
        "correlation": float(np.corrcoef(found.std.ravel(), np.abs(found.error).ravel())[0, 1]),
        "counts": count_pixels(found),
        "frequencies": count_frequencies(found),
        "fluxes": count_fluxes(found),
        "z": z_histogram(found),
        "width": None if kernels is None else _width(kernels, case.kernel),
        "pixels": found.pixels(),
    }


def _blind(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Return the draws of the image, and the kernels of the chains, (C, K, K), of a job of one tile."""
    estimate = estimate_unit(job, 0)
    found = restore_unit(job, 0, reconcile([estimate], job.config.psf))
    return found.images, estimate.chains[:, 0].numpy()


def _width(chains: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Return the true width of a kernel, those of its chains, and how many of them are below it."""
    true = kernel_width(truth)
    found = [kernel_width(np.clip(kernel, 0, None)) for kernel in chains]
    return {"true": true, "chains": found, "rank": int(sum(width < true for width in found))}
