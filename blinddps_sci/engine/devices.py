"""One process for each GPU: which GPUs there are, who gets which, and that nobody else has it.

Workers that we start are pinned: each sees one GPU, from before torch is loaded. Workers that dask-cuda,
SLURM or the user has started see what they were given. Either kind claims the GPU that it computes on
before its first task, so that two workers on one GPU end in an error, and not in a run that is slow or
out of memory.
"""

from __future__ import annotations

import getpass
import logging
import os
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from blinddps_sci.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from distributed import Nanny

__all__ = ["claim_gpu", "gpus_for", "pinned_nanny", "visible_gpus"]

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_LIST = ("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader")

_LOGGER = logging.getLogger("distributed.worker.gpu")
"""Below a logger of Dask's, whose lines reach the logs of its workers."""

_claims: dict[str, FileLock] = {}
"""Of this process, by GPU; the system ends them with the process, however that ends."""


def visible_gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, without loading torch or touching one of them.

    Returns
    -------
    tuple of str
        UUIDs, in the order of ``nvidia-smi``; with ``CUDA_VISIBLE_DEVICES`` those that it names, in its
        order. Without ``nvidia-smi``, the names in the variable as they are.
    """
    listed = _listed()
    named = os.environ.get(_VISIBLE)
    if named is None:
        return listed
    found: list[str] = []
    for name in named.split(","):
        gpu = _named(name.strip(), listed)
        if gpu is None:  # CUDA, too, reads no further
            break
        found.append(gpu)
    return tuple(dict.fromkeys(found))


def _listed() -> tuple[str, ...]:
    try:
        answer = subprocess.run(_LIST, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):  # no driver, or none that works
        return ()
    return tuple(answer.stdout.split())


def _named(name: str, listed: Sequence[str]) -> str | None:
    """Return the GPU that CUDA knows by an index, a UUID or its beginning; None if there is none."""
    if name.isdigit() and listed:
        return listed[int(name)] if int(name) < len(listed) else None
    if name.isdigit() or name.startswith(("GPU-", "MIG-")):
        return next((gpu for gpu in listed if gpu.startswith(name)), name)
    return None


def gpus_for(workers: int | None, device: str) -> tuple[str, ...]:
    """Return the GPU of each worker on this machine; none if the workers compute on the CPU.

    Parameters
    ----------
    workers : int, optional
        How many; one for each GPU without it.
    device : {"auto", "cpu", "cuda"}
        The option.

    Raises
    ------
    ConfigError
        If there are fewer GPUs than workers, or none and they were asked for.
    """
    gpus = () if device == "cpu" else visible_gpus()
    if device == "cuda" and not gpus:
        raise ConfigError(
            "device cuda was asked for, but nvidia-smi lists no GPU and CUDA_VISIBLE_DEVICES names none; "
            "use --device cpu or auto"
        )
    if gpus and workers is not None and workers > len(gpus):
        raise ConfigError(
            f"{workers} workers were asked for, and this machine has {len(gpus)} GPUs, one for each worker; "
            f"use --workers {len(gpus)}, or --device cpu"
        )
    return gpus[:workers]


def pinned_nanny(gpus: Sequence[str], scheduler: str, *, name: int, **options: Any) -> Nanny:
    """Make the nanny of a worker of a `LocalCluster`: with a GPU of its own, if there are any.

    Parameters
    ----------
    gpus : sequence of str
        From `gpus_for`.
    scheduler : str
        Its address.
    name : int
        The worker's number, from 0; after a restart it has the same GPU again.
    **options
        As `distributed.Nanny`, which sets the environment before its worker loads anything.
    """
    # Dask is not needed for a run without it, which claims no GPU but loads this module.
    from distributed import Nanny

    environment = {_VISIBLE: gpus[name]} if gpus else None
    return Nanny(scheduler, name=name, env=environment, **options)


def claim_gpu(device: torch.device, wanted: str) -> str | None:
    """Take the GPU that this process computes on for it alone, for as long as the process lives.

    Parameters
    ----------
    device : torch.device
        Where it computes.
    wanted : {"auto", "cpu", "cuda"}
        The option.

    Returns
    -------
    str or None
        The GPU's UUID; None of a process that computes on the CPU.

    Raises
    ------
    ConfigError
        If another process has it, or the process was given a GPU that torch does not see.
    """
    where = f"worker process {os.getpid()} on {socket.gethostname()}"
    if device.type != "cuda":
        if wanted != "cpu" and _VISIBLE in os.environ and (given := visible_gpus()):
            raise ConfigError(
                f"{where} was given the GPU {given[0]}, but its torch sees none; "
                "install a torch that is built for CUDA, or use --device cpu"
            )
        return None
    # Loaded only now, so that a driver may ask which GPUs there are without it.
    import torch

    gpu = str(torch.cuda.get_device_properties(device).uuid)
    if gpu not in _claims:
        user = getattr(os, "getuid", getpass.getuser)()
        # One object for all threads of a process, which share the GPU without harm.
        lock = FileLock(
            Path(tempfile.gettempdir(), f"blinddps-{user}-{gpu}.lock"), thread_local=False, is_singleton=True
        )
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                f"{where} has no GPU of its own: another process computes on {gpu}; start one worker for "
                "each GPU, with --workers, with dask-cuda, or with CUDA_VISIBLE_DEVICES"
            ) from None
        _claims[gpu] = lock
        _LOGGER.info("%s computes on the GPU %s", where, gpu)
    return gpu
