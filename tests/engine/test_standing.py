"""How far a run is: counted from its folder while it runs, after it was stopped and when it is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from blinddps_sci.engine import tasks
from blinddps_sci.engine.begin import begin_run
from blinddps_sci.engine.driver import continue_run
from blinddps_sci.engine.restore import resume
from blinddps_sci.engine.standing import plan_of, standing_of
from blinddps_sci.engine.summary import describe_path
from blinddps_sci.errors import InputError, QuarantineWarning


def test_the_plan_of_a_store_is_that_of_its_job(job_of, scene, tmp_path: Path) -> None:
    job = job_of(scene(2, 40, 100))
    assert plan_of(begin_run(job, tmp_path / "out.zarr").store) == job.plan


@pytest.mark.parametrize(
    ("options", "estimated"), [({}, 3), ({"psf": "shared", "psf_units": 1}, 1)], ids=["smooth", "shared"]
)
def test_a_run_is_followed_to_its_end(job_of, scene, tmp_path: Path, options, estimated: int) -> None:
    out = tmp_path / "out.zarr"
    job = job_of(scene(40, 150), **options)
    run = begin_run(job, out, source=scene(40, 150))
    before = standing_of(run.store)
    assert before.units == {"estimate": estimated, "restore": 3, "blend": 3}
    assert before.done == {"estimate": 0, "restore": 0, "blend": 0}
    assert (before.rate, before.left) == (None, None)
    seen = []

    def look(event) -> None:
        if event.progress is None:
            seen.append(standing_of(run.store))
            if len(seen) == estimated + 1:
                assert "time left: about " in describe_path(out)
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        continue_run(run, callback=look)
    assert seen[-1].done == {"estimate": estimated, "restore": 1, "blend": 0}
    assert seen[-1].rate > 0
    assert seen[-1].left > 0
    text = describe_path(out)
    assert "status: running" in text
    assert "restore: 1 of 3 units" in text
    assert "the run was stopped; `blinddps resume` goes on with it" in text
    resume(out)
    after = standing_of(run.store)
    assert after.done == after.units
    assert (after.ended, after.left) == ("end", None)
    assert after.began == before.began
    assert "blend: 3 of 3 units" in describe_path(out)


def test_units_given_up_are_named_of_a_file_whose_store_is_beside(
    job_of, scene, tmp_path: Path, monkeypatch
) -> None:
    plain = tasks.restore_unit

    def failing(job: object, number: int, *others: object) -> object:
        if number == 1:
            raise InputError("bad luck")
        return plain(job, number, *others)

    monkeypatch.setattr(tasks, "restore_unit", failing)
    run = begin_run(job_of(scene(40, 150)), tmp_path / "out.fits.zarr")
    with pytest.warns(QuarantineWarning, match="1 of 3"):
        continue_run(run)
    text = describe_path(tmp_path / "out.fits")
    assert "restore: 2 of 3 units" in text
    assert "unit 1 is quarantined: InputError: bad luck" in text
