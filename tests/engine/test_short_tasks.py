"""Tasks that take less time than to be handed out: several to a future, each with an end of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

from blinddps_sci.engine.agenda import Agenda, Task
from blinddps_sci.engine.cluster import Work, local_cluster, run_on
from blinddps_sci.engine.evidence import Evidence
from blinddps_sci.engine.run_folder import PHASES, RunFolder
from blinddps_sci.engine.serial import Outcome
from blinddps_sci.tiling.plan import Plan

UNITS = 60
LATE = 50
"""A unit whose turn comes when tasks are known to be short."""


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_cluster(2) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder.beside(tmp_path / "out.zarr", "short")
    folder.create()
    return folder


def work_of(*, raising: int = -1, slow: int = -1) -> Work:
    """Return work that does nothing but leave its traces; of one unit it takes its time, of one it raises."""

    def work(path: str, task: Task) -> dict[str, Any]:
        run = RunFolder(Path(path))
        run.begin(task.phase, task.unit)
        if task.phase == "restore" and task.unit == raising:
            raise ValueError("bad luck")
        if task.phase == "restore" and task.unit == slow:
            time.sleep(1.0)
        run.save(task.phase, task.unit, np.zeros(1))
        record = {"unit": task.unit, "end": time.time(), "seconds": 0.0}
        run.mark(task.phase, task.unit, record)
        return record

    return work


def follow(client: Client, folder: RunFolder, work: Work) -> tuple[list[Outcome], int]:
    """Do all tasks and return how each ended, and how many futures that took."""
    plan = Plan((32, 32 * UNITS), 1, tile=32, overlap=8, unit=32, kernel_size=5)
    agenda, ended, submitted = Agenda(Evidence(plan, "per-tile", 1)), list[Outcome](), 0
    submit = client.submit

    def count(*args: Any, **options: Any) -> Any:
        nonlocal submitted
        submitted += 1
        return submit(*args, **options)

    outcomes = run_on(client, folder, agenda, work=work)
    with pytest.MonkeyPatch.context() as patch, closing(outcomes):
        patch.setattr(client, "submit", count)
        for outcome in filter(None, outcomes):
            ended.append(outcome)
            if outcome.error is None:
                agenda.finish(outcome.task)
            elif outcome.begun:
                agenda.give_up(outcome.task.unit, str(outcome.error))
            else:
                agenda.retry(outcome.task, begun=False)
    return ended, submitted


def done(ended: list[Outcome]) -> list[tuple[str, int]]:
    return sorted((outcome.task.phase, outcome.task.unit) for outcome in ended if outcome.error is None)


def every() -> list[tuple[str, int]]:
    return sorted((phase, unit) for phase in PHASES for unit in range(UNITS))


def test_short_tasks_share_a_future(client: Client, folder: RunFolder) -> None:
    ended, submitted = follow(client, folder, work_of())
    assert done(ended) == every()
    assert submitted < len(PHASES) * UNITS


def test_the_one_that_raises_is_blamed_and_no_other(client: Client, folder: RunFolder) -> None:
    ended, _ = follow(client, folder, work_of(raising=LATE))
    blamed = [outcome.task for outcome in ended if outcome.error is not None and outcome.begun]
    assert blamed == [Task("restore", LATE)]
    assert done(ended) == [each for each in every() if each not in {("restore", LATE), ("blend", LATE)}]


def test_nothing_waits_behind_a_task_that_is_longer_than_expected(client: Client, folder: RunFolder) -> None:
    ended, _ = follow(client, folder, work_of(slow=LATE))
    assert done(ended) == every()
    end = {
        outcome.task.unit: outcome.record["end"]
        for outcome in ended
        if outcome.task.phase == "restore" and outcome.record is not None
    }
    assert max(time for unit, time in end.items() if unit < LATE) < end[LATE]
    behind = [outcome.task.unit for outcome in ended if not outcome.begun]
    assert all(unit > LATE for unit in behind)
