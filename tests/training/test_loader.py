"""Batches from worker processes: tensors, each worker with a seed of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from blinddps_sci.training.loader import load, spread


def numbers(seed: Sequence[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    while True:
        yield rng.random((2, 1, 3, 3), dtype=np.float32), np.zeros(2, dtype=np.int64)


def items(workers: int, seed: Sequence[int], count: int = 6) -> list[torch.Tensor]:
    return [batch for batch, _ in islice(load(numbers, seed, workers=workers), count)]


def test_batches_are_the_sources() -> None:
    batch, labels = next(load(numbers, [4, 5]))
    expected, _ = next(numbers([4, 5, 0]))
    assert torch.equal(batch, torch.from_numpy(expected))
    assert (labels.dtype, labels.shape) == (torch.int64, (2,))


def test_workers_take_turns_and_make_different_batches() -> None:
    made = items(2, [4])
    sources = [numbers([4, worker]) for worker in range(2)]
    for index, batch in enumerate(made):
        assert torch.equal(batch, torch.from_numpy(next(sources[index % 2])[0]))
    assert not torch.equal(made[0], made[1])


def test_work_is_spread_in_order() -> None:
    expected = [1, 8, 81]
    assert spread(pow, (1, 2, 3), (2, 3, 4)) == expected
    assert spread(pow, (1, 2, 3), (2, 3, 4), workers=2) == expected
