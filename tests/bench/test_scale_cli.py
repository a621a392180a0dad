"""`blinddps bench scale` from the command line: its table, its file, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blinddps_sci.bench import SCALE_KINDS
from blinddps_sci.cli import main


def test_a_table_is_printed_and_its_rows_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "plan.json"
    assert main(["bench", "scale", "plan", "--json", str(file)]) == 0
    kept = json.loads(file.read_text())
    assert (kept["what"], kept["rows"][0]["units"]) == ("plan", 2401)
    assert "| 100000 | 2401 |" in capsys.readouterr().out


def test_measured_costs_are_what_is_simulated(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "model.json"
    file.write_text(json.dumps({"rows": [{"workers": 1, "costs": [36.0]}]}))
    assert main(["bench", "scale", "project", "--costs", str(file)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("SIMULATED, not measured")
    # 2401 units of 36 s and 10 ms of the driver, one after the other.
    assert f"| 1 | {2401 * 36.01 / 3600:.3f} |" in out


@pytest.mark.parametrize("what", [*sorted(set(SCALE_KINDS) - {"project"}), None])
def test_costs_are_for_the_projection_alone(what: str | None, capsys: pytest.CaptureFixture) -> None:
    given = ["project"] if what is None else [what, "--costs", "x.json"]
    assert main(["bench", "scale", *given]) == 1
    assert "project, and nothing else, needs --costs" in capsys.readouterr().err


def test_a_part_that_there_is_not_is_refused(capsys: pytest.CaptureFixture) -> None:
    assert main(["bench", "scale", "everything"]) == 1
    assert "overhead" in capsys.readouterr().err
