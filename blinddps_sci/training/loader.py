"""Work of a training run that other processes do: reading its examples, making its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

__all__ = ["Batches", "Source", "load", "spread"]

T = TypeVar("T")

Batches = Iterator[Sequence[np.ndarray | Tensor]]
"""For ever what an objective is of: of a denoiser clean items (B, C, H, W) on [-1, 1] and labels (B,)."""

Source = Callable[[Sequence[int]], Batches]
"""Makes endless batches that follow a seed."""


class _Stream(IterableDataset):  # type: ignore[type-arg]
    """Batches of a source; each worker process has a seed of its own."""

    def __init__(self, source: Source, seed: Sequence[int]) -> None:
        self.source, self.seed = source, seed

    def __iter__(self) -> Batches:
        worker = get_worker_info()
        return self.source([*self.seed, 0 if worker is None else worker.id])


def spread(function: Callable[..., T], *arguments: Iterable[Any], workers: int = 0) -> list[T]:
    """Return ``map(function, *arguments)`` as a list, made by ``workers`` processes if there are any."""
    if not workers:
        return list(map(function, *arguments))
    # A process that has started threads, torch's or CUDA's, cannot be forked safely.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(function, *arguments, chunksize=8))


def load(source: Source, seed: Sequence[int], *, workers: int = 0, pinned: bool = False) -> Batches:
    """Return the batches of ``source`` as tensors.

    Parameters
    ----------
    source : callable
        Makes the batches; it is copied into each worker.
    seed : sequence of int
        Seed of the run; a worker's number is appended to it.
    workers : int
        Processes that make batches; 0 makes each when it is asked for.
    pinned : bool
        Keep the batches in memory that a GPU copies from.
    """
    return iter(DataLoader(_Stream(source, seed), batch_size=None, num_workers=workers, pin_memory=pinned))
