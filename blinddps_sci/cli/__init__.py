"""The command line: `blinddps …`.

Parses, calls the public functions and prints; nothing is computed here. Exit codes: 0 done, 1
wrong usage, input or configuration (one line on stderr), 3 finished with quarantined units,
130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from blinddps_sci.cli.base import FAILED, INTERRUPTED, Parser
from blinddps_sci.cli.bench import add_bench
from blinddps_sci.cli.examples import add_examples
from blinddps_sci.cli.networks import add_networks
from blinddps_sci.cli.restoring import add_restoring
from blinddps_sci.cli.results import add_results
from blinddps_sci.errors import BlindDpsError, MisfitWarning, NoveltyWarning, QuarantineWarning

__all__ = ["main"]

_OURS = (MisfitWarning, NoveltyWarning, QuarantineWarning)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Threads that spin while they wait make torch many times slower on a machine that is shared;
    # the setting is read when torch is loaded, which no command has done yet.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        options = vars(_parser().parse_args(arguments))
        command: Callable[..., int | None] = options.pop("command")
        with _terminated_as_interrupted(), _plain_warnings():
            return command(**options) or 0
    except BlindDpsError as error:
        print(f"blinddps: error: {' '.join(str(error).split())}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("blinddps: interrupted; a restoration goes on with `blinddps resume OUTPUT`", file=sys.stderr)
        return INTERRUPTED


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM, with which schedulers end a job, end a command as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(signum: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print every warning of the package as one line, without the place in the code that it comes from."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def plain(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if category in _OURS:
                print(f"blinddps: warning: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                show(message, category, *where, **more)

        for category in _OURS:
            warnings.simplefilter("always", category)
        warnings.showwarning = plain
        yield


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="blinddps", description="Blind restoration of scientific images.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    def add(name: str, command: Callable[..., int | None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    for add_some in (add_restoring, add_results, add_examples, add_networks):
        add_some(add)
    add_bench(commands.add_parser("bench", help="Benchmarks.", description="Benchmarks."))
    return parser
