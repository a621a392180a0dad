"""Processes that share a run without a scheduler: each does its part, and together they do the whole."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from blinddps_sci.engine import begin
from blinddps_sci.engine.begin import join_run
from blinddps_sci.engine.driver import Event, continue_run
from blinddps_sci.engine.restore import restore, resume
from blinddps_sci.engine.run_folder import PHASES, RunFolder
from blinddps_sci.errors import ConfigError, OutputError
from blinddps_sci.io.result import open_result

UNITS = 6
SHARDS = ("0/3", "1/3", "2/3")


@pytest.fixture
def frame(scene, tmp_path: Path) -> Path:
    """Return a picture of two by three units."""
    path = tmp_path / "frame.fits"
    fits.writeto(path, scene(110, 170))
    return path


@pytest.fixture
def done(small: dict[str, Any], frame: Path) -> Callable[..., list[tuple[str, int]]]:
    """Restore the picture, or a part of it; return which phases of which units were done."""

    def go(out: Path, **options: Any) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []

        def note(event: Event) -> None:
            if event.progress is None:
                found.append((event.phase, event.unit))

        restore(frame, out, callback=note, **{**small, **options})
        return found

    return go


@pytest.mark.parametrize("psf", ["per-tile", "smooth", "shared"])
def test_shards_together_are_one_run(done, digests, tmp_path: Path, psf: str) -> None:
    options = {"psf": psf, "psf_units": 2}
    whole = done(tmp_path / "whole.zarr", **options)
    out = tmp_path / "out.zarr"
    rounds = [[done(out, shard=shard, **options) for shard in SHARDS] for _ in range(2)]
    for part in rounds:
        for number, tasks in enumerate(part):
            assert {unit for _, unit in tasks} <= {2 * number, 2 * number + 1}
    parts = [task for part in rounds for tasks in part for task in tasks]
    assert open_result(out).status == "running"
    rest: list[tuple[str, int]] = []
    resume(out, callback=lambda event: event.progress is None and rest.append((event.phase, event.unit)))
    assert open_result(out).status == "complete"
    assert sorted(parts + rest) == sorted(whole)  # nothing twice, and nothing not at all
    assert len(rest) < len(whole) / 2
    assert digests(out) == digests(tmp_path / "whole.zarr")


def test_processes_that_come_at_once_begin_one_run(job_of, frame: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    jobs = [job_of(str(frame), shard=shard) for shard in SHARDS]
    with ThreadPoolExecutor(len(jobs)) as pool:
        runs = list(pool.map(lambda job: join_run(job, out, source=str(frame)), jobs))
    (folder,) = {run.folder for run in runs}
    assert [line["event"] for line in folder.journal()] == ["begin"]
    assert not out.with_name("out.zarr.lock").exists()


def test_one_that_comes_late_goes_on_with_what_is_there(job_of, frame: Path, tmp_path: Path) -> None:
    first, late = (
        join_run(job_of(str(frame), shard=shard), tmp_path / "out.zarr", source=str(frame))
        for shard in ("0/2", "1/2")
    )
    continue_run(first)
    assert set(late.folder.marked("estimate")) == {0, 1, 2}
    continue_run(late)
    assert {unit: set(late.folder.marked("estimate")) for unit in late.job.units} == {
        unit: set(range(UNITS)) for unit in (3, 4, 5)
    }


def test_a_store_of_another_run_is_neither_joined_nor_touched(done, digests, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    done(out, seed=1)
    before = digests(tmp_path)
    with pytest.raises(OutputError, match=r"out\.zarr.* exists"):
        done(out, seed=2, shard="0/2")
    assert digests(tmp_path) == before
    assert not out.with_name("out.zarr.lock").exists()


@pytest.mark.parametrize(("name", "options"), [("out.zarr", {"overwrite": True}), ("out.fits", {})])
def test_what_shards_cannot_share_is_refused(
    done, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=r"shards share one \.zarr output"):
        done(tmp_path / name, shard="0/2", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frame.fits"]


def test_a_process_that_died_while_it_began_the_run_is_not_waited_for_for_ever(
    done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(begin, "_PATIENCE", 0)
    lock = tmp_path / "out.zarr.lock"
    lock.mkdir()
    with pytest.raises(OutputError, match=r"out\.zarr\.lock has been there for 0 s; remove it"):
        done(tmp_path / "out.zarr", shard="0/2")
    lock.rmdir()
    assert ("estimate", 0) in done(tmp_path / "out.zarr", shard="0/2")


def test_of_a_complete_run_no_shard_has_anything_left_to_do(done, digests, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    done(out)
    before = digests(tmp_path)
    for shard in SHARDS:
        assert done(out, shard=shard) == []
    assert digests(tmp_path) == before
    assert open_result(out).status == "complete"


def test_a_unit_that_another_shard_gave_up_is_left_to_resume(
    done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that gave it up tries it again; the others go on without it."""
    out = tmp_path / "out.zarr"
    done(out, shard="0/2")
    (path,) = out.with_name("out.zarr.run").iterdir()
    folder = RunFolder(path)
    folder.give_up(0, "bad luck")
    other = done(out, shard="1/2")
    assert 0 not in {unit for _, unit in other}
    assert folder.quarantine == {0: "bad luck"}
    resume(out)
    assert folder.quarantine == {}
    assert {(line["phase"], line["unit"]) for line in folder.records()} == {
        (phase, unit) for phase in PHASES for unit in range(UNITS)
    }
