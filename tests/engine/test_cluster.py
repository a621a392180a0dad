"""Real Dask workers: the same answer as in this process, whatever becomes of the workers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from distributed import Client, WorkerPlugin

from blinddps_sci.engine import tasks
from blinddps_sci.engine.begin import Run, begin_run
from blinddps_sci.engine.cluster import local_cluster
from blinddps_sci.engine.driver import ATTEMPTS, continue_run, run_job
from blinddps_sci.engine.run_folder import PHASES
from blinddps_sci.errors import ConfigError, QuarantineWarning
from blinddps_sci.io.result import ResultStore

UNITS = 6
ARRAYS = ("scale0/image", "scale0/std", "scale0/dq", "psf/kernel", "psf/std", "quality/chi2")


class Faults(WorkerPlugin):
    """Let units of a worker raise, kill it or take their time, as if they did so by themselves."""

    name = "faults"

    def __init__(self, raising: int = -1, killing: int = -1, slow: float = 0.0) -> None:
        self.raising, self.killing, self.slow = raising, killing, slow

    def setup(self, worker: Any) -> None:
        plain = tasks.restore_unit

        def work(job: Any, number: int, *others: Any) -> Any:
            time.sleep(self.slow)
            if number == self.raising:
                raise ValueError(f"unit {number} has had bad luck")
            if number == self.killing:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(job, number, *others)

        tasks.restore_unit = work


@pytest.fixture
def client() -> Iterator[Client]:
    with local_cluster(2) as client:
        yield client


@pytest.fixture
def faults(client: Client) -> Callable[..., Any]:
    """Register faults with the workers, and with those that take their place."""
    return lambda **which: client.register_plugin(Faults(**which))


@pytest.fixture
def frame(scene, tmp_path: Path) -> Path:
    path = tmp_path / "frame.fits"
    fits.writeto(path, scene(64, 64 * UNITS - 20))
    return path


@pytest.fixture
def whole(job_of, frame: Path, tmp_path: Path) -> ResultStore:
    """Return the result of this process alone."""
    return run_job(job_of(str(frame)), tmp_path / "whole.zarr")


@pytest.fixture
def run(job_of, frame: Path, client: Client, tmp_path: Path) -> Run:
    job = job_of(str(frame), scheduler=client.scheduler.address)
    return begin_run(job, tmp_path / "out.zarr", source=str(frame))


def assert_same(one: ResultStore, other: ResultStore) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(one.array(name)[:], other.array(name)[:], err_msg=name)


def done(run: Run) -> list[dict[str, Any]]:
    """Return the journal's lines on units that were restored."""
    return [
        line for line in run.folder.journal() if (line["event"], line.get("phase")) == ("done", "restore")
    ]


def restored_by(run: Run) -> set[int]:
    return {line["process"] for line in done(run)}


def test_workers_find_what_this_process_finds(run: Run, whole: ResultStore) -> None:
    seen: list[tuple[str, int]] = []
    store = continue_run(run, callback=lambda event: seen.append((event.phase, event.unit)))
    assert_same(store, whole)
    assert sorted(seen) == sorted((phase, unit) for phase in PHASES for unit in range(UNITS))
    assert len(restored_by(run)) == 2
    assert os.getpid() not in restored_by(run)


def test_a_worker_that_is_killed_changes_nothing(
    run: Run, whole: ResultStore, client: Client, faults
) -> None:
    faults(slow=1.0)

    def kill() -> None:
        while (
            len({run.folder.record("restore", unit)["process"] for unit in run.folder.marked("restore")}) < 2
        ):
            time.sleep(0.05)
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    store = continue_run(run)
    killer.join()
    assert_same(store, whole)
    assert len(restored_by(run)) >= 2
    assert run.folder.quarantine == {}


@pytest.mark.parametrize("kind", ["raising", "killing"])
def test_a_unit_that_always_fails_is_given_up_and_the_others_finish(
    run: Run, whole: ResultStore, faults, kind: str
) -> None:
    faults(**{kind: 2})
    with pytest.warns(QuarantineWarning, match=f"1 of {UNITS} units are quarantined"):
        store = continue_run(run)
    assert set(run.folder.quarantine) == {2}
    failed = [line["unit"] for line in run.folder.journal() if line["event"] == "failed"]
    assert failed.count(2) == ATTEMPTS
    far = (slice(None), slice(4 * 64, None))
    np.testing.assert_array_equal(store.array("scale0/image")[far], whole.array("scale0/image")[far])
    assert np.isnan(store.array("scale0/image")[:, 128:192]).all()
    assert np.isfinite(store.array("scale0/image")[:, :128]).all()


def test_another_process_goes_on_where_one_ended(run: Run, whole: ResultStore) -> None:
    def stop(event: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        continue_run(run, callback=stop)
    before = {(phase, unit) for phase in PHASES for unit in run.folder.marked(phase)}
    assert 1 <= len(before) < len(PHASES) * UNITS
    logged = len(run.folder.journal())
    assert_same(continue_run(run), whole)
    after = [line for line in run.folder.journal()[logged:] if line["event"] == "done"]
    assert not before & {(line["phase"], line["unit"]) for line in after}


def test_a_scheduler_that_is_not_there_is_refused(job_of, frame: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("blinddps_sci.engine.cluster.connected.__wrapped__.__defaults__", (0.5,))
    run = begin_run(
        job_of(str(frame), scheduler="tcp://127.0.0.1:9"), tmp_path / "out.zarr", source=str(frame)
    )
    with pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9"):
        continue_run(run)


def test_workers_are_started_and_stopped_if_asked_for(job_of, frame, whole, tmp_path: Path) -> None:
    job = job_of(str(frame), workers=2)
    run = begin_run(job, tmp_path / "out.zarr", source=str(frame))
    assert_same(continue_run(run), whole)
    assert os.getpid() not in restored_by(run)
