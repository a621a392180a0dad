"""Rows of a comparison as a summary, as Markdown and as a picture of quality against cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

__all__ = [
    "HEADROOM",
    "draw_costs",
    "format_comparison",
    "format_table",
    "mark_headroom",
    "markdown",
    "summarise",
]

Row = dict[str, Any]

HEADROOM = 2.5
"""Gain in dB that a restoration with the true PSF has to show for a case to count."""

_KNOWN = "split-true-psf"
_PEERS = (("dps-1000-sqrt", "dps-1000-constant"), ("richardson-lucy", "wiener"))
"""Whose better one, case by case, blind methods are compared with: published rules, and the true PSF's."""

_COLUMNS = {
    "method": "method",
    "cases": "cases",
    "psnr": "PSNR, dB",
    "gain": "gain, dB",
    "failed": "below the input",
    "recovered": "recovered share",
    "mnc": "kernel MNC",
    "width_error": "|width error|",
    "otf_error": "OTF error",
    "chi2": "chi2",
    "coverage": "68 % coverage",
    "std_correlation": "std, error corr.",
    "seconds": "seconds",
}


def mark_headroom(rows: list[Row]) -> None:
    """Set ``headroom`` of every row: whether the true PSF gains enough on its case; None if not known."""
    known = {row["case"]: row for row in rows if row["method"] == _KNOWN and row["psnr"] is not None}
    for row in rows:
        best = known.get(row["case"])
        row["headroom"] = None if best is None else bool(best["psnr"] - best["input_psnr"] >= HEADROOM)


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Return one row of medians for each method, over the cases with headroom.

    Parameters
    ----------
    rows : sequence of dict
        From `run_quality`, with their headroom marked.

    Returns
    -------
    list of dict
        ``gain`` is over the input; ``failed`` counts cases below it, or with an error, and
        ``failed_share`` is their share; ``recovered`` is the gain over that with the true PSF, if
        it was run; ``width_error`` is the median absolute one. None where a method has no number.
        ``gains`` are the gains by domain and by family of PSFs; ``over`` is, for a blind method, what
        `_over` finds.
    """
    counted = [row for row in rows if row["headroom"] is not False]
    known = {row["case"]: row["psnr"] for row in counted if row["method"] == _KNOWN}
    table = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in counted if row["method"] == method]
        valid = [row for row in own if row["psnr"] is not None]
        gains = [row["psnr"] - row["input_psnr"] for row in valid]
        shares = [
            (row["psnr"] - row["input_psnr"]) / (known[row["case"]] - row["input_psnr"])
            for row in valid
            if row["headroom"]
        ]
        failed = sum(map(_is_failure, own))
        table.append(
            {
                "method": method,
                "cases": len(own),
                "psnr": _median(row["psnr"] for row in valid),
                "gain": _median(gains),
                "failed": failed,
                "failed_share": failed / len(own) if own else None,
                "gains": {
                    group: _median(row["psnr"] - row["input_psnr"] for row in valid if row[key] == group)
                    for key in ("domain", "psf")
                    for group in dict.fromkeys(row[key] for row in counted)
                },
                "over": _over(own, counted),
                "recovered": _median(shares),
                "width_error": _median(
                    abs(row["width_error"]) for row in valid if row["width_error"] is not None
                ),
                **{
                    name: _median(row[name] for row in valid)
                    for name in ("ssim", "mnc", "otf_error", "chi2", "coverage", "std_correlation", "seconds")
                },
            }
        )
    return table


def _over(own: Sequence[Row], counted: Sequence[Row]) -> dict[str, Row]:
    """Return how far the PSNR of a blind method, one with kernels, is above that of its peers.

    It is compared with the better of the peers on each case. ``median`` and ``mean`` are in dB, ``below``
    counts the cases on which it is lower, or fails, of all ``cases`` on which a peer has a number.
    """
    found: dict[str, Row] = {}
    if all(row["mnc"] is None for row in own):
        return found
    for peers in _PEERS:
        rivals = [row for row in counted if row["method"] in peers and row["psnr"] is not None]
        best: dict[int, float] = {}
        for row in rivals:
            best[row["case"]] = max(row["psnr"], best.get(row["case"], row["psnr"]))
        common = [row for row in own if row["case"] in best and row["method"] not in peers]
        if common:
            apart = [row["psnr"] - best[row["case"]] for row in common if row["psnr"] is not None]
            found[" or ".join(dict.fromkeys(row["method"] for row in rivals))] = {
                "median": _median(apart),
                "mean": float(np.mean(apart)) if apart else None,
                "below": sum(value < 0 for value in apart) + len(common) - len(apart),
                "cases": len(common),
            }
    return found


def _is_failure(row: Row) -> bool:
    return row["psnr"] is None or row["psnr"] < row["input_psnr"]


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def markdown(rows: Sequence[Row], columns: dict[str, str]) -> str:
    """Return rows as a Markdown table.

    Parameters
    ----------
    rows : sequence of dict
        What is None or missing becomes an empty cell.
    columns : dict of str to str
        Keys of the rows, in order, and their headings.
    """

    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"
        return "" if value is None else str(value)

    # A stroke in a heading or a name would end its cell.
    lines = [[text.replace("|", "\\|") for text in columns.values()], ["---"] * len(columns)]
    lines += [[cell(row.get(key)) for key in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def format_table(rows: Sequence[Row]) -> str:
    """Return the summary as Markdown, the cases left out of it, and a list of the failures."""
    shown = [
        row
        | {
            "failed": ""
            if row["failed_share"] is None
            else f"{row['failed']} ({100 * row['failed_share']:.0f} %)"
        }
        for row in summarise(rows)
    ]
    every = {row["case"] for row in rows}
    flat = {row["case"] for row in rows if row["headroom"] is False}
    lines = [markdown(shown, _COLUMNS), "", f"medians over {len(every) - len(flat)} of {len(every)} cases"]
    if flat:
        numbers = ", ".join(map(str, sorted(flat)))
        lines[-1] += f"; {len(flat)} left out, on which the true PSF gains less than {HEADROOM} dB: {numbers}"
    failures = [row for row in rows if row["headroom"] is not False and _is_failure(row)]
    if failures:
        lines += ["", "below the input:"]
    for row in failures:
        where = f"{row['domain']} {row['image']}, {row['psf']}, noise {row['noise']}"
        what = row.get("error") or f"{row['psnr']:.2f} dB, input {row['input_psnr']:.2f} dB"
        lines.append(f"- {row['method']}, case {row['case']} ({where}): {what}")
    return "\n".join(lines)


def format_comparison(rows: Sequence[Row]) -> str:
    """Return gains by domain and family, and PSNR case by case over that of other methods, as Markdown."""
    columns, shown = {"method": "method"}, []
    for row in summarise(rows):
        cells = {"method": row["method"]}
        for group, gain in row["gains"].items():
            columns[group] = f"gain, {group}, dB"
            cells[group] = gain
        for peers, found in row["over"].items():
            for what in ("median", "mean"):
                columns[f"{peers} {what}"] = f"over {peers}, {what}, dB"
                cells[f"{peers} {what}"] = found[what]
            columns[f"{peers} below"] = f"below {peers}"
            cells[f"{peers} below"] = f"{found['below']} of {found['cases']}"
        shown.append(cells)
    return markdown(shown, columns)


def draw_costs(summary: Sequence[Row], path: Path) -> None:
    """Draw the median PSNR of each method over its median time, and write a PNG file."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for row in summary:
        if row["psnr"] is None:
            continue
        if row["method"] == "blurred":
            axis.axhline(row["psnr"], color="0.6", linestyle="--", label=row["method"])
        else:
            # A clock of milliseconds; zero has no place on the axis.
            axis.plot(max(row["seconds"], 1e-3), row["psnr"], "o", label=row["method"])
    axis.set_xscale("log")
    axis.margins(x=0.1, y=0.1)
    if axis.has_data():
        figure.legend(loc="outside right upper")
    axis.set_xlabel("median time of a restoration, seconds")
    axis.set_ylabel("median PSNR, dB")
    figure.savefig(path, dpi=120, format="png")
    pyplot.close(figure)
