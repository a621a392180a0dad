"""`bench single-frame`: the published problem is posed as said, and every method has its row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from blinddps_sci import cli
from blinddps_sci.bench.single_frame import run_single_frame, single_frame_cases


def test_frames_are_tilted_blurred_and_noisy() -> None:
    first, second = single_frame_cases(None, 2, 64, 0)
    again = next(single_frame_cases(None, 1, 64, 0))
    np.testing.assert_array_equal(first.data, again.data)
    assert first.name != second.name
    rest = []
    for case in (first, second):
        assert case.data.shape == case.truth.shape == (64, 64)
        assert case.kernel.sum() == pytest.approx(1)
        width = np.sqrt((case.kernel * (np.arange(32) - 16.0) ** 2).sum())
        blurred = gaussian_filter(case.truth, width)[8:-8, 8:-8]
        rest.append((case.data[8:-8, 8:-8] - blurred).std())
        assert 0.015 < rest[-1] < 0.5 * case.truth.std()
    # Beside the noise of 0.02 there are the tilts, where the scene has edges.
    assert max(rest) > 0.03


def test_every_method_has_a_row_and_a_table_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.json"
    arguments = [
        "bench",
        "single-frame",
        "--images",
        "1",
        "--size",
        "64",
        "--steps",
        "2",
        "--samples",
        "2",
        "--json",
        str(path),
    ]
    assert cli.main(arguments) == 0
    table = capsys.readouterr().out
    methods = ("blurred", "full", "no tilt", "uniform tilt prior", "uniform kernel prior")
    assert all(f"| {method} |" in table for method in methods)
    rows = run_single_frame(count=1, size=64, steps=2, samples=2, json=path, resume=True)
    assert [row["method"] for row in rows] == list(methods)
    assert all(np.isfinite(row["psnr"]) for row in rows)
    assert all(np.isfinite(row["mnc"]) for row in rows[1:])
