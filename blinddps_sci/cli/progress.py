"""Progress on the terminal: a bar, or in a log file a line now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from blinddps_sci.engine.driver import Event
    from blinddps_sci.engine.tally import Tally

__all__ = ["ProgressBar"]

_STATE = "{n_fmt}/{total_fmt}px, {rate_fmt}, {remaining} left{postfix}"
_BAR = "{percentage:3.0f}%|{bar}| " + _STATE
_LINE = "{percentage:3.0f}%: " + _STATE

_LINE_EVERY = 30.0
"""Seconds between two lines in a log file."""


class ProgressBar:
    """Shows how far a run is: pixels, their rate, the time left, units, and how many were given up.

    Parameters
    ----------
    tally : Tally
        Of the run.
    stream : TextIO
        Where: standard error.
    """

    def __init__(self, tally: Tally, stream: TextIO) -> None:
        from tqdm import tqdm

        self._tally = tally
        terminal = stream.isatty()
        how: dict[str, Any] = {"bar_format": _BAR, "dynamic_ncols": True}
        if not terminal:
            how = {"bar_format": _LINE, "mininterval": _LINE_EVERY, "maxinterval": _LINE_EVERY, "miniters": 0}
        # The average speed: units of Dask workers come in bursts.
        self._bar = tqdm(
            total=tally.pixels, initial=tally.done, unit="px", unit_scale=True, smoothing=0,
            file=stream if terminal else _Lines(stream), **how,
        )  # fmt: skip
        self._show()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def __call__(self, event: Event) -> None:
        """Show what an event tells of."""
        self._tally.add(event)
        self._show()

    def _show(self) -> None:
        tally = self._tally
        units = f"{tally.restored}/{tally.units} units"
        self._bar.set_postfix_str(
            f"{units}, {tally.lost} quarantined" if tally.lost else units, refresh=False
        )
        self._bar.update(tally.done - self._bar.n)


class _Lines:
    """A stream for `tqdm` that writes a line where a terminal would see the last one replaced."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        line = text.strip()
        if line:
            self._stream.write(f"{line}\n")

    def flush(self) -> None:
        self._stream.flush()
