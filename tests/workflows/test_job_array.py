"""Processes that know nothing of each other: the same result, bit by bit, as that of one process."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _config(options: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIG", str(options))


def test_two_processes_of_this_machine(run, frame, whole, assert_same, tmp_path: Path) -> None:
    run("job_array.sh", "local", frame, "out.zarr", "2")
    assert_same(tmp_path / "out.zarr", whole)


def test_an_array_of_jobs_in_two_rounds_and_one_that_completes_the_store(
    run, program, frame, whole, assert_same, tmp_path: Path
) -> None:
    # Jobs run when they are submitted, those of an array one after the other.
    program(
        "sbatch",
        f"""printf '%s\\n' "${{*//$'\\n'}}" >> {tmp_path}/submitted
        indices=''
        while [ $# -gt 0 ]; do
            case $1 in
            --array=*) indices=${{1#--array=}} ;;
            --wrap) command=$2; shift ;;
            esac
            shift
        done
        for SLURM_ARRAY_TASK_ID in $(seq ${{indices/-/ }}); do
            export SLURM_ARRAY_TASK_ID; sh -c "$command" >&2
        done
        [ "$indices" ] || sh -c "$command" >&2
        wc -l < {tmp_path}/submitted""",
    )
    run("job_array.sh", "slurm", frame, "out.zarr", "2")
    assert_same(tmp_path / "out.zarr", whole)
    first, second, last = (tmp_path / "submitted").read_text().splitlines()
    for line in (first, second):
        assert "--array=0-1" in line
        assert "--gres=gpu:1" in line
        assert "--shard $SLURM_ARRAY_TASK_ID/2" in line
    assert "--dependency" not in first
    assert "--dependency=afterok:1" in second
    assert "--dependency=afterok:2" in last
    assert "blinddps resume out.zarr" in last


@pytest.mark.parametrize(
    "arguments", [(), ("local", "in.fits", "out.zarr"), ("pbs", "a.fits", "o.zarr", "2")]
)
def test_wrong_usage_starts_nothing(run, arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = run("job_array.sh", *arguments, check=False)
    assert done.returncode == 1
    assert "usage" in done.stderr or "neither slurm nor local" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"bin"}
