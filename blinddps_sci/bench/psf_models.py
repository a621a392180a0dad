"""`blinddps bench psf-models`: how the PSF should be let vary, on a space-invariant and a varying blur.

One image is blurred by one PSF, and by a grid of PSFs between which the blur is interpolated; both are
restored with each choice of `--psf`, and every tile's kernel is compared with the truth at its node.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from blinddps_sci.bench.cases import PSF_SIZE
from blinddps_sci.bench.fields import IMAGE, NOISE, Field, make_fields
from blinddps_sci.bench.methods import engine_settings
from blinddps_sci.bench.row_file import Row, earlier_rows, keep_rows
from blinddps_sci.bench.score import score_image, score_kernel
from blinddps_sci.bench.table import markdown
from blinddps_sci.engine.restore import prepare_restore, restore
from blinddps_sci.errors import ConfigError

__all__ = ["MODELS", "run_psf_models"]

MODELS = ("per-tile", "smooth", "shared")
"""Values of `--psf`."""

_COLUMNS = {
    "field": "blur",
    "model": "--psf",
    "tiles": "tiles",
    "input_psnr": "input, dB",
    "psnr": "PSNR, dB",
    "mnc": "kernel MNC",
    "width_error": "|width error|",
    "chi2": "chi2",
    "seconds": "seconds",
}


def run_psf_models(
    *,
    size: int = 512,
    nodes: int = 5,
    seed: int = 0,
    quality: str = "default",
    tile: int = 192,
    overlap: int = 64,
    json: Path | None = None,
    resume: bool = False,
) -> str:
    """Restore both fields with each PSF model and return a table of the scores.

    Parameters
    ----------
    size, nodes, seed : int
        As `make_fields`; the seed is that of the sampler too.
    quality : str
        Preset of `restore`.
    tile, overlap : int
        Of the restoration, pixels; the image has to hold several tiles.
    json : Path, optional
        File for settings and rows, written anew after every row.
    resume : bool
        Go on from the rows in ``json``.

    Returns
    -------
    str
        A Markdown table; kernel MNC and absolute width error are medians over the tiles, against
        the true PSF at each tile's node, and chi2 is their mean.

    Raises
    ------
    ConfigError
        If an option is not allowed, the image is a single tile, or the file to go on from is of other
        settings.
    InputError, OutputError
        If that file holds no such rows, or a file cannot be written.
    """
    fields = make_fields(size, nodes, seed)
    options = {
        "prior": "generic",
        "noise": f"gaussian:{NOISE}",
        "seed": seed,
        "quality": quality,
        "tile": tile,
        "overlap": overlap,
    }
    if prepare_restore(fields[0].data, options).plan.n_tiles < 2:
        raise ConfigError(f"size {size} is a single tile of {tile}; lower --tile or raise --size")
    settings = {
        "image": IMAGE,
        "size": size,
        "nodes": nodes,
        **options,
        **engine_settings(),
    }
    rows = earlier_rows(json, resume, settings, _COLUMNS)
    done = {(row["field"], row["model"]) for row in rows}
    for field, model in _pairs(fields):
        if (field.name, model) not in done:
            rows.append(_row(field, model, options))
            keep_rows(json, settings, rows)
    title = (
        f"{IMAGE}, {size} x {size} pixels, noise {NOISE}, {nodes} x {nodes} true PSFs where they vary; "
        f"tile {tile}, overlap {overlap}, quality {quality}"
    )
    return f"{title}\n\n{markdown(rows, _COLUMNS)}"


def _pairs(fields: tuple[Field, ...]) -> Iterator[tuple[Field, str]]:
    """Yield every field with every model, and show on stderr which is at work."""
    pairs = [(field, model) for field in fields for model in MODELS]
    with tqdm(pairs, unit="run", file=sys.stderr, dynamic_ncols=True) as bar:
        for field, model in bar:
            bar.set_postfix_str(f"{field.name}, {model}")
            yield field, model


def _row(field: Field, model: str, options: dict[str, Any]) -> Row:
    """Restore a field with a PSF model and score it."""
    begin = time.perf_counter()
    result = restore(field.data, psf=model, **options)
    seconds = time.perf_counter() - begin
    kernels = result["psf_kernel"].isel(frame=0, channel=0).values.reshape(-1, PSF_SIZE, PSF_SIZE)
    places = result["psf_position"].values.reshape(-1, 2)
    # Kernels are compared up to a shift: the true ones and the estimates have their centroids at zero.
    scores = [score_kernel(k, field.psf_at(y, x)) for k, (y, x) in zip(kernels, places, strict=True)]
    return {
        "field": field.name,
        "model": model,
        "tiles": len(scores),
        "input_psnr": score_image(field.data, field.truth)["psnr"],
        "psnr": score_image(result["image"].values, field.truth)["psnr"],
        "mnc": float(np.median([score["mnc"] for score in scores])),
        "width_error": float(np.median([abs(score["width_error"]) for score in scores])),
        "chi2": float(np.nanmean(result["chi2"].values)),
        "seconds": round(seconds, 3),
    }
