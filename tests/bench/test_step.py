"""`bench step`: the ratio is of two positive times, and it is printed for both batches."""

from __future__ import annotations

import re

import pytest

from blinddps_sci.bench import step
from blinddps_sci.bench.step import run_step
from blinddps_sci.errors import ConfigError


@pytest.mark.slow
def test_the_cost_of_a_step_is_given_for_both_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "_STEPS", 1)
    lines = run_step(size=16, repeats=1).splitlines()
    assert lines[0].startswith("canvas 48 x 48, kernel 32")
    for line, batch in zip(lines[1:], (1, 8), strict=True):
        found = re.fullmatch(rf"batch {batch}: networks ([\d.]+) ms, step / networks = ([\d.]+)", line)
        assert found, line
        milliseconds, ratio = map(float, found.groups())
        assert milliseconds > 0
        # A step runs the same networks: less than a half would be an error of the clock.
        assert ratio > 0.5


@pytest.mark.parametrize("options", [{"size": 0}, {"repeats": 0}, {"size": -5}])
def test_numbers_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        run_step(**options)
