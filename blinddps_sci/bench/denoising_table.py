"""Rows of `blinddps bench denoising` as a table: by how much the prior is above the best of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from blinddps_sci.bench.cases import DOMAINS
from blinddps_sci.bench.denoising_classical import METHODS, SIGMAS, Classical
from blinddps_sci.bench.table import markdown

__all__ = ["AIM", "format_denoising", "format_tuned", "summarise_denoising"]

AIM = 1.5
"""Decibels by which the prior should be above the best of the classical methods."""

Row = dict[str, Any]


def summarise_denoising(rows: Sequence[Row]) -> list[Row]:
    """Return one row of means for each domain and noise level, and for all domains together.

    Parameters
    ----------
    rows : sequence of dict
        From `run_denoising`.

    Returns
    -------
    list of dict
        ``psnr`` by method; ``best``, the name of the classical method with the highest mean on these very
        images; ``gain``, by how much the prior's mean is above it; ``least``, the smallest such difference of
        one image.
    """
    table = []
    for domain in (*DOMAINS, "all"):
        for sigma in SIGMAS:
            own = [row["psnr"] for row in rows if row["sigma"] == sigma and domain in (row["domain"], "all")]
            if own:
                table.append({"domain": domain, "sigma": sigma, "images": len(own), **_means(own)})
    return table


def _means(scores: Sequence[Mapping[str, float]]) -> Row:
    mean = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
    best = max(METHODS, key=mean.__getitem__)
    gains = [score["prior"] - score[best] for score in scores]
    return {"psnr": mean, "best": best, "gain": float(np.mean(gains)), "least": min(gains)}


def format_denoising(rows: Sequence[Row]) -> str:
    """Return the means as Markdown, and a line that says where the aim is missed."""
    columns = {"domain": "domain", "sigma": "noise", "images": "images", "noisy": "noisy", "prior": "prior"}
    columns |= {name: name for name in METHODS}
    columns |= {"gain": "prior - best, dB", "least": "least of an image"}
    summary = summarise_denoising(rows)
    shown = []
    for row in summary:
        numbers = {name: f"{value:.2f}" for name, value in row["psnr"].items()}
        numbers[row["best"]] = f"**{numbers[row['best']]}**"
        shown.append({**row, **numbers, "gain": f"{row['gain']:+.2f}", "least": f"{row['least']:+.2f}"})
        shown[-1]["sigma"] = f"{row['sigma']:g}"
    missed = [row for row in summary if row["domain"] != "all" and row["gain"] < AIM]
    verdict = "; ".join(f"{row['domain']} at {row['sigma']:g}: {row['gain']:+.2f} dB" for row in missed)
    return "\n".join(
        [markdown(shown, columns), "", f"aim: {AIM} dB above the best; missed: {verdict or 'nowhere'}"]
    )


def format_tuned(found: Mapping[tuple[str, float], Mapping[str, Classical]]) -> str:
    """Return chosen parameters as they stand in `blinddps_sci.bench.denoising_classical`."""
    lines = [
        f'    ("{domain}", {sigma}): _tuned(\n'
        + "".join(f"        {found[domain, sigma][name]!r},\n" for name in METHODS)
        + "    ),"
        for domain, sigma in found
    ]
    return "\n".join(["TUNED = {", *lines, "}"]).replace("'", '"')
