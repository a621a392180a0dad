"""`bench scale memory` and `model`: the peaks are those of the processes that compute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from blinddps_sci.bench import scale_runs
from blinddps_sci.io import open_stack


def test_the_peak_of_memory_stays_once_the_memory_is_given_back() -> None:
    program = (
        "import numpy as np; from blinddps_sci.bench.scale_runs import peak_memory as peak; "
        "print(peak()); block = np.ones(2**26); del block; print(peak())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    # Half a GiB of doubles.
    assert 500 < after - before < 530


def test_the_image_is_sparse_and_can_be_read_everywhere(tmp_path: Path) -> None:
    scale_runs._write_sparse(tmp_path / "in.zarr", 4096)
    chunks = [path for path in (tmp_path / "in.zarr" / "c").rglob("*") if path.is_file()]
    assert len(chunks) == 8  # of 64
    image = open_stack(tmp_path / "in.zarr")["data"]
    assert image.shape == (4096, 4096)
    written, fill = image[:512, :512].values, image[:512, 512:1024].values
    assert written.std() == pytest.approx(1.0, rel=0.05)
    assert np.array_equal(fill, np.full((512, 512), 100.0))


def test_a_run_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"failed: .*missing\.zarr"):
        scale_runs._driver(tmp_path, "missing.zarr", "out.zarr", {})


@pytest.mark.slow
def test_memory_is_that_of_driver_and_worker_of_runs_of_their_own() -> None:
    rows, text = scale_runs.run_memory(sides=(512, 1024), unit=512)
    assert [row["units"] for row in rows] == [1, 4]
    for row in rows:
        # Either has loaded torch, and neither the machine.
        assert 150 < row["driver"] < 2000
        assert 150 < row["worker"] < 2000
        assert row["per_unit"] == pytest.approx(row["seconds"] / row["units"])
    assert "largest over smallest image" in text


@pytest.mark.slow
def test_the_model_is_timed_by_the_journal_and_its_units_have_costs() -> None:
    (row,), _ = scale_runs.run_model(
        workers=(1,), size=128, unit=64, tile=64, overlap=16, steps=2, samples=1, chains=1
    )
    assert row["units"] == len(row["costs"]) > 1
    assert row["speedup"] == 1.0
    # One worker does one task at a time, so that their times add up to that of the run.
    assert sum(row["costs"]) == pytest.approx(row["seconds"], rel=0.2)
    assert row["whole"] > row["seconds"]


def test_the_picture_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    scale_runs._write_picture(tmp_path / "in.zarr", 300)
    stored = zarr.open_array(tmp_path / "in.zarr", mode="r")
    assert stored.shape == (300, 300)
    assert float(np.std(stored[:])) > 10
