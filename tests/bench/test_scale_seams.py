"""`bench scale seams`: plain fields come back, and a seam that is there is seen."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from blinddps_sci.bench import seams
from blinddps_sci.bench.seams import (
    mean_ratio,
    plain_error,
    run_seams,
    seam_contrasts,
    seam_lines,
    squared_steps,
    variances,
)
from blinddps_sci.cli import main
from blinddps_sci.errors import ConfigError
from blinddps_sci.tiling.plan import Plan

PLAN = Plan((150, 130), 1, tile=48, overlap=16, unit=64, kernel_size=9)


def test_seams_are_where_tiles_and_units_begin_and_end_inside_the_image() -> None:
    rows, columns = seam_lines(PLAN)
    for unit in PLAN.units():
        assert {unit.core.y0, unit.core.y1} - {0, 150} <= set(rows)
        for tile in PLAN.tiles(unit):
            assert {x for x in (tile.box.x0, tile.box.x1) if 0 < x < 130} <= set(columns)
    assert rows == sorted(set(rows))
    assert min(rows + columns) >= 1
    assert max(rows) < 150 > 130 > max(columns)
    # Otherwise there is no elsewhere.
    assert len(rows) < 50


@pytest.mark.parametrize(
    "field", [lambda y, x: np.full_like(y, 7.0), lambda y, x: 3 * y - 2 * x + 1], ids=["constant", "ramp"]
)
def test_plain_fields_come_back_to_float_precision(field) -> None:
    assert plain_error(PLAN, field) < 4 * np.finfo(np.float32).eps


def test_tiles_that_disagree_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count()
    monkeypatch.setattr(seams, "_unchanged", lambda x, sigma: x * (1.0 + 0.01 * (next(calls) % 2)))
    error = plain_error(PLAN, lambda y, x: np.full_like(y, 7.0))
    assert error == pytest.approx(0.01, rel=1e-3)


def test_variance_at_seams_is_compared_with_that_beside_them() -> None:
    rows, columns = [64], [40, 80]
    flat = np.full((128, 128), 3.0, np.float32)
    assert mean_ratio(seam_contrasts(flat, rows, columns, variances)) == pytest.approx((1.0, 0.0))
    flat[63:65] *= 2
    flat[:, [39, 40, 79, 80]] *= 2
    ratio, _ = mean_ratio(seam_contrasts(flat, rows, columns, variances))
    # Four times as much; lines that cross are in both sides of the comparison.
    assert ratio == pytest.approx(4.0, rel=0.15)


def test_the_error_of_the_ratio_is_its_spread_over_scenes() -> None:
    found = []
    for seed in range(40):
        draws = np.random.default_rng(seed).normal(size=(6, 128, 128))
        found.append(mean_ratio(seam_contrasts(draws.std(axis=0, ddof=1), [32, 64, 96], [64], variances)))
    ratios, errors = np.array(found).T
    assert errors.mean() == pytest.approx(ratios.std(ddof=1), rel=0.4)
    assert ratios.mean() == pytest.approx(1.0, abs=4 * errors.mean() / 40**0.5)


@pytest.fixture
def restored_as(monkeypatch: pytest.MonkeyPatch):
    """Replace the restoration by a step of so much at the first unit's border, added to the picture."""

    def make(step: float) -> None:
        def restore(data: np.ndarray, **options: Any) -> xr.Dataset:
            image = data.copy()
            image[options["unit"] :] += step
            std = np.ones_like(image)
            return xr.Dataset({"image": (("y", "x"), image), "std": (("y", "x"), std)})

        monkeypatch.setattr(seams, "restore", restore)

    return make


SMALL: dict[str, Any] = {
    "pictures": ("camera", "hubble_deep_field"),
    "size": 128,
    "tile": 64,
    "overlap": 16,
    "unit": 64,
}


def test_the_report_says_what_a_step_does(restored_as) -> None:
    restored_as(0.0)
    clean, text = run_seams(**SMALL)
    restored_as(0.5)
    stepped, _ = run_seams(**SMALL)
    for before, after in zip(clean, stepped, strict=True):
        for what in ("restored", "restored_over_scene", "error"):
            assert after[what][0] > 1.3 * before[what][0]
        assert after["scene"] == before["scene"]
        assert before["variance"] == pytest.approx((1.0, 0.0))
    assert "4 units" in text.splitlines()[0]
    assert "| camera | " in text
    assert "| hubble_deep_field | " in text


def test_the_last_row_is_the_mean_of_all_pictures(restored_as) -> None:
    restored_as(0.1)
    rows, text = run_seams(**SMALL)
    (one, one_error), (other, other_error) = (row["restored"] for row in rows)
    mean = (one * other) ** 0.5
    error = mean * np.hypot(one_error / one, other_error / other) / 2
    last = text.splitlines()[-1]
    assert last.startswith(f"| mean of 2 | {mean:.3f} +- {error:.3f} |")


def test_a_run_goes_on_from_its_file(restored_as, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restored_as(0.1)
    rows, text = run_seams(**SMALL)
    file = tmp_path / "seams.json"
    run_seams(**SMALL, json=file)
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "rows": kept["rows"][:1]}))
    asked = list[str]()
    make = seams.make_fields
    monkeypatch.setattr(seams, "make_fields", lambda *given: asked.append(given[-1]) or make(*given))
    again, same = run_seams(**SMALL, json=file, resume=True)
    assert asked == ["hubble_deep_field"]
    assert (len(again), same) == (len(rows), text)
    with pytest.raises(ConfigError, match="size 128, not 192"):
        run_seams(**{**SMALL, "size": 192}, json=file, resume=True)


def test_only_seams_go_on(capsys: pytest.CaptureFixture) -> None:
    assert main(["bench", "scale", "plan", "--resume"]) == 1
    assert "seams, and nothing else, can --resume" in capsys.readouterr().err


def test_steps_of_an_image_without_seams_are_as_elsewhere_and_a_seam_is_seen() -> None:
    image = np.cumsum(np.random.default_rng(1).standard_cauchy((256, 256)).clip(-9, 9), axis=0)
    rows = [40, 100, 160, 220]
    ratio, error = mean_ratio(seam_contrasts(image, rows, [128], squared_steps))
    assert abs(ratio - 1) < 4 * error
    image[100:] += 20
    assert mean_ratio(seam_contrasts(image, rows, [128], squared_steps))[0] > ratio + 4 * error
