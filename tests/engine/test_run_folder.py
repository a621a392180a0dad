"""The folder of a run: markers appear whole, draws come and go, the journal grows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blinddps_sci.engine.run_folder import RunFolder, folders_of


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


def test_a_restoration_is_done_while_its_draws_are_there(run: RunFolder) -> None:
    draws = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    run.save_draws(5, draws)
    assert not run.is_done("restore", 5)
    run.mark("restore", 5, {})
    assert run.is_done("restore", 5)
    np.testing.assert_array_equal(run.load_draws(5), draws)
    run.drop_draws(5)
    assert run.is_marked("restore", 5)
    assert not run.is_done("restore", 5)


def test_what_has_begun_is_known_by_its_attempt(run: RunFolder) -> None:
    assert not run.has_begun("blend", 8, 0)
    run.begin("blend", 8, 0)
    assert run.has_begun("blend", 8, 0)
    assert not run.has_begun("blend", 8, 1)
    run.mark("blend", 8, {})
    assert not run.has_begun("blend", 8, 0)


def test_the_journal_keeps_the_order(run: RunFolder) -> None:
    assert run.journal() == []
    run.log("begin", units=3)
    run.log("end")
    with (run.path / "journal.jsonl").open("a") as unfinished:
        unfinished.write('{"time": 1.0, "ev')
    first, second = run.journal()
    assert (first["event"], first["units"], second["event"]) == ("begin", 3, "end")
    assert first["time"] <= second["time"]


def test_units_that_were_given_up_are_listed(run: RunFolder) -> None:
    assert run.quarantine == {}
    run.write_quarantine({7: "ValueError: no"})
    assert run.quarantine == {7: "ValueError: no"}


def test_a_finished_run_keeps_what_its_markers_said_in_one_file(run: RunFolder) -> None:
    run.mark("restore", 0, {"unit": 0, "seconds": 2.0})
    run.mark("blend", 0, {"unit": 0, "image": "abc"})
    run.save_draws(0, np.zeros((1, 2, 2)))
    run.compact()
    assert sorted(path.name for path in run.path.iterdir()) == ["units.jsonl"]
    assert (run.path / "units.jsonl").read_text().count("\n") == 2
    run.remove()
    assert not run.path.parent.exists()
