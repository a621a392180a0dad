"""The simulated run: closed forms without kills, and the mean of an exponential lifetime with them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from blinddps_sci.bench.projection import project, read_costs, run_projection
from blinddps_sci.errors import InputError


def test_without_overhead_and_kills_workers_are_always_at_work() -> None:
    found = project([3.0] * 12, 4, overhead=0.0)
    assert (found.seconds, found.efficiency, found.lost, found.killed) == (9.0, 1.0, 0.0, 0)


def test_the_driver_hands_out_one_unit_after_the_other() -> None:
    # Ten units of a second on more workers than units: the last begins after ten times the overhead.
    assert project([1.0] * 10, 100, overhead=0.5).seconds == pytest.approx(6.0)


def test_the_last_long_unit_keeps_all_waiting() -> None:
    found = project([1.0] * 6 + [5.0], 2, overhead=0.0)
    assert found.seconds == 8.0
    assert found.efficiency == pytest.approx(11 / 16)


@pytest.mark.parametrize("restart", [0.0, 0.7])
def test_kills_cost_what_the_exponential_distribution_says(restart: float) -> None:
    # A unit of cost c is begun e^(c/L) times on average and takes (L + r) (e^(c/L) - 1) seconds.
    units, cost, lifetime = 5000, 1.0, 2.0
    found = project([cost] * units, 1, overhead=0.0, lifetime=lifetime, restart=restart, seed=3)
    again = math.exp(cost / lifetime) - 1
    assert found.killed / units == pytest.approx(again, rel=0.05)
    assert found.seconds / units == pytest.approx((lifetime + restart) * again, rel=0.05)
    assert found.seconds == pytest.approx(units * cost + found.lost + restart * found.killed)


def test_the_seed_decides_the_kills() -> None:
    runs = [project([1.0] * 200, 8, overhead=0.01, lifetime=5.0, restart=1.0, seed=s) for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_the_table_is_labelled_as_simulated_and_has_runs_with_and_without_kills() -> None:
    rows, text = run_projection([30.0, 60.0, 90.0], units=100, workers=(1, 8), lifetime=600.0)
    assert [row["workers"] for row in rows] == [1, 1, 8, 8]
    assert [row["killed"] > 0 for row in rows] == [False, True, False, True]
    assert rows[0]["efficiency"] > rows[1]["efficiency"]
    # The same units on eight workers: at least an eighth of the time of one.
    assert rows[0]["hours"] / 8 <= rows[2]["hours"] < rows[0]["hours"]
    title, header = text.splitlines()[0], text.splitlines()[2]
    assert title.startswith("SIMULATED, not measured: 100 units")
    assert header.count("simulated") == 4


def test_costs_are_those_of_one_worker(tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    file.write_text(json.dumps({"rows": [{"workers": 1, "costs": [1, 2.5]}, {"workers": 2, "costs": [9]}]}))
    assert read_costs(file) == [1.0, 2.5]


@pytest.mark.parametrize("text", ["", "[]", '{"rows": []}', '{"rows": [{"workers": 1}]}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(InputError, match=r"other\.json is not a file of `blinddps bench scale model`"):
        read_costs(tmp_path / "other.json")
