"""The evolution of a sampling: which steps are kept, and what is written of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib import image as pictures

from blinddps_sci.engine.driver import run_job
from blinddps_sci.engine.trajectory import Trajectory
from blinddps_sci.io.result import open_result
from blinddps_sci.sampling.posterior import Progress


def kept_steps(count: int, steps: int) -> list[int]:
    trajectory = Trajectory(count, margin=1)
    for step in range(1, steps + 1):
        image = torch.full((1, 1, 4, 4), float(step))
        trajectory.record(Progress(step, steps, 1.0, {"image": image}, {}, torch.zeros(1)))
    return [int(snapshot["image"].flat[0]) for snapshot in trajectory.snapshots]


@pytest.mark.parametrize(
    ("count", "steps", "kept"),
    [(0, 5, []), (1, 5, [1]), (2, 5, [1, 5]), (3, 5, [1, 3, 5]), (5, 5, [1, 2, 3, 4, 5]), (9, 3, [1, 2, 3])],
)
def test_snapshots_are_spread_from_the_first_step_to_the_last(
    count: int, steps: int, kept: list[int]
) -> None:
    assert kept_steps(count, steps) == kept


@pytest.mark.parametrize("blind", [True, False])
def test_a_store_keeps_the_trajectory_of_its_first_unit(job_of, scene, tmp_path, blind: bool) -> None:
    np.save(tmp_path / "psf.npy", np.ones((3, 3)))
    known = {} if blind else {"psf_file": str(tmp_path / "psf.npy")}
    job = job_of(scene(40, 48), steps=5, keep_trajectory=3, overlap=0, tile=40, unit=40, **known)
    path = tmp_path / "out.zarr"
    run_job(job, path)
    seen = xr.open_zarr(path, group="trajectory", consolidated=False)
    assert seen["image"].shape == (3, 40, 40)
    assert np.isfinite(seen["image"]).all()
    # Of five steps the noise falls at each; of twice five it starts anew, and the middle one is kept.
    assert seen["sigma"][-1] == pytest.approx(0.02)
    assert (np.diff(seen["sigma"][:2] if blind else seen["sigma"]) < 0).all()
    assert ("kernel" in seen) == blind
    if blind:
        assert seen["kernel"].shape == (3, 1, 8, 8)
        np.testing.assert_allclose(seen["kernel"].sum(("ky", "kx")), 1, rtol=1e-5)
    strip = pictures.imread(tmp_path / "out.trajectory.png")
    assert strip.shape[:2] == ((80 if blind else 40), 120)
    assert open_result(path).status == "complete"


def test_nothing_is_kept_without_being_asked_for(job_of, scene, tmp_path) -> None:
    run_job(job_of(scene(24, 24)), tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr" / "trajectory").exists()
    assert not list(tmp_path.glob("*.png"))
