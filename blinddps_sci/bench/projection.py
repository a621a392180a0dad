"""A simulated run on many workers, from what units cost where it was measured.

A discrete-event simulation: nothing here is measured. The driver hands out one task at a time; workers
are killed at random, lose the task at work, and come back after a while.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blinddps_sci.bench.table import markdown
from blinddps_sci.errors import InputError

__all__ = ["Projection", "project", "read_costs", "run_projection"]


@dataclass(frozen=True)
class Projection:
    """How a simulated run went.

    Parameters
    ----------
    seconds : float
        Until the last unit was done.
    efficiency : float
        Work over the time of all workers.
    lost : float
        Seconds of work that killed workers had begun.
    killed : int
        How many were.
    """

    seconds: float
    efficiency: float
    lost: float
    killed: int


def project(
    costs: Sequence[float],
    workers: int,
    *,
    overhead: float,
    lifetime: float = np.inf,
    restart: float = 0.0,
    seed: int = 0,
) -> Projection:
    """Simulate a run.

    Parameters
    ----------
    costs : sequence of float
        Seconds of every unit.
    workers : int
        How many.
    overhead : float
        Seconds of the driver for every unit, one after the other.
    lifetime : float
        Mean seconds after which a worker is killed, at random.
    restart : float
        Seconds until it is back.
    seed : int
        Of the kills.
    """
    random = np.random.default_rng(seed)
    free = [(0.0, worker) for worker in range(workers)]
    waiting = list(costs)[::-1]
    driver = last = lost = 0.0
    killed = 0
    while waiting:
        ready, worker = heapq.heappop(free)
        driver = max(driver, ready) + overhead
        cost = waiting.pop()
        # Kills have no memory: the time to the next may be drawn for every unit anew.
        alive = random.exponential(lifetime) if np.isfinite(lifetime) else np.inf
        if alive < cost:
            waiting.append(cost)
            lost, killed = lost + alive, killed + 1
            heapq.heappush(free, (driver + alive + restart, worker))
        else:
            last = max(last, driver + cost)
            heapq.heappush(free, (driver + cost, worker))
    return Projection(last, float(np.sum(costs)) / (workers * last), lost, killed)


def read_costs(path: Path) -> list[float]:
    """Return the seconds of the units of `blinddps bench scale model`, as they were with one worker.

    Raises
    ------
    InputError
        If the file is not of that benchmark.
    """
    try:
        rows = json.loads(path.read_text())["rows"]
        costs = [float(cost) for cost in rows[0]["costs"]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path} is not a file of `blinddps bench scale model` ({error})") from None
    return costs


def run_projection(
    costs: Sequence[float],
    *,
    units: int = 2401,
    workers: tuple[int, ...] = (1, 8, 64),
    overhead: float = 0.01,
    lifetime: float = 4 * 3600.0,
    restart: float = 60.0,
    seed: int = 0,
) -> tuple[list[dict[str, float]], str]:
    """Simulate runs of units whose costs are drawn from measured ones, with and without kills.

    Parameters
    ----------
    costs : sequence of float
        Measured seconds of some units.
    units : int
        How many units the simulated run has.
    workers : tuple of int
        Numbers of workers.
    overhead, lifetime, restart, seed
        As `project`.
    """
    drawn = np.random.default_rng(seed).choice(np.asarray(costs), units)
    rows = []
    for count in workers:
        for mean in (np.inf, lifetime):
            found = project(
                drawn.tolist(), count, overhead=overhead, lifetime=mean, restart=restart, seed=seed
            )
            rows.append(
                {
                    "workers": count,
                    "hours": found.seconds / 3600,
                    "efficiency": found.efficiency,
                    "killed": found.killed,
                    "lost": found.lost / float(drawn.sum()),
                }
            )
    columns = {
        "workers": "workers", "hours": "hours, simulated", "efficiency": "efficiency, simulated",
        "killed": "workers killed, simulated", "lost": "work lost, simulated",
    }  # fmt: skip
    title = (
        f"SIMULATED, not measured: {units} units, whose costs are drawn from {len(costs)} measured ones "
        f"({np.mean(costs):.3g} s on average); {1e3 * overhead:.3g} ms of the driver for each; a worker is "
        f"killed after {lifetime / 3600:.3g} h on average and back after {restart:.3g} s"
    )
    return rows, f"{title}\n\n{markdown(rows, columns)}"
