"""Open files of this process: a few, the most recently used, one reader at a time.

Readers of compressed FITS and TIFF lease their file here for one read, so that a stack of a
thousand frames holds a handful of descriptors and nothing open is ever pickled.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

__all__ = ["HANDLES", "Closable", "HandleCache"]


class Closable(Protocol):
    """What a cached handle must offer."""

    def close(self) -> Any:
        """Release the file."""


H = TypeVar("H", bound=Closable)


@dataclass
class _Entry:
    handle: Closable
    users: int = 0
    busy: threading.Lock = field(default_factory=threading.Lock)


class HandleCache:
    """Least-recently-used cache of open files, safe in threads and after a fork.

    Parameters
    ----------
    limit : int
        Most idle handles kept open; handles in use are never closed.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.forget()

    def forget(self) -> None:
        """Start empty without closing: for a forked child, whose parent owns the handles."""
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @contextmanager
    def lease(self, key: Hashable, opener: Callable[[], H]) -> Iterator[H]:
        """Hold the handle of `key`, opened on first use, for the body of a ``with`` statement.

        Parameters
        ----------
        key : hashable
            Names the file and the way it is opened.
        opener : callable
            Opens it.

        Yields
        ------
        handle
            What `opener` returned; no other thread uses it meanwhile.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry(opener())
            entry.users += 1
            self._entries.move_to_end(key)
        try:
            with entry.busy:
                yield cast("H", entry.handle)
        finally:
            with self._lock:
                entry.users -= 1
                idle = [k for k, e in self._entries.items() if not e.users]
                surplus = [self._entries.pop(k) for k in idle[: max(0, len(self._entries) - self._limit)]]
            for old in surplus:
                old.handle.close()

    def close(self) -> None:
        """Close every handle that is not in use."""
        with self._lock:
            idle = [self._entries.pop(k) for k in [k for k, e in self._entries.items() if not e.users]]
        for entry in idle:
            entry.handle.close()


HANDLES = HandleCache(limit=16)
"""The handles of this process."""

atexit.register(HANDLES.close)
# A child must not share file positions with its parent, nor inherit a lock that is held.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=HANDLES.forget)
