"""The cache of open files: bounded, exclusive, and never closed under a reader."""

from __future__ import annotations

import threading
import time

import pytest

from blinddps_sci.io.handles import HandleCache


class Handle:
    def __init__(self):
        self.closed = 0

    def close(self):
        self.closed += 1


def test_handles_are_reused_and_the_oldest_idle_one_is_closed():
    cache, made = HandleCache(2), {}

    def use(key):
        with cache.lease(key, lambda: made.setdefault((key, len(made)), Handle())) as handle:
            assert not handle.closed
            return handle

    a = use("a")
    assert use("a") is a
    b, _ = use("b"), use("a")
    use("c")
    assert (a.closed, b.closed, len(cache)) == (0, 1, 2)
    assert use("b") is not b
    cache.close()
    assert len(cache) == 0
    assert all(handle.closed == 1 for handle in made.values())


def test_a_handle_in_use_is_not_closed():
    cache = HandleCache(1)
    with cache.lease("a", Handle) as a:
        with cache.lease("b", Handle):
            pass
        cache.close()
        assert not a.closed
    with cache.lease("c", Handle):
        pass
    assert a.closed == 1


def test_one_thread_at_a_time_per_handle():
    cache, inside, most = HandleCache(1), [], []

    def work():
        for _ in range(20):
            with cache.lease("a", Handle):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0002)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) == 80


def test_a_failure_to_open_leaves_nothing_behind():
    cache = HandleCache(1)

    def fail():
        raise OSError("no")

    with pytest.raises(OSError, match="no"), cache.lease("a", fail):
        pass
    assert len(cache) == 0
