"""The agenda: everything is done once, in an order that leaves nothing missing, whatever fails."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blinddps_sci.engine.agenda import Agenda, Task
from blinddps_sci.engine.evidence import Evidence
from blinddps_sci.engine.run_folder import PHASES
from blinddps_sci.tiling.plan import Plan

UNITS = 9
ORDER_OF_PHASES = {phase: rank for rank, phase in enumerate(PHASES)}


def evidence_of(rows: int, columns: int, planes: int = 1, psf: str | None = None, units: int = 2) -> Evidence:
    shape = (32 * rows - 3, 32 * columns - 5)
    return Evidence(Plan(shape, planes, tile=32, overlap=8, unit=32, kernel_size=5), psf, units)


grids = st.builds(
    evidence_of,
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from([None, "per-tile", "smooth", "shared"]),
    st.integers(1, 5),
)
fates = st.dictionaries(
    st.tuples(st.sampled_from(PHASES), st.integers(0, UNITS)),
    st.sampled_from(["lost", "again", "not begun"]),
    max_size=5,
)
"""What becomes of the first attempt at a task."""

seeds = st.integers(0, 10_000)
several = settings(deadline=None, max_examples=150)


@dataclass
class World:
    """What is on disk, and what becomes of tasks; whatever an agenda offers is held against it."""

    evidence: Evidence
    fates: dict[tuple[str, int], str]
    seed: int = 0
    estimated: set[int] = field(default_factory=set)
    draws: set[int] = field(default_factory=set)
    blended: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    done: list[Task] = field(default_factory=list)

    def around(self, unit: int) -> set[int]:
        plan = self.evidence.plan
        return {unit, *plan.neighbours(plan.unit_at(unit))}

    def needs_draws(self, unit: int) -> bool:
        """Return whether a unit or one around it is still to be blended."""
        return bool(self.around(unit) - self.blended - self.lost)

    def check(self, task: Task) -> None:
        """Fail if a task is offered that cannot be done, or that need not be."""
        unit = task.unit
        assert unit not in self.lost
        if task.phase == "estimate":
            assert self.evidence.estimates(unit)
            assert unit not in self.estimated
            waiting = set(self.evidence.serves(unit)) - self.draws - self.lost
            assert any(self.needs_draws(other) for other in waiting)
        elif task.phase == "restore":
            assert set(self.evidence.of(unit)) <= self.estimated | self.lost
            assert unit not in self.draws
            assert self.needs_draws(unit)
        else:
            assert unit not in self.blended
            assert unit in self.draws
            assert self.around(unit) <= self.draws | self.lost

    def finish(self, agenda: Agenda, task: Task) -> None:
        """Note that a task is done."""
        getattr(self, {"estimate": "estimated", "restore": "draws", "blend": "blended"}[task.phase]).add(
            task.unit
        )
        self.done.append(task)
        self.draws -= set(agenda.finish(task))

    def end(self, agenda: Agenda, task: Task) -> None:
        """Let a task end as it is fated to."""
        fate = self.fates.get((task.phase, task.unit)) if task.attempt == 0 else None
        if fate == "lost":
            self.lost.add(task.unit)
            self.draws -= {task.unit, *agenda.give_up(task.unit, "no")}
        elif fate == "again":
            agenda.retry(task)
        elif fate == "not begun":
            del self.fates[task.phase, task.unit]
            agenda.retry(task, begun=False)
        else:
            self.finish(agenda, task)
        assert self.draws == {unit for unit in self.draws if self.needs_draws(unit)}

    def run(self, at_once: int, stop: int | None = None, order: range | None = None) -> None:
        """Follow an agenda, so many tasks at once, which end in a random order; stop after so many."""
        shuffle = random.Random(self.seed)
        others = dict.fromkeys(self.lost, "no")
        known = (set(self.estimated), set(self.draws), set(self.blended))
        agenda = Agenda(self.evidence, *known, order, others)
        flying: list[Task] = []
        ended = 0
        while True:
            while len(flying) < at_once and (task := agenda.take()) is not None:
                self.check(task)
                assert (task.phase, task.unit) not in {(t.phase, t.unit) for t in flying}
                flying.append(task)
            if not flying or ended == stop:
                return
            self.end(agenda, flying.pop(shuffle.randrange(len(flying))))
            ended += 1

    def assert_complete(self) -> None:
        units = set(range(self.evidence.plan.n_units))
        assert self.blended == units - self.lost | (self.blended & self.lost)
        assert not self.draws


@several
@given(evidence=grids, fates=fates, seed=seeds, at_once=st.integers(1, 5))
def test_everything_is_done_once_and_in_order(
    evidence: Evidence, fates: dict[tuple[str, int], str], seed: int, at_once: int
) -> None:
    """Tasks end in a random order; some units are given up, some tasks need a second attempt."""
    world = World(evidence, dict(fates), seed)
    world.run(at_once)
    world.assert_complete()
    done = [(task.phase, task.unit) for task in world.done]
    assert len(set(done)) == len(done)
    kept = set(range(evidence.plan.n_units)) - world.lost
    for phase in PHASES:
        wanted = {unit for unit in kept if phase != "estimate" or evidence.estimates(unit)}
        assert wanted <= {unit for name, unit in done if name == phase} <= wanted | world.lost
    for task in world.done:
        assert task.attempt == (fates.get((task.phase, task.unit)) == "again")


@several
@given(evidence=grids, fates=fates, seed=seeds, at_once=st.integers(1, 4), stop=st.integers(0, 40))
def test_a_run_goes_on_from_wherever_it_ended(
    evidence: Evidence, fates: dict[tuple[str, int], str], seed: int, at_once: int, stop: int
) -> None:
    """What was at work when it ended is lost; what is on disk is not made again."""
    world = World(evidence, dict(fates), seed)
    world.run(at_once, stop)
    estimated, blended = set(world.estimated), set(world.blended)
    world.done.clear()
    world.run(at_once)
    world.assert_complete()
    assert not estimated & {task.unit for task in world.done if task.phase == "estimate"}
    assert not blended & {task.unit for task in world.done if task.phase == "blend"}


@several
@given(
    evidence=grids,
    seed=seeds,
    blended=st.sets(st.integers(0, UNITS)),
    estimated=st.sets(st.integers(0, UNITS)),
)
def test_draws_that_are_gone_are_made_again_where_they_are_needed(
    evidence: Evidence, seed: int, blended: set[int], estimated: set[int]
) -> None:
    units = set(range(evidence.plan.n_units))
    world = World(evidence, {}, seed, estimated=estimated & units, blended=blended & units)
    needed = {unit for unit in units if world.needs_draws(unit)}
    world.run(2)
    world.assert_complete()
    made = {phase: {task.unit for task in world.done if task.phase == phase} for phase in PHASES}
    assert made["blend"] == units - blended
    assert made["restore"] == needed
    assert made["estimate"] == {other for unit in needed for other in evidence.of(unit)} - estimated


@several
@given(evidence=grids, fates=fates, seed=seeds, shards=st.integers(2, 3))
def test_shards_do_what_they_can_and_leave_the_rest_to_the_end(
    evidence: Evidence, fates: dict[tuple[str, int], str], seed: int, shards: int
) -> None:
    """A process for each share of the units, one after the other, and one for what they left."""
    world, total = World(evidence, dict(fates), seed), evidence.plan.n_units
    for i in range(shards):
        share = range(total * i // shards, total * (i + 1) // shards)
        before = len(world.done)
        world.run(2, order=share)
        assert {task.unit for task in world.done[before:]} <= set(share)
    world.run(2)
    world.assert_complete()


def followed(agenda: Agenda) -> list[Task]:
    """Return the tasks of an agenda, done one after the other."""
    order = []
    while (task := agenda.take()) is not None:
        order.append(task)
        agenda.finish(task)
    return order


def spoken(tasks: list[Task]) -> str:
    return " ".join(f"{task.phase[0]}{task.unit}" for task in tasks)


@pytest.mark.parametrize(
    ("psf", "expected"),
    [
        (None, "r0 r1 b0 r2 b1 r3 b2 b3"),
        ("per-tile", "e0 r0 e1 r1 b0 e2 r2 b1 e3 r3 b2 b3"),
        ("smooth", "e0 e1 r0 e2 r1 b0 e3 r2 b1 r3 b2 b3"),
        ("shared", "e0 e2 r0 r1 b0 r2 b1 r3 b2 b3"),
    ],
)
def test_what_is_nearest_to_its_end_comes_first(psf: str | None, expected: str) -> None:
    assert spoken(followed(Agenda(evidence_of(1, 4, psf=psf)))) == expected


def test_nothing_may_begin_while_what_it_needs_is_at_work() -> None:
    agenda = Agenda(evidence_of(1, 2, psf="smooth"))
    for phase in ("estimate", "restore"):
        first, second = agenda.take(), agenda.take()
        assert {first, second} == {Task(phase, 0), Task(phase, 1)}
        assert agenda.take() is None
        agenda.finish(first)
        assert agenda.take() is None
        agenda.finish(second)
    assert agenda.take() == Task("blend", 0)


@pytest.mark.parametrize("phase", PHASES)
def test_a_task_that_had_not_begun_has_not_been_tried(phase: str) -> None:
    agenda = Agenda(evidence_of(1, 1, psf="per-tile"))
    while (task := agenda.take()) is not None and task.phase != phase:
        agenda.finish(task)
    assert task == Task(phase, 0)
    agenda.retry(task, begun=False)
    assert agenda.take() == task
    agenda.retry(task)
    assert agenda.take() == Task(phase, 0, attempt=1)


@pytest.mark.parametrize("order", [(3, 1, 0, 2), (2, 3, 0, 1)])
def test_units_are_treated_in_the_order_given(order: tuple[int, ...]) -> None:
    tasks = followed(Agenda(evidence_of(2, 2, psf="per-tile"), order=order))
    for phase in ("estimate", "restore"):
        assert tuple(task.unit for task in tasks if task.phase == phase) == order


def test_a_unit_that_is_given_up_last_sets_the_draws_around_it_free() -> None:
    agenda = Agenda(evidence_of(1, 2))
    for _ in range(2):
        agenda.finish(agenda.take())
    first, second = agenda.take(), agenda.take()
    assert agenda.finish(first) == ()
    assert agenda.give_up(second.unit, "no") == (0, 1)
