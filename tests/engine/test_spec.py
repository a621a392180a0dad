"""The spec of a run: the same job from a file, in any process, or a refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from blinddps_sci.engine.spec import Spec, read_spec
from blinddps_sci.engine.unit import run_unit
from blinddps_sci.errors import InputError


@pytest.fixture
def frame(scene, tmp_path: Path) -> Path:
    fits.writeto(tmp_path / "frame.fits", scene(40, 48))
    return tmp_path / "frame.fits"


@pytest.mark.parametrize("stars", [False, True])
def test_the_job_of_a_spec_is_the_same_job(job_of, scene, tmp_path: Path, stars: bool) -> None:
    data = scene(40, 48)
    if stars:
        data[::12, ::12] += 3000
    path = tmp_path / "in.fits"
    fits.writeto(path, data)
    job = job_of(str(path), region="0:32,8:48")
    Spec.of(job, str(path)).write(tmp_path / "spec.json")
    again = read_spec(tmp_path / "spec.json").job()
    assert again.fingerprint == job.fingerprint
    assert (again.stretch, again.noise, again.plan) == (job.stretch, job.noise, job.plan)
    np.testing.assert_array_equal(run_unit(again, 0).images, run_unit(job, 0).images)


def test_nothing_is_measured_again(job_of, frame: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Spec.of(job_of(str(frame)), frame)
    monkeypatch.setattr("blinddps_sci.engine.job.overview", pytest.fail)
    spec.job()


def test_frames_are_kept_in_order(job_of, scene, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.fits" for number in (2, 0, 1)]
    for number, path in enumerate(paths):
        fits.writeto(path, scene(32, 32, seed=number))
    job = job_of([str(path) for path in paths])
    spec = Spec.of(job, paths)
    assert spec.source == [str(path) for path in paths]
    assert spec.job().leading == {"t": 3}


def test_where_it_is_computed_may_change_and_nothing_else(job_of, frame: Path) -> None:
    spec = Spec.of(job_of(str(frame)), str(frame))
    assert spec.job({"workers": 2, "memory_limit": 3.0}).config.workers == 2
    with pytest.raises(InputError, match="have changed since"):
        spec.job({"seed": 5})


def test_an_array_in_memory_is_out_of_reach(job_of, scene) -> None:
    data = scene(32, 32)
    spec = Spec.of(job_of(data), data)
    assert spec.source == []
    with pytest.raises(InputError, match="array in memory"):
        spec.job()


@pytest.mark.parametrize("text", [None, "", "{}", "[1, 2]", '{"source": []}'])
def test_a_damaged_spec_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "spec.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match="is not the spec of a run"):
        read_spec(path)
