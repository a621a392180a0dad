"""Rows of `blinddps bench tasks` as a table that says who wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from blinddps_sci.bench.table import markdown

__all__ = ["format_tasks", "summarise_tasks"]

Row = dict[str, Any]

_COLUMNS = {
    "task": "task",
    "method": "method",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "against": "against the classical",
    "mnc": "kernel MNC",
    "chi2": "chi2",
    "seconds": "seconds",
}


def summarise_tasks(rows: Sequence[Row]) -> list[Row]:
    """Return one row of means for each task and method.

    Parameters
    ----------
    rows : sequence of dict
        From `run_tasks`.

    Returns
    -------
    list of dict
        ``gain`` is the mean PSNR over that of the best classical method, ``better`` on how many images it is
        higher, ``of`` how many there are. ``verdict`` is *wins* if the means of both PSNR and SSIM are above
        the best of the classical methods, *PSNR only* or *SSIM only* if one is, and *loses* otherwise.
        Classical methods have none of these, and a method that has failed on an image has no means.
    """
    table: list[Row] = []
    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        methods = dict.fromkeys(row["method"] for row in own)
        means = [_means([row for row in own if row["method"] == method]) for method in methods]
        table += [mean | ({} if mean["classical"] else _against(mean, means, own)) for mean in means]
    return table


def _means(rows: Sequence[Row]) -> Row:
    first = rows[0]
    failed = sum(row["psnr"] is None for row in rows)
    numbers = {}
    for name in ("psnr", "ssim", "mnc", "chi2", "seconds"):
        values = [row[name] for row in rows if row.get(name) is not None]
        numbers[name] = float(np.mean(values)) if values and not failed else None
    return {key: first[key] for key in ("task", "method", "classical")} | numbers | {"failed": failed}


def _against(mean: Row, means: Sequence[Row], rows: Sequence[Row]) -> Row:
    """Return how a method's means, and its images, compare with the classical ones."""
    classical = [other for other in means if other["classical"] and other["psnr"] is not None]
    if not classical or mean["psnr"] is None:
        return {}
    best = max(classical, key=lambda other: float(other["psnr"]))
    ours, theirs = (
        {row["case"]: row["psnr"] for row in rows if row["method"] == method}
        for method in (mean["method"], best["method"])
    )
    both = ours.keys() & theirs.keys()
    higher = mean["psnr"] > best["psnr"], mean["ssim"] > max(other["ssim"] for other in classical)
    verdict = {(True, True): "wins", (True, False): "PSNR only", (False, True): "SSIM only"}
    return {
        "gain": mean["psnr"] - best["psnr"],
        "better": sum(ours[case] > theirs[case] for case in both),
        "of": len(both),
        "verdict": verdict.get(higher, "loses"),
    }


def format_tasks(rows: Sequence[Row]) -> str:
    """Return the means as Markdown, and a list of what has failed."""
    shown = []
    for row in summarise_tasks(rows):
        text = {name: None if row[name] is None else f"{row[name]:.2f}" for name in ("psnr", "mnc", "chi2")}
        seconds = None if row["seconds"] is None else f"{row['seconds']:.1f}"
        against = f"{row['failed']} failed" if row["failed"] else None
        if "verdict" in row:
            against = f"{row['verdict']} ({row['gain']:+.1f} dB, {row['better']} of {row['of']})"
        shown.append(row | text | {"seconds": seconds, "against": against})
    failures = [row for row in rows if "error" in row]
    lines = [markdown(shown, _COLUMNS)]
    if failures:
        lines += ["", "failed:"]
    lines += [f"- {row['task']}, image {row['case']}, {row['method']}: {row['error']}" for row in failures]
    return "\n".join(lines)
