"""Doing the tasks of a run on Dask workers: a bounded window of futures, and what becomes of each.

Tasks carry the run's folder and a unit's number, no array and no network; workers open the input and
load the networks themselves, once. A future is of one task, or of a few short ones of a phase, which take
less time than to be handed out. What a worker marked as done is done, whatever its future says.
"""

from __future__ import annotations

import math
import signal
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any

import dask
from dask.base import annotate, get_annotations
from distributed import Client, Future, KilledWorker, LocalCluster, WorkerPlugin, span

from blinddps_sci.engine.agenda import Agenda, Task
from blinddps_sci.engine.devices import gpus_for, pinned_nanny
from blinddps_sci.engine.run_folder import Phase, RunFolder
from blinddps_sci.engine.serial import Outcome
from blinddps_sci.engine.tasks import run_task_at
from blinddps_sci.errors import ConfigError

__all__ = ["connected", "local_cluster", "run_on"]

_QUEUED = 2
"""Futures for each worker, so that one waits while another is at work."""

_WORTH = 0.1
"""Seconds of work that a future is worth: what a scheduler and a driver do for it takes milliseconds."""

_MOST = 32
"""Tasks of a future, at most."""

_LOOK = 1.0
"""Seconds after which workers, deadlines and the wish to stop are looked at, if nothing ends before."""

_RESTART = 60.0
"""Seconds in which a worker that was ended must be back."""

Work = Callable[[str, Task], dict[str, Any]]
Tasks = tuple[Task, ...]

_SETTINGS = {
    # We count attempts ourselves.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-ttl": None,
    # Its record of calls grows by a megabyte in ten units, for nobody to see.
    "distributed.worker.profile.enabled": False,
    # Workers hold no data of Dask's that could be spilled.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    },
}


class _Uninterrupted(WorkerPlugin):
    """Let a terminal's Ctrl-C, which goes to all processes, end the driver alone: it ends the workers."""

    name = "blinddps-uninterrupted"

    def setup(self, worker: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def local_cluster(workers: int, *, device: str = "auto", dashboard: str | None = None) -> Iterator[Client]:
    """Start workers on this machine, for as long as the context lasts.

    Parameters
    ----------
    workers : int
        How many processes, of one thread each; on a GPU each if there are any.
    device : {"auto", "cpu", "cuda"}
        Where they compute.
    dashboard : str, optional
        ``[address:]port`` of Dask's dashboard; without an address only this machine sees it.

    Raises
    ------
    ConfigError
        If there are fewer GPUs than workers, or a dashboard is asked for and bokeh is not installed.
    """
    if dashboard is not None and find_spec("bokeh") is None:
        raise ConfigError("the dashboard needs bokeh: pip install bokeh")
    with (
        dask.config.set(_SETTINGS),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            # Without an address it would listen to everybody, and without any of this on port 8787.
            dashboard_address=dashboard if ":" in (dashboard or "") else f"127.0.0.1:{dashboard or 0}",
            host="127.0.0.1",
            worker_class=partial(pinned_nanny, gpus_for(workers, device)),
        ) as cluster,
        # Arrays of others in this process, such as what a viewer shows, are not computed here.
        Client(cluster, set_as_default=False) as client,
    ):
        client.register_plugin(_Uninterrupted())
        yield client


@contextmanager
def connected(address: str, timeout: float = 30.0) -> Iterator[Client]:
    """Connect to a scheduler that runs already; its workers must see the same paths.

    Raises
    ------
    ConfigError
        If nothing answers there.
    """
    try:
        client = Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {address} ({error}); start one, or use --workers"
        ) from None
    with client:
        yield client


def _work_on(work: Work, folder: str, tasks: Tasks) -> list[dict[str, Any]]:
    """Do one task after the other, as long as they are short, and return their records.

    Those that are left, after one that took its time, go to whoever is free. The first that raises ends
    it: the driver sees by the markers which that was.
    """
    begin, records = time.perf_counter(), list[dict[str, Any]]()
    for task in tasks:
        records.append(work(folder, task))
        if time.perf_counter() - begin > _WORTH:
            break
    return records


def _annotations_of_a_span() -> dict[str, Any]:
    """Return what makes all tasks one span: a scheduler keeps every span that it has ever seen."""
    with span("blinddps"):
        return dict(get_annotations())


@dataclass
class _Flight:
    """Tasks that were submitted and have not come back."""

    client: Client
    folder: RunFolder
    work: Work
    deadline: float | None
    tasks: dict[Future[Any], Tasks] = field(default_factory=dict)
    late: set[Future[Any]] = field(default_factory=set)
    seconds: dict[Phase, float] = field(default_factory=dict)
    span: dict[str, Any] = field(default_factory=_annotations_of_a_span)
    news: threading.Event = field(default_factory=threading.Event)
    workers: int = 1
    counted: float = -math.inf

    @property
    def room(self) -> int:
        """How many more futures there may be."""
        # To ask the scheduler before every task would cost as much as to submit it.
        if time.monotonic() - self.counted > _LOOK:
            self.workers = len(self.client.scheduler_info(n_workers=-1)["workers"])
            self.counted = time.monotonic()
        return _QUEUED * max(self.workers, 1) - len(self.tasks)

    def fill(self, agenda: Agenda) -> None:
        """Submit what may begin now, as far as there is room."""
        few: list[Task] = []
        while self.room > 0 and (task := agenda.take()) is not None:
            if few and few[0].phase != task.phase:  # what is short does not wait for what is long
                self._submit(few)
                few = []
            few.append(task)
            if len(few) * self.seconds.get(task.phase, _WORTH) >= _WORTH or len(few) == _MOST:
                self._submit(few)
                few = []
        if few:
            self._submit(few)

    def _submit(self, few: Sequence[Task]) -> None:
        tasks = tuple(few)
        for task in tasks:
            self.folder.await_begin(task.phase, task.unit)
        # A name of its own for every try, which no scheduler knows of this run or another.
        key = f"{tasks[0].phase}-{tasks[0].unit}-{uuid.uuid4().hex}"
        place = str(self.folder.path)
        with annotate(**self.span):
            future = self.client.submit(_work_on, self.work, place, tasks, key=key, pure=False)
        self.tasks[future] = tasks
        future.add_done_callback(lambda _: self.news.set())

    def landed(self) -> list[Future[Any]]:
        """Return futures that ended, after a while none."""
        # Dask's own `wait` would need this client to be that of the whole process.
        self.news.wait(_LOOK)
        self.news.clear()
        return [future for future in self.tasks if future.done()]

    def outcomes(self, future: Future[Any]) -> list[Outcome]:
        """Return how a future's tasks ended, and forget the future."""
        tasks = self.tasks.pop(future)
        error = future.exception() if future.status == "error" else None
        # A worker that dies takes with it what waits there.
        waited = error is None or isinstance(error, KilledWorker)
        error = error or RuntimeError(f"the task was {future.status}")
        if future in self.late:
            waited, error = False, TimeoutError(f"not done after the deadline of {self.deadline:g} s")
        records, failed = self._records(future, tasks), False
        found = []
        for task, record in zip(tasks, records, strict=True):
            if record is not None:
                found.append(Outcome(task, record=record))
                self.seconds[task.phase] = record.get("seconds", _WORTH)
            else:  # what comes after the one that failed has not begun
                begun = not failed and (not waited or self.folder.has_begun(task.phase, task.unit))
                found.append(Outcome(task, error=error, begun=begun))
                failed = True
        self.late.discard(future)
        future.release()
        return found

    def _records(self, future: Future[Any], tasks: Tasks) -> list[dict[str, Any] | None]:
        """Return what is known of each task that is done."""
        # Files are read sooner than a worker is asked, which may be gone by now.
        done = [self.folder.is_done(task.phase, task.unit) for task in tasks]
        if future.status == "finished" and not done[0]:  # some file systems show late what others wrote
            found = future.result()
            return [*found, *[None] * (len(tasks) - len(found))]
        return [
            self.folder.record(task.phase, task.unit) if there else None
            for task, there in zip(tasks, done, strict=True)
        ]

    def restart_late(self) -> None:
        """End the workers whose task is at work for longer than it may be; others take their place."""
        if self.deadline is None:
            return
        late = {
            future.key: future
            for future, tasks in self.tasks.items()
            if future not in self.late
            and any(self.folder.seconds_at_work(task.phase, task.unit) > self.deadline for task in tasks)
        }
        if not late:
            return
        self.late.update(late.values())
        at_work = self.client.processing()
        stuck = [worker for worker, keys in at_work.items() if not late.keys().isdisjoint(keys)]
        # Without a nanny there is nobody to restart a worker: its task is given up all the same.
        with suppress(Exception):
            self.client.restart_workers(stuck, timeout=_RESTART, raise_for_error=False)
        self.client.cancel(list(late.values()))


def run_on(
    client: Client,
    folder: RunFolder,
    agenda: Agenda,
    *,
    deadline: float | None = None,
    work: Work = run_task_at,
) -> Generator[Outcome | None, None, None]:
    """Do the tasks on a client's workers and yield how each ended; the caller tells the agenda.

    While nothing ends, None is yielded now and then, so that the caller need not wait for it.

    Parameters
    ----------
    client : Client
        Of the scheduler. Workers may come and go.
    folder : RunFolder
        The run.
    agenda : Agenda
        What is to be done.
    deadline : float, optional
        Seconds that a task may take; a worker that takes longer is ended.
    work : callable
        What workers do with the run's folder and a task.
    """
    flight = _Flight(client, folder, work, deadline)
    try:
        while True:
            flight.fill(agenda)
            if not flight.tasks:
                return
            landed = flight.landed()
            for future in landed:
                yield from flight.outcomes(future)
            if not landed:
                yield None
            flight.restart_late()
    finally:
        client.cancel(list(flight.tasks))
