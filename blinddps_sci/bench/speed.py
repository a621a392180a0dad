"""`blinddps bench speed`: what one restoration costs, and how much of it the networks are.

The time of the networks is taken by hooks on the very modules that the restoration calls; what
remains is operators, least squares, noise, files. All is measured with one thread of torch: of draws
that are made side by side, in several threads, the shares of the networks overlap.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import nn

from blinddps_sci.bench import SPEED_METHODS
from blinddps_sci.bench.cases import Case, cases
from blinddps_sci.bench.methods import Overrides, parse_methods, published, run_method
from blinddps_sci.bench.row_file import check_written, keep_rows
from blinddps_sci.bench.table import markdown
from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.priors.registry import load_prior
from blinddps_sci.sampling.posterior import Progress

__all__ = ["TARGET", "network_time", "run_speed"]

TARGET = 0.85
"""Share of the time that the networks should have at least."""

_MEASURED = 30
"""Steps of a published rule that are measured; the others take as long."""

_PERIOD = 0.02
_COLUMNS = {
    "method": "method",
    "seconds": "seconds",
    "how": "",
    "share": "share of the networks",
    "peak_mib": "peak memory, MiB",
    "added_mib": "added, MiB",
    "megapixels_per_minute": "megapixels a minute",
}


@dataclass
class Clock:
    """Seconds that the networks took, filled while they are called."""

    seconds: float = 0.0
    begin: float = 0.0


@contextmanager
def network_time(*networks: nn.Module) -> Iterator[Clock]:
    """Measure the time of the forward passes of networks while the context lasts.

    Parameters
    ----------
    *networks : Module
        Networks that do not call each other, called by one thread at a time.

    Yields
    ------
    Clock
        Its seconds grow with every call. On a GPU each call is waited for.
    """
    clock = Clock()

    def now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    def before(module: nn.Module, inputs: Any) -> None:
        clock.begin = now()

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        clock.seconds += now() - clock.begin

    handles = [network.register_forward_pre_hook(before) for network in networks]
    handles += [network.register_forward_hook(after) for network in networks]
    try:
        yield clock
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch have one thread while the context lasts, so that draws are made one after the other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Memory:
    """Largest resident memory of the process while the context lasts, in bytes."""

    def __enter__(self) -> _Memory:
        self._process = psutil.Process()
        self.before = self.peak = int(self._process.memory_info().rss)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(_PERIOD):
            self.peak = max(self.peak, int(self._process.memory_info().rss))

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()
        self.peak = max(self.peak, int(self._process.memory_info().rss))


@_one_thread()
def run_speed(
    *,
    methods: str = SPEED_METHODS,
    size: int = 128,
    seed: int = 0,
    steps: int | None = None,
    chains: int | None = None,
    samples: int | None = None,
    json: Path | None = None,
) -> str:
    """Restore one case by each method, with one thread of torch, and return a table of the costs.

    Parameters
    ----------
    methods : str
        Comma-separated names, see `blinddps_sci.bench.methods`; of ``dps-S-sqrt`` and
        ``dps-S-constant`` at most 30 steps are measured, and the time of the others is
        extrapolated.
    size, seed : int
        Side of the image in pixels, and seed.
    steps, chains, samples : int, optional
        Replace those of the presets of `split`.
    json : Path, optional
        File for the rows.

    Raises
    ------
    ConfigError
        If a number or a method is not allowed.
    InputError
        If no image of scikit-image suits the size.
    OutputError
        If the file cannot be written.
    """
    names, overrides = parse_methods(methods), Overrides(steps, chains, samples)
    check_written(json)
    case = next(cases(None, 1, size, seed), None)
    if case is None:
        raise InputError(f"no image suits --size {size}; give another one")
    networks = load_prior(case.label, "image")[0], load_prior("shipped", "kernel")[0]
    run_method("split-fast", case, Overrides(2, 1, 1), seed)  # loads and compiles what is needed once
    rows: list[dict[str, Any]] = []
    for name in names:
        with _Memory() as memory, network_time(*networks) as clock:
            begin = time.perf_counter()
            total, how = _seconds(name, case, overrides, seed)
            spent = time.perf_counter() - begin
        rows.append(
            {
                "method": name,
                "seconds": total,
                "how": how,
                # With back-propagation the networks' own time is more than that of their calls.
                "share": clock.seconds / spent if name.startswith("split") else None,
                "peak_mib": round(memory.peak / 2**20),
                "added_mib": round((memory.peak - memory.before) / 2**20),
                "megapixels_per_minute": case.data.size / 1e6 / (total / 60),
            }
        )
    keep_rows(json, {"size": size, "seed": seed, **asdict(overrides)}, rows)
    lines = [f"{size} x {size} pixels, one thread", "", markdown(rows, _COLUMNS)]
    shares = {row["method"]: row["share"] for row in rows}
    if shares.get("split") is not None:
        word = "met" if shares["split"] >= TARGET else "missed"
        lines += ["", f"networks' share of split: {shares['split']:.1%} (target {TARGET:.0%}: {word})"]
    return "\n".join(lines)


def _seconds(name: str, case: Case, overrides: Overrides, seed: int) -> tuple[float, str]:
    """Return the seconds of one restoration, and whether they are measured or extrapolated."""
    begin = time.perf_counter()
    kind, _, rest = name.partition("-")
    number, _, rule = rest.partition("-")
    if kind != "dps" or not rule or int(number) <= _MEASURED:
        run_method(name, case, overrides, seed)
        return time.perf_counter() - begin, "measured"
    times: list[float] = []

    def note(progress: Progress) -> None:
        times.append(time.perf_counter())

    published(case, _MEASURED, rule, seed, note)
    if len(times) != _MEASURED:
        raise ConfigError(f"{len(times)} steps were measured instead of {_MEASURED}")
    each = float(np.median(np.diff(times)))
    return times[0] - begin + each * (int(number) - 1), f"extrapolated from {_MEASURED} steps"
