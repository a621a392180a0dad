"""What a report says, section by section; each reads no more than a small part of a large result."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blinddps_sci.engine.places import plan_of
from blinddps_sci.engine.report import pictures
from blinddps_sci.engine.report.page import Section, figure, paragraph, rows, table
from blinddps_sci.engine.run_folder import RunFolder
from blinddps_sci.engine.spec import read_spec
from blinddps_sci.engine.standing import describe_standing, standing_of
from blinddps_sci.errors import BlindDpsError
from blinddps_sci.io.pyramid import SMALLEST
from blinddps_sci.io.result import DQ_BITS, ResultStore
from blinddps_sci.metrics.kernel import ellipticity, kernel_width
from blinddps_sci.metrics.seams import seam_energy

__all__ = ["sections"]

_SHOWN = 8
"""At most so many nodes along each axis are shown."""

_WINDOWS = 4
"""Seams and flags are looked at in so many windows along each axis at most."""

_READ = 2**26
"""Planes of more pixels are not read for an overview, if they have no pyramid."""

_FACTS = ("fingerprint", "created", "algorithm", "config", "channels", "noise", "stretch", "weights",
          "versions", "device", "threads", "draws", "input")  # fmt: skip

Array = NDArray[Any]


def sections(store: ResultStore) -> Iterator[Section]:
    """Yield the sections of a report; what a run at work has not made yet is said to be missing."""
    folder = RunFolder.beside(store.path, str(store.attrs["fingerprint"]))
    yield "Status", _status(store)
    yield "Image", _images(store, folder)
    yield "Point-spread function", _psf(store)
    records = list(folder.records()) if folder.path.is_dir() else []
    outliers = {r["unit"]: r["outliers"] for r in records if r.get("outliers")}
    if outliers:
        yield (
            "Outlier nodes",
            paragraph("Kernels far from what those around them say; they do not count.")
            + table(
                ("unit", "nodes"), ((unit, ", ".join(map(str, nodes))) for unit, nodes in outliers.items())
            ),
        )
    yield "Chi-squared", _chi2(store)
    yield "Flags", _flags(store)
    yield "Seams", _seams(store)
    yield "Timings", _timings(records)
    facts = {name: store.attrs[name] for name in _FACTS if name in store.attrs}
    yield "Provenance", rows({k: v if isinstance(v, str) else json.dumps(v) for k, v in facts.items()})


def _status(store: ResultStore) -> str:
    standing = standing_of(store)
    lines = [f"{store.status}: {store.sentence}", *(describe_standing(standing) if standing else ())]
    return "".join(map(paragraph, lines))


def _origin(store: ResultStore) -> pictures.Origin:
    """Return where row zero is for those who use the format of the input."""
    return "lower" if store.attrs.get("format") in ("fits", "nddata") else "upper"


def _first_plane(array: Any, y: slice = slice(None), x: slice = slice(None)) -> Array:
    """Return the first plane of an array (..., y, x), or a part of it."""
    found: Array = np.asarray(array[(*(0 for _ in array.shape[:-2]), y, x)])
    return found


def _smallest(store: ResultStore, name: str) -> Array | None:
    """Return the coarsest level of the pyramid; of a run without one, what `_overview` can read."""
    level = 0
    while (store.path / f"scale{level + 1}" / name).is_dir():
        level += 1
    array = store.array(f"scale{level}/{name}")
    return _first_plane(array) if level else _overview(array)


def _overview(array: Any) -> Array | None:
    """Return every n-th pixel of the first plane; None of one that is too large to be read for that."""
    height, width = array.shape[-2:]
    step = max(-(-max(height, width) // SMALLEST), 1)
    return _first_plane(array)[::step, ::step] if height * width <= _READ else None


def _middle(array: Any) -> Array:
    """Return the middle of the first plane in full resolution."""
    y, x = (
        slice(max((side - SMALLEST) // 2, 0), (side - SMALLEST) // 2 + SMALLEST if side > SMALLEST else side)
        for side in array.shape[-2:]
    )
    return _first_plane(array, y, x)


def _images(store: ResultStore, folder: RunFolder) -> str:
    unit = str(store.attrs.get("unit") or "data units")
    image, data, std = store.array("scale0/image"), _input(folder), _smallest(store, "std")
    views = [("whole", _smallest(store, "image"), None if data is None else _overview(data))]
    if max(image.shape[-2:]) > SMALLEST:
        views.append(("middle", _middle(image), None if data is None else _middle(data)))
    parts = [] if data is not None else [paragraph("The input cannot be opened any more.")]
    for name, restored, observed in views:
        if restored is None or not np.isfinite(restored).any():
            parts.append(paragraph(f"{name}: nothing has been restored yet, or there is no pyramid yet."))
            continue
        span = pictures.limits(restored)
        if observed is not None:
            caption = f"{name}: input, on the scale of the result"
            parts.append(figure(pictures.overview(observed, span, unit, _origin(store)), caption))
        parts.append(
            figure(
                pictures.overview(restored, span, unit, _origin(store)),
                f"{name}: restored, mean of the draws",
            )
        )
    if std is not None and np.isfinite(std).any():
        caption = "whole: standard deviation of the draws"
        parts.append(figure(pictures.overview(std, pictures.limits(std), unit, _origin(store)), caption))
    planes = math.prod(image.shape[:-2])
    more = paragraph(f"The first of {planes} planes is shown.") if planes > 1 else ""
    return more + "".join(parts)


def _input(folder: RunFolder) -> Any:
    """Return the input of a run as a lazy array, None if it is gone."""
    try:
        return read_spec(folder.spec).stack()["data"].variable
    except BlindDpsError:
        return None


def _spread(count: int) -> list[int]:
    """Return at most `_SHOWN` numbers below a count, spread evenly."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, _SHOWN))})


def _psf(store: ResultStore) -> str:
    array = store.array("psf/kernel")
    at_y, at_x = (_spread(n) for n in array.shape[2:4])
    grid = np.stack([np.stack([np.asarray(array[0, 0, iy, ix]) for ix in at_x]) for iy in at_y])
    known = np.isfinite(grid).all(axis=(2, 3)) & (grid.sum(axis=(2, 3)) > 0)
    if not known.any():
        return paragraph("No PSF is known yet.")
    widths, shapes = np.full(known.shape, np.nan), np.full(known.shape, np.nan)
    for where in zip(*known.nonzero(), strict=True):
        widths[where] = kernel_width(np.clip(grid[where], 0, None), kind="fwhm")
        shapes[where] = ellipticity(np.clip(grid[where], 0, None))
    share = f"{len(at_y)} x {len(at_x)} of {array.shape[2]} x {array.shape[3]} nodes."
    facts = {
        "FWHM, median (least to most)": _range(widths, "px"),
        "ellipticity 1 - b/a, median (least to most)": _range(shapes, ""),
    }
    return (
        paragraph(share)
        + figure(pictures.kernels(grid, _origin(store)), "Kernels")
        + figure(pictures.heat_map(widths, "px", _origin(store)), "Full width at half maximum")
        + figure(pictures.heat_map(shapes, "1 - b/a", _origin(store)), "Ellipticity")
        + rows(facts)
    )


def _range(values: Array, unit: str) -> str:
    low, middle, high = np.nanpercentile(values, (0, 50, 100))
    return f"{middle:.3g} ({low:.3g} to {high:.3g}) {unit}".strip()


def _chi2(store: ResultStore) -> str:
    array = store.array("quality/chi2")
    values = np.asarray(
        array[0, 0, :: max(array.shape[2] // SMALLEST, 1), :: max(array.shape[3] // SMALLEST, 1)]
    )
    if not np.isfinite(values).any():
        return paragraph("No tile has been restored yet.")
    text = f"Reduced chi-squared of the draws, expected 1: {_range(values, '')}."
    return paragraph(text) + figure(pictures.heat_map(values, "chi-squared", _origin(store)), "Each tile")


def _windows(store: ResultStore) -> Iterator[tuple[slice, slice]]:
    """Yield whole units of a plane, spread evenly."""
    rows_, columns = plan_of(store).unit_grid
    unit = plan_of(store).unit
    for iy in sorted({i * rows_ // _WINDOWS for i in range(_WINDOWS)}):
        for ix in sorted({i * columns // _WINDOWS for i in range(_WINDOWS)}):
            yield slice(iy * unit, (iy + 1) * unit), slice(ix * unit, (ix + 1) * unit)


def _flags(store: ResultStore) -> str:
    array, counts, pixels = store.array("scale0/dq"), dict.fromkeys(DQ_BITS, 0), 0
    for y, x in _windows(store):
        flags = _first_plane(array, y, x)
        pixels += flags.size
        for name, bit in DQ_BITS.items():
            counts[name] += int(np.count_nonzero(flags & bit))
    text = f"Of {pixels:,} pixels that were looked at, in units spread evenly over the first plane:"
    facts = {name: f"{count:,} ({count / pixels:.2%})" for name, count in counts.items()}
    return paragraph(text) + rows(facts)


def _seams(store: ResultStore) -> str:
    """Compare steps across the lines of tiles and units with those elsewhere."""
    axes, array = plan_of(store).axes, store.array("scale0/image")
    height, width = plan_of(store).shape
    found: dict[str, list[float]] = {"tiles": [], "units": []}
    for y, x in _windows(store):
        # A unit and the first pixels of the next, so that the line between them is inside.
        y, x = slice(y.start, min(y.stop + 8, height)), slice(x.start, min(x.stop + 8, width))
        values = _first_plane(array, y, x)
        lines: dict[str, list[list[int]]] = {"tiles": [], "units": []}
        for axis, span in zip(axes, (y, x), strict=True):
            cells = axis.cells(span.start // axis.unit)
            lines["tiles"].append([cell - span.start for cell in cells[1:-1]])
            lines["units"].append([cells[-1] - span.start] if cells[-1] < span.stop else [])
        for kind, (down, across) in lines.items():
            try:
                found[kind].append(seam_energy(np.nan_to_num(values), down, across, mask=np.isnan(values)))
            except BlindDpsError:
                continue  # no such line here, or nothing is restored on either side
    facts = {
        f"between {kind}": f"{statistics.fmean(ratios):.3f} in {len(ratios)} windows"
        for kind, ratios in found.items()
        if ratios
    }
    if not facts:
        return paragraph("No two tiles that are restored meet where it was looked.")
    return paragraph("Squared steps on the lines of the grid over those elsewhere, 1 without seams:") + rows(
        facts
    )


def _timings(records: list[dict[str, Any]]) -> str:
    """Return seconds by phase and by process, of the units that are done."""
    if not records:
        return paragraph("No times are known: the folder of the run is gone, or no unit is done.")
    phases: defaultdict[str, list[float]] = defaultdict(list)
    workers: defaultdict[str, list[float]] = defaultdict(list)
    for record in records:
        phases[record["phase"]].append(record["seconds"])
        workers[f"{record['host']}, process {record['process']}"].append(record["seconds"])
    parts = []
    for what, groups in (("phase", phases), ("process", workers)):
        lines = (
            (name, len(seconds), f"{sum(seconds):.1f}", f"{statistics.median(seconds):.2f}")
            for name, seconds in groups.items()
        )
        parts.append(table((what, "tasks", "seconds in all", "median seconds"), lines))
    return "".join(parts)
