"""The driver: every unit restored, then blended, then the store is complete.

Whatever ends a run, what is done is marked in the folder beside the store, and the run can go on.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blinddps_sci.engine.agenda import Agenda, Task
from blinddps_sci.engine.begin import Run, begin_run
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.misfit import describe_misfit
from blinddps_sci.engine.run_folder import Phase, RunFolder
from blinddps_sci.engine.serial import Outcome, run_serially
from blinddps_sci.engine.tasks import run_task
from blinddps_sci.engine.trajectory import Trajectory
from blinddps_sci.errors import BlindDpsError, ConfigError, MisfitWarning, QuarantineWarning
from blinddps_sci.io.result import ResultStore
from blinddps_sci.sampling.posterior import Progress

__all__ = ["ATTEMPTS", "Event", "continue_run", "follow", "run_job"]

ATTEMPTS = 3
"""How often a task is tried before its unit is given up; one that is refused by its input only once."""


@dataclass(frozen=True)
class Event:
    """Progress of a run, given to the caller's callback after every step, and after every task.

    Parameters
    ----------
    phase : str
        ``estimate``, ``restore`` or ``blend``.
    unit, units : int
        Unit at work (from 0) and units in all.
    progress : Progress, optional
        Of the sampler inside the unit; None once the task as a whole is done.
    """

    phase: Phase
    unit: int
    units: int
    progress: Progress | None = None


def run_job(
    job: Job,
    path: Path,
    *,
    source: Any = None,
    overwrite: bool = False,
    callback: Callable[[Event], None] | None = None,
) -> ResultStore:
    """Run a job into a new result store and return the store, complete.

    Parameters
    ----------
    job : Job
        From `prepare`.
    path : Path
        The store, a folder that must not exist unless ``overwrite`` is true.
    source : path or sequence of paths, optional
        Where the job's stack was read from, so that another process can go on.
    overwrite : bool
        Whether an existing store may be replaced.
    callback : callable, optional
        Called after every step; an exception it raises ends the run.

    Raises
    ------
    OutputError
        If the store exists or cannot be written.
    """
    return continue_run(begin_run(job, path, source=source, overwrite=overwrite), callback=callback)


def continue_run(run: Run, *, callback: Callable[[Event], None] | None = None) -> ResultStore:
    """Do what is left of a run and return its store, complete; of a shard, do what it can do now.

    Parameters
    ----------
    run : Run
        The run.
    callback : callable, optional
        As `run_job`.

    Raises
    ------
    BlindDpsError
        The last error, if every unit was given up.
    """
    job, folder, store = run.job, run.folder, run.store
    agenda = _agenda(job, folder)
    trajectory = Trajectory(job.config.keep_trajectory, job.margin)

    def tell(task: Task, progress: Progress | None) -> None:
        if task.unit == 0 and progress is not None:
            trajectory.record(progress)
        if callback is not None:
            _call(callback, Event(task.phase, task.unit, job.plan.n_units, progress))

    try:
        with _outcomes(run, agenda, tell) as outcomes:
            last = follow(agenda, folder, outcomes, tell)
    except _CallerError as ended:
        folder.log("stopped")
        raise ended.error from None
    except BaseException:
        folder.log("stopped")
        raise
    if last is not None and len(agenda.given_up) == len(job.units):
        raise last
    if job.config.shard is not None:
        return store  # the last word is with a process that does what all shards have left
    trajectory.write(store)
    _finish(agenda, folder, store)
    # Beside the store: a file inside that is no part of Zarr makes its readers warn.
    trajectory.draw(store.path.with_name(f"{store.path.stem}.trajectory.png"))
    return store


def _agenda(job: Job, folder: RunFolder) -> Agenda:
    """Return what is left to do; what was made without the units that were given up is made anew."""
    evidence, quarantine = job.evidence, folder.quarantine
    elsewhere = {unit: why for unit, why in quarantine.items() if unit not in job.units}
    for lost in quarantine.keys() - elsewhere.keys():
        # A shared kernel has evidence enough without it.
        served = evidence.serves(lost) if evidence.psf == "smooth" else (lost,)
        for unit in served:
            folder.drop("restore", unit)
            for other in (unit, *job.plan.neighbours(job.plan.unit_at(unit))):
                folder.unmark("blend", other)
        folder.take_back(lost)
    estimated, restored = (
        {unit for unit in folder.marked(phase) if folder.is_done(phase, unit)}
        for phase in ("estimate", "restore")
    )
    blended = set(folder.marked("blend"))
    return Agenda(evidence, estimated, restored, blended, job.units, elsewhere)


@contextmanager
def _outcomes(
    run: Run, agenda: Agenda, tell: Callable[[Task, Progress | None], None]
) -> Iterator[Iterator[Outcome | None]]:
    """Do the tasks where the options say, and tell of their steps where they can be seen."""
    config = run.job.config
    if config.workers is None and config.scheduler is None:

        def work(task: Task) -> dict[str, Any]:
            return run_task(run.job, run.folder, run.store, task, lambda p: tell(task, p))

        yield run_serially(agenda, work)
        return
    # Dask is not needed for a run without it.
    from blinddps_sci.engine.cluster import connected, local_cluster, run_on

    cluster = (
        connected(config.scheduler)
        if config.scheduler
        else local_cluster(config.workers or 1, device=config.device, dashboard=config.dashboard)
    )
    with (
        cluster as client,
        # Closed before the client is, so that what is still in flight can be cancelled.
        closing(run_on(client, run.folder, agenda, deadline=config.deadline)) as outcomes,
    ):
        yield outcomes


class _CallerError(BaseException):
    """An exception of the caller's own, which is not to be taken for that of a unit."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _call(callback: Callable[[Event], None], event: Event) -> None:
    try:
        callback(event)
    except Exception as error:
        raise _CallerError(error) from error


def follow(
    agenda: Agenda,
    folder: RunFolder,
    outcomes: Iterator[Outcome | None],
    tell: Callable[[Task, Progress | None], None],
) -> BaseException | None:
    """Keep agenda and journal up to date with what comes back from the tasks of a run.

    Parameters
    ----------
    agenda : Agenda
        What is to be done; told how each task ended.
    folder : RunFolder
        The run.
    outcomes : iterator of Outcome or None
        From `run_serially` or `run_on`; None while nothing has ended.
    tell : callable
        Called with every task that is done.

    Returns
    -------
    Exception or None
        The last error.

    Raises
    ------
    KeyboardInterrupt
        If the run's stop file is there.
    """
    last: BaseException | None = None
    for outcome in outcomes:
        if outcome is not None and outcome.error is None:
            folder.log("done", phase=outcome.task.phase, **(outcome.record or {}))
            for unit in agenda.finish(outcome.task):
                folder.drop("restore", unit)
            tell(outcome.task, None)
        elif outcome is not None and not outcome.begun:
            agenda.retry(outcome.task, begun=False)
        elif outcome is not None and outcome.error is not None:
            last = outcome.error
            _fail(agenda, folder, outcome.task, last)
        if folder.stop_file.exists():
            folder.stop_file.unlink()
            raise KeyboardInterrupt(f"{folder.stop_file} was there")
    return last


def _fail(agenda: Agenda, folder: RunFolder, task: Task, error: BaseException) -> None:
    """Try a task that failed once more, or give its unit up.

    Raises
    ------
    ConfigError
        If it is the worker that cannot do any task.
    """
    if isinstance(error, ConfigError):
        raise error
    why = f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    folder.log("failed", phase=task.phase, unit=task.unit, attempt=task.attempt, error=why, trace=trace)
    if task.attempt + 1 < ATTEMPTS and not isinstance(error, BlindDpsError):
        agenda.retry(task)
        return
    for unit in {task.unit, *agenda.give_up(task.unit, why)}:
        folder.drop("restore", unit)
    folder.give_up(task.unit, why)


def _finish(agenda: Agenda, folder: RunFolder, store: ResultStore) -> None:
    """Build the pyramid and say what came out."""
    store.build_pyramid()
    lost, total = agenda.given_up, agenda.plan.n_units
    folder.log("end", quarantined=len(lost))
    misfit = describe_misfit(store.quality()["chi2"].values)
    if misfit is not None:
        warnings.warn(misfit, MisfitWarning, stacklevel=4)
    if not lost:
        store.finish()
        return
    first = min(lost)
    sentence = f"{len(lost)} of {total} units are quarantined; the first is {first}: {lost[first]}"
    store.finish(sentence)
    warnings.warn(f"{store.path}: {sentence}", QuarantineWarning, stacklevel=4)
