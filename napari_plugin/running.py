"""A restoration at work in a thread of its own, told about by events; the engine knows nothing of windows.

The engine calls back after every step. Here these calls become events in a queue, from which whoever shows
them takes them; and a wish to stop becomes an exception of the next call.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blinddps_sci.engine.driver import Event
    from blinddps_sci.engine.job import Job

__all__ = [
    "Advanced",
    "Began",
    "Ended",
    "Failed",
    "Finished",
    "News",
    "Running",
    "Stopped",
    "UnitDone",
    "UnitSeen",
    "line_of",
]

_OFTEN = 0.1
"""Seconds between two events about progress."""

_SEEN = 0.5
"""Seconds between two looks at the estimate of a unit at work."""

_SWITCH = 0.0005
"""Seconds after which the run lets another thread go on that asks for it: with Python's 5 ms a window, which
asks many times while it draws, answers late."""

_LOOK = 0.1
"""Seconds in which a thread that waits for an event looks whether it should still wait."""


@dataclass(frozen=True)
class Began:
    """The run has a store: its path, axes and their lengths. A preview has none."""

    store: Path | None
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class Advanced:
    """How far a run is.

    Parameters
    ----------
    part : float
        Share of the work that is done.
    left : float, optional
        Seconds that the rest takes at the rate of this session; None as long as nothing is known.
    phase : str
        ``estimate``, ``restore`` or ``blend``.
    unit, units : int
        Unit at work, from 0, and units in all.
    step, steps : int
        Of the sampler in this unit; zero if the unit is at work elsewhere.
    """

    part: float
    left: float | None
    phase: str
    unit: int
    units: int
    step: int = 0
    steps: int = 0


@dataclass(frozen=True)
class UnitDone:
    """A unit is in the store: its plane by axis, and its rows and columns."""

    index: Mapping[str, int]
    y: slice
    x: slice


@dataclass(frozen=True, eq=False)
class UnitSeen:
    """What the sampler thinks just now of a unit at work, (h, w), in the data's unit."""

    index: Mapping[str, int]
    y: slice
    x: slice
    values: Any


@dataclass(frozen=True, eq=False)
class Finished:
    """The run is complete: its result, and the units that were given up, and why."""

    result: Any
    lost: Mapping[int, str]
    seconds: float


@dataclass(frozen=True)
class Stopped:
    """The run was cancelled; what is done is kept, and it can go on."""


@dataclass(frozen=True)
class Failed:
    """The run ended with an error: one line for people. What is done is kept."""

    message: str


Ended = Finished | Stopped | Failed
News = Began | Advanced | UnitDone | UnitSeen | Ended


class _Cancelled(Exception):
    """Raised inside the engine's callback to end a run."""


def line_of(error: BaseException) -> str:
    """Return an error as one line; one that is not meant for users with its kind."""
    from blinddps_sci.errors import BlindDpsError

    text = " ".join(str(error).split())
    return text if isinstance(error, BlindDpsError) else f"{type(error).__name__}: {text}"


class Running:
    """A call of `restore` or `resume` in a thread.

    Parameters
    ----------
    work : callable
        Called with ``on_start`` and ``callback``; what it returns is the result.
    output : Path, optional
        Where the result goes; None for one in memory.
    """

    def __init__(self, work: Callable[..., Any], output: Path | None = None) -> None:
        self._work, self._output = work, output
        self._queue: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="blinddps", daemon=True)
        self._watch: _Watch | None = None

    def cancel(self) -> None:
        """End the run within one step of the sampler; return at once."""
        self._cancelled.set()
        if self._watch is not None:
            self._watch.stop_workers()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended; return whether it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def events(self) -> Iterator[News]:
        """Start the run and yield what happens, at last how it ended; closing it cancels the run."""
        self._thread.start()
        try:
            while True:
                try:
                    news = self._queue.get(timeout=_LOOK)
                except queue.Empty:
                    continue
                yield news
                if isinstance(news, Ended):
                    return
        finally:
            self.cancel()

    def _run(self) -> None:
        begin, before = time.perf_counter(), sys.getswitchinterval()
        sys.setswitchinterval(min(_SWITCH, before))
        try:
            result = self._work(on_start=self._begin, callback=self._tell)
            lost = {} if self._watch is None else self._watch.lost
            self._queue.put(Finished(result, lost, time.perf_counter() - begin))
        except (_Cancelled, KeyboardInterrupt):
            self._queue.put(Stopped())
        except BaseException as error:  # whoever waits for the end would wait for ever
            self._queue.put(Failed(line_of(error)))
        finally:
            sys.setswitchinterval(before)

    def _begin(self, job: Job) -> None:
        self._watch = _Watch(job, self._output)
        if self._cancelled.is_set():
            self._watch.stop_workers()
            raise _Cancelled
        for news in self._watch.begin():
            self._queue.put(news)

    def _tell(self, event: Event) -> None:
        if self._cancelled.is_set():
            raise _Cancelled
        if self._watch is not None:
            for news in self._watch.events(event):
                self._queue.put(news)


class _Watch:
    """What is known of a run since it began, to make news of the engine's events."""

    def __init__(self, job: Job, output: Path | None) -> None:
        from blinddps_sci import open_result
        from blinddps_sci.engine.run_folder import RunFolder
        from blinddps_sci.engine.tally import Tally

        self._job = job
        self._store = None if output is None else open_result(output)
        beside = Path() if self._store is None else self._store.path
        self._folder = RunFolder.beside(beside, job.fingerprint)
        self._tally = Tally(job, self._folder)
        self._first, self._began = self._tally.done, time.perf_counter()
        self._told = self._seen = 0.0

    @property
    def lost(self) -> dict[int, str]:
        """Units that were given up, and why."""
        return {} if self._store is None else self._folder.quarantine

    def stop_workers(self) -> None:
        """Let the driver of Dask workers see that it should end: it takes no step itself."""
        config = self._job.config
        if self._store is not None and (config.workers is not None or config.scheduler is not None):
            self._folder.stop_file.touch()

    def begin(self) -> Iterator[News]:
        """Yield where the result goes, and the units that are there already."""
        height, width = self._job.plan.shape
        yield Began(
            None if self._store is None else self._store.path,
            {**self._job.leading, "y": height, "x": width},
        )
        if self._store is not None:
            for unit in sorted(self._folder.marked("blend")):
                yield self._done(unit)

    def events(self, event: Event) -> Iterator[News]:
        """Yield what an event of the engine tells, not too often."""
        self._tally.add(event)
        now, progress = time.perf_counter(), event.progress
        if progress is None and event.phase == "blend":
            yield self._done(event.unit)
        if progress is not None and now - self._seen > _SEEN:
            self._seen = now
            yield from self._estimate(event.unit, progress)
        if progress is None or now - self._told > _OFTEN:
            self._told = now
            step, steps = (0, 0) if progress is None else (progress.step, progress.steps)
            part = min(self._tally.done / self._tally.pixels, 1.0)
            gained = self._tally.done - self._first
            left = None
            if gained > 0:
                left = (now - self._began) * (1.0 - part) * self._tally.pixels / gained
            yield Advanced(part, left, event.phase, event.unit, event.units, step, steps)

    def _done(self, number: int) -> UnitDone:
        unit = self._job.plan.unit_at(number)
        return UnitDone(self._job.index(unit.plane), *unit.core.slices)

    def _estimate(self, number: int, progress: Any) -> Iterator[UnitSeen]:
        """Yield the estimate of the first draw at work, over the unit's core."""
        unit, margin = self._job.plan.unit_at(number), self._job.margin
        image = progress.estimates["image"]
        if tuple(image.shape[-2:]) != unit.data.expand(margin).shape:
            return  # it is of another grid
        core = unit.core.shifted(-unit.data.y0 + margin, -unit.data.x0 + margin)
        values = image.reshape(-1, *image.shape[-2:])[(0, *core.slices)]
        yield UnitSeen(self._job.index(unit.plane), *unit.core.slices, values.float().cpu().numpy())
