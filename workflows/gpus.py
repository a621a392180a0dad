"""Restore one stack on all GPUs of this machine, one worker process for each.

    python workflows/gpus.py STACK.zarr RESTORED.zarr

Options are in gpus.toml; CUDA_VISIBLE_DEVICES says which GPUs, if not all. With the extra `gpus`, dask-cuda
starts the workers, each close to its GPU's memory and network; without it, `--workers` does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from blinddps_sci import restore
from blinddps_sci.engine.devices import gpus_for

try:
    from dask_cuda import LocalCUDACluster
except ImportError:
    LocalCUDACluster = None


def restore_on_gpus(source: str, output: str, config: Path) -> None:
    """Restore a stack on the GPUs of this machine.

    Parameters
    ----------
    source, output : str
        As of `blinddps_sci.restore`.
    config : Path
        TOML file of options of `blinddps_sci.restore`.

    Raises
    ------
    BlindDpsError
        If there is no GPU, or input, options or output cannot be used.
    """
    gpus = gpus_for(None, "cuda")
    if LocalCUDACluster is None:
        restore(source, output, config=config, workers=len(gpus))
        return
    # One unit at a time on a GPU; nothing of a unit stays on the worker that could be spilled.
    with LocalCUDACluster(
        CUDA_VISIBLE_DEVICES=",".join(gpus),
        threads_per_worker=1,
        memory_limit=None,
        device_memory_limit=None,
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        restore(source, output, config=config, scheduler=cluster.scheduler_address)


def main() -> None:
    """Parse the command line and restore."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="FITS, OME-Zarr or TIFF")
    parser.add_argument("output", help="OUT.zarr, OUT.fits or OUT.tif")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_suffix(".toml"))
    options = parser.parse_args()
    restore_on_gpus(options.source, options.output, options.config)


# Workers are started by loading this file again.
if __name__ == "__main__":
    main()
