"""Batches that do not fit the memory are halved, and the draws are the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from blinddps_sci.engine import unit as unit_module
from blinddps_sci.engine.batches import abreast, in_batches, out_of_memory
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.unit import estimate_unit, restore_unit
from blinddps_sci.sampling.posterior import Posterior, Progress, Status
from blinddps_sci.sampling.reconcile import reconcile

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    # What the processor's allocator says.
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
]


def numbered(start: int, count: int, status: Status = Status.COMPLETE) -> Posterior:
    """Return draws that are their own numbers."""
    numbers = torch.arange(start, start + count, dtype=torch.float32)
    return Posterior(
        {"image": numbers[:, None]}, numbers[:, None], status, count, {"image": -numbers[:, None]}
    )


class Small:
    """A memory that holds so many draws at once."""

    def __init__(self, most: int, error: BaseException) -> None:
        self.most, self.error, self.asked = most, error, list[int]()

    def __call__(self, start: int, count: int) -> Posterior:
        self.asked.append(count)
        if count > self.most:
            raise self.error
        return numbered(start, count)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_a_batch_is_halved_until_it_fits_and_no_draw_is_lost(error: BaseException) -> None:
    memory = Small(2, error)
    found = in_batches(7, memory)
    assert memory.asked == [7, 4, 2, 2, 2, 1]
    assert found.samples["image"][:, 0].tolist() == list(range(7))
    assert found.states["image"][:, 0].tolist() == [-n for n in range(7)]
    assert found.chi2[:, 0].tolist() == list(range(7))
    assert found.evaluations == 7


def test_what_fits_is_done_at_once() -> None:
    memory = Small(7, MemoryError())
    assert len(in_batches(7, memory).chi2) == 7
    assert memory.asked == [7]


def test_one_draw_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(MemoryError):
        in_batches(4, Small(0, MemoryError()))


def test_another_error_is_none_of_memory() -> None:
    memory = Small(2, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        in_batches(4, memory)
    assert memory.asked == [4]
    assert not out_of_memory(ValueError("can't allocate memory"))


def test_one_bad_part_is_told() -> None:
    def draw(start: int, count: int) -> Posterior:
        if count > 1:
            raise MemoryError
        return numbered(start, count, Status.NOT_FINITE if start == 1 else Status.COMPLETE)

    assert in_batches(3, draw).status is Status.NOT_FINITE


@pytest.fixture
def memory_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Let the sampler run out of memory with more than so many draws; return what it was asked for."""
    plain = unit_module.sample

    def limit(most: int) -> list[int]:
        asked: list[int] = []

        def sample(*args: Any, **options: Any) -> Posterior:
            asked.append(options["samples"])
            if options["samples"] > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return plain(*args, **options)

        monkeypatch.setattr(unit_module, "sample", sample)
        return asked

    return limit


@pytest.mark.parametrize("psf", ["per-tile", "shared"])
@pytest.mark.parametrize("local", [True, False], ids=["local-priors", "networks"])
def test_a_unit_is_the_same_in_smaller_batches(
    job_of, scene, memory_of, monkeypatch: pytest.MonkeyPatch, psf: str, local: bool
) -> None:
    """Up to rounding, which networks of random weights magnify: another kind of convolution changes more."""
    monkeypatch.setattr(Job, "batch", 5)  # as it would be on a GPU
    monkeypatch.setattr(Job, "abreast", False)
    job = job_of(scene(40, 40), local=local, psf=psf, chains=3, samples=5)
    whole_estimate = estimate_unit(job, 0)
    field = reconcile([whole_estimate], psf)
    whole = restore_unit(job, 0, field)
    asked = memory_of(2)
    estimate = estimate_unit(job, 0)
    result = restore_unit(job, 0, field)
    assert asked == [3, 2, 1, 5, 3, 2, 2, 1]
    assert whole.images.std(axis=0).min() > 0  # the draws are not all the same one
    tolerance = 1e-5 if local else 1e-2
    for found, expected in (
        (estimate.chains, whole_estimate.chains),
        (torch.from_numpy(result.images), torch.from_numpy(whole.images)),
    ):
        spread = float(expected.std(dim=0).mean())
        assert float((found - expected).abs().max()) <= tolerance * spread


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Give torch so many threads, until the test is over."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_draws_side_by_side_are_those_one_by_one(job_of, scene, threads, monkeypatch) -> None:
    """Bit by bit, with one of torch's threads each."""
    threads(1)
    job = job_of(scene(40, 40), chains=3, samples=5)
    found = []
    for count in (1, 3):
        monkeypatch.setattr(Job, "batch", count)
        seen: list[Progress] = []
        estimate = estimate_unit(job, 0)
        result = restore_unit(job, 0, reconcile([estimate], "smooth"), seen.append)
        assert {p.first + p.abreast for p in seen} == ({1, 2, 3, 4, 5} if count == 1 else {3, 5})
        found.append((estimate.chains.numpy(), result.images))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_draw_for_each_thread_of_torch(job_of, scene, threads) -> None:
    threads(3)
    options = {"chains": 2, "samples": 5}
    assert job_of(scene(40, 40), **options).batch == 3
    assert job_of(scene(40, 40), workers=2, **options).batch == 1
    assert job_of(scene(40, 40), chains=2, samples=2).batch == 2


def test_a_draw_that_fails_ends_those_beside_it(threads) -> None:
    threads(3)
    steps = [0, 0, 0]

    def draw(number: int, tell: Any) -> Posterior:
        for _ in range(2000):
            steps[number] += 1
            if number == 2 and steps[2] == 3:
                raise MemoryError
            if tell is not None:
                tell(Progress(1, 1, 0.0, {}, {}, torch.zeros(1)))
            time.sleep(0.001)
        return numbered(number, 1)

    with pytest.raises(MemoryError):
        abreast(3, draw, None)
    assert steps[1] < 2000
    assert torch.get_num_threads() == 3


def test_a_callback_that_raises_ends_all_draws(threads) -> None:
    threads(2)
    steps = [0, 0]

    def draw(number: int, tell: Any) -> Posterior:
        for step in range(2000):
            steps[number] += 1
            tell(Progress(step, 2000, 0.0, {}, {}, torch.zeros(1)))
            time.sleep(0.001)
        return numbered(number, 1)

    def stop(progress: Progress) -> None:
        assert progress.abreast == 2
        if progress.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        abreast(2, draw, stop)
    assert steps[0] == 6
    assert steps[1] < 100


def test_on_the_processor_draws_are_made_one_by_one(job_of, scene, memory_of) -> None:
    """So that no memory, however small, changes a bit."""
    asked = memory_of(1)
    job = job_of(scene(40, 40), chains=3, samples=2)
    restore_unit(job, 0, reconcile([estimate_unit(job, 0)], "smooth"))
    assert asked == [1] * 5
