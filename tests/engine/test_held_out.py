"""Frames that a scene was not restored from are explained by the right scene, and by no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from blinddps_sci.engine.held_out import explain
from blinddps_sci.errors import ConfigError, InputError

FRAMES, SIDE = 2, 40


@pytest.fixture
def burst_job(job_of, small: dict[str, Any]) -> Callable[..., Any]:
    options: dict[str, Any] = {
        "psf": "per-tile",
        "reach": 4,
        "kernel_prior": "uniform",
        "noise": "gaussian:2",
    }
    return lambda frames, **more: job_of(
        frames, **{**small, **options, "model": "turbulence", "samples": 1, "steps": 6, **more}
    )


def test_the_right_scene_explains_best_and_its_place_is_found(burst_job, scene) -> None:
    margin = burst_job(np.zeros((FRAMES, SIDE, SIDE), dtype=np.float32) + np.eye(SIDE)).margin
    side = SIDE + 2 * margin
    still = scene(side + 2, side + 2)
    # Frames that lie two pixels off the scene, and a little off each other.
    frames = np.stack([still[margin + 2 :, margin + i :][:SIDE, :SIDE] for i in range(1, 1 + FRAMES)])
    job = burst_job(frames)
    right, wrong = (explain(job, image[:side, :side]) for image in (still, scene(side, side, seed=9)))
    assert right.shape == wrong.shape == (FRAMES, len(job.plan.tiles(job.plan.unit_at(0))))
    assert right.mean() < 4  # draws from a flat prior of kernels are not sharp
    assert wrong.mean() > 4 * right.mean()


def test_a_frame_that_shows_nothing_has_no_chi_squared(burst_job, scene) -> None:
    still = scene(80, 80)
    frames = np.stack([still[20:60, 20:60], np.full((SIDE, SIDE), np.nan), still[20:60, 21:61]])
    job = burst_job(frames)
    m = job.margin
    found = explain(job, still[20 - m : 60 + m, 20 - m : 60 + m])
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False]


def test_what_cannot_be_compared_is_refused(burst_job, scene) -> None:
    frames = np.stack([scene(SIDE, SIDE)] * FRAMES)
    with pytest.raises(InputError, match=r"a scene of shape \(40, 40\) was given for a canvas of"):
        explain(burst_job(frames), frames[0])
    with pytest.raises(ConfigError, match="a burst of one unit"):
        explain(burst_job(frames, model="blur"), frames[0])
    with pytest.raises(ConfigError, match="a burst of one unit"):
        explain(burst_job(np.stack([scene(80, 80)] * FRAMES)), frames[0])
