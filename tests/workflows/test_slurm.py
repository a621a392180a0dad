"""A SLURM cluster, without any: sbatch runs the script of a job on this machine, scancel ends it."""

from __future__ import annotations

import os
import time
import tomllib
from pathlib import Path

import pytest

from blinddps_sci import restore

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]

SETTINGS = """
jobs = 2

[slurm]
queue = "gpu"
processes = 1
cores = 1
memory = "4GB"
interface = "lo"
job_extra_directives = ["--gres=gpu:1"]

[restore]
{options}
"""


@pytest.fixture
def settings(options: Path, tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(SETTINGS.format(options=options.read_text()))
    return path


@pytest.fixture
def slurm(program, tmp_path: Path) -> None:
    """Let jobs be process groups, and their numbers those of the groups."""
    program(
        "sbatch",
        f"script={tmp_path}/job-$$.sh; cp $1 $script\n"
        "setsid bash $script > $script.log 2>&1 &\n"
        f"echo $! >> {tmp_path}/jobs; echo Submitted batch job $!",
    )
    program("scancel", "kill -TERM -- -$1")


def jobs(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "jobs").read_text().split()]


def ended(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_dry_run_prints_the_script_of_a_job_with_one_gpu_and_submits_nothing(run, slurm, tmp_path) -> None:
    script = run("slurm.py", "--dry-run").stdout
    for directive in ("--gres=gpu:1", "-p gpu", "-A project", "-n 1", "--cpus-per-task=4", "-t 04:00:00"):
        assert f"#SBATCH {directive}\n" in script
    (worker,) = (line for line in script.splitlines() if "dask_worker" in line)
    # One process, one unit at a time, and it leaves before its time is over.
    assert " --nthreads 1 " in worker
    assert "--nworkers" not in worker
    assert " --lifetime 3h30m " in worker
    assert not (tmp_path / "jobs").exists()


def test_jobs_restore_a_stack_and_end_with_it(
    run, slurm, frame, settings, whole, assert_same, tmp_path: Path
) -> None:
    run("slurm.py", frame, "out.zarr", "--config", settings)
    assert_same(tmp_path / "out.zarr", whole)
    assert len(jobs(tmp_path)) == 2
    deadline = time.monotonic() + 60
    while not all(map(ended, jobs(tmp_path))):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_jobs_go_on_with_a_run_that_ended_early(
    run, slurm, frame, settings, whole, assert_same, tmp_path: Path
) -> None:
    def stop(event) -> None:
        if event.phase == "restore" and event.progress is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(frame, tmp_path / "out.zarr", callback=stop, **tomllib.loads(settings.read_text())["restore"])
    run("slurm.py", frame, "out.zarr", "--config", settings, "--resume")
    assert_same(tmp_path / "out.zarr", whole)
