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
    "images": "images",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "against": "against the classical",
    "mnc": "kernel MNC",
    "chi2": "chi2",
    "seconds": "CPU, s",
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
        ``gain`` is the mean PSNR over that of the best classical method on the same images, ``better`` on how
        many of them it is higher, ``of`` how many there are. ``verdict`` is *wins* if the means of both
        PSNR and SSIM are above the best of the classical methods, *PSNR only* or *SSIM only* if one is,
        and *loses* otherwise. Classical methods have none of these, and a method that has failed on an
        image has no means.
    """
    table: list[Row] = []
    for task in dict.fromkeys(row["task"] for row in rows):
        by_method: dict[str, list[Row]] = {}
        for row in rows:
            if row["task"] == task:
                by_method.setdefault(row["method"], []).append(row)
        classical = [own for own in by_method.values() if own[0]["classical"]]
        table += [
            _means(own) | ({} if own[0]["classical"] else _against(own, classical))
            for own in by_method.values()
        ]
    return table


def _means(rows: Sequence[Row]) -> Row:
    failed = sum(row["psnr"] is None for row in rows)
    numbers = {}
    for name in ("psnr", "ssim", "mnc", "chi2", "seconds"):
        values = [row[name] for row in rows if row.get(name) is not None]
        numbers[name] = float(np.mean(values)) if values and not failed else None
    first = {key: rows[0][key] for key in ("task", "method", "classical")}
    return first | numbers | {"images": len(rows), "failed": failed}


def _against(own: Sequence[Row], classical: Sequence[Sequence[Row]]) -> Row:
    """Return how a method compares with the classical ones on its images."""
    cases = {row["case"] for row in own}
    same = [[row for row in rows if row["case"] in cases] for rows in classical]
    # One that has failed, or was not run on all of them, is no rival.
    rivals = [rows for rows in same if len(rows) == len(cases) and _means(rows)["psnr"] is not None]
    mean = _means(own)
    if not rivals or mean["psnr"] is None:
        return {}
    best = max(rivals, key=lambda rows: float(_means(rows)["psnr"]))
    theirs = {row["case"]: row["psnr"] for row in best}
    gain = mean["psnr"] - _means(best)["psnr"]
    higher = gain > 0, mean["ssim"] > max(_means(rows)["ssim"] for rows in rivals)
    verdict = {(True, True): "wins", (True, False): "PSNR only", (False, True): "SSIM only"}
    better = sum(row["psnr"] > theirs[row["case"]] for row in own)
    return {"gain": gain, "better": better, "of": len(own), "verdict": verdict.get(higher, "loses")}


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
