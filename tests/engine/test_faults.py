"""Whatever happens to a run, its shards are bit by bit those of one to which nothing has happened."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from distributed import Client, WorkerPlugin

from blinddps_sci import cli
from blinddps_sci.engine import driver, tasks
from blinddps_sci.engine.agenda import Agenda
from blinddps_sci.engine.begin import Run, begin_run
from blinddps_sci.engine.cluster import local_cluster
from blinddps_sci.engine.driver import continue_run
from blinddps_sci.engine.restore import quarantined, resume, verify
from blinddps_sci.engine.run_folder import PHASES, Phase, RunFolder
from blinddps_sci.io.result import DQ_BITS, open_result

UNITS = 6
TASKS = UNITS * len(PHASES)


def digests(path: Path) -> dict[str, str]:
    """Return the SHA-256 of every shard of images, flags, kernels and chi-squared of a store."""
    shards = [file for name in ("scale0", "psf", "quality") for file in (path / name).rglob("c/**/*")]
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(shards)
        if file.is_file()
    }


def as_options(fields: dict[str, Any]) -> list[str]:
    """Return fields of the configuration as the command line takes them."""
    return [part for name, value in fields.items() for part in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture(scope="module")
def clusters() -> Iterator[Callable[[int], Client]]:
    """Clusters by their number of workers, each started once."""
    # Closed in reverse: each client, as it closes, makes that before it the default of Dask again.
    with ExitStack() as stack:
        yield cache(lambda workers: stack.enter_context(local_cluster(workers)))


@pytest.fixture
def frame(scene, tmp_path: Path) -> Path:
    """Return a picture of two by three units."""
    path = tmp_path / "frame.fits"
    fits.writeto(path, scene(110, 170))
    return path


@pytest.fixture
def begun(job_of, frame: Path, tmp_path: Path) -> Callable[..., Run]:
    """Maker of runs over the picture, not yet followed."""

    def make(name: str, **options: Any) -> Run:
        return begin_run(job_of(str(frame), **options), tmp_path / f"{name}.zarr", source=str(frame))

    return make


@pytest.fixture
def expected(begun) -> dict[str, str]:
    """Return the shards of a run of this process alone, to which nothing happens."""
    run = begun("whole")
    continue_run(run)
    found = digests(run.store.path)
    assert run.job.plan.n_units == UNITS
    assert sum(name.startswith("scale0/image") for name in found) == UNITS
    return found


# --- who does it, and in which order ---


@pytest.mark.parametrize("psf", ["per-tile", "smooth", "shared"])
def test_neither_workers_nor_order_decide(begun, clusters, psf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"psf": psf, "psf_units": 2}
    alone = begun("alone", **options)
    continue_run(alone)
    expected = digests(alone.store.path)
    for workers in (1, 3):
        run = begun(f"with-{workers}", scheduler=clusters(workers).scheduler.address, **options)
        continue_run(run)
        assert digests(run.store.path) == expected
        processes = {record["process"] for record in run.folder.records()}
        assert os.getpid() not in processes
        assert len(processes) == workers
    shuffled = random.Random(3).sample(range(UNITS), UNITS)

    def agenda(evidence, estimated, restored, blended, order, given_up) -> Agenda:
        return Agenda(evidence, estimated, restored, blended, tuple(shuffled), given_up)

    monkeypatch.setattr(driver, "Agenda", agenda)
    run = begun("shuffled", **options)
    continue_run(run)
    orders = [
        [(line["phase"], line["unit"]) for line in each.folder.journal() if line["event"] == "done"]
        for each in (alone, run)
    ]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert digests(run.store.path) == expected


# --- workers that die ---


class Slow(WorkerPlugin):
    """Let every task take a while, so that there is something to be killed."""

    name = "slow"

    def setup(self, worker: Any) -> None:
        plain = RunFolder.begin

        def begin(folder: RunFolder, phase: Phase, unit: int) -> None:
            plain(folder, phase, unit)
            time.sleep(0.3)

        RunFolder.begin = begin


def test_workers_that_are_killed_at_random_times_change_nothing(begun, expected: dict[str, str]) -> None:
    """Five times a worker that is at work; no task is hit thrice, which would be quarantined."""
    chance = random.Random(11)
    moments = sorted(chance.sample(range(1, TASKS - 5), 5))
    hit: set[tuple[Phase, int]] = set()
    kills: list[int] = []
    with local_cluster(3) as client:
        client.register_plugin(Slow())
        run = begun("out", scheduler=client.scheduler.address)
        processes = dict(client.run(os.getpid))

        def victims() -> list[tuple[str, set[tuple[Phase, int]]]]:
            """Return workers that are at work on a task that has not been hit."""
            found = []
            for address, keys in sorted(client.processing().items()):
                tasks = {(phase, int(unit)) for phase, unit, _ in (key.split("-") for key in keys)}
                at_work = {task for task in tasks if run.folder.has_begun(*task)}
                if at_work and not at_work & hit:
                    found.append((address, at_work))
            return found

        def kill() -> None:
            for moment in moments:
                while sum(1 for phase in PHASES for _ in run.folder.marked(phase)) < moment:
                    time.sleep(0.02)
                while not (chosen := victims()):
                    time.sleep(0.02)
                address, tasks = chance.choice(chosen)
                if address not in processes:  # it has taken the place of another
                    processes.update(client.run(os.getpid, workers=[address]))
                hit.update(tasks)
                kills.append(processes[address])
                os.kill(processes[address], signal.SIGKILL)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        continue_run(run)
        killer.join(timeout=10)
    assert len(set(kills)) == len(moments)
    assert run.folder.quarantine == {}
    assert digests(run.store.path) == expected


class DieBeforeMarking(WorkerPlugin):
    """Let each phase of a unit die once when its data are written and its marker is not.

    Of the blend, the shard is torn before.
    """

    name = "die-before-marking"

    def __init__(self, unit: int, folder: Path) -> None:
        self.unit, self.folder = unit, folder

    def setup(self, worker: Any) -> None:
        plain, unit, notes = RunFolder.mark, self.unit, self.folder

        def mark(folder: RunFolder, phase: Phase, number: int, record: dict[str, Any]) -> None:
            note = notes / f"died-of-{phase}"
            if number == unit and not note.exists():
                note.touch()
                if phase == "blend":
                    shard = folder.store / "scale0" / "image" / "c" / "0" / str(unit)
                    os.truncate(shard, shard.stat().st_size // 2)
                os._exit(1)
            plain(folder, phase, number, record)

        RunFolder.mark = mark


def test_workers_that_die_between_data_and_marker_change_nothing(
    begun, expected: dict[str, str], tmp_path: Path
) -> None:
    with local_cluster(2) as client:
        client.register_plugin(DieBeforeMarking(2, tmp_path))
        run = begun("out", scheduler=client.scheduler.address)
        continue_run(run)
    assert sorted(path.name for path in tmp_path.glob("died-*")) == [
        f"died-of-{phase}" for phase in sorted(PHASES)
    ]
    assert digests(run.store.path) == expected


# --- units that cannot be done ---


class Faults(WorkerPlugin):
    """Let one unit raise, one kill its worker and one hang."""

    name = "three-faults"

    def __init__(self, raising: int, killing: int, hanging: int) -> None:
        self.raising, self.killing, self.hanging = raising, killing, hanging

    def setup(self, worker: Any) -> None:
        plain, faults = tasks.restore_unit, self

        def work(job: Any, number: int, *others: Any) -> Any:
            if number == faults.raising:
                raise ValueError("bad luck")
            if number == faults.killing:
                os.kill(os.getpid(), signal.SIGKILL)
            if number == faults.hanging:
                time.sleep(3600)
            return plain(job, number, *others)

        tasks.restore_unit = work


def test_exactly_what_cannot_be_done_is_given_up(
    small, scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of ten units one raises, one kills its worker, one hangs, and one has no measured pixel."""
    monkeypatch.setattr(driver, "ATTEMPTS", 2)
    raising, killing, hanging, empty = 0, 3, 6, 9
    data = scene(40, 640)
    data[:, 64 * empty - 20 :] = np.nan
    fits.writeto(tmp_path / "in.fits", data)
    out = tmp_path / "out.zarr"
    with local_cluster(2) as client:
        client.register_plugin(Faults(raising, killing, hanging))
        where = {"psf": "per-tile", "scheduler": client.scheduler.address, "deadline": 4.0}
        command = ["restore", str(tmp_path / "in.fits"), "-o", str(out), "--quiet"]
        assert cli.main([*command, *as_options({**small, **where})]) == 3
    store, quarantine = open_result(out), quarantined(out)
    said = capsys.readouterr().err
    assert all(f"unit {unit} is quarantined: {why}" in said for unit, why in quarantine.items())
    assert set(quarantine) == {raising, killing, hanging}
    assert quarantine[raising] == "ValueError: bad luck"
    assert quarantine[killing].startswith("KilledWorker")
    assert quarantine[hanging] == "TimeoutError: not done after the deadline of 4 s"
    assert store.status == "complete"
    assert store.sentence.startswith("3 of 10 units are quarantined; the first is 0: ")
    image, dq = store.array("scale0/image")[:], store.array("scale0/dq")[:]
    for unit in range(10):
        core = (slice(None), slice(64 * unit, 64 * (unit + 1)))
        lost, nothing = unit in quarantine, unit == empty
        assert ((dq[core] & DQ_BITS["no_result"]) > 0).all() == lost
        assert ((dq[core] & DQ_BITS["masked_input"]) > 0).all() == nothing
        assert np.isnan(image[core]).all() == (lost or nothing)
        assert np.isfinite(image[core]).all() == (not lost and not nothing)


def test_a_unit_without_a_measured_pixel_is_empty_and_no_fault(job_of, scene, tmp_path: Path) -> None:
    data = scene(40, 256)
    data[:, 64 - 20 : 128 + 20] = np.nan
    run = begin_run(job_of(data), tmp_path / "out.zarr")
    store = continue_run(run)
    image, dq = store.array("scale0/image")[:], store.array("scale0/dq")[:]
    middle = slice(64, 128)
    assert run.folder.quarantine == {}
    assert np.isnan(image[:, middle]).all()
    assert np.isfinite(np.delete(image, middle, axis=1)).all()
    np.testing.assert_array_equal(dq == DQ_BITS["masked_input"], np.isnan(data))


# --- runs that end before their time ---


def started(frame: Path, out: Path, options: dict[str, Any]) -> subprocess.Popen[str]:
    """Start the command line with two workers, in a process group of its own."""
    command = [sys.executable, "-m", "blinddps_sci", "restore", frame, "-o", out, "--workers", "2", "--quiet"]
    return subprocess.Popen(
        [*command, *as_options(options)], start_new_session=True, stderr=subprocess.PIPE, text=True
    )


def folder_of(out: Path) -> RunFolder | None:
    return next((RunFolder(path) for path in out.with_name(f"{out.name}.run").glob("*")), None)


def wait_for(phase: Phase, out: Path, process: subprocess.Popen[str]) -> RunFolder:
    """Return the folder of a run once a phase of some unit is done."""
    while (folder := folder_of(out)) is None or not any(True for _ in folder.marked(phase)):
        assert process.poll() is None, "the run ended too early"
        time.sleep(0.02)
    return folder


@pytest.mark.parametrize(
    ("how", "phase"), [(signal.SIGKILL, "estimate"), (signal.SIGKILL, "blend"), (signal.SIGTERM, "restore")]
)
def test_a_run_that_is_ended_goes_on_and_ends_alike(
    small, frame: Path, expected: dict[str, str], tmp_path: Path, how: signal.Signals, phase: Phase
) -> None:
    out = tmp_path / "out.zarr"
    with started(frame, out, small) as process:
        folder = wait_for(phase, out, process)
        if how == signal.SIGKILL:  # of all its processes at once
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        _, said = process.communicate(timeout=60)
    if how == signal.SIGTERM:
        assert process.returncode == 130
        assert "goes on with `blinddps resume" in said
    before = {(phase, unit) for phase in PHASES for unit in folder.marked(phase)}
    assert 1 <= len(before) < TASKS
    logged = len(folder.journal())
    resume(out)
    assert digests(out) == expected
    again = [(line["phase"], line["unit"]) for line in folder.journal()[logged:] if line["event"] == "done"]
    # Draws may be gone and be needed again; estimates and blended cores are not made twice.
    assert not {task for task in before if task[0] != "restore"} & set(again)
    assert open_result(out).status == "complete"


def test_shards_that_are_torn_are_found_and_made_again(begun, expected: dict[str, str]) -> None:
    run = begun("out")
    continue_run(run)
    image = sorted(file for file in (run.store.path / "scale0/image/c").rglob("*") if file.is_file())
    kernels = sorted(file for file in (run.store.path / "psf/kernel/c").rglob("*") if file.is_file())
    for file in (image[1], image[4], kernels[0]):
        os.truncate(file, file.stat().st_size - 9)
    assert digests(run.store.path) != expected
    damaged = verify(run.store.path, repair=True)
    assert len(damaged) >= 2
    assert verify(run.store.path) == {}
    assert digests(run.store.path) == expected
