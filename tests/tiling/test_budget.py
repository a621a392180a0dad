"""Budgets: they count what they say, grow with what they should, and refuse with numbers."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace

import pytest

from blinddps_sci.errors import BudgetError, ConfigError
from blinddps_sci.tiling import (
    Budget,
    Plan,
    check,
    describe,
    duration,
    estimate,
    format_bytes,
    format_duration,
)
from blinddps_sci.tiling.budget import tile_pixels, waiting_units

PLAN = Plan((2000, 3000), 2, 256, 64, 1024, 32)
OPTIONS = {"samples": 4, "chains": 1, "steps": 40, "bytes_per_pixel": 2000.0}


def test_network_calls_are_tiles_times_draws_times_steps() -> None:
    budget = estimate(PLAN, samples=4, chains=3, steps=40, bytes_per_pixel=0)
    tiles = sum(len(PLAN.tiles(unit)) for unit in PLAN.units())
    assert budget.evaluations == tiles * 4 * 3 * 40


def test_scratch_is_every_draw_on_the_data_of_units_that_wait() -> None:
    budget = estimate(PLAN, **OPTIONS)
    largest = max(unit.data.area for unit in PLAN.units())
    assert budget.scratch_bytes == 4 * 4 * largest * waiting_units(PLAN, 1)
    assert waiting_units(PLAN, 1) == 11 < PLAN.n_units == 12
    assert estimate(PLAN, **OPTIONS, workers=8).scratch_bytes == 4 * 4 * largest * PLAN.n_units


def test_scratch_grows_with_the_width_and_not_with_the_height() -> None:
    square, high, wide = (
        estimate(Plan((h, w), 1, 256, 64, 1024, 32), **OPTIONS).scratch_bytes
        for h, w in ((20_480, 20_480), (81_920, 20_480), (20_480, 81_920))
    )
    assert high == square < 0.3 * wide


def test_the_result_holds_image_deviation_flags_and_kernels() -> None:
    budget = estimate(PLAN, **OPTIONS)
    pixels = 2 * 2000 * 3000
    kernels = PLAN.n_tiles * 32 * 32
    assert budget.output_bytes == pytest.approx(9 * pixels * 4 / 3 + 8 * kernels, abs=2)


def test_memory_does_not_depend_on_the_number_of_units() -> None:
    small, large = (Plan((side, side), 2, 256, 64, 1024, 32) for side in (4_096, 300_000))
    assert estimate(large, **OPTIONS).memory_bytes == estimate(small, **OPTIONS).memory_bytes


@pytest.mark.parametrize(
    "changed",
    [
        {"samples": 8},
        {"chains": 2},
        {"bytes_per_pixel": 8000.0},
        {"channels": 3},
        {"frames": 12},
        {"batch": 2},
    ],
)
def test_memory_grows_with_what_is_held_at_once(changed: dict) -> None:
    assert estimate(PLAN, **{**OPTIONS, **changed}).memory_bytes > estimate(PLAN, **OPTIONS).memory_bytes


def test_the_network_needs_its_activations_for_the_largest_tile() -> None:
    with_network = estimate(PLAN, **OPTIONS, batch=3).memory_bytes
    without = estimate(PLAN, **{**OPTIONS, "bytes_per_pixel": 0.0}).memory_bytes
    height, width = PLAN.largest_tile()
    assert with_network - without == 3 * 2000 * height * width


def test_smaller_units_and_tiles_need_less() -> None:
    small = Plan(PLAN.shape, PLAN.planes, 128, 32, 512, 32)
    assert estimate(small, **OPTIONS).memory_bytes < 0.4 * estimate(PLAN, **OPTIONS).memory_bytes


def test_workers_share_whole_units() -> None:
    assert duration(120.0, units=12, workers=1) == 120
    assert duration(120.0, units=12, workers=4) == 30
    assert duration(120.0, units=12, workers=5) == 30
    assert duration(120.0, units=12, workers=50) == 10


def test_pixels_of_tiles_are_those_of_their_boxes() -> None:
    expected = sum(tile.box.area for unit in PLAN.units() for tile in PLAN.tiles(unit))
    assert tile_pixels(PLAN) == expected


def test_a_plan_of_ten_thousand_units_costs_nothing() -> None:
    """The bounds that the design sets: one second and 20 MB."""

    def planned() -> int:
        plan = Plan((100_000, 100_000), 1, 256, 64, 1024, 32)
        assert describe(replace(estimate(plan, **OPTIONS), seconds=float(tile_pixels(plan)))).endswith("h")
        return sum(1 for _ in plan.units())

    begin = time.process_time()
    assert planned() == 98 * 98
    assert time.process_time() - begin < 1
    tracemalloc.start()
    planned()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


BUDGET = Budget(memory_bytes=5_200_000_000, output_bytes=10_000, scratch_bytes=30_000, evaluations=1)


def test_what_fits_passes() -> None:
    check(BUDGET)
    check(BUDGET, memory_limit=5_200_000_000, disk_free=40_000)


def test_too_little_memory_is_refused_with_both_numbers() -> None:
    with pytest.raises(BudgetError, match=r"5\.2 GB of memory and may use 4\.0 GB: lower unit, tile or"):
        check(BUDGET, memory_limit=4_000_000_000)


def test_workers_add_up_and_the_refusal_says_how_many_fit() -> None:
    four = replace(BUDGET, workers=4)
    check(four, memory_limit=20_800_000_000)
    expected = r"4 workers need 20\.8 GB of memory, 5\.2 GB each, and may use 20\.0 GB: lower workers to 3,"
    with pytest.raises(BudgetError, match=expected):
        check(four, memory_limit=20_000_000_000)
    with pytest.raises(BudgetError, match="one worker needs"):
        check(four, memory_limit=4_000_000_000)


def test_too_little_disk_is_refused_with_both_numbers() -> None:
    with pytest.raises(BudgetError, match=r"40\.0 kB of disk .* 39\.0 kB are free: lower samples"):
        check(BUDGET, disk_free=39_000)


@pytest.mark.parametrize(
    "changed",
    [{"samples": 0}, {"chains": -1}, {"steps": 1.5}, {"bytes_per_pixel": -1.0}, {"workers": 0}],
)
def test_numbers_out_of_range_are_refused(changed: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(changed))):
        estimate(PLAN, **{**OPTIONS, **changed})


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (2_148_000_000, "2.1 GB"),
        (999_960, "1.0 MB"),
        (3e16, "30.0 PB"),
    ],
)
def test_bytes_for_people(number: float, text: str) -> None:
    assert format_bytes(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (12_000, "3 h 20 min"),
        (216_000, "2 d 12 h"),
        (1e7, "115 d 18 h"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_budget_in_one_line() -> None:
    budget = estimate(PLAN, **OPTIONS)
    line = describe(replace(budget, seconds=12_000.0, files=4321))
    assert line.startswith(f"{format_bytes(budget.memory_bytes)} memory per worker, ")
    assert line.endswith(f"4,321 files, {PLAN.n_tiles * 160:,} network calls, about 3 h 20 min")
    assert "about" not in describe(budget)
    assert "files" not in describe(budget)
    two = describe(replace(BUDGET, workers=2))
    assert two.startswith("5.2 GB memory per worker, 10.4 GB for 2, 10.0 kB result")
