"""Budgets: they count what they say, grow with what they should, and refuse with numbers."""

from __future__ import annotations

import pytest

from blinddps_sci.errors import BudgetError, ConfigError
from blinddps_sci.tiling import Budget, Plan, check, describe, estimate, format_bytes, format_duration

PLAN = Plan((2000, 3000), 2, 256, 64, 1024, 32)
OPTIONS = {"samples": 4, "chains": 1, "steps": 40, "bytes_per_pixel": 2000.0}


def test_network_calls_are_tiles_times_draws_times_steps() -> None:
    budget = estimate(PLAN, samples=4, chains=3, steps=40, bytes_per_pixel=0)
    tiles = sum(len(PLAN.tiles(unit)) for unit in PLAN.units())
    assert budget.evaluations == tiles * 4 * 3 * 40


def test_scratch_is_every_draw_on_every_units_data() -> None:
    budget = estimate(PLAN, **OPTIONS)
    assert budget.scratch_bytes == 4 * 4 * sum(unit.data.area for unit in PLAN.units())


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


def test_time_is_shared_by_the_workers() -> None:
    one = estimate(PLAN, **OPTIONS, seconds_per_evaluation=0.5)
    four = estimate(PLAN, **OPTIONS, seconds_per_evaluation=0.5, workers=4)
    assert one.seconds == pytest.approx(0.5 * one.evaluations)
    assert four.seconds == pytest.approx(one.seconds / 4)
    assert estimate(PLAN, **OPTIONS).seconds is None


BUDGET = Budget(memory_bytes=5_200_000_000, output_bytes=10_000, scratch_bytes=30_000, evaluations=1)


def test_what_fits_passes() -> None:
    check(BUDGET)
    check(BUDGET, memory_limit=5_200_000_000, disk_free=40_000)


def test_too_little_memory_is_refused_with_both_numbers() -> None:
    with pytest.raises(BudgetError, match=r"5\.2 GB of memory and may use 4\.0 GB: lower unit, tile or"):
        check(BUDGET, memory_limit=4_000_000_000)


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
    line = describe(estimate(PLAN, **OPTIONS, seconds_per_evaluation=0.5))
    assert "memory per worker" in line
    assert f"{PLAN.n_tiles * 160:,} network calls" in line
    assert line.endswith(f"about {format_duration(PLAN.n_tiles * 80)}")
    assert "about" not in describe(estimate(PLAN, **OPTIONS))
