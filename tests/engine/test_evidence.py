"""Evidence: who is restored with whose estimates, and which units estimate a shared kernel."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blinddps_sci.engine.evidence import Evidence
from blinddps_sci.tiling.plan import Plan

quick = settings(deadline=None, max_examples=60)


def plan_of(rows: int, columns: int, planes: int = 1) -> Plan:
    return Plan((32 * rows - 3, 32 * columns - 5), planes, tile=32, overlap=8, unit=32, kernel_size=5)


plans = st.builds(plan_of, st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))


@quick
@given(plans, st.sampled_from([None, "per-tile", "smooth", "shared"]), st.integers(1, 30))
def test_units_are_served_by_those_whose_estimates_they_use(plan: Plan, psf: str | None, units: int) -> None:
    evidence = Evidence(plan, psf, units)
    numbers = range(plan.n_units)
    used = {(other, unit) for unit in numbers for other in evidence.of(unit)}
    assert used == {
        (other, unit) for other in numbers if evidence.estimates(other) for unit in evidence.serves(other)
    }
    assert {other for other, _ in used} == set(filter(evidence.estimates, numbers))
    assert all(plan.unit_at(other).plane == plan.unit_at(unit).plane for other, unit in used)


@quick
@given(plans, st.integers(1, 30))
def test_units_that_estimate_a_shared_kernel_are_spread_evenly(plan: Plan, units: int) -> None:
    evidence = Evidence(plan, "shared", units)
    rows, columns = plan.unit_grid
    count = rows * columns
    for first in range(0, plan.n_units, count):
        chosen = list(evidence.of(first + count - 1))
        assert len(chosen) == min(units, count)
        assert chosen[0] == first
        gaps = [b - a for a, b in zip(chosen, [*chosen[1:], first + count], strict=True)]
        assert max(gaps) - min(gaps) <= 1


def test_every_model_asks_whom_it_must() -> None:
    plan = plan_of(3, 3, planes=2)
    of = {psf: list(Evidence(plan, psf, 3).of(13)) for psf in (None, "per-tile", "smooth", "shared")}
    assert of == {
        None: [],
        "per-tile": [13],
        "smooth": [13, 9, 10, 11, 12, 14, 15, 16, 17],
        "shared": [9, 12, 15],
    }


@pytest.mark.parametrize(("psf", "expected"), [(None, 0), ("per-tile", 9), ("smooth", 9), ("shared", 4)])
def test_so_many_units_estimate(psf: str | None, expected: int) -> None:
    evidence = Evidence(plan_of(3, 3), psf, 4)
    assert sum(map(evidence.estimates, range(9))) == expected
