"""The projected duration: that it is about right, and grows with what takes time."""

from __future__ import annotations

import time

import numpy as np
import pytest

from blinddps_sci.engine import pace
from blinddps_sci.engine.driver import run_job
from blinddps_sci.engine.pace import measured_pace, projected_seconds


def test_the_projection_is_about_what_a_run_takes(job_of, scene, tmp_path) -> None:
    job = job_of(scene(100, 100), steps=20)
    expected = projected_seconds(job)
    begin = time.perf_counter()
    run_job(job, tmp_path / "out.zarr")
    # Writing and the many small arrays of a small network weigh more than they do in earnest.
    assert 0.2 < (time.perf_counter() - begin) / expected < 5


def test_everything_that_takes_time_counts(job_of, scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_timed", lambda job, callback: 1.0)
    monkeypatch.setattr(pace.os, "cpu_count", lambda: 4)
    image = scene(128, 128)
    base = projected_seconds(job_of(image))
    assert projected_seconds(job_of(image, steps=6)) == pytest.approx(2 * base)
    assert projected_seconds(job_of(image, samples=4)) == pytest.approx(1.5 * base)
    assert projected_seconds(job_of(np.stack([image, image]))) == pytest.approx(2 * base)
    assert projected_seconds(job_of(image, workers=2)) == pytest.approx(base / 2)
    assert projected_seconds(job_of(image, workers=3)) == pytest.approx(base / 2)  # four units
    assert projected_seconds(job_of(image, workers=40)) == pytest.approx(base / 4)
    assert projected_seconds(job_of(image, shard="0/2")) == pytest.approx(base / 2)


def test_a_tile_that_can_be_used_is_found(job_of, scene) -> None:
    image = scene(2, 200, 200)
    image[0] = np.nan
    image[1, :128] = np.nan
    small = pace._one_tile(job_of(image))
    assert small.plan.n_units == 1
    assert small.plan.shape == (32, 32)
    assert np.isfinite(small.dataset["data"].values).mean() >= 0.5


def test_workers_have_one_thread_each(job_of, scene, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    monkeypatch.setattr(pace.torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(pace.torch, "set_num_threads", threads.append)
    monkeypatch.setattr(pace, "_timed", lambda job, callback: threads.append("timed") or 1.0)
    projected_seconds(job_of(scene(32, 32), workers=2))
    assert threads == [1, "timed", "timed", 3]


def test_frames_of_a_burst_count(job_of, scene, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(pace, "_timed", lambda job, callback: seen.append(job.frames) or 1.0)
    few, many = (
        projected_seconds(job_of(scene(n, 48, 48), model="turbulence", psf="per-tile", reach=4))
        for n in (3, 12)
    )
    assert seen == [3, 3, 6, 6]
    assert many == pytest.approx(2 * few)


def test_the_pace_of_one_job_tells_how_long_another_takes(
    job_of, scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = scene(128, 128)
    monkeypatch.setattr(pace, "_timed", lambda job, callback: 1.0)
    known = measured_pace(job_of(image[:48, :48]))
    expected = projected_seconds(job_of(image))
    monkeypatch.setattr(pace, "_timed", lambda job, callback: pytest.fail("it is known already"))
    assert projected_seconds(job_of(image), known) == pytest.approx(expected, rel=0.2)


def test_the_measurement_of_the_pace_can_be_interrupted(job_of, scene) -> None:
    steps = []

    def stop(progress: object) -> None:
        steps.append(progress)
        raise LookupError

    with pytest.raises(LookupError):
        measured_pace(job_of(scene(64, 64)), stop)
    assert len(steps) == 1
