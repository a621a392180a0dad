"""The folder of a run: markers appear whole, draws come and go, the journal grows."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from blinddps_sci.engine.run_folder import Phase, RunFolder, folders_of


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder.beside(tmp_path / "out.zarr", "0123abcd")
    folder.create()
    return folder


def test_it_lies_beside_its_store(run: RunFolder, tmp_path: Path) -> None:
    assert run.path == tmp_path / "out.zarr.run" / "0123abcd"
    assert run.store == tmp_path / "out.zarr"
    assert folders_of(run.store) == run.path.parent


def test_what_is_marked_is_known(run: RunFolder) -> None:
    for unit in (3, 700, 259):
        run.mark("restore", unit, {"unit": unit, "seconds": 1.5})
    assert sorted(run.marked("restore")) == [3, 259, 700]
    assert list(run.marked("blend")) == []
    assert run.record("restore", 259) == {"unit": 259, "seconds": 1.5}
    run.unmark("restore", 700)
    assert not run.is_marked("restore", 700)
    run.unmark("restore", 700)
    assert not list(run.path.rglob("*.partial"))


@pytest.mark.parametrize("phase", ["estimate", "restore"])
def test_a_phase_is_done_while_what_it_found_is_there(run: RunFolder, phase: Phase) -> None:
    found = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert run.load(phase, 5) is None
    run.save(phase, 5, found)
    assert not run.is_done(phase, 5)
    run.mark(phase, 5, {})
    assert run.is_done(phase, 5)
    np.testing.assert_array_equal(run.load(phase, 5), found)
    run.drop(phase, 5)
    run.drop(phase, 5)
    assert run.is_marked(phase, 5)
    assert not run.is_done(phase, 5)


def test_a_blend_leaves_nothing_for_others(run: RunFolder) -> None:
    run.mark("blend", 5, {})
    assert run.is_done("blend", 5)


def test_who_is_at_work_is_known_and_for_how_long(run: RunFolder) -> None:
    assert not run.has_begun("blend", 8)
    assert run.seconds_at_work("blend", 8) == 0
    run.begin("blend", 8)
    assert run.has_begun("blend", 8)
    assert not run.has_begun("restore", 8)
    begun = next(run.path.rglob("*.begun"))
    os.utime(begun, (begun.stat().st_mtime - 60,) * 2)
    assert 59 < run.seconds_at_work("blend", 8) < 120
    run.mark("blend", 8, {})
    assert not run.has_begun("blend", 8)


def test_who_was_at_work_before_does_not_count(run: RunFolder) -> None:
    run.begin("restore", 3)
    run.await_begin("restore", 3)
    run.await_begin("restore", 3)
    assert not run.has_begun("restore", 3)


def test_the_journal_keeps_the_order(run: RunFolder) -> None:
    assert run.journal() == []
    run.log("begin", units=3)
    run.log("end")
    with (run.path / "journal.jsonl").open("a") as unfinished:
        unfinished.write('{"time": 1.0, "ev')
    first, second = run.journal()
    assert (first["event"], first["units"], second["event"]) == ("begin", 3, "end")
    assert first["time"] <= second["time"]


def test_units_that_were_given_up_are_listed_until_they_are_taken_back(run: RunFolder) -> None:
    assert run.quarantine == {}
    run.give_up(7, "ValueError: no")
    run.give_up(300, "killed")
    assert run.quarantine == {7: "ValueError: no", 300: "killed"}
    run.take_back(7)
    run.take_back(7)
    assert run.quarantine == {300: "killed"}


def test_a_finished_run_keeps_what_its_markers_said_in_one_file(run: RunFolder) -> None:
    said = [
        ("estimate", {"unit": 0, "evidence": [1.5]}),
        ("restore", {"unit": 0, "seconds": 2.0}),
        ("blend", {"unit": 0, "digests": {"scale0/image": "abc"}}),
    ]
    for phase, record in said:
        run.mark(phase, 0, record)
    run.save("estimate", 0, np.zeros((1, 1, 2, 2)))
    run.log("end")
    records = list(run.records())
    assert records == [{"phase": phase, **record} for phase, record in said]
    run.compact()
    assert sorted(path.name for path in run.path.iterdir()) == ["journal.jsonl", "quarantine", "units.jsonl"]
    assert list(run.records()) == records
    run.expand()
    assert [run.record(phase, 0) for phase, _ in said] == [record for _, record in said]
    assert list(run.records()) == records
    assert not run.is_done("restore", 0), "its draws are gone"
    run.remove()
    assert not run.path.parent.exists()
