"""What is to be done next: the order of a run's tasks, and which of them may begin.

A unit is restored on its own; it is blended once it and its neighbours are. Blending comes first where
it can, so that draws are not kept longer than they must be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from blinddps_sci.engine.run_folder import Phase
from blinddps_sci.tiling.plan import Plan

__all__ = ["Agenda", "Task"]


@dataclass(frozen=True)
class Task:
    """A phase of a unit.

    Parameters
    ----------
    phase : str
        Which phase.
    unit : int
        Which unit.
    attempt : int
        How often it has been tried before.
    """

    phase: Phase
    unit: int
    attempt: int = 0


@dataclass
class Agenda:
    """The tasks of a run that are left.

    Parameters
    ----------
    plan : Plan
        The units.
    restored, blended : set of int
        Units of which a phase is done already; those blended need no draws any more.
    order : iterable of int, optional
        In which order units are restored; by number.
    """

    plan: Plan
    restored: set[int]
    blended: set[int]
    order: Iterable[int] | None = None
    given_up: dict[int, str] = field(default_factory=dict)
    _ready: deque[Task] = field(default_factory=deque)
    _again: deque[Task] = field(default_factory=deque)
    _offered: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._todo: Iterator[int] = iter(range(self.plan.n_units) if self.order is None else self.order)
        for unit in sorted(self.restored - self.blended):
            self._offer_blend(unit)

    def take(self) -> Task | None:
        """Return a task that may begin now; None while there is none."""
        if self._ready:
            return self._ready.popleft()
        if self._again:
            return self._again.popleft()
        for unit in self._todo:
            if unit not in self.restored and unit not in self.given_up and self._needed(unit):
                return Task("restore", unit)
        return None

    def finish(self, task: Task) -> tuple[int, ...]:
        """Note that a task is done; return the units whose draws nobody needs any more."""
        if task.phase == "restore":
            self.restored.add(task.unit)
            for unit in self._around(task.unit):
                self._offer_blend(unit)
            return ()
        self.blended.add(task.unit)
        return tuple(unit for unit in self._around(task.unit) if not self._needed(unit))

    def retry(self, task: Task, *, begun: bool = True) -> None:
        """Put a task back, to be tried once more; one that had not begun has not been tried."""
        self._again.append(Task(task.phase, task.unit, task.attempt + begun))

    def give_up(self, unit: int, why: str) -> None:
        """Quarantine a unit: it has no result, and its neighbours are blended without it."""
        self.given_up[unit] = why
        for other in self._around(unit):
            self._offer_blend(other)

    def _around(self, unit: int) -> tuple[int, ...]:
        """Return a unit and those whose weight reaches into its core, by number."""
        return tuple(sorted((unit, *self.plan.neighbours(self.plan.unit_at(unit)))))

    def _needed(self, unit: int) -> bool:
        """Return whether a unit's draws are still to be blended."""
        return any(other not in self.blended and other not in self.given_up for other in self._around(unit))

    def _offer_blend(self, unit: int) -> None:
        """Let a unit be blended if nothing stands in the way any more."""
        if unit not in self.restored or unit in self.blended or unit in self._offered:
            return
        if all(other in self.restored or other in self.given_up for other in self._around(unit)):
            self._offered.add(unit)
            self._ready.append(Task("blend", unit))
