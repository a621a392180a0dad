"""The agenda: everything is done once, in an order that leaves nothing missing, whatever fails."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blinddps_sci.engine.agenda import Agenda, Task
from blinddps_sci.tiling.plan import Plan


def plan_of(rows: int, columns: int, planes: int = 1) -> Plan:
    return Plan((32 * rows - 3, 32 * columns - 5), planes, tile=32, overlap=8, unit=32, kernel_size=5)


def around(plan: Plan, unit: int) -> set[int]:
    return {unit, *plan.neighbours(plan.unit_at(unit))}


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    planes=st.integers(1, 2),
    seed=st.integers(0, 10_000),
    at_once=st.integers(1, 5),
    lost=st.sets(st.integers(0, 7), max_size=3),
    flaky=st.sets(st.integers(0, 7), max_size=3),
)
def test_everything_is_done_once_and_in_order(
    rows: int, columns: int, planes: int, seed: int, at_once: int, lost: set[int], flaky: set[int]
) -> None:
    """Tasks end in a random order; some units are given up, some need a second attempt."""
    plan, shuffle = plan_of(rows, columns, planes), random.Random(seed)
    agenda = Agenda(plan, set(), set())
    flying: list[Task] = []
    done: list[Task] = []
    draws: set[int] = set()
    while True:
        while len(flying) < at_once and (task := agenda.take()) is not None:
            flying.append(task)
        if not flying:
            break
        task = flying.pop(shuffle.randrange(len(flying)))
        if task.phase == "restore" and task.unit in lost:
            agenda.give_up(task.unit, "no")
            continue
        if task.unit in flaky and task.attempt == 0:
            agenda.retry(task)
            continue
        if task.phase == "restore":
            draws.add(task.unit)
        else:
            assert around(plan, task.unit) - lost <= draws
        done.append(task)
        draws -= set(agenda.finish(task))
    kept = set(range(plan.n_units)) - lost
    for phase in ("restore", "blend"):
        assert sorted(task.unit for task in done if task.phase == phase) == sorted(kept)
    assert not draws
    assert set(agenda.given_up) == lost & set(range(plan.n_units))
    assert {task.attempt for task in done if task.unit in flaky} <= {1}


@given(seed=st.integers(0, 10_000), done=st.sets(st.integers(0, 8)))
def test_a_run_goes_on_with_what_is_left(seed: int, done: set[int]) -> None:
    """Units that are blended are left alone; draws that are gone are made again where they are needed."""
    plan = plan_of(3, 3)
    agenda = Agenda(plan, set(), set(done))
    tasks: list[Task] = []
    while (task := agenda.take()) is not None:
        tasks.append(task)
        agenda.finish(task)
    left = set(range(9)) - done
    needed = {unit for unit in range(9) if around(plan, unit) & left}
    assert {task.unit for task in tasks if task.phase == "blend"} == left
    assert {task.unit for task in tasks if task.phase == "restore"} == needed


def test_a_blend_comes_before_the_next_restoration() -> None:
    agenda = Agenda(plan_of(1, 4), set(), set())
    order = []
    while (task := agenda.take()) is not None:
        order.append((task.phase[0], task.unit))
        agenda.finish(task)
    assert order == [("r", 0), ("r", 1), ("b", 0), ("r", 2), ("b", 1), ("r", 3), ("b", 2), ("b", 3)]


def test_nothing_may_begin_while_what_it_needs_is_at_work() -> None:
    agenda = Agenda(plan_of(1, 2), set(), set())
    first, second = agenda.take(), agenda.take()
    assert first is not None
    assert second is not None
    assert agenda.take() is None
    agenda.finish(first)
    assert agenda.take() is None
    agenda.finish(second)
    assert agenda.take() == Task("blend", 0)


def test_a_task_that_had_not_begun_has_not_been_tried() -> None:
    agenda = Agenda(plan_of(1, 1), set(), set())
    task = agenda.take()
    assert task is not None
    agenda.retry(task, begun=False)
    assert agenda.take() == task
    agenda.retry(task)
    assert agenda.take() == Task("restore", 0, attempt=1)


@pytest.mark.parametrize("order", [[3, 1, 0, 2], [2, 3, 0, 1]])
def test_units_are_restored_in_the_order_given(order: list[int]) -> None:
    agenda = Agenda(plan_of(2, 2), set(), set(), order)
    taken = []
    while (task := agenda.take()) is not None:
        taken.append(task)
        agenda.finish(task)
    assert [task.unit for task in taken if task.phase == "restore"] == order
