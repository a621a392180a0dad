"""Photographs shaken by hand, with the sharp ones and the measured kernels: 4 images, 8 shakes.

By the published protocol a blind restoration is compared with one that is told the kernel: its squared error,
shift taken out, over that of the other is the error ratio, and up to 3 it is a success.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from scipy.signal import fftconvolve

from blinddps_sci.bench.cases import PSF_SIZE
from blinddps_sci.bench.classical import blind_richardson_lucy, richardson_lucy_of
from blinddps_sci.bench.real_case import Image, Images, Outcome, RealCase, read_image, restored
from blinddps_sci.bench.row_file import Row
from blinddps_sci.bench.score import score_kernel
from blinddps_sci.bench.table import markdown
from blinddps_sci.metrics import align
from blinddps_sci.metrics.image import psnr_from_mse

__all__ = ["CASE", "right_way_round", "score_shake", "summarise_shakes"]

_IMAGES, _SHAKES = range(1, 5), range(1, 9)

_FILES = (
    *(f"levin2009/gt/im{i}.png" for i in _IMAGES),
    *(f"levin2009/gt/kernel{k}.png" for k in _SHAKES),
    *(f"levin2009/blurred/im{i}_kernel{k}_img.png" for i in _IMAGES for k in _SHAKES),
)

_SIDE = 128
"""Of the middle of the images of 255 pixels that is restored."""

_SHIFT = 10
"""Pixels by which image and kernel may have moved against each other."""

_RATIOS = (2, 3, 5)

BLURRED, BLIND, TOLD, CLASSICAL = "blurred", "blind", "told the kernel", "blind Richardson-Lucy"
_SIMPLE = "{}, then Richardson-Lucy"

_PAIRS = {
    BLURRED: TOLD,
    BLIND: TOLD,
    CLASSICAL: TOLD,
    **{_SIMPLE.format(name): _SIMPLE.format(TOLD) for name in (BLIND, CLASSICAL)},
}
"""By the error of which method that of each is divided."""

_COLUMNS = {
    "method": "image",
    "images": "images",
    "psnr": "mean PSNR, dB",
    "mean": "mean error ratio",
    "median": "median",
    **{f"success {ratio}": f"ratio up to {ratio}, %" for ratio in _RATIOS},
    "mnc": "median kernel MNC",
    "chi2": "median chi2",
    "seconds": "mean seconds",
}


def score_shake(image: Image, truth: Image) -> Row:
    """Return the mean squared error ``mse`` at the best shift, and the ``psnr`` (dB), on the scale of [0, 1].

    Parameters
    ----------
    image, truth : ndarray, (N, N)
        A border of 15 pixels is left out, as by the published protocol.
    """
    inner = (slice(2, -2),) * 2  # `align` leaves out 13
    found = align(np.clip(image, 0, 1)[inner], truth[inner], _SHIFT)
    return {"mse": found.mse, "psnr": psnr_from_mse(found.mse, 1.0)}


def right_way_round(kernel: Image, sharp: Image, blurred: Image) -> Image:
    """Return a kernel (K, K) of sum one, turned by 180 degrees if that is what blurs the sharp image so.

    The files of six of the eight kernels are turned.
    """
    kernel = kernel / kernel.sum()
    turned = kernel[::-1, ::-1]
    one, other = (
        score_shake(fftconvolve(sharp, each, mode="same"), blurred)["mse"] for each in (kernel, turned)
    )
    return kernel if one <= other else np.ascontiguousarray(turned)


def summarise_shakes(rows: Sequence[Row]) -> list[Row]:
    """Return a row of means, medians and success rates for each method.

    Parameters
    ----------
    rows : sequence of dict
        Of images and methods; ratios are of those images for which both methods have a row. Of methods with
        a kernel there is a second row, of Richardson-Lucy with that kernel: the same method for all kernels,
        as by the published protocol.
    """
    errors = _errors(rows)
    found = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method and row.get("mse") is not None]
        if not own:
            continue
        line: Row = {"method": method, "images": len(own), "psnr": _mean(own, "psnr")}
        line |= {name: _middle(own, name) for name in ("mnc", "chi2")}
        line |= {"seconds": _mean(own, "seconds"), **_successes(_ratios(errors, method))}
        found.append(line)
        if "rl_mse" in own[0]:
            name = _SIMPLE.format(method)
            ratios = _successes(_ratios(errors, name))
            found.append({"method": name, "images": len(own), "psnr": _mean(own, "rl_psnr"), **ratios})
    return found


def _errors(rows: Sequence[Row]) -> dict[tuple[str, str], float]:
    """Return the squared error by image and method."""
    known = [row for row in rows if row.get("mse") is not None]
    errors = {(row["item"], row["method"]): row["mse"] for row in known}
    return errors | {
        (row["item"], _SIMPLE.format(row["method"])): row["rl_mse"] for row in known if "rl_mse" in row
    }


def _ratios(errors: Mapping[tuple[str, str], float], method: str) -> Image:
    """Return the error ratios of a method, of all images that have one."""
    base = _PAIRS.get(method, "")
    own = [(item, error) for (item, name), error in errors.items() if name == method]
    return np.array([error / errors[item, base] for item, error in own if (item, base) in errors])


def _successes(ratios: Image) -> Row:
    if not ratios.size:
        return {}
    return {
        "mean": float(ratios.mean()),
        "median": float(np.median(ratios)),
        **{f"success {limit}": 100 * float(np.mean(ratios <= limit)) for limit in _RATIOS},
    }


def _mean(rows: Sequence[Row], name: str) -> float | None:
    known = [row[name] for row in rows if row.get(name) is not None]
    return float(np.mean(known)) if known else None


def _middle(rows: Sequence[Row], name: str) -> float | None:
    known = [row[name] for row in rows if row.get(name) is not None]
    return float(np.median(known)) if known else None


def _runs(folder: Path, options: Mapping[str, Any]) -> dict[tuple[str, str], Callable[[], Outcome]]:
    runs: dict[tuple[str, str], Callable[[], Outcome]] = {}
    # Every shake, each with another image, then again: a run that is stopped has seen all alike.
    for turn in range(len(_IMAGES)):
        for k in _SHAKES:
            runs |= _shake(folder, _IMAGES[(k + turn) % len(_IMAGES)], k, options)
    return runs


def _shake(
    folder: Path, i: int, k: int, options: Mapping[str, Any]
) -> dict[tuple[str, str], Callable[[], Outcome]]:
    """Return the runs of one image under one shake; each reads what it needs."""

    def read(name: str) -> Image:
        return read_image(folder / "levin2009" / name)

    def middle(image: Image) -> Image:
        y, x = ((side - min(side, _SIDE)) // 2 for side in image.shape)
        return np.ascontiguousarray(image[y : y + _SIDE, x : x + _SIDE])

    def data() -> Image:
        return middle(read(f"blurred/im{i}_kernel{k}_img.png"))

    @cache
    def kernel() -> Image:
        sharp, blurred = read(f"gt/im{i}.png"), read(f"blurred/im{i}_kernel{k}_img.png")
        return right_way_round(read(f"gt/kernel{k}.png").astype(np.float64), sharp / 255, blurred / 255)

    def judged(image: Image, found: Image | None = None, numbers: Row | None = None) -> Outcome:
        """Score an image on the scale of the file, its kernel, and what another method makes of that."""
        truth = middle(read(f"gt/im{i}.png")) / 255
        row = {**score_shake(image / 255, truth), **(numbers or {})}
        if found is None:
            return Outcome(row)
        positive = np.clip(found, 0, None)
        simple = score_shake(richardson_lucy_of(data() / 255, positive / positive.sum()), truth)
        row |= score_kernel(positive, kernel()) | {f"rl_{name}": value for name, value in simple.items()}
        return Outcome(row, {"kernel": positive})

    def blind() -> Outcome:
        found = restored(data(), prior="generic", **options)
        return judged(found.image, found.kernel, found.numbers)

    def told() -> Outcome:
        found = restored(data(), kernel(), prior="generic", **options)
        return judged(found.image, kernel(), found.numbers)

    def classical() -> Outcome:
        image, found = blind_richardson_lucy(data() / 255, PSF_SIZE)
        return judged(255 * image, found)

    methods = {
        BLURRED: lambda: judged(data()),
        BLIND: blind,
        TOLD: told,
        CLASSICAL: classical,
    }
    return {(f"im{i}_kernel{k}", name): method for name, method in methods.items()}


def _draw(rows: Sequence[Row], images: Images, path: Path) -> None:
    """Draw which share of the images has at most which error ratio; the photographs are not shown."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8.4, 3.4), layout="constrained")
    errors = _errors(rows)
    for number, method in enumerate((BLIND, CLASSICAL, BLURRED)):
        for name, line in ((method, "-"), (_SIMPLE.format(method), "--")):
            ratios = np.sort(_ratios(errors, name))
            if ratios.size:
                share = 100 * np.arange(1, len(ratios) + 1) / len(ratios)
                ends = [1e-3, *ratios, 1e3], [0, *share, share[-1]]
                axis.step(*ends, line, where="post", color=f"C{number}", label=name)
    axis.axvline(3, color="0.7", linestyle=":")
    axis.set(
        xscale="log", xlim=(0.7, 60), ylim=(0, 101), xlabel="error ratio", ylabel="share of the images, %"
    )
    axis.set_xticks([1, 2, 3, 5, 10, 20, 50], ["1", "2", "3", "5", "10", "20", "50"])
    axis.minorticks_off()
    if axis.has_data():
        figure.legend(loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=100, format="png")
    pyplot.close(figure)


CASE = RealCase(
    title="32 photographs shaken by hand (Levin et al. 2009)",
    files=_FILES,
    runs=_runs,
    table=lambda rows: markdown(summarise_shakes(rows), _COLUMNS),
    draw=_draw,
)
