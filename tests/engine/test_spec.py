"""The spec of a run: the same job from a file, in any process, or a refusal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from blinddps_sci.engine.cluster import local_cluster
from blinddps_sci.engine.restore import restore, resume
from blinddps_sci.engine.run_folder import RunFolder
from blinddps_sci.engine.spec import Spec, read_spec, write_spec
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
    folder = RunFolder(tmp_path)
    write_spec(job, str(path), folder)
    again = read_spec(folder.spec).job()
    assert again.fingerprint == job.fingerprint
    assert (again.channels, again.plan) == (job.channels, job.plan)
    np.testing.assert_array_equal(run_unit(again, 0).images, run_unit(job, 0).images)


def test_nothing_is_measured_again(job_of, frame: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(str(frame))
    spec = Spec.of(job, [str(frame)])
    monkeypatch.setattr("blinddps_sci.engine.channels.overview", pytest.fail)
    assert spec.job().fingerprint == job.fingerprint


def test_frames_are_kept_in_order(job_of, scene, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.fits" for number in (2, 0, 1)]
    for number, path in enumerate(paths):
        fits.writeto(path, scene(32, 32, seed=number))
    job = job_of([str(path) for path in paths])
    write_spec(job, paths, RunFolder(tmp_path))
    spec = read_spec(RunFolder(tmp_path).spec)
    assert spec.source == [str(path) for path in paths]
    assert spec.job().leading == {"t": 3}


def test_where_it_is_computed_may_change_and_nothing_else(job_of, frame: Path) -> None:
    spec = Spec.of(job_of(str(frame)), [str(frame)])
    assert spec.job({"workers": 2, "memory_limit": 3.0}).config.workers == 2
    with pytest.raises(InputError, match="have changed since"):
        spec.job({"seed": 5})


def test_the_spec_of_an_array_is_of_its_copy(job_of, scene, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    job = job_of(scene(40, 48), region="4:40,0:40", noise="gaussian:2")
    write_spec(job, None, folder)
    (tmp_path / "run").rename(tmp_path / "moved")
    again = read_spec(RunFolder(tmp_path / "moved").spec).job()
    assert again.fingerprint == job.fingerprint
    np.testing.assert_array_equal(again.dataset["data"], job.dataset["data"])


@pytest.fixture
def relative(small: dict[str, Any], scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand in a folder with an input, dark, prior and PSF; give the options that name them from there."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    fits.writeto("in.fits", scene(40, 90))
    fits.writeto("dark.fits", np.full((40, 90), 3.0))
    np.save("psf.npy", np.ones((5, 5)))
    shutil.copy(small["prior"], "image.safetensors")
    return {**small, "prior": "image.safetensors", "psf_file": "psf.npy", "dark": "dark.fits"}


def test_a_run_goes_on_from_another_folder(relative: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(event: Any) -> None:
        if event.unit == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore("in.fits", "out.zarr", callback=stop, **relative)
    whole = restore("in.fits", **relative)
    output = Path("out.zarr").absolute()
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(resume(output)["image"], whole["image"])


def test_workers_that_stand_elsewhere_find_everything(
    relative: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path.cwd()
    monkeypatch.chdir("/")
    with local_cluster(1) as client:
        monkeypatch.chdir(here)
        found = restore("in.fits", "out.zarr", scheduler=client.scheduler.address, **relative)
    np.testing.assert_array_equal(found["image"], restore("in.fits", **relative)["image"])


def test_names_of_files_are_as_given_to_the_fingerprint(relative: dict[str, Any], job_of) -> None:
    job = job_of("in.fits", **{name: relative[name] for name in ("prior", "psf_file")})
    spec = Spec.of(job, [str(Path("in.fits").absolute())])
    assert set(spec.files) == {"prior", "psf_file", "kernel_prior"}
    again = spec.job()
    assert (again.fingerprint, again.config) == (job.fingerprint, job.config)
    with pytest.raises(InputError, match="have changed since"):
        spec.job({"prior": "generic"})


@pytest.mark.parametrize("text", [None, "", "{}", "[1, 2]", '{"source": []}'])
def test_a_damaged_spec_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "spec.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match="is not the spec of a run"):
        read_spec(path)


def test_a_spec_of_another_version_is_said_to_be_one(job_of, scene, tmp_path: Path) -> None:
    folder = RunFolder.beside(tmp_path / "out.zarr", "abc")
    folder.path.mkdir(parents=True)
    folder.spec.write_text(json.dumps({"fingerprint": "abc", "source": [], "noise": {}}))
    with pytest.raises(InputError, match="written by another version; restore again, with --overwrite"):
        read_spec(folder.spec)
