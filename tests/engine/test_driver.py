"""The serial driver: a complete store, or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from blinddps_sci.engine.blend import blend
from blinddps_sci.engine.driver import Event, _chunk, run_job
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.unit import run_unit
from blinddps_sci.errors import OutputError
from blinddps_sci.io.result import open_result


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_store_holds_what_the_units_found(job_of, scene, tmp_path) -> None:
    data = scene(2, 70, 40)
    data[1, 3, 4], data[0, 66, 30] = np.nan, np.inf
    job: Job = job_of(data, psf="per-tile", steps=2)
    store = run_job(job, tmp_path / "out.zarr")
    results = [run_unit(job, number) for number in range(job.plan.n_units)]
    seen, psf, chi2 = store.dataset(), store.psf(), store.chi2()
    assert job.plan.n_units == 4
    for unit in job.plan.units():
        expected = blend(job.plan, unit, lambda n: results[n].images)
        core = {
            "t": unit.plane,
            "y": slice(unit.core.y0, unit.core.y1),
            "x": slice(unit.core.x0, unit.core.x1),
        }
        np.testing.assert_array_equal(seen["image"].isel(core), expected.mean)
        np.testing.assert_array_equal(seen["std"].isel(core), expected.std)
        found = results[unit.index]
        for tile, kernel, std, square in zip(
            job.plan.tiles(unit), found.kernels, found.kernels_std, found.chi2, strict=True
        ):
            node = {"frame": unit.plane, "channel": 0, "node_y": tile.index[0], "node_x": tile.index[1]}
            np.testing.assert_array_equal(psf["kernel"].isel(node), kernel)
            np.testing.assert_array_equal(psf["std"].isel(node), std)
            assert float(chi2.values[unit.plane, 0, *tile.index]) == square
    bad = np.zeros(data.shape, dtype=int)
    bad[1, 3, 4] = bad[0, 66, 30] = 1
    np.testing.assert_array_equal(seen["dq"], bad)
    assert np.isfinite(seen["image"]).all()


def test_the_store_is_complete_and_knows_how_it_came_about(job_of, scene, tmp_path) -> None:
    job = job_of(scene(40, 40), seed=5)
    run_job(job, tmp_path / "out.zarr")
    store = open_result(tmp_path / "out.zarr")
    assert store.status == "complete"
    record = store.attrs
    assert record["fingerprint"] == job.fingerprint
    assert record["config"]["seed"] == 5
    assert record["config"]["steps"] == 3
    assert record["weights"] == job.weights
    assert {"blinddps-sci", "torch", "zarr"} <= set(record["versions"])
    assert record["threads"] >= 1
    assert record["draws"] == record["batch"] == 2
    assert record["stretch"]["kind"] == "LinearStretch"
    assert written(tmp_path) == ["out.zarr"]


def test_nodes_lie_in_the_middle_of_their_cells(job_of, scene, tmp_path) -> None:
    store = run_job(job_of(scene(64, 96), unit=96, overlap=0), tmp_path / "out.zarr")
    position = store.psf()["position"].values
    np.testing.assert_array_equal(position[:, 0, 0], [15.5, 47.5])
    np.testing.assert_array_equal(position[0, :, 1], [15.5, 47.5, 79.5])


def test_one_draw_has_no_deviation(job_of, scene, tmp_path) -> None:
    store = run_job(job_of(scene(40, 40), samples=1, chains=1), tmp_path / "out.zarr")
    assert np.isnan(store.dataset()["std"]).all()
    assert np.isnan(store.psf()["std"]).all()


def test_a_known_psf_is_certain(job_of, scene, tmp_path) -> None:
    np.save(tmp_path / "psf.npy", np.ones((3, 3)))
    store = run_job(
        job_of(scene(40, 40), psf_file=str(tmp_path / "psf.npy"), samples=1), tmp_path / "out.zarr"
    )
    np.testing.assert_allclose(store.psf()["kernel"], 1 / 9, rtol=1e-6)
    assert (store.psf()["std"] == 0).all()


@pytest.mark.parametrize("axes", [("t", "c"), ("t", "z"), ("c", "z")])
def test_every_plane_goes_to_its_place(job_of, scene, tmp_path, axes: tuple[str, str]) -> None:
    data = scene(2, 3, 24, 24)
    job = job_of(xr.DataArray(data, dims=(*axes, "y", "x")), steps=2)
    store = run_job(job, tmp_path / "out.zarr")
    image, kernel = store.dataset()["image"], store.psf()["kernel"]
    frames = {("t", "c"): 2, ("t", "z"): 6, ("c", "z"): 3}[axes]
    assert image.dims == (*axes, "y", "x")
    assert kernel.sizes["frame"] == frames
    assert kernel.sizes["channel"] == 6 // frames
    for plane in range(6):
        result = run_unit(job, plane)
        where = job.index(plane)
        np.testing.assert_array_equal(image.isel(where), result.images.mean(axis=0))
        frame = where.get("z", 0) + where.get("t", 0) * (3 if axes == ("t", "z") else 1)
        node = kernel.isel(frame=frame, channel=where.get("c", 0), node_y=0, node_x=0)
        np.testing.assert_array_equal(node, result.kernels[0])


# --- progress and interruption ---


def test_events_count_units_and_steps(job_of, scene, tmp_path) -> None:
    seen: list[tuple[int, int, int, int]] = []

    def note(event: Event) -> None:
        seen.append((event.unit, event.units, event.progress.step, event.progress.steps))

    run_job(job_of(scene(64, 100), steps=2), tmp_path / "out.zarr", callback=note)
    # two steps that estimate the PSF and two that restore
    assert seen == [(unit, 2, step, 4) for unit in (0, 1) for step in (1, 2, 3, 4)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_whatever_ends_a_run_leaves_nothing(job_of, scene, tmp_path, error: type[BaseException]) -> None:
    def stop(event: Event) -> None:
        if event.unit == 1:
            # Store and draws of the first unit are there at this moment.
            assert len(written(tmp_path)) == 2
            raise error

    with pytest.raises(error):
        run_job(job_of(scene(64, 100)), tmp_path / "out.zarr", callback=stop)
    assert written(tmp_path) == []


def test_an_existing_store_is_replaced_only_if_allowed(job_of, scene, tmp_path) -> None:
    path = tmp_path / "out.zarr"
    run_job(job_of(scene(40, 40)), path)
    with pytest.raises(OutputError, match="exists"):
        run_job(job_of(scene(24, 24)), path)
    assert open_result(path).dataset()["image"].shape == (40, 40)
    run_job(job_of(scene(24, 24)), path, overwrite=True)
    assert open_result(path).dataset()["image"].shape == (24, 24)
    assert written(tmp_path) == ["out.zarr"]


def test_a_store_that_is_replaced_is_gone_from_the_first_step(job_of, scene, tmp_path) -> None:
    """With ``overwrite`` the old store makes room before the run, so a failed run leaves neither."""

    def stop(event: Event) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "out.zarr"
    run_job(job_of(scene(40, 40)), path)
    with pytest.raises(KeyboardInterrupt):
        run_job(job_of(scene(24, 24)), path, overwrite=True, callback=stop)
    assert written(tmp_path) == []


@pytest.mark.parametrize(
    ("unit", "chunk"),
    [(1024, 256), (512, 256), (500, 250), (320, 160), (64, 64), (37, 37), (257, 257), (514, 514)],
)
def test_chunks_divide_a_shard_and_are_not_tiny(unit: int, chunk: int) -> None:
    assert _chunk(unit) == chunk
