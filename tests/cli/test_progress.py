"""What a person sees of a run: one line that changes on a terminal, a line now and then in a log file."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest

from blinddps_sci.cli import progress
from blinddps_sci.cli.progress import ProgressBar


@dataclass
class Counts:
    """A tally to which events are numbers of pixels."""

    pixels: int = 4_000_000
    units: int = 4
    done: float = 0.0
    restored: int = 0
    lost: int = 0

    def add(self, event: float) -> None:
        self.done += event
        self.restored = int(self.done // 1_000_000)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_one_line_that_changes() -> None:
    stream, counts = Terminal(), Counts()
    with ProgressBar(counts, stream) as bar:
        for _ in range(4):
            bar(1_000_000.0)
    shown = stream.getvalue().rstrip("\n").split("\r")
    assert "\n" not in stream.getvalue().rstrip("\n")
    assert shown[1].lstrip().startswith("0%|")
    assert shown[-1].startswith("100%|")
    assert "4.00M/4.00Mpx, " in shown[-1]
    assert shown[-1].rstrip().endswith("4/4 units")


def test_a_log_file_gets_few_lines_and_nothing_but_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    with ProgressBar(Counts(), stream) as bar:
        for _ in range(1000):
            bar(4000.0)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2  # its beginning and its end
    assert "\r" not in stream.getvalue()
    assert lines[0].startswith("0%: 0.00/4.00Mpx")
    assert lines[1].startswith("100%: 4.00M/4.00Mpx, ")
    monkeypatch.setattr(progress, "_LINE_EVERY", 0.0)
    often = io.StringIO()
    with ProgressBar(Counts(), often) as bar:
        for _ in range(10):
            bar(400_000.0)
    assert len(often.getvalue().splitlines()) > 10


def test_a_run_that_goes_on_begins_where_it_was_and_says_what_was_lost() -> None:
    stream = io.StringIO()
    with ProgressBar(Counts(done=3_000_000.0, restored=3, lost=2), stream) as bar:
        bar(1_000_000.0)
    first, last = stream.getvalue().splitlines()
    assert first.startswith("75%: 3.00M/4.00Mpx")
    assert last.endswith("4/4 units, 2 quarantined")
