"""The counts of `blinddps bench calibration` as a summary, as Markdown and as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from blinddps_sci.bench.calibration_counts import ACTIVITY, BRIGHTNESS, FREQUENCIES, LEVELS, Z_EDGES
from blinddps_sci.bench.table import markdown

__all__ = ["draw_calibration", "format_calibration", "summarise_calibration"]

Row = dict[str, Any]

_KINDS = {"draws": "draws", "stated": "`std`"}
_GROUPS = {
    "brightness": ("brightness", BRIGHTNESS),
    "activity": ("gradient, per pixel", ACTIVITY),
    "frequencies": ("cycles per pixel", FREQUENCIES),
}


def summarise_calibration(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each method, group and kind of interval.

    Parameters
    ----------
    rows : sequence of dict
        From `run_calibration`.

    Returns
    -------
    list of dict
        ``share`` of the pixels (or coefficients) in the group and coverage of each of `LEVELS`, every
        restoration counting by its pixels; ``least`` and ``most`` are the coverages of 68 % of single
        restorations, of those with at least a hundredth of their pixels in the group.
    """
    table = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        for kind in _KINDS:
            for name in ("all", "brightness", "activity"):
                groups = [row["counts"][kind][name] for row in own]
                table += [{"method": method, "kind": kind, "group": name, **line} for line in _lines(groups)]
        spectra = [row["frequencies"] for row in own]
        table += [
            {"method": method, "kind": "draws", "group": "frequencies", **line} for line in _lines(spectra)
        ]
        fluxes = [{"0": row["fluxes"]["inside"]} for row in own]
        table += [{"method": method, "kind": "draws", "group": "flux", **line} for line in _lines(fluxes)]
    return table


def _lines(groups: Sequence[dict[str, list[int]]]) -> list[Row]:
    """Return the coverage in every part of a group, all restorations together."""
    whole = sum(counts[0] for found in groups for counts in found.values())
    lines = []
    for place in sorted({place for found in groups for place in found}, key=int):
        counts = np.array([found[place] for found in groups if place in found])
        total = counts.sum(axis=0)
        sizes = [sum(each[0] for each in found.values()) for found in groups if place in found]
        single = (counts[:, 2] / counts[:, 0])[counts[:, 0] >= 0.01 * np.array(sizes)]
        lines.append(
            {
                "part": int(place),
                "share": float(total[0] / whole),
                **{str(level): float(total[i + 1] / total[0]) for i, level in enumerate(LEVELS)},
                "least": float(single.min()) if single.size else None,
                "most": float(single.max()) if single.size else None,
            }
        )
    return lines


def format_calibration(rows: Sequence[Row]) -> str:
    """Return the tables as Markdown."""
    summary = summarise_calibration(rows)
    columns = {"method": "PSF", "kind": "intervals of", "where": "where", "share": "share"}
    columns |= {str(level): f"{level:.0%}" for level in LEVELS}
    columns |= {"least": "68%, least of a case", "most": "most"}
    shown = [{**line, "kind": _KINDS[line["kind"]], "where": _where(line)} for line in summary]
    parts = [markdown(shown, columns), "", *_figures(rows)]
    return "\n".join(parts)


def _where(line: Row) -> str:
    if line["group"] == "all":
        return "all pixels"
    if line["group"] == "flux":
        return "flux of apertures"
    title, limits = _GROUPS[line["group"]]
    part = line["part"]
    if part == 0:
        return f"{title} below {limits[0]}"
    if part == len(limits):
        return f"{title} above {limits[-1]}"
    return f"{title} {limits[part - 1]} to {limits[part]}"


def _figures(rows: Sequence[Row]) -> list[str]:
    """Return lines about scores, ranks and what the standard deviation tells of the error."""
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        n, first, second = np.sum([row["z"]["sums"] for row in own], axis=0)
        mean = first / n
        lines.append(
            f"{method}: {len(own)} restorations; normal scores of mean {mean:.2f} and standard deviation "
            f"{np.sqrt(second / n - mean**2):.2f}; correlation of std and error, median "
            f"{np.median([row['correlation'] for row in own]):.2f}; "
            f"ranks of aperture fluxes {_ranks(own)}; {_widths(own)}"
        )
    return lines


def _ranks(rows: Iterable[Row]) -> str:
    """Return the ranks of true fluxes among as many draws, in percent."""
    ranks = [row["fluxes"]["ranks"] for row in rows]
    if len({len(each) for each in ranks}) > 1:
        return "of different numbers of draws"
    total = np.sum(ranks, axis=0)
    return " ".join(f"{share:.0%}" for share in total / total.sum())


def _widths(rows: Sequence[Row]) -> str:
    found = [row["width"] for row in rows if row["width"] is not None]
    if not found:
        return "the PSF is known"
    counts: dict[int, int] = {}
    for width in found:
        counts[width["rank"]] = counts.get(width["rank"], 0) + 1
    ranks = ", ".join(f"{rank}: {counts[rank]}" for rank in sorted(counts))
    ratio = np.median([np.mean(width["chains"]) / width["true"] for width in found])
    return (
        f"chains whose kernel is narrower than the true one, and cases: {ranks}; width over true {ratio:.2f}"
    )


def draw_calibration(rows: Sequence[Row], path: Path) -> None:
    """Draw coverages, scores and ranks, and write a PNG file."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    summary = summarise_calibration(rows)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    figure, axes = pyplot.subplots(2, 3, figsize=(11, 6.5), layout="constrained")
    for axis, (group, (title, limits)) in zip(axes.flat, _GROUPS.items(), strict=False):
        for method, marker in zip(methods, "os", strict=False):
            for kind, colour in (("draws", "0.6"), ("stated", "C0")):
                lines = [
                    line
                    for line in summary
                    if (line["method"], line["group"], line["kind"]) == (method, group, kind)
                ]
                for level, style in (("0.68", "-"), ("0.95", "--")):
                    label = f"{_KINDS[kind].strip('`')}, PSF {method}" if level == "0.68" else None
                    places, values = [line["part"] for line in lines], [line[level] for line in lines]
                    axis.plot(places, values, style, color=colour, marker=marker, label=label)
        _nominal(axis, title, limits)
    axes[0, 0].legend(fontsize="x-small", loc="lower right")
    middles = (np.array(Z_EDGES[1:]) + Z_EDGES[:-1]) / 2
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        counts = np.sum([row["z"]["counts"] for row in own], axis=0)
        axes[1, 0].step(middles, counts / counts.sum() / np.diff(Z_EDGES), where="mid", label=f"PSF {method}")
        ranks = [row["fluxes"]["ranks"] for row in own]
        if len({len(each) for each in ranks}) == 1:
            total = np.sum(ranks, axis=0)
            axes[1, 1].step(range(len(total)), total / total.sum(), where="mid", label=f"PSF {method}")
            axes[1, 1].axhline(1 / len(total), color="0.6", linewidth=1)
    axes[1, 0].plot(middles, np.exp(-(middles**2) / 2) / np.sqrt(2 * np.pi), color="0.6", label="expected")
    axes[1, 0].set(xlabel="normal score of (truth - image) / std", ylabel="density")
    axes[1, 1].set(xlabel="draws below the true flux of an aperture", ylabel="share", ylim=(0, None))
    axes[1, 0].legend(fontsize="x-small")
    _draw_widths(axes[1, 2], rows)
    figure.savefig(path, dpi=110, format="png")
    pyplot.close(figure)


def _nominal(axis: Any, title: str, limits: Sequence[float]) -> None:
    for level in (0.68, 0.95):
        axis.axhspan(level - 0.05, min(level + 0.05, 1), color="C2", alpha=0.15, linewidth=0)
    names = [
        f"< {limits[0]}",
        *(f"{a}-{b}" for a, b in pairwise(limits)),
        f"> {limits[-1]}",
    ]
    axis.set(xlabel=title, ylabel="share in the interval", ylim=(0, 1.02))
    axis.set_xticks(range(len(names)), names, fontsize="x-small")


def _draw_widths(axis: Any, rows: Sequence[Row]) -> None:
    found = [row["width"] for row in rows if row["width"] is not None]
    for width in found:
        axis.plot([width["true"]] * len(width["chains"]), width["chains"], "_-", color="C0", markersize=8)
    if found:
        largest = 1.1 * max(max(width["true"], *width["chains"]) for width in found)
        axis.plot([0, largest], [0, largest], color="0.6", linewidth=1)
    axis.set(xlabel="rms width of the true kernel, pixels", ylabel="of the chains' kernels")
