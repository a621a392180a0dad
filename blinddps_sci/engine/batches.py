"""Draws in batches that fit the memory, and side by side on the cores of a processor."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch

from blinddps_sci.sampling.posterior import Posterior, Progress, concatenate

__all__ = ["Callback", "abreast", "in_batches", "out_of_memory"]

Callback = Callable[[Progress], None]


class _Ended(Exception):
    """Raised in a draw that is not wanted any more, because one beside it has failed."""


def in_batches(samples: int, draw: Callable[[int, int], Posterior], batch: int | None = None) -> Posterior:
    """Make draws in batches, which are halved when the memory does not suffice.

    Parameters
    ----------
    samples : int
        Draws S in all.
    draw : callable
        Given the number of the first draw and how many, makes them. What a draw is depends on its number
        alone, up to rounding.
    batch : int, optional
        Draws at once; all of them without it.

    Returns
    -------
    Posterior
        Of all S.

    Raises
    ------
    torch.OutOfMemoryError, MemoryError, RuntimeError
        If not even a single draw fits.
    """
    batch, parts = min(batch or samples, samples), list[Posterior]()
    first = 0
    while first < samples:
        count = min(batch, samples - first)
        try:
            parts.append(draw(first, count))
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error) or count == 1:
                raise
            batch = (count + 1) // 2
            failed = True
        else:
            first += count
            failed = False
        # After the exception is gone, which holds on to what did not fit.
        if failed and torch.cuda.is_available():
            torch.cuda.empty_cache()
    return parts[0] if len(parts) == 1 else concatenate(parts)


def abreast(count: int, draw: Callable[[int, Callback], Posterior], callback: Callback | None) -> Posterior:
    """Make draws side by side, each in a thread of its own with its share of torch's.

    A draw is a chain of small operations, in which the threads of a processor mostly wait for each other.

    Parameters
    ----------
    count : int
        How many.
    draw : callable
        Given the number of a draw, from 0, and what to call after every step of it, makes it.
    callback : callable, optional
        Called after every step of the first, which stands for all; an exception it raises ends them.
    """
    threads, failures = torch.get_num_threads(), list[BaseException]()

    def made(number: int) -> Posterior:
        def tell(progress: Progress) -> None:
            if failures:
                raise _Ended
            if number == 0 and callback is not None:
                callback(replace(progress, abreast=count))

        try:
            torch.set_num_threads(max(1, threads // count))  # of this thread
            return draw(number, tell)
        except BaseException as error:
            failures.append(error)
            raise

    try:
        with ThreadPoolExecutor(count - 1) as pool:
            others = [pool.submit(made, number) for number in range(1, count)]
            return concatenate([made(0), *(other.result() for other in others)])
    except _Ended:
        raise failures[0] from None
    finally:
        torch.set_num_threads(threads)


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory did not suffice, on a GPU or on the processor."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The processor's allocator has no class of its own.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
