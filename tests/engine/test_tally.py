"""How much of a run is done: all of it at its end, no more, and never less than before."""

from __future__ import annotations

from pathlib import Path

import pytest

from blinddps_sci.engine import tasks
from blinddps_sci.engine.begin import begin_run
from blinddps_sci.engine.driver import continue_run, run_job
from blinddps_sci.engine.run_folder import RunFolder
from blinddps_sci.engine.tally import Tally
from blinddps_sci.errors import InputError, QuarantineWarning


@pytest.mark.parametrize(
    "options",
    [{}, {"psf": "shared", "psf_units": 1}, {"psf": "per-tile"}, {"sampler": "dps", "chains": 1}],
    ids=["smooth", "shared", "per-tile", "dps"],
)
def test_at_the_end_all_pixels_are_done_and_none_twice(job_of, scene, tmp_path: Path, options) -> None:
    job = job_of(scene(2, 40, 100), **options)
    run = begin_run(job, tmp_path / "out.zarr")
    tally = Tally(job, run.folder)
    assert (tally.pixels, tally.units, tally.done, tally.restored) == (8000, 4, 0.0, 0)
    seen = []

    def count(event: object) -> None:
        tally.add(event)
        seen.append(tally.done)

    continue_run(run, callback=count)
    assert seen == sorted(seen)
    assert 0 < seen[0] < 1000  # a step is part of a unit
    assert tally.done == pytest.approx(8000)
    assert (tally.restored, tally.lost) == (4, 0)


def test_a_run_that_goes_on_begins_where_it_was(job_of, scene, tmp_path: Path) -> None:
    job = job_of(scene(40, 150))
    folder = RunFolder.beside(tmp_path / "out.zarr", job.fingerprint)
    restored = 0

    def stop(event) -> None:
        nonlocal restored
        restored += event.phase == "restore" and event.progress is None
        if restored == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job, tmp_path / "out.zarr", callback=stop)
    tally = Tally(job, folder)
    assert tally.restored == 2
    # Of three units, of two chains and two draws each: three are estimated and two are restored.
    assert tally.done == pytest.approx(tally.pixels * (3 * 2 + 2 * 2) / (3 * 4))


def test_a_shard_counts_its_own_units_alone(job_of, scene, tmp_path: Path) -> None:
    whole, first = job_of(scene(40, 200)), job_of(scene(40, 200), shard="0/2")
    folder = begin_run(whole, tmp_path / "out.zarr").folder
    tally = Tally(first, folder)
    assert (tally.pixels, tally.units) == (4000, 2)
    continue_run(begin_run(whole, tmp_path / "other.zarr"), callback=tally.add)
    assert tally.done == pytest.approx(4000)
    assert tally.restored == 2


def test_a_unit_given_up_is_done_with(job_of, scene, tmp_path: Path, monkeypatch) -> None:
    plain = tasks.restore_unit

    def failing(job: object, number: int, *others: object) -> object:
        if number == 1:
            raise InputError("bad luck")
        return plain(job, number, *others)

    monkeypatch.setattr(tasks, "restore_unit", failing)
    job = job_of(scene(40, 150))
    run = begin_run(job, tmp_path / "out.zarr")
    tally = Tally(job, run.folder)
    with pytest.warns(QuarantineWarning, match="1 of 3 units"):
        continue_run(run, callback=tally.add)
    assert tally.done == pytest.approx(tally.pixels)
    assert (tally.restored, tally.lost) == (3, 1)
