"""One process for each GPU, without any: the list of GPUs is that of a program of ours named nvidia-smi."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from astropy.io import fits
from distributed import Client, LocalCluster

from blinddps_sci.engine import devices
from blinddps_sci.engine.devices import claim_gpu, gpus_for, pinned_nanny, visible_gpus
from blinddps_sci.engine.driver import run_job
from blinddps_sci.errors import ConfigError

GPUS = ("GPU-1a", "GPU-2b", "GPU-2c")
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a machine with GPUs, or with a driver that fails, of this one."""

    def make(*gpus: str, status: int = 0) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\nprintf '%s\\n' {' '.join(gpus)}\nexit {status}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return make


@contextmanager
def workers_on(gpus: tuple[str, ...], count: int) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",  # a port that other runs of this machine do not have
            worker_class=partial(pinned_nanny, gpus),
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def seen_by_workers(client: Client) -> list[tuple[str | None, bool]]:
    """Return each worker's ``CUDA_VISIBLE_DEVICES``, and whether it has loaded torch."""

    # A function of this module would load it there, and torch with it.
    def see() -> tuple[str | None, bool]:
        return os.environ.get("CUDA_VISIBLE_DEVICES"), "torch" in sys.modules

    return sorted(client.run(see).values())


def claim(uuid: str) -> str | None:
    """Claim a GPU of that name, as a process does that computes on it."""
    torch.cuda.get_device_properties = lambda device: SimpleNamespace(uuid=uuid)
    return claim_gpu(torch.device("cuda"), "auto")


@pytest.fixture
def uuid(tmp_path: Path) -> str:
    """Return a name that no other test claims."""
    return f"test-{os.getpid()}-{tmp_path.name}"


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (None, GPUS),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("2,0", ("GPU-2c", "GPU-1a")),
        ("1, 1", ("GPU-2b",)),
        ("GPU-2", ("GPU-2b",)),
        ("GPU-2c,GPU-1a", ("GPU-2c", "GPU-1a")),
        ("0,7,1", ("GPU-1a",)),
        ("MIG-5d", ("MIG-5d",)),
    ],
)
def test_gpus_are_those_that_cuda_would_show(machine, monkeypatch, named, expected) -> None:
    machine(*GPUS)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == expected


def test_without_a_driver_there_are_no_gpus_but_those_that_are_named(machine, monkeypatch) -> None:
    machine("NVIDIA-SMI", "has", "failed", status=9)
    assert visible_gpus() == ()
    monkeypatch.setenv("PATH", "")
    assert visible_gpus() == ()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert visible_gpus() == ("1", "0")


def test_each_worker_has_a_gpu(machine) -> None:
    machine(*GPUS)
    assert gpus_for(2, "auto") == GPUS[:2]
    assert gpus_for(None, "cuda") == GPUS
    assert gpus_for(8, "cpu") == ()
    with pytest.raises(ConfigError, match=r"4 workers .* has 3 GPUs.* use --workers 3, or --device cpu"):
        gpus_for(4, "auto")


def test_without_gpus_workers_compute_on_the_cpu_unless_gpus_were_asked_for(machine) -> None:
    machine()
    assert gpus_for(8, "auto") == ()
    with pytest.raises(ConfigError, match="nvidia-smi lists no GPU"):
        gpus_for(8, "cuda")


@pytest.mark.slow
def test_workers_see_one_gpu_each_before_torch_is_loaded_and_after_a_restart() -> None:
    with workers_on(GPUS, 3) as client:
        assert seen_by_workers(client) == [(gpu, False) for gpu in GPUS]
        pids = set(client.run(os.getpid).values())
        os.kill(min(pids), signal.SIGKILL)
        while len(again := set(client.run(os.getpid, on_error="ignore").values())) < 3 or again == pids:
            time.sleep(0.05)
        assert seen_by_workers(client) == [(gpu, False) for gpu in GPUS]


def test_workers_without_gpus_keep_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with workers_on((), 1) as client:
        assert seen_by_workers(client) == [("", False)]


@pytest.mark.slow
def test_two_workers_never_share_a_gpu(uuid: str) -> None:
    with workers_on((), 2) as client:
        one, other = client.run(os.getpid)
        assert client.run(claim, uuid, workers=[one]) == {one: uuid}
        assert client.run(claim, uuid, workers=[one]) == {one: uuid}
        with pytest.raises(ConfigError, match=f"has no GPU of its own: another process computes on {uuid}"):
            client.run(claim, uuid, workers=[other])
        assert client.run(claim, f"{uuid}-other", workers=[other]) == {other: f"{uuid}-other"}
        # A claim ends with its process, however that ends.
        os.kill(client.run(os.getpid, workers=[one])[one], signal.SIGKILL)
        while (answer := client.run(claim, uuid, workers=[other], on_error="return")[other]) != uuid:
            assert isinstance(answer, ConfigError)
            time.sleep(0.05)


def test_a_worker_logs_its_gpu(uuid: str, monkeypatch, caplog) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=uuid))
    monkeypatch.setattr(devices, "_claims", {})
    with caplog.at_level("INFO", logger="distributed.worker.gpu"):
        assert claim_gpu(CUDA, "auto") == uuid
    assert f"computes on the GPU {uuid}" in caplog.text


@pytest.mark.slow
def test_workers_that_see_no_gpu_end_the_run_with_one_error(
    machine, job_of, scene, tmp_path: Path, monkeypatch
) -> None:
    machine(*GPUS)
    frame = tmp_path / "frame.fits"
    fits.writeto(frame, scene(64, 128))
    with pytest.raises(ConfigError, match=r"worker process \d+ on .* was given the GPU GPU-.*sees none"):
        run_job(job_of(str(frame), workers=2, device="auto"), tmp_path / "out.zarr", source=str(frame))


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_a_worker_that_was_given_a_gpu_and_sees_none_says_so(machine, monkeypatch, wanted: str) -> None:
    machine(*GPUS)
    assert claim_gpu(CPU, wanted) is None  # it was given none
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", GPUS[1])
    with pytest.raises(ConfigError, match=r"was given the GPU GPU-2b, but its torch sees none"):
        claim_gpu(CPU, wanted)
    assert claim_gpu(CPU, "cpu") is None


def test_the_list_of_gpus_needs_no_torch_and_no_dask(machine) -> None:
    machine(*GPUS)
    code = (
        "import sys; from blinddps_sci.engine.devices import visible_gpus; print(*visible_gpus());"
        "assert not {'torch', 'distributed'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert tuple(done.stdout.split()) == GPUS


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_and_the_driver_name_a_gpu_alike(monkeypatch) -> None:
    monkeypatch.setattr(devices, "_claims", {})
    assert f"GPU-{claim_gpu(torch.device('cuda'), 'auto')}" == visible_gpus()[0]
