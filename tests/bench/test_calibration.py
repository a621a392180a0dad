"""`bench calibration`: what is counted of draws that are right and of draws that are not, and the fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from blinddps_sci import cli
from blinddps_sci.bench import calibration, calibration_table
from blinddps_sci.bench.calibration import run_calibration
from blinddps_sci.bench.calibration_counts import (
    LEVELS,
    compared,
    count_fluxes,
    count_frequencies,
    count_pixels,
    z_histogram,
)
from blinddps_sci.bench.calibration_fit import fit_uncertainty
from blinddps_sci.bench.calibration_table import draw_calibration, format_calibration, summarise_calibration
from blinddps_sci.engine.uncertainty import Uncertainty
from blinddps_sci.errors import ConfigError, OutputError
from blinddps_sci.priors import card
from blinddps_sci.priors.registry import load_prior

SIDE, DRAWS = 120, 6


def scene(rng: np.random.Generator) -> np.ndarray:
    soft = gaussian_filter(rng.standard_normal((SIDE, SIDE)), 4)
    return 0.5 + 0.2 * soft / soft.std()


def posterior(seed: int, wrong: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return draws and a truth that scatter about one image, the truth so many times as much."""
    rng = np.random.default_rng(seed)
    image = scene(rng)
    scatter = 0.03 * gaussian_filter(rng.standard_normal((DRAWS + 1, SIDE, SIDE)), [0, 0.7, 0.7])
    return image + scatter[1:], image + wrong * scatter[0]


def shares(counts: list[int]) -> np.ndarray:
    return np.array(counts[1:]) / counts[0]


def test_right_draws_cover_in_every_group_and_band() -> None:
    case = compared(*posterior(0), Uncertainty())
    counts = count_pixels(case)
    for kind in ("draws", "stated"):
        np.testing.assert_allclose(shares(counts[kind]["all"]["0"]), LEVELS, atol=0.04)
        for group in ("brightness", "activity"):
            parts = counts[kind][group].values()
            assert sum(part[0] for part in parts) == case.truth.size
            for part in parts:
                if part[0] > 1000:
                    np.testing.assert_allclose(shares(part), LEVELS, atol=0.07)
    for part in count_frequencies(case).values():
        if part[0] > 300:  # of those that the window leaves independent a quarter
            np.testing.assert_allclose(shares(part), LEVELS, atol=0.07)
    fluxes = count_fluxes(case)
    assert sum(fluxes["ranks"]) == fluxes["inside"][0] > 30
    assert len(fluxes["ranks"]) == DRAWS + 1
    n, first, second = z_histogram(case)["sums"]
    assert abs(first / n) < 0.1
    assert second / n == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("wrong", [0.4, 2.5])
def test_draws_that_scatter_too_much_or_too_little_are_found_out(wrong: float) -> None:
    case = compared(*posterior(1, wrong), Uncertainty())
    expected = {0.4: (0.85, 1.0), 2.5: (0.2, 0.4)}[wrong]
    for kind in ("draws", "stated"):
        assert expected[0] < shares(count_pixels(case)[kind]["all"]["0"])[1] <= expected[1]
    ranks = np.array(count_fluxes(case)["ranks"]) / sum(count_fluxes(case)["ranks"])
    outer = ranks[0] + ranks[-1]
    assert outer < 0.15 if wrong < 1 else outer > 0.5


def test_a_common_shift_is_no_error() -> None:
    draws, truth = posterior(2)
    moved = compared(draws, np.roll(truth, (2, -1), axis=(0, 1)), Uncertainty())
    np.testing.assert_allclose(shares(count_pixels(moved)["stated"]["all"]["0"]), LEVELS, atol=0.05)


def row_of(seed: int, right: Uncertainty) -> dict[str, object]:
    """Return a row whose errors are distributed as is stated exactly."""
    rng = np.random.default_rng(seed)
    variance, gradient = rng.gamma(2, 1, 400), rng.gamma(0.5, 1, 400)
    stated = np.sqrt((1 + 1 / DRAWS) * right.variance(variance, gradient))
    wide = (
        rng.standard_normal(400) if right.tail is None else rng.standard_t(right.tail, 400) / right.one_sigma
    )
    return {
        "draws": DRAWS,
        "pixels": {"error": stated * wide, "variance": variance, "gradient": gradient},
    }


@pytest.mark.parametrize("tail", [None, 2.5])
def test_the_fit_covers_what_it_was_fitted_to(tail: float | None) -> None:
    right = Uncertainty(1.5, 0.8, tail)
    found, (reached,) = fit_uncertainty([[row_of(seed, right) for seed in range(8)]])
    np.testing.assert_allclose(reached, [0.68, 0.95], atol=0.02)
    np.testing.assert_allclose(found.half_width(0.95), right.half_width(0.95), rtol=0.1)
    other = row_of(99, right)["pixels"]
    variance = (1 + 1 / DRAWS) * found.variance(other["variance"], other["gradient"])
    ratio = np.abs(other["error"]) / np.sqrt(variance)
    assert np.mean(ratio < 1) == pytest.approx(0.68, abs=0.06)
    assert np.mean(ratio < found.half_width(0.95)) == pytest.approx(0.95, abs=0.03)


def test_a_long_run_counts_no_more_than_a_short_one() -> None:
    narrow, wide = Uncertainty(1.0, 0.0, 2.5), Uncertainty(3.0, 0.0, 2.5)
    short, long = ([row_of(seed, of) for seed in range(n)] for of, n in ((narrow, 4), (wide, 40)))
    found, reached = fit_uncertainty([short, long])
    alone, _ = fit_uncertainty([long[:4], short])
    assert found.scale == pytest.approx(alone.scale, rel=0.1)
    assert reached[0][0] > 0.68 > reached[1][0]


@pytest.fixture
def quick(pictures: Path) -> dict[str, object]:
    return {"data": pictures, "count": 2, "size": 64, "steps": 2, "chains": 2, "samples": 2}


@pytest.mark.slow
def test_rows_are_written_as_they_come_and_gone_on_from(
    quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, made = tmp_path / "c.json", calibration._row
    seen: list[tuple[int, str]] = []

    def stop(case, method, *more):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append((case.number, method))
        return made(case, method, *more)

    monkeypatch.setattr(calibration, "_row", stop)
    with pytest.raises(KeyboardInterrupt):
        run_calibration(**quick, json=file)
    assert len(json.loads(file.read_text())["rows"]) == 3
    with pytest.raises(OutputError, match="--resume"):
        run_calibration(**quick, json=file)
    with pytest.raises(ConfigError, match="made with steps"):
        run_calibration(**{**quick, "steps": 3}, json=file, resume=True)
    seen.clear()
    rows = run_calibration(**quick, json=file, resume=True, plot=tmp_path / "c.png")
    assert seen == [(1, "known")]
    assert [(row["case"], row["method"]) for row in rows] == [
        (0, "blind"), (0, "known"), (1, "blind"), (1, "known"),
    ]  # fmt: skip
    assert rows[0]["width"]["rank"] in (0, 1, 2)
    assert rows[1]["width"] is None
    assert json.loads(file.read_text())["summary"] == summarise_calibration(rows)
    text = format_calibration(rows)
    for part in (
        "| blind | `std` | all pixels |",
        "cycles per pixel below 0.05",
        "flux of apertures",
        "normal scores",
    ):
        assert part in text
    assert (tmp_path / "c.png").stat().st_size > 10_000
    draw_calibration([rows[1]], tmp_path / "known.png")


@pytest.fixture
def run_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a run on held-out images, and let nothing be restored or written."""
    held_out = {
        "held_out": True, "size": 64, "seed": 0, "quality": "fast", "steps": 12, "chains": None,
        "samples": None,
        **{name: load_prior("shipped", name)[1].sha256 for name in ("image", "kernel")},
    }  # fmt: skip
    needed = dict.fromkeys(("counts", "frequencies", "fluxes", "z"), 0)
    rows = [
        {"case": seed, "method": method, **needed, **row_of(seed, Uncertainty(1.0, 0.0, 2.5))}
        for seed in range(3)
        for method in ("blind", "known")
    ]
    for row in rows:
        row["pixels"] = {name: values.tolist() for name, values in row["pixels"].items()}
    file = tmp_path / "fast.json"
    file.write_text(json.dumps({"settings": held_out, "rows": rows}))
    monkeypatch.setattr(calibration, "run_calibration", lambda **given: rows)
    monkeypatch.setattr(calibration_table, "format_calibration", lambda rows: "")
    monkeypatch.setattr(card, "write_notes", lambda card, path, **notes: notes["uncertainty"])
    return file


FIT = ["bench", "calibration", "--held-out", "--fit", "--data", ".", "--fit-with"]


def test_a_fit_may_be_to_two_presets_and_says_so(run_file: Path, capsys) -> None:
    assert cli.main([*FIT, str(run_file)]) == 0
    out = capsys.readouterr().out
    assert "--cases 12 --size 96 --seed 0 --quality default; together with blinddps bench" in out
    assert "--cases 3 --size 64 --seed 0 --quality fast --steps 12" in out
    assert out.count("% of the pixels are in the intervals") == 2
    assert ", and " in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"held_out": False}, "was not made of held-out images"),
        ({"image": "another"}, "was not made of held-out images with the shipped weights"),
        (None, "was not made of held-out images"),
    ],
)
def test_rows_that_must_not_be_fitted_to_are_refused(
    run_file: Path, change: dict[str, object] | None, message: str, capsys
) -> None:
    stored = json.loads(run_file.read_text())
    settings = {} if change is None else {**stored["settings"], **change}
    run_file.write_text(json.dumps({**stored, "settings": settings}))
    assert cli.main([*FIT, str(run_file)]) == 1
    assert message in capsys.readouterr().err


def test_what_is_reported_on_is_not_fitted(capsys) -> None:
    assert cli.main(["bench", "calibration", "--fit-with", "x.json"]) == 1
    assert "--fit-with needs --fit" in capsys.readouterr().err
    assert cli.main(["bench", "calibration", "--fit"]) == 1
    assert "--fit needs --held-out" in capsys.readouterr().err
    assert cli.main(["bench", "calibration", "--held-out"]) == 1
    assert "--held-out needs --data" in capsys.readouterr().err
