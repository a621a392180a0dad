"""The summary: medians over cases with headroom, failures counted and listed."""

from __future__ import annotations

import pytest

from blinddps_sci.bench.table import (
    draw_costs,
    format_comparison,
    format_table,
    mark_headroom,
    markdown,
    summarise,
)


def row(case: int, method: str, psnr: float | None, source: float = 25.0, **more: object) -> dict:
    return {
        "case": case,
        "image": "moon",
        "domain": "astro",
        "psf": "motion",
        "noise": 0.01,
        "method": method,
        "input_psnr": source,
        "psnr": psnr,
        **dict.fromkeys(("ssim", "mnc", "width_error", "otf_error", "chi2", "coverage", "std_correlation")),
        "seconds": 2.0,
        **more,
    }


@pytest.fixture
def rows() -> list[dict]:
    found = [
        row(0, "split", 27.0, width_error=-0.4),
        row(1, "split", 24.0, width_error=0.2),
        row(2, "split", 28.0, width_error=0.3),
        row(3, "split", 10.0),
        row(4, "split", None, error="not finite"),
        *(row(case, "split-true-psf", 29.0) for case in (0, 1, 2, 4)),
        row(3, "split-true-psf", 27.4),
    ]
    mark_headroom(found)
    return found


def test_medians_are_over_the_cases_with_headroom(rows) -> None:
    assert {r["case"] for r in rows if r["headroom"] is False} == {3}
    split, known = summarise(rows)
    assert (split["method"], split["cases"]) == ("split", 4)
    assert split["psnr"] == 27.0
    assert split["gain"] == 2.0
    assert (split["failed"], split["failed_share"]) == (2, 0.5)
    assert split["recovered"] == pytest.approx(0.5)
    assert split["width_error"] == pytest.approx(0.3)
    assert split["mnc"] is None
    assert (known["recovered"], known["failed"]) == (1.0, 0)


def test_headroom_is_not_known_without_the_true_psf() -> None:
    found = [row(0, "split", 26.0), row(1, "split", 20.0)]
    mark_headroom(found)
    assert [r["headroom"] for r in found] == [None, None]
    (split,) = summarise(found)
    assert (split["cases"], split["recovered"], split["failed"]) == (2, None, 1)


def test_the_limit_of_headroom_is_part_of_it() -> None:
    found = [row(0, "split-true-psf", 27.5), row(1, "split-true-psf", 27.49)]
    mark_headroom(found)
    assert [r["headroom"] for r in found] == [True, False]


def test_the_table_names_failures_and_what_is_left_out(rows) -> None:
    text = format_table(rows)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 2
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "| split | 4 | 27.000 | 2.000 | 2 (50 %) | 0.500 |" in text
    assert "medians over 4 of 5 cases; 1 left out" in text
    listed = [line for line in text.splitlines() if line.startswith("- ")]
    assert listed == [
        "- split, case 1 (astro moon, motion, noise 0.01): 24.00 dB, input 25.00 dB",
        "- split, case 4 (astro moon, motion, noise 0.01): not finite",
    ]


def test_a_method_without_a_counted_case_is_drawn_and_shown_empty(tmp_path) -> None:
    found = [row(0, "blurred", 25.0, seconds=0.0), row(0, "split-true-psf", 26.0)]
    mark_headroom(found)
    assert "0 | " in format_table(found)
    draw_costs(summarise(found), tmp_path / "empty.png")
    draw_costs(
        [
            {"method": "blurred", "psnr": 25.0, "seconds": 0.0},
            {"method": "split", "psnr": 28.0, "seconds": 3.0},
        ],
        tmp_path / "full.png",
    )
    empty, full = ((tmp_path / f"{name}.png").read_bytes() for name in ("empty", "full"))
    assert empty.startswith(b"\x89PNG")
    assert len(full) > len(empty)


def test_blind_methods_are_compared_case_by_case_with_the_better_peer() -> None:
    found = [
        *(row(case, "split", psnr, mnc=0.9) for case, psnr in enumerate((28.0, 31.0, 27.0, 40.0))),
        row(4, "split", None, error="not finite"),
        *(row(case, "dps-1000-sqrt", 26.0, mnc=0.8) for case in range(5)),
        row(0, "dps-1000-constant", 29.0, mnc=0.8, psf="moffat"),
        row(1, "wiener", 30.0),
        row(2, "split-true-psf", 30.0),
        row(3, "split-true-psf", 26.0),  # no headroom
    ]
    mark_headroom(found)
    summary = {entry["method"]: entry for entry in summarise(found)}
    over = summary["split"]["over"]
    assert over["dps-1000-sqrt or dps-1000-constant"] == {
        "median": 1.0, "mean": pytest.approx(5 / 3), "below": 2, "cases": 4
    }  # fmt: skip
    assert over["wiener"] == {"median": 1.0, "mean": 1.0, "below": 0, "cases": 1}
    assert list(summary["dps-1000-sqrt"]["over"]) == ["wiener"]
    assert summary["wiener"]["over"] == summary["split-true-psf"]["over"] == {}
    assert summary["dps-1000-constant"]["gains"] == {"astro": 4.0, "motion": None, "moffat": 4.0}
    lines = format_comparison(found).splitlines()
    assert "| 1.000 | 1.667 | 2 of 4 | 1.000 | 1.000 | 0 of 1 |" in lines[2]
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + 5


def test_cells_are_rounded_and_strokes_escaped() -> None:
    text = markdown([{"a": 0.12345, "b": 1234.56}, {"b": None}], {"a": "|a|", "b": "b"})
    assert text.splitlines() == [
        r"| \|a\| | b |",
        "| --- | --- |",
        "| 0.123 | 1234.6 |",
        "|  |  |",
    ]
