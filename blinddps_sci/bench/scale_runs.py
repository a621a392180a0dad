"""`blinddps bench scale memory` and `model`: whole runs on workers of Dask, small and large.

Every run has a driver in a process of its own and workers of its own, so that peaks of memory are its.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import zarr

from blinddps_sci.bench.table import markdown
from blinddps_sci.engine.cluster import local_cluster
from blinddps_sci.engine.run_folder import RunFolder, folders_of

__all__ = ["peak_memory", "run_memory", "run_model"]

Row = dict[str, Any]

_COLUMNS_OF_MEMORY = {
    "side": "side, px",
    "units": "units",
    "driver": "driver, MiB",
    "worker": "worker, MiB",
    "seconds": "seconds",
    "per_unit": "s a unit",
}


def peak_memory() -> float:
    """Return the largest resident memory that this process has had (VmHWM), MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise AssertionError("the system does not tell peaks of memory")


def run_memory(*, sides: tuple[int, ...] = (1024, 4096, 16384), unit: int = 512) -> tuple[list[Row], str]:
    """Measure peaks of memory of driver and worker as the image grows; the prior is in closed form.

    Parameters
    ----------
    sides : tuple of int
        Of the images, pixels. They are stored sparsely: only where something is.
    unit : int
        Side of a unit, pixels.
    """
    rows = []
    for side in sides:
        with tempfile.TemporaryDirectory() as place, _one_worker() as client:
            folder = Path(place)
            _write_sparse(folder / "in.zarr", side)
            np.save(folder / "psf.npy", np.ones((3, 3)))
            options = {
                "scheduler": client.scheduler.address, "prior": "gaussian", "psf-file": "psf.npy",
                "noise": "gaussian:1", "steps": 2, "samples": 1, "unit": unit,
            }  # fmt: skip
            begin = time.perf_counter()
            driver = _driver(folder, "in.zarr", "out.zarr", options)
            seconds = time.perf_counter() - begin
            (worker,) = client.run(peak_memory).values()
            units = len(_records(folder / "out.zarr", "blend"))
        rows.append(
            {
                "side": side, "units": units, "driver": driver, "worker": worker,
                "seconds": seconds, "per_unit": seconds / units,
            }
        )  # fmt: skip
    largest = {who: max(row[who] for row in rows) / rows[0][who] for who in ("driver", "worker")}
    title = ", ".join(f"{who}: largest over smallest image {ratio:.3f}" for who, ratio in largest.items())
    return rows, f"{markdown(rows, _COLUMNS_OF_MEMORY)}\n\n{title}"


@contextmanager
def _one_worker() -> Iterator[Any]:
    with local_cluster(1, device="cpu") as client:
        client.wait_for_workers(1)
        yield client


def _write_sparse(path: Path, side: int) -> None:
    """Write an image of which only every eighth chunk has been written, the others being the fill value."""
    array = zarr.create_array(
        path, shape=(side, side), chunks=(512, 512), dtype="float32", fill_value=100.0,
        dimension_names=("y", "x"),
    )  # fmt: skip
    block = 100 + np.random.default_rng(0).normal(0, 1, (512, 512)).astype(np.float32)
    for i, j in np.ndindex(side // 512, side // 512):
        if (i + j) % 8 == 0:
            array[512 * i : 512 * (i + 1), 512 * j : 512 * (j + 1)] = block


def _driver(folder: Path, source: str, output: str, options: dict[str, Any]) -> float:
    """Restore in a new process and return its peak of memory, MiB."""
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    arguments = ["restore", source, "-o", output, "--quiet", *given]
    program = (
        "import sys; from blinddps_sci.cli import main; code = main(sys.argv[1:]); "
        "from blinddps_sci.bench.scale_runs import peak_memory; print(peak_memory()); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"the run has failed: {done.stderr}")
    return float(done.stdout.split()[-1])


def _records(store: Path, phase: str) -> list[dict[str, Any]]:
    (path,) = folders_of(store).iterdir()
    return [record for record in RunFolder(path).records() if record["phase"] == phase]


def run_model(*, workers: tuple[int, ...] = (1, 2), size: int = 512, **options: Any) -> tuple[list[Row], str]:
    """Restore a real picture with the shipped networks, on more and more workers.

    Parameters
    ----------
    workers : tuple of int
        Numbers of workers, of one thread each.
    size : int
        Side of the picture, pixels.
    **options
        As of `restore`, instead of the preset ``fast`` and units of 256 pixels.

    Returns
    -------
    (list of dict, str)
        Seconds from the first task's begin to the last one's end by the journal, and of the whole command;
        ``costs`` are the seconds of each unit, for `run_projection`.
    """
    rows: list[Row] = []
    for count in workers:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            _write_picture(folder / "in.zarr", size)
            chosen = {
                "unit": 256,
                "quality": "fast",
                "tile": 192,
                "device": "cpu",
                **options,
                "workers": count,
            }
            begin = time.perf_counter()
            _driver(folder, "in.zarr", "out.zarr", chosen)
            whole = time.perf_counter() - begin
            (path,) = folders_of(folder / "out.zarr").iterdir()
            run = RunFolder(path)
            done = [line for line in run.journal() if line["event"] == "done"]
            costs: dict[int, float] = {}
            for record in run.records():
                costs[record["unit"]] = costs.get(record["unit"], 0.0) + record["seconds"]
        taken = max(line["time"] for line in done) - min(line["time"] - line["seconds"] for line in done)
        rows.append({"workers": count, "units": len(costs), "seconds": taken, "whole": whole})
        rows[-1]["costs"] = sorted(costs.values())
        rows[-1]["speedup"] = rows[0]["seconds"] / taken
    columns = {
        "workers": "workers", "units": "units", "seconds": "seconds at work", "speedup": "times as fast",
        "whole": "seconds of the command",
    }  # fmt: skip
    return rows, markdown(rows, columns)


def _write_picture(path: Path, size: int) -> None:
    picture = np.asarray(skimage.data.camera(), dtype=np.float32)[:size, :size]
    array = zarr.create_array(
        path, shape=picture.shape, chunks=(256, 256), dtype="float32", dimension_names=("y", "x")
    )
    array[:] = picture
