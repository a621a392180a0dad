"""napari's worker threads for what takes time: runs, which can be cancelled, and short tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.QtCore import QObject

if TYPE_CHECKING:
    from napari_plugin.running import News, Running

__all__ = ["Task", "notify_error", "start_run"]


def start_run(running: Running, hear: Callable[[News], None]) -> None:
    """Start a run in a worker thread.

    Parameters
    ----------
    running : Running
        The run.
    hear : callable
        A method of a `QObject`, called in its thread with all news.
    """
    worker = create_worker(running.events, _worker_class=_worker_class(running.cancel))
    worker.yielded.connect(hear)
    worker.start()


def _worker_class(stop: Callable[[], None]) -> Any:
    """Return a kind of worker that stops what it waits for, and ends then.

    napari asks all workers to quit when its window closes; others see it only at what is yielded next.
    """
    return type("_Worker", (GeneratorWorker,), {"quit": lambda worker: stop()})


class Task(QObject):
    """A function of a few seconds in a worker thread.

    Parameters
    ----------
    work : callable
        The function.
    done : callable
        Called with what it returned, in the thread of the window.
    failed : callable
        Called with one line about why it failed.
    parent : QObject
        Without it nobody is told.
    stop : callable, optional
        Lets the function end early.
    """

    def __init__(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[str], None],
        parent: QObject,
        stop: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(parent)
        self._done, self._failed = done, failed
        worker = create_worker(_told, work, _worker_class=stop and _worker_class(stop))
        worker.yielded.connect(self._hear)
        worker.start()

    def _hear(self, news: tuple[bool, Any]) -> None:
        succeeded, found = news
        (self._done if succeeded else self._failed)(found)
        self.deleteLater()


def _told(work: Callable[[], Any]) -> Iterator[tuple[bool, Any]]:
    """Yield what a function returned, or why it failed."""
    from napari_plugin.running import line_of

    try:
        found = work()
    except Exception as error:
        yield False, line_of(error)
    else:
        yield True, found


def notify_error(message: str) -> None:
    """Show one notification, without a traceback."""
    from napari.utils.notifications import show_error

    show_error(message)
