"""What a job costs: what is counted, that it is about right, and that it is refused with numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from blinddps_sci.engine import budget, devices
from blinddps_sci.engine.agenda import Agenda
from blinddps_sci.engine.begin import begin_run
from blinddps_sci.engine.budget import bytes_per_pixel, check_job, cost
from blinddps_sci.engine.driver import continue_run
from blinddps_sci.engine.evidence import Evidence
from blinddps_sci.errors import BudgetError, ConfigError
from blinddps_sci.priors.unet import UNetConfig
from blinddps_sci.tiling import Plan
from blinddps_sci.tiling.budget import waiting_units

# The first run, smaller, takes what a process takes once: buffers of the libraries.
PROBE = """
import json
from pathlib import Path
import numpy as np, psutil
from blinddps_sci.engine.budget import cost
from blinddps_sci.engine.config import make_config
from blinddps_sci.engine.job import prepare
from blinddps_sci.engine.unit import run_unit
from blinddps_sci.io import open_stack

def job(side, tile):
    data = np.random.default_rng(0).normal(100, 5, (side, side)).astype("f4")
    options = dict(tile=tile, overlap=tile // 4, unit=side, samples=2, steps=2, device="cpu")
    return prepare(open_stack(data), make_config(options))

run_unit(job(32, 32), 0)
before = psutil.Process().memory_info().rss
large = job(160, 80)
run_unit(large, 0)
# Not ru_maxrss, which a process inherits from the one that started it.
status = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024 - before
print(json.dumps([peak, cost(large).memory_bytes]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_the_estimate_of_memory_is_right_within_a_factor_of_two() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=300
    )
    measured, estimated = json.loads(done.stdout)
    assert 0.5 < measured / estimated < 2, (
        f"{measured / 1e6:.0f} MB measured, {estimated / 1e6:.0f} MB estimated"
    )


def test_a_larger_network_takes_more() -> None:
    base = UNetConfig(1, 1, 32, (1, 2))
    for larger in (
        UNetConfig(1, 1, 64, (1, 2)),
        UNetConfig(1, 1, 32, (1, 2, 4)),
        UNetConfig(1, 1, 32, (1, 2), 2),
    ):
        assert bytes_per_pixel(larger) > bytes_per_pixel(base) > 4 * 32


def test_the_cost_counts_every_call_and_every_draw(job_of, scene, tmp_path: Path) -> None:
    """Three steps: of each chain, which estimates the PSF, and of each of two draws of the image."""
    job = job_of(scene(2, 64, 64), chains=4)
    budget = cost(job)
    assert budget.evaluations == job.plan.n_tiles * 3 * (4 + 2)
    assert budget.seconds is None
    np.save(tmp_path / "psf.npy", np.ones((8, 8)))
    known = job_of(scene(2, 64, 64), chains=4, psf_file=str(tmp_path / "psf.npy"))
    assert cost(known).evaluations == known.plan.n_tiles * 3 * 2


def test_of_dps_each_chain_gives_every_draw(job_of, scene) -> None:
    job = job_of(scene(2, 64, 64), sampler="dps", chains=1)
    assert cost(job).evaluations == job.plan.n_tiles * 2 * 3
    assert cost(job_of(scene(2, 64, 64), sampler="dps", chains=3)).evaluations == 3 * cost(job).evaluations


def test_without_back_propagation_less_is_kept(job_of, scene) -> None:
    split, dps = (cost(job_of(scene(64, 64), sampler=s, chains=1)) for s in ("split", "dps"))
    assert split.memory_bytes < 0.8 * dps.memory_bytes
    more = cost(job_of(scene(64, 64), chains=6))
    assert more.memory_bytes > 2 * split.memory_bytes


def test_kernels_count_with_their_nodes(job_of, scene, tmp_path: Path) -> None:
    np.save(tmp_path / "psf.npy", np.ones((8, 8)))
    each, shared, known = (
        cost(job_of(scene(64, 64), **options)).memory_bytes
        for options in ({"psf": "per-tile"}, {"psf": "shared"}, {"psf_file": str(tmp_path / "psf.npy")})
    )
    assert each - known == pytest.approx(9 * (shared - known), rel=1e-3)
    assert shared > known


def test_workers_are_processes_and_add_up(job_of, scene, tmp_path: Path) -> None:
    here, two = job_of(scene(64, 64)), job_of(scene(64, 64), workers=2)
    one, each = cost(here).memory_bytes, cost(two).memory_bytes
    assert 50e6 < each - one < 2 * psutil.Process().memory_info().rss
    assert cost(two).workers == 2
    enough, little = ((number * each + 1e6) / 2**30 for number in (2.1, 1.5))
    check_job(job_of(scene(64, 64), workers=2, memory_limit=enough), tmp_path)
    with pytest.raises(BudgetError, match=r"2 workers need .* each, and may use .*: lower workers to 1,"):
        check_job(job_of(scene(64, 64), workers=2, memory_limit=little), tmp_path)


def test_of_workers_elsewhere_the_memory_is_not_known(job_of, scene, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000})())
    check_job(job_of(scene(32, 32), scheduler="tcp://node7:8786"), tmp_path)
    with pytest.raises(BudgetError, match="one worker needs"):
        check_job(job_of(scene(32, 32), scheduler="tcp://node7:8786", memory_limit=0.0001), tmp_path)


def most_that_wait(plan: Plan, psf: str | None) -> int:
    """Do all tasks of a plan one after the other; return of how many units draws were there at most."""
    agenda = Agenda(Evidence(plan, psf, 1))
    there, most = set(), 0
    while (task := agenda.take()) is not None:
        if task.phase == "restore":
            there.add(task.unit)
        most = max(most, len(there))
        there.difference_update(agenda.finish(task))
    assert not there
    return most


@pytest.mark.parametrize("psf", [None, "per-tile", "smooth", "shared"])
@pytest.mark.parametrize("shape", [(64, 64), (640, 640), (128, 1280), (1280, 128), (700, 450)])
def test_no_more_units_wait_than_are_counted(shape: tuple[int, int], psf: str | None) -> None:
    plan = Plan(shape, 2, 32, 8, 64, 8)
    most = most_that_wait(plan, psf)
    assert most <= waiting_units(plan, 1)
    if min(plan.unit_grid) > 3:  # and not many fewer
        assert most >= waiting_units(plan, 1) - 3


def files_in(folder: Path) -> int:
    return sum(path.is_file() and path.name != "zarr.json" for path in folder.rglob("*"))


@pytest.mark.parametrize(("shape", "psf"), [((150, 130), "smooth"), ((2, 64, 100), "shared")])
def test_files_are_counted_before_they_are_there(job_of, scene, tmp_path: Path, shape, psf) -> None:
    """At most those: draws go as units are blended, and a shared PSF is estimated on few units."""
    job = job_of(scene(*shape), psf=psf, psf_units=1, keep_trajectory=0)
    run = begin_run(job, tmp_path / "out.zarr")
    before = files_in(tmp_path / "out.zarr")
    most = 0

    def count(event: object) -> None:
        nonlocal most
        most = max(most, files_in(tmp_path / "out.zarr") - before + files_in(run.folder.path))

    continue_run(run, callback=count)
    most = max(most, files_in(tmp_path / "out.zarr") - before + files_in(run.folder.path))
    expected = cost(job).files
    # Beside spec and journal, and a marker that is being written.
    assert 0.7 * expected < most <= expected + 4


def test_a_job_that_fits_passes_with_its_budget(job_of, scene, tmp_path: Path) -> None:
    job = job_of(scene(32, 32))
    assert check_job(job, tmp_path) == cost(job)


def test_too_little_memory_is_refused_with_both_numbers(job_of, scene, tmp_path: Path) -> None:
    with pytest.raises(
        BudgetError, match=r"needs [\d.]+ kB of memory and may use 107.4 kB: lower unit, tile or samples"
    ):
        check_job(job_of(scene(32, 32), memory_limit=0.0001), tmp_path)


def test_the_memory_there_is_counts_without_a_limit(job_of, scene, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000})())
    with pytest.raises(BudgetError, match=r"may use 1.0 kB"):
        check_job(job_of(scene(32, 32)), tmp_path)
    check_job(job_of(scene(32, 32), memory_limit=8), tmp_path)


def test_too_little_disk_is_refused(job_of, scene, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(budget.shutil, "disk_usage", lambda folder: type("Disk", (), {"free": 5000})())
    with pytest.raises(BudgetError, match=r"of disk .* 5.0 kB are free"):
        check_job(job_of(scene(32, 32)), tmp_path)


def test_the_copy_of_an_array_counts(job_of, scene, tmp_path: Path) -> None:
    job = job_of(scene(64, 64))
    plain, copied = (check_job(job, tmp_path, copied=flag).scratch_bytes for flag in (False, True))
    begin_run(job, tmp_path / "out.zarr", source=scene(64, 64))
    kept = next((tmp_path / "out.zarr.run").glob("*/input.zarr/data"))
    stored = sum(path.stat().st_size for path in kept.rglob("*"))
    assert copied - plain == job.dataset.nbytes
    assert 0.5 < stored / (copied - plain) < 1.5


def test_more_workers_than_gpus_are_refused_before_the_first_step(
    job_of, scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_listed", lambda: ("GPU-a", "GPU-b"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    check_job(job_of(scene(32, 32), workers=2, device="auto"), tmp_path)
    check_job(job_of(scene(32, 32), workers=3), tmp_path)  # on the CPU
    with pytest.raises(ConfigError, match="3 workers were asked for, and this machine has 2 GPUs"):
        check_job(job_of(scene(32, 32), workers=3, device="auto"), tmp_path)
