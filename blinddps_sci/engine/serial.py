"""Doing the tasks of a run one after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from blinddps_sci.engine.agenda import Agenda, Task

__all__ = ["Outcome", "run_serially"]


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Parameters
    ----------
    task : Task
        Which.
    record : dict, optional
        What its marker says, if it was done.
    error : Exception, optional
        What was raised, if it was not.
    begun : bool
        Whether the task had begun; otherwise its worker died of something else.
    """

    task: Task
    record: dict[str, Any] | None = None
    error: BaseException | None = None
    begun: bool = True


def run_serially(agenda: Agenda, work: Callable[[Task], dict[str, Any]]) -> Iterator[Outcome]:
    """Do one task after the other and yield how each ended; the caller tells the agenda."""
    while (task := agenda.take()) is not None:
        try:
            outcome = Outcome(task, record=work(task))
        except Exception as error:
            outcome = Outcome(task, error=error)
        yield outcome
