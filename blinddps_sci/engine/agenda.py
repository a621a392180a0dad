"""What is to be done next: the order of a run's tasks, and which of them may begin.

A unit's kernels are estimated on its own; it is restored once all estimates that it is restored with are
there; it is blended once it and its neighbours are restored. What is nearest to its end comes first, so
that draws are not kept longer than they must be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from blinddps_sci.engine.evidence import Evidence
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
    evidence : Evidence
        The units, and whose estimates each is restored with.
    estimated, restored, blended : set of int
        Units of which a phase is done already and its result there; those blended need none any more.
    order : sequence of int, optional
        Which units are to be treated, and in which order; all, by number.
    """

    evidence: Evidence
    estimated: set[int] = field(default_factory=set)
    restored: set[int] = field(default_factory=set)
    blended: set[int] = field(default_factory=set)
    order: range | tuple[int, ...] | None = None
    given_up: dict[int, str] = field(default_factory=dict)
    _blends: deque[Task] = field(default_factory=deque)
    _restorations: deque[Task] = field(default_factory=deque)
    _again: deque[Task] = field(default_factory=deque)
    _offered: set[Task] = field(default_factory=set)

    def __post_init__(self) -> None:
        units = range(self.plan.n_units) if self.order is None else self.order
        self._mine = units if isinstance(units, range) else frozenset(units)
        self._todo: Iterator[int] = iter(units)
        for unit in sorted(self.restored - self.blended):
            self._offer_blend(unit)

    @property
    def plan(self) -> Plan:
        """The units."""
        return self.evidence.plan

    def take(self) -> Task | None:
        """Return a task that may begin now; None while there is none."""
        for queue in (self._blends, self._again, self._restorations):
            if queue:
                return queue.popleft()
        for unit in self._todo:
            if unit not in self.given_up:
                if self._to_estimate(unit):
                    return Task("estimate", unit)
                self._offer_restoration(unit)
                if self._restorations:
                    return self._restorations.popleft()
        return None

    def finish(self, task: Task) -> tuple[int, ...]:
        """Note that a task is done; return the units whose draws nobody needs any more."""
        if task.phase == "estimate":
            self.estimated.add(task.unit)
            self._estimate_ended(task.unit)
            return ()
        if task.phase == "restore":
            self.restored.add(task.unit)
            for unit in self._around(task.unit):
                self._offer_blend(unit)
            return ()
        self.blended.add(task.unit)
        return self._done_with(task.unit)

    def retry(self, task: Task, *, begun: bool = True) -> None:
        """Put a task back, to be tried once more; one that had not begun has not been tried."""
        self._again.append(Task(task.phase, task.unit, task.attempt + begun))

    def give_up(self, unit: int, why: str) -> tuple[int, ...]:
        """Quarantine a unit: it has no result, and others are restored and blended without it.

        Returns the units whose draws nobody needs any more, as `finish` does.
        """
        self.given_up[unit] = why
        self._estimate_ended(unit)
        for other in self._around(unit):
            self._offer_blend(other)
        return self._done_with(unit)

    def _around(self, unit: int) -> tuple[int, ...]:
        """Return a unit and those whose weight reaches into its core, by number."""
        return tuple(sorted((unit, *self.plan.neighbours(self.plan.unit_at(unit)))))

    def _to_blend(self, unit: int) -> bool:
        """Return whether a unit's draws are still to be blended, into its own core or into others'."""
        return any(other not in self.blended and other not in self.given_up for other in self._around(unit))

    def _done_with(self, unit: int) -> tuple[int, ...]:
        """Return which of a unit and those around it have draws that nobody needs any more."""
        return tuple(other for other in self._around(unit) if not self._to_blend(other))

    def _to_restore(self, unit: int) -> bool:
        return unit not in self.restored and unit not in self.given_up and self._to_blend(unit)

    def _to_estimate(self, unit: int) -> bool:
        return (
            unit not in self.estimated
            and self.evidence.estimates(unit)
            and any(map(self._to_restore, self.evidence.serves(unit)))
        )

    def _estimate_ended(self, unit: int) -> None:
        """Let units be restored for which this was the last estimate to come."""
        if not self.evidence.estimates(unit):
            return
        if self.evidence.psf == "shared" and not self._has_evidence(unit):
            return  # it is the same for all of them
        for other in sorted(self.evidence.serves(unit)):
            self._offer_restoration(other)

    def _has_evidence(self, unit: int) -> bool:
        return all(other in self.estimated or other in self.given_up for other in self.evidence.of(unit))

    def _offer_restoration(self, unit: int) -> None:
        """Let a unit be restored if nothing stands in the way any more."""
        task = Task("restore", unit)
        if task in self._offered or unit not in self._mine or not self._to_restore(unit):
            return
        if self._has_evidence(unit):
            self._offered.add(task)
            self._restorations.append(task)

    def _offer_blend(self, unit: int) -> None:
        """Let a unit be blended if nothing stands in the way any more."""
        task = Task("blend", unit)
        if task in self._offered or unit not in self._mine:
            return
        if unit not in self.restored or unit in self.blended:
            return
        if all(other in self.restored or other in self.given_up for other in self._around(unit)):
            self._offered.add(task)
            self._blends.append(task)
