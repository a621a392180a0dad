"""The driver: a complete store; whatever ends a run, it goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from blinddps_sci.engine import tasks
from blinddps_sci.engine.begin import _chunk, begin_run
from blinddps_sci.engine.blend import blend
from blinddps_sci.engine.driver import ATTEMPTS, Event, continue_run, run_job
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.run_folder import PHASES
from blinddps_sci.engine.unit import estimate_unit, restore_unit, run_unit
from blinddps_sci.errors import InputError, OutputError, QuarantineWarning
from blinddps_sci.io.result import DQ_BITS, ResultStore, open_result


def assert_same(one: ResultStore, other: ResultStore) -> None:
    """Compare two stores, bit by bit."""
    for name in (
        "scale0/image",
        "scale0/std",
        "scale0/dq",
        "psf/kernel",
        "psf/std",
        "quality/chi2",
    ):
        np.testing.assert_array_equal(one.array(name)[:], other.array(name)[:], err_msg=name)


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_store_holds_what_the_units_found(job_of, scene, tmp_path) -> None:
    data = scene(2, 70, 40)
    data[1, 3, 4], data[0, 66, 30] = np.nan, np.inf
    job: Job = job_of(data, psf="per-tile", steps=2)
    store = run_job(job, tmp_path / "out.zarr")
    results = [run_unit(job, number) for number in range(job.plan.n_units)]
    seen, psf, chi2 = store.dataset(), store.psf(), store.quality()["chi2"]
    assert job.plan.n_units == 4
    for unit in job.plan.units():
        expected = blend(job.plan, unit, lambda n: results[n].images, job.uncertainty)
        core = {
            "t": unit.plane,
            "y": slice(unit.core.y0, unit.core.y1),
            "x": slice(unit.core.x0, unit.core.x1),
        }
        np.testing.assert_array_equal(seen["image"].isel(core), expected.mean)
        np.testing.assert_array_equal(seen["std"].isel(core), expected.std)
        found = results[unit.index]
        for tile, kernel, std, square in zip(
            job.plan.tiles(unit), found.kernels[0], found.kernels_std[0], found.chi2[0], strict=True
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
    assert [channel["stretch"]["kind"] for channel in record["channels"]] == ["LinearStretch"]
    assert written(tmp_path) == ["out.zarr", "out.zarr.run"]


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
        np.testing.assert_array_equal(node, result.kernels[0, 0])


# --- progress and interruption ---


def test_events_tell_of_steps_and_of_what_is_done(job_of, scene, tmp_path) -> None:
    seen: list[tuple[int, str, int | None]] = []

    def note(event: Event) -> None:
        assert event.units == 2
        assert event.progress is None or event.progress.steps == 4
        seen.append((event.unit, event.phase, event.progress and event.progress.step))

    run_job(job_of(scene(64, 100), steps=2, psf="per-tile"), tmp_path / "out.zarr", callback=note)
    # Two chains and two draws, one after the other.
    of_unit = [("estimate", 1), ("estimate", 2)] * 2 + [("estimate", None)]
    of_unit += [("restore", 3), ("restore", 4)] * 2 + [("restore", None)]
    blends = [(unit, "blend", None) for unit in (0, 1)]
    assert seen == [(unit, *what) for unit in (0, 1) for what in of_unit] + blends


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_whatever_ends_a_run_it_goes_on_and_ends_alike(
    job_of, scene, tmp_path, error: type[BaseException]
) -> None:
    job = job_of(scene(64, 160))
    whole = run_job(job, tmp_path / "whole.zarr")

    def stop(event: Event) -> None:
        if event.unit == 1:
            raise error

    run = begin_run(job, tmp_path / "out.zarr")
    with pytest.raises(error):
        continue_run(run, callback=stop)
    assert open_result(run.store.path).status == "running"
    assert list(run.folder.marked("estimate")) == [0]
    seen: list[tuple[str, int]] = []
    store = continue_run(run, callback=lambda event: seen.append((event.phase, event.unit)))
    assert set(seen) == {(phase, unit) for phase in PHASES for unit in range(3)} - {("estimate", 0)}
    assert store.status == "complete"
    assert_same(store, whole)


def test_a_stop_file_ends_a_run_after_the_unit_at_work(job_of, scene, tmp_path) -> None:
    run = begin_run(job_of(scene(64, 160)), tmp_path / "out.zarr")

    def stop(event: Event) -> None:
        run.folder.stop_file.touch()

    with pytest.raises(KeyboardInterrupt):
        continue_run(run, callback=stop)
    assert [list(run.folder.marked(phase)) for phase in PHASES] == [[0], [], []]
    assert not run.folder.stop_file.exists()
    assert continue_run(run).status == "complete"


def test_draws_are_dropped_once_all_around_them_are_blended(job_of, scene, tmp_path) -> None:
    run = begin_run(job_of(scene(64, 300)), tmp_path / "out.zarr")
    assert run.job.plan.n_units == 5
    most = 0

    def count(event: Event) -> None:
        nonlocal most
        most = max(most, len(drawn()))

    def drawn() -> list[int]:
        return [unit for unit in range(5) if run.folder.load("restore", unit) is not None]

    continue_run(run, callback=count)
    assert most == 3
    assert drawn() == []


# --- units that fail ---


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Let a phase of units raise an error; return the list of the units tried."""

    def make(units: set[int], error: Exception, phase: str = "restore") -> list[int]:
        tried: list[int] = []
        plain = {"estimate": estimate_unit, "restore": restore_unit}[phase]

        def work(job: Job, number: int, *others):
            tried.append(number)
            if number in units:
                raise error
            return plain(job, number, *others)

        monkeypatch.setattr(tasks, f"{phase}_unit", work)
        return tried

    return make


@pytest.mark.parametrize("phase", ["estimate", "restore"])
@pytest.mark.parametrize(("error", "attempts"), [(ValueError("no"), ATTEMPTS), (InputError("no"), 1)])
def test_a_unit_that_fails_is_given_up_and_the_others_finish(
    job_of, scene, tmp_path, failing, monkeypatch: pytest.MonkeyPatch, error, attempts: int, phase: str
) -> None:
    job = job_of(scene(64, 160), psf="per-tile")
    whole = run_job(job, tmp_path / "whole.zarr")
    tried = failing({1}, error, phase)
    run = begin_run(job, tmp_path / "out.zarr")
    with pytest.warns(QuarantineWarning, match="1 of 3 units are quarantined"):
        store = continue_run(run)
    assert tried.count(1) == attempts
    assert tried.count(0) == tried.count(2) == 1
    assert run.folder.quarantine == {1: f"{type(error).__name__}: no"}
    assert store.status == "complete"
    assert "quarantined" in store.sentence
    image, dq = store.dataset()["image"].values, store.dataset()["dq"].values
    lost = np.zeros((64, 160), dtype=bool)
    lost[:, 64:128] = True
    np.testing.assert_array_equal(dq == DQ_BITS["no_result"], lost)
    np.testing.assert_array_equal(np.isnan(image), lost)
    # Its neighbours are what they are without it: they take over its weight.
    far = whole.dataset()["image"].values[:, :48]
    np.testing.assert_array_equal(image[:, :48], far)

    monkeypatch.undo()
    store = continue_run(run)
    assert run.folder.quarantine == {}
    assert_same(store, whole)


def test_a_run_without_a_unit_that_works_is_an_error(job_of, scene, tmp_path, failing) -> None:
    failing({0, 1, 2}, InputError("nothing to see"))
    run = begin_run(job_of(scene(64, 160)), tmp_path / "out.zarr")
    with pytest.raises(InputError, match="nothing to see"):
        continue_run(run)
    assert open_result(run.store.path).status == "running"


def test_the_journal_says_what_happened(job_of, scene, tmp_path, failing) -> None:
    failing({0}, ValueError("bad luck"))
    run = begin_run(job_of(scene(64, 100)), tmp_path / "out.zarr")
    with pytest.warns(QuarantineWarning):
        continue_run(run)
    lines = run.folder.journal()
    events = [(line["event"], line.get("phase"), line.get("unit")) for line in lines]
    failed = [("failed", "restore", 0)] * ATTEMPTS
    done = [("done", phase, 1) for phase in ("restore", "blend")]
    estimated = [("done", "estimate", unit) for unit in (0, 1)]
    assert events == [("begin", None, None), *estimated, *failed, *done, ("end", None, None)]
    assert lines[3]["error"] == "ValueError: bad luck"
    assert "Traceback" in lines[3]["trace"]
    assert lines[-1]["quarantined"] == 1


def test_an_existing_store_is_replaced_only_if_allowed(job_of, scene, tmp_path) -> None:
    path = tmp_path / "out.zarr"
    run_job(job_of(scene(40, 40)), path)
    with pytest.raises(OutputError, match="exists"):
        run_job(job_of(scene(24, 24)), path)
    assert open_result(path).dataset()["image"].shape == (40, 40)
    run_job(job_of(scene(24, 24)), path, overwrite=True)
    assert open_result(path).dataset()["image"].shape == (24, 24)
    assert len(list((tmp_path / "out.zarr.run").iterdir())) == 1


def test_a_store_that_is_replaced_is_gone_from_the_first_step(job_of, scene, tmp_path) -> None:
    def stop(event: Event) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "out.zarr"
    run_job(job_of(scene(40, 40)), path)
    with pytest.raises(KeyboardInterrupt):
        run_job(job_of(scene(24, 24)), path, overwrite=True, callback=stop)
    assert open_result(path).dataset()["image"].shape == (24, 24)


@pytest.mark.parametrize(
    ("unit", "chunk"),
    [(1024, 256), (512, 256), (500, 250), (320, 160), (64, 64), (37, 37), (257, 257), (514, 514)],
)
def test_chunks_divide_a_shard_and_are_not_tiny(unit: int, chunk: int) -> None:
    assert _chunk(unit) == chunk
