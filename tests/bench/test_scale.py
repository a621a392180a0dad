"""`bench scale`: tasks that sleep go through a real run, and what is measured is what was slept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from distributed import Client

from blinddps_sci.bench import scale
from blinddps_sci.engine.agenda import Task
from blinddps_sci.engine.cluster import local_cluster


def test_a_plan_of_100_000_pixels_squared_takes_less_than_a_second_and_20_mb() -> None:
    (row,), text = scale.run_plan()
    assert row["units"] == 49**2
    assert row["seconds"] < 1
    assert row["peak"] < 20
    assert "| 100000 | 2401 |" in text


def test_the_slope_is_that_of_the_second_half() -> None:
    memory = scale._Memory()
    # Libraries are loaded first; then every unit keeps 5 000 bytes.
    memory.bytes = [0] * 100 + [10**8 + 5000 * i for i in range(100)]
    assert memory.slope == pytest.approx(5.0)


def test_memory_is_noted_once_for_every_unit() -> None:
    memory = scale._Memory()
    for phase in ("estimate", "restore", "blend"):
        memory(Task(phase, 0), None)
    assert len(memory.bytes) == 1
    assert memory.bytes[0] > 2**20


def test_every_unit_goes_through_all_phases_and_sleeps_for_its_own_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[tuple[str, int]] = []
    slept: list[float] = []
    monkeypatch.setattr(scale.time, "sleep", slept.append)

    def work(folder: str, task: Task) -> dict[str, Any]:
        done.append((task.phase, task.unit))
        return scale.sleep(folder, task, seconds=(0.0, 0.1))

    scale.followed(scale.row_of_units(6), work, psf="smooth")
    assert sorted(done) == sorted((phase, n) for phase in ("estimate", "restore", "blend") for n in range(6))
    assert sorted(slept) == [0.0] * 3 + [0.1] * 3
    scale.followed(scale.row_of_units(6), scale.do_nothing, psf="smooth")
    assert len(slept) == 6  # even a sleep of no time costs a turn of the processor


def test_a_run_that_has_lost_a_unit_is_no_measurement() -> None:
    def work(folder: str, task: Task) -> dict[str, Any]:
        return {"unit": task.unit}  # never marked

    with pytest.raises(AssertionError, match="has not been done"):
        scale.followed(scale.row_of_units(3), work)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Client]:
    with local_cluster(2, device="cpu") as client:
        client.wait_for_workers(2)
        client.run(scale.row_of_units, 1)
        yield client


@pytest.fixture
def clusters(two_workers: Client, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every cluster that is asked for is the same one of two workers; returns what was asked for."""
    asked: list[int] = []

    @contextmanager
    def workers(count: int) -> Iterator[Client]:
        asked.append(count)
        yield two_workers

    monkeypatch.setattr(scale, "_workers", workers)
    return asked


def test_overhead_is_measured_in_this_process_and_on_workers(clusters: list[int]) -> None:
    rows, text = scale.run_overhead(units=40)
    assert [row["where"] for row in rows] == ["this process", "2 workers"]
    assert clusters == [2]
    assert all(0 < row["ms"] < 200 for row in rows)  # less than a blink
    assert all(0 < row["processor"] < 2 * row["ms"] for row in rows)
    assert len(text.splitlines()) == 4


def test_workers_share_what_is_to_be_slept(clusters: list[int]) -> None:
    (row,), _ = scale.run_strong(units=10, seconds=0.2, workers=(2,))
    assert row["ideal"] == pytest.approx(1.0)
    assert 0.6 < row["efficiency"] <= 1
    assert row["seconds"] == pytest.approx(row["ideal"] / row["efficiency"])


def test_stragglers_are_compared_with_their_work_shared_evenly(clusters: list[int]) -> None:
    (row,), _ = scale.run_stragglers(workers=2, per_worker=5, median=0.1, spread=0.5)
    (same,), _ = scale.run_stragglers(workers=2, per_worker=5, median=0.2, spread=0.5)
    assert row["units"] == 10
    assert same["ideal"] == pytest.approx(2 * row["ideal"])
    # The simulation knows no overhead, which is all that comes on top of it.
    assert 1 <= row["least"] < row["ratio"] < 2
    assert same["least"] == pytest.approx(row["least"])
    assert row["seconds"] >= row["longest"]


def test_tasks_reach_workers_by_their_names(two_workers: Client) -> None:
    work = partial(scale.sleep, seconds=(0.3,))
    taken = scale.followed(scale.row_of_units(4), work, two_workers, psf="per-tile")
    # Two units for each of two workers; one after the other they would take twice as long.
    assert 0.6 <= taken.seconds < 1.2
    # This process waits meanwhile.
    assert taken.processor < taken.seconds


def test_workers_have_loaded_the_package_before_anything_is_measured() -> None:
    with scale._workers(1) as client:
        (loaded,) = client.run(_loaded).values()
    assert {"torch", "blinddps_sci.bench.scale"} <= loaded


def _loaded() -> set[str]:
    import sys

    return set(sys.modules)
