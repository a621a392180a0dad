"""All GPUs of a machine, without any: nvidia-smi lists two, and the workers compute on the CPU."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from blinddps_sci.engine.run_folder import RunFolder, folders_of

pytestmark = pytest.mark.slow

CUDA_CLUSTER = """
import json
from distributed import LocalCluster


class LocalCUDACluster(LocalCluster):
    def __init__(self, CUDA_VISIBLE_DEVICES, device_memory_limit, **options):
        gpus = CUDA_VISIBLE_DEVICES.split(",")
        with open("cluster.json", "w") as file:
            json.dump({"gpus": gpus, **options}, file)
        super().__init__(n_workers=len(gpus), **options)
"""


def processes(store: Path) -> set[int]:
    """Return which processes have done something for a result."""
    (folder,) = folders_of(store).iterdir()
    return {record["process"] for record in RunFolder(folder).records()}


@pytest.fixture
def two_gpus(program, monkeypatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    program("nvidia-smi", "echo GPU-1a; echo GPU-2b")


@pytest.mark.usefixtures("two_gpus")
def test_each_gpu_has_a_worker(run, frame, options, whole, assert_same, tmp_path: Path) -> None:
    run("gpus.py", frame, "out.zarr", "--config", options)
    assert_same(tmp_path / "out.zarr", whole)
    assert len(processes(tmp_path / "out.zarr")) == 2


@pytest.mark.usefixtures("two_gpus")
def test_dask_cuda_starts_the_workers_where_it_is_installed(
    run, frame, options, whole, assert_same, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dask_cuda.py").write_text(CUDA_CLUSTER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    run("gpus.py", frame, "out.zarr", "--config", options)
    assert_same(tmp_path / "out.zarr", whole)
    asked: dict[str, Any] = json.loads((tmp_path / "cluster.json").read_text())
    assert asked["gpus"] == ["GPU-1a", "GPU-2b"]
    assert asked["threads_per_worker"] == 1
    assert len(processes(tmp_path / "out.zarr")) == 2


def test_without_gpus_it_says_so(run, program, frame, options, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    program("nvidia-smi", "exit 9")
    done = run("gpus.py", frame, "out.zarr", "--config", options, check=False)
    assert done.returncode != 0
    assert "nvidia-smi lists no GPU" in done.stderr
    assert not (tmp_path / "out.zarr").exists()
