"""`blinddps bench scale`: what a run costs beside its computation, and how it grows with workers.

Tasks that compute nothing, or sleep, go through the loop, the workers, the markers and the journal of
a real run.
"""

from __future__ import annotations

import math
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from blinddps_sci.bench.projection import project
from blinddps_sci.bench.table import markdown
from blinddps_sci.engine.agenda import Agenda, Task
from blinddps_sci.engine.cluster import Work, local_cluster, run_on
from blinddps_sci.engine.driver import follow
from blinddps_sci.engine.evidence import Evidence
from blinddps_sci.engine.run_folder import RunFolder
from blinddps_sci.engine.serial import Outcome, run_serially
from blinddps_sci.tiling.plan import Plan

__all__ = ["do_nothing", "run_overhead", "run_plan", "run_stragglers", "run_strong", "sleep"]

Row = dict[str, Any]


def do_nothing(folder: str, task: Task) -> dict[str, Any]:
    """Do a task that computes nothing: it leaves an array and a marker, as any other."""
    return sleep(folder, task, seconds=())


def sleep(folder: str, task: Task, *, seconds: tuple[float, ...]) -> dict[str, Any]:
    """Do a task that sleeps while it restores, each unit for its own of the times."""
    run = RunFolder(Path(folder))
    run.begin(task.phase, task.unit)
    begin = time.perf_counter()
    if seconds and task.phase == "restore":  # to sleep for no time is to let others go first
        time.sleep(seconds[task.unit % len(seconds)])
    if task.phase != "blend":
        run.save(task.phase, task.unit, np.zeros(1, np.float32))
    record = {"unit": task.unit, "seconds": round(time.perf_counter() - begin, 3)}
    run.mark(task.phase, task.unit, record)
    return record


def row_of_units(count: int) -> Plan:
    """Return a plan of so many units side by side."""
    return Plan((32, 32 * count), 1, tile=32, overlap=8, unit=32, kernel_size=5)


@contextmanager
def _workers(count: int) -> Iterator[Any]:
    with local_cluster(count, device="cpu") as client:
        client.wait_for_workers(count)
        # A new process loads the package with its first task, for seconds that no unit costs.
        client.run(row_of_units, 1)
        yield client


class _Memory:
    """Resident memory of this process, noted after every unit that is done."""

    def __init__(self) -> None:
        self._process, self.bytes = psutil.Process(), list[int]()

    def __call__(self, task: Task, progress: object) -> None:
        if task.phase == "blend":
            self.bytes.append(self._process.memory_info().rss)

    @property
    def slope(self) -> float:
        """Megabytes per 1 000 units, over the second half of the run."""
        late = np.array(self.bytes[len(self.bytes) // 2 :], dtype=float)
        return float(np.polyfit(np.arange(len(late)), late, 1)[0]) * 1e3 / 1e6


@dataclass(frozen=True)
class Followed:
    """What a run has taken: seconds, those of this process's processor, and `_Memory.slope`."""

    seconds: float
    processor: float
    slope: float


def followed(plan: Plan, work: Work, client: Any = None, *, psf: Any = None) -> Followed:
    """Follow a run whose tasks are done by ``work``."""
    memory = _Memory()
    with tempfile.TemporaryDirectory() as path:
        folder = RunFolder.beside(Path(path) / "out.zarr", "bench")
        folder.create()
        agenda = Agenda(Evidence(plan, psf, 1))
        begin, processor = time.perf_counter(), time.process_time()
        if client is None:
            follow(agenda, folder, _serially(agenda, folder, work), memory)
        else:
            with closing(run_on(client, folder, agenda, work=work)) as outcomes:
                follow(agenda, folder, outcomes, memory)
        taken = Followed(time.perf_counter() - begin, time.process_time() - processor, memory.slope)
        if sum(1 for _ in folder.marked("blend")) != plan.n_units:
            raise AssertionError("a unit has not been done")
    return taken


def _serially(agenda: Agenda, folder: RunFolder, work: Work) -> Iterator[Outcome]:
    return run_serially(agenda, lambda task: work(str(folder.path), task))


def run_overhead(*, units: int = 2000) -> tuple[list[Row], str]:
    """Measure what a unit costs beside its computation: three tasks that do nothing.

    Parameters
    ----------
    units : int
        How many units.

    Returns
    -------
    (list of dict, str)
        Milliseconds of a unit, all in all and of the processor of the driver, in whose process the scheduler
        is, and megabytes by which that grows in 1 000 units; for this process alone and for two workers.
        The same as a table.
    """
    plan, rows = row_of_units(units), list[Row]()
    for workers in (0, 2):
        if workers:
            with _workers(workers) as client:
                taken = followed(plan, do_nothing, client, psf="smooth")
        else:
            taken = followed(plan, do_nothing, psf="smooth")
        rows.append(
            {
                "where": f"{workers} workers" if workers else "this process",
                "units": units,
                "ms": 1e3 * taken.seconds / units,
                "processor": 1e3 * taken.processor / units,
                "slope": taken.slope,
            }
        )
    columns = {
        "where": "done by", "units": "units of three tasks", "ms": "ms a unit",
        "processor": "of the driver's processor, ms", "slope": "driver, MB per 1 000 units",
    }  # fmt: skip
    return rows, markdown(rows, columns)


def run_plan(*, side: int = 100_000, unit: int = 2048) -> tuple[list[Row], str]:
    """Plan a square image and look at every unit of it; measure time, and memory without time.

    Parameters
    ----------
    side, unit : int
        Of the image and of a unit, pixels.
    """

    def look() -> int:
        plan = Plan((side, side), 1, tile=256, overlap=64, unit=unit, kernel_size=32)
        return sum(1 for _ in plan.units())

    begin = time.perf_counter()
    count = look()
    seconds = time.perf_counter() - begin
    tracemalloc.start()
    look()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    rows = [{"side": side, "units": count, "seconds": seconds, "peak": peak / 1e6}]
    columns = {"side": "side, px", "units": "units", "seconds": "seconds", "peak": "peak, MB"}
    return rows, markdown(rows, columns)


def run_strong(
    *, units: int = 64, seconds: float = 1.0, workers: tuple[int, ...] = (1, 2, 4, 8)
) -> tuple[list[Row], str]:
    """Measure how the time of the same work falls with the number of workers, which sleep.

    Parameters
    ----------
    units : int
        How many units.
    seconds : float
        Time of each.
    workers : tuple of int
        Numbers of workers; that they have started is waited for and not counted.
    """
    rows = []
    for count in workers:
        with _workers(count) as client:
            taken = followed(row_of_units(units), partial(sleep, seconds=(seconds,)), client).seconds
        ideal = math.ceil(units / count) * seconds
        rows.append({"workers": count, "seconds": taken, "ideal": ideal, "efficiency": ideal / taken})
    columns = {
        "workers": "workers", "seconds": "seconds", "ideal": "work / workers, s", "efficiency": "efficiency"
    }  # fmt: skip
    return rows, markdown(rows, columns)


def run_stragglers(
    *, workers: int = 8, per_worker: int = 8, median: float = 1.0, spread: float = 0.5, seed: int = 0
) -> tuple[list[Row], str]:
    """Measure what units of unequal length cost: times from a log-normal distribution.

    Parameters
    ----------
    workers, per_worker : int
        How many, and units for each.
    median, spread : float
        Seconds, and the deviation of their logarithm.
    seed : int
        Of the times.

    Returns
    -------
    (list of dict, str)
        ``ratio`` is the time over the work shared evenly, and ``least`` what it would be, by simulation, if
        every worker that is free had the next unit at once.
    """
    units = workers * per_worker
    times = np.random.default_rng(seed).lognormal(np.log(median), spread, units)
    with _workers(workers) as client:
        work = partial(sleep, seconds=tuple(times.tolist()))
        taken = followed(row_of_units(units), work, client).seconds
    ideal = float(times.sum()) / workers
    rows = [
        {
            "workers": workers,
            "units": units,
            "longest": float(times.max()),
            "seconds": taken,
            "ideal": ideal,
            "ratio": taken / ideal,
            "least": project(times.tolist(), workers, overhead=0.0).seconds / ideal,
        }
    ]
    columns = {
        "workers": "workers", "units": "units", "longest": "longest unit, s", "seconds": "seconds",
        "ideal": "work / workers, s", "ratio": "ratio", "least": "without overhead, simulated",
    }  # fmt: skip
    return rows, markdown(rows, columns)
