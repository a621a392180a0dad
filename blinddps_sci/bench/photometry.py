"""`blinddps bench photometry`: what a restoration does to the light, places and shapes of stars and galaxies.

Simulated fields are restored blind, by the presets, and measured by photutils as their input is.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from tqdm import tqdm

from blinddps_sci.bench import SKY_KINDS, SKY_METHODS, SKY_PSFS
from blinddps_sci.bench.extras import need
from blinddps_sci.bench.methods import engine_settings
from blinddps_sci.bench.row_file import Row, check_written, earlier_rows, keep_rows
from blinddps_sci.bench.score import score_kernel
from blinddps_sci.bench.sky_fields import SkyField, make_field
from blinddps_sci.bench.sky_scores import score_sky
from blinddps_sci.bench.table import markdown
from blinddps_sci.engine.restore import restore
from blinddps_sci.errors import ConfigError

__all__ = ["by_magnitude", "draw_photometry", "run_photometry", "summarise_photometry"]

_NEEDED = ("kind", "psf", "number", "method", "scores", "catalogue")
"""What rows to go on from have."""

_SURE = 10.0
"""Fluxes whose bias is reported are of so many times their noise, or more."""

_COLUMNS = {
    "kind": "field",
    "method": "image",
    "measured": "sources measured",
    "flux": "flux bias, %",
    "flux_scatter": "flux scatter, %",
    "flux_of_field": "size of a field's flux bias, %",
    "corrected": "after aperture correction, %",
    "shift": "centroid bias, px",
    "moved": "against the input, px",
    "scatter": "centroid scatter, px",
    "width": "FWHM / true",
    "ellipticity": "ellipticity error",
    "completeness": "found, %",
    "false": "false sources",
    "sky": "sky error, e-",
    "chi2": "chi2",
    "seconds": "seconds",
}


def run_photometry(
    *,
    fields: int = 1,
    size: int = 192,
    seed: int = 0,
    kinds: Sequence[str] = SKY_KINDS,
    psfs: Sequence[str] = SKY_PSFS,
    methods: Sequence[str] = SKY_METHODS,
    json: Path | None = None,
    resume: bool = False,
    plot: Path | None = None,
    **options: Any,
) -> str:
    """Restore fields and return tables of what photutils measures on them.

    Parameters
    ----------
    fields : int
        Of each kind and PSF.
    size, seed : int
        Side of the fields in pixels, and seed of everything random.
    kinds, psfs, methods : sequence of str
        Of `SKY_KINDS`, `SKY_PSFS` and `SKY_METHODS`.
    json : Path, optional
        File for the rows, written anew after every one.
    resume : bool
        Go on from the rows in ``json``.
    plot : Path, optional
        PNG file for flux, completeness and positions.
    **options
        Of `restore`, for all methods.

    Raises
    ------
    ConfigError
        If a number or a method is not allowed, or photutils is missing.
    InputError, OutputError
        If the file to go on from is of another run, or a file cannot be written.
    """
    if not 1 <= fields <= 100:
        raise ConfigError(f"fields {fields}: give 1 to 100")
    for name, given, known in (
        ("kinds", kinds, SKY_KINDS), ("psfs", psfs, SKY_PSFS), ("methods", methods, SKY_METHODS)
    ):  # fmt: skip
        if not set(given) <= set(known):
            raise ConfigError(f"{name} {', '.join(given)}: give some of {', '.join(known)}")
    need("photutils", "sources' fluxes and places")
    settings = {"size": size, "seed": seed, **options, **engine_settings()}
    rows = earlier_rows(json, resume, settings, _NEEDED)
    check_written(plot)
    cases = [(kind, psf, number) for number in range(fields) for kind in kinds for psf in psfs]
    done = {(row["kind"], row["psf"], row["number"], row["method"]) for row in rows}
    for field, number, method in _todo(cases, size, seed, methods, done):
        rows.append(_row(field, number, method, {"seed": seed, **options}))
        keep_rows(json, settings, rows)
    if plot is not None:
        draw_photometry(rows, plot)
    return f"{markdown(summarise_photometry(rows), _COLUMNS)}\n\n{_magnitude_table(rows)}"


def _todo(
    cases: Sequence[tuple[str, str, int]],
    size: int,
    seed: int,
    methods: Sequence[str],
    done: set[tuple[Any, ...]],
) -> Iterator[tuple[SkyField, int, str]]:
    """Yield every field with every method that is to be done, and show on stderr which is at work."""
    with tqdm(total=len(cases) * len(methods), unit="run", file=sys.stderr, dynamic_ncols=True) as bar:
        for kind, psf, number in cases:
            field = make_field(kind, psf, size, seed + number)
            for method in methods:
                bar.set_postfix_str(f"{kind}, {psf}, {method}")
                if (kind, psf, number, method) not in done:
                    yield field, number, method
                bar.update()


def _row(field: SkyField, number: int, method: str, options: dict[str, Any]) -> Row:
    """Restore a field, or leave it as it is, and measure it."""
    row: Row = {"kind": field.kind, "psf": field.psf, "number": number, "method": method, "width": field.fwhm}
    image = field.data
    if method != "input":
        begin = time.perf_counter()
        result = _restored(field, method, options)
        row["seconds"] = round(time.perf_counter() - begin, 3)
        image = result["image"].values.astype(np.float64)
        kernel = result["psf_kernel"].mean(("frame", "channel", "node_y", "node_x")).values
        row |= {"chi2": float(np.nanmean(result["chi2"].values)), **score_kernel(kernel, field.kernel)}
    summary, sources = score_sky(image, field)
    return row | {"scores": summary, "catalogue": sources}


def _restored(field: SkyField, method: str, options: dict[str, Any]) -> Any:
    """Return what `restore` makes of a field, as a user would call it."""
    if method != "true-psf":
        return restore(field.data, prior="astro", quality=method, **options)
    with tempfile.TemporaryDirectory() as folder:
        psf = Path(folder) / "psf.npy"
        np.save(psf, field.kernel)
        return restore(field.data, prior="astro", quality="fast", psf_file=str(psf), **options)


def summarise_photometry(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each kind of field and method.

    Parameters
    ----------
    rows : sequence of dict
        Of fields.

    Returns
    -------
    list of dict
        Flux bias and scatter are median and scaled median absolute deviation over the sources that stand
        alone and are ten times their noise or brighter, of all fields, in which the biases of two fields may
        cancel; ``flux_of_field`` is the median over the fields of the size of the field's own. The centroid
        bias is the mean over the fields of the length of the field's median shift, against the truth and
        against the positions in the input. Sources found and false ones are summed.
    """
    found = []
    for kind, method in dict.fromkeys((row["kind"], row["method"]) for row in rows):
        own = [row for row in rows if (row["kind"], row["method"]) == (kind, method)]
        scores = [row["scores"] for row in own]
        known = [s for s in scores if s["shift_y"] is not None]
        by_field = [[s for s in row["catalogue"] if s["signal"] >= _SURE] for row in own]
        sure = [source for sources in by_field for source in sources]
        biases = [abs(bias) for sources in by_field if (bias := _flux(sources)["flux"]) is not None]
        found.append(
            {
                "kind": kind,
                "method": method,
                "measured": sum(s["flux"] is not None for s in sure),
                **_flux(sure),
                "flux_of_field": float(np.median(biases)) if biases else None,
                "corrected": _flux(sure, "corrected")["corrected"],
                "shift": _mean(np.hypot(s["shift_y"], s["shift_x"]) for s in known),
                "moved": _mean(np.hypot(s["moved_y"], s["moved_x"]) for s in known),
                "scatter": _mean(s["scatter"] for s in known),
                "width": _mean(s["fwhm"] / s["fwhm_true"] for s in scores if s.get("fwhm")),
                "ellipticity": _mean(s.get("ellipticity") for s in scores),
                "completeness": 100.0 * sum(s["found"] for s in scores) / sum(s["sources"] for s in scores),
                "false": sum(s["false"] for s in scores),
                "sky": _mean(s["sky"] for s in scores),
                "chi2": _mean(row.get("chi2") for row in own),
                "seconds": _mean(row.get("seconds") for row in own),
            }
        )
    return found


def by_magnitude(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each kind of field and magnitude, with completeness and fluxes by method."""
    found = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        mine = [row for row in rows if row["kind"] == kind]
        places = [int(np.floor(s["magnitude"])) for row in mine for s in row["catalogue"]]
        for magnitude in range(min(places), max(places) + 1):
            line: Row = {"kind": kind, "magnitude": f"{magnitude} to {magnitude + 1}"}
            for method in dict.fromkeys(row["method"] for row in mine):
                own = [
                    source
                    for row in mine
                    if row["method"] == method
                    for source in row["catalogue"]
                    if magnitude <= source["magnitude"] < magnitude + 1
                ]
                if not own:
                    continue
                line |= {"sources": len(own), "signal": float(np.median([s["signal"] for s in own]))}
                line[f"completeness {method}"] = 100.0 * float(np.mean([s["found"] for s in own]))
                line |= {f"{name} {method}": value for name, value in _flux(own).items()}
            if "sources" in line:
                found.append(line)
    return found


def _magnitude_table(rows: Sequence[Row]) -> str:
    """Return `by_magnitude` as Markdown, flux errors as bias and scatter in one cell."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    columns = {"kind": "field", "magnitude": "magnitude", "sources": "sources", "signal": "signal / noise"}
    columns |= {f"completeness {name}": f"found, %: {name}" for name in methods}
    columns |= {f"error {name}": f"flux, %: {name}" for name in methods}
    lines = by_magnitude(rows)
    for line in lines:
        for name in methods:
            bias, scatter = line.get(f"flux {name}"), line.get(f"flux_scatter {name}")
            line[f"error {name}"] = "" if bias is None else f"{bias:+.1f} ± {scatter:.1f}"
            if f"completeness {name}" in line:
                line[f"completeness {name}"] = f"{line[f'completeness {name}']:.0f}"
    return markdown(lines, columns)


def _flux(sources: Sequence[Row], name: str = "flux") -> Row:
    """Return median and scatter of the relative errors of fluxes, per cent."""
    errors = 100.0 * np.array([s[name] for s in sources if s[name] is not None])
    if not errors.size:
        return {name: None, f"{name}_scatter": None}
    middle = float(np.median(errors))
    return {name: middle, f"{name}_scatter": float(1.4826 * np.median(np.abs(errors - middle)))}


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def draw_photometry(rows: Sequence[Row], path: Path) -> None:
    """Draw flux errors and completeness over the magnitude, and the fields' shifts, as a PNG file."""
    matplotlib.use("Agg")
    from matplotlib import patches, pyplot

    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    figure, axes = pyplot.subplots(
        len(kinds), 3, figsize=(12, 3.4 * len(kinds)), layout="constrained", squeeze=False
    )
    colours = dict(zip(methods, ("0.55", "tab:orange", "tab:blue", "tab:green"), strict=False))
    for (flux, complete, shift), kind in zip(axes, kinds, strict=True):
        lines = by_magnitude([row for row in rows if row["kind"] == kind])
        middle = [float(line["magnitude"].split()[0]) + 0.5 for line in lines]
        for place, method in enumerate(methods):
            values, spreads, shares = (
                np.array([line.get(f"{name} {method}") for line in lines], dtype=float)
                for name in ("flux", "flux_scatter", "completeness")
            )
            style: Row = {"color": colours[method], "label": method}
            aside = np.array(middle) + 0.08 * (place - 1)
            flux.errorbar(aside, values, spreads, marker="o", capsize=2, linewidth=1, **style)
            complete.plot(middle, shares, marker="o", **style)
            own = [r["scores"] for r in rows if (r["kind"], r["method"]) == (kind, method)]
            places = np.array([(s["shift_x"], s["shift_y"]) for s in own], dtype=float).reshape(-1, 2)
            shift.plot(*places.T, "o", **style)
        flux.axhspan(-1, 1, color="0.9", zorder=0)
        flux.set(title=kind, xlabel="magnitude", ylabel="aperture flux error, %", ylim=(-30, 30))
        complete.set(title=kind, xlabel="magnitude", ylabel="sources found, %", ylim=(-3, 103))
        shift.add_patch(patches.Circle((0, 0), 0.05, color="0.9", zorder=0))
        shift.set(title=kind, xlabel="shift along x, px", ylabel="shift along y, px", aspect="equal")
        limit = max(0.1, *np.abs(shift.get_xlim()), *np.abs(shift.get_ylim()))
        shift.set(xlim=(-limit, limit), ylim=(-limit, limit))
    axes[0, 1].legend(loc="lower left")
    figure.savefig(path, dpi=110, format="png")
    pyplot.close(figure)
