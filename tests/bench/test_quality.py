"""`bench quality`: a row for each pair, written as it comes, and what a stopped run had is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.io import imsave

from blinddps_sci import cli
from blinddps_sci.bench import methods, quality
from blinddps_sci.bench.cases import Case
from blinddps_sci.bench.methods import Outcome, Overrides
from blinddps_sci.bench.quality import run_quality
from blinddps_sci.bench.row_file import write_json
from blinddps_sci.bench.table import format_table
from blinddps_sci.errors import ConfigError, InputError, OutputError


class Fake:
    """Methods that mix truth and data, and count their calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []

    def __call__(self, name: str, case: Case, overrides: Overrides, seed: int) -> Outcome:
        self.calls.append((case.number, name))
        if name == "wiener" and case.number == 1:
            raise InputError("the chain left the finite numbers")
        share = {"split": 0.8, "split-true-psf": 0.9}.get(name, 0.0)
        image = share * case.truth + (1 - share) * case.data
        if name != "split":
            return Outcome(image)
        return Outcome(image, case.kernel, np.full_like(image, 0.05), draws=4, chi2=1.0)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setattr(quality, "run_method", made)
    return made


def test_every_pair_has_a_row_with_its_scores(fake: Fake, pictures: Path) -> None:
    rows = run_quality(data=pictures, methods="blurred,split,split-true-psf", count=2, size=64)
    assert [(row["case"], row["method"]) for row in rows] == fake.calls
    by_method = {row["method"]: row for row in rows if row["case"] == 0}
    assert by_method["blurred"]["psnr"] == by_method["blurred"]["input_psnr"]
    split = by_method["split"]
    assert split["psnr"] > split["input_psnr"] + 5
    assert split["mnc"] == pytest.approx(1)
    assert split["otf_error"] == pytest.approx(0, abs=1e-6)
    assert 0 < split["coverage"] <= 1
    assert split["headroom"] is True
    assert by_method["split-true-psf"]["coverage"] is None
    assert "medians over 2 of 2 cases" in format_table(rows)


def test_a_run_that_is_stopped_goes_on_where_it_was(fake: Fake, pictures: Path, tmp_path) -> None:
    file = tmp_path / "q.json"
    options = {"data": pictures, "count": 2, "size": 64, "json": file, "methods": "blurred,split"}
    stopped = Fake()

    def stop(name: str, case: Case, overrides: Overrides, seed: int) -> Outcome:
        if len(stopped.calls) == 3:
            raise KeyboardInterrupt
        return stopped(name, case, overrides, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "run_method", stop)
        with pytest.raises(KeyboardInterrupt):
            run_quality(**options)
    assert len(json.loads(file.read_text())["rows"]) == 3
    rows = run_quality(**options, resume=True)
    assert fake.calls == [(1, "split")]
    # More methods and cases may be asked for; what is there is not run again.
    fake.calls.clear()
    more = run_quality(**{**options, "count": 3, "methods": "split-true-psf,blurred,split"}, resume=True)
    assert (0, "split") not in fake.calls
    assert len(fake.calls) == 5
    assert [row["method"] for row in more[:3]] == ["split-true-psf", "blurred", "split"]
    stored = json.loads(file.read_text())
    assert stored["rows"] == more
    assert {row["method"]: row["cases"] for row in stored["summary"]}["split"] == 3
    earlier = {(row["case"], row["method"]): row["psnr"] for row in more}
    assert all(earlier[row["case"], row["method"]] == row["psnr"] for row in rows)
    assert list(tmp_path.glob("*.partial")) + list(tmp_path.glob(".*.partial")) == []


def test_another_comparison_is_not_gone_on_with(fake: Fake, pictures: Path, tmp_path) -> None:
    file = tmp_path / "q.json"
    options = {"data": pictures, "count": 1, "size": 64, "json": file, "methods": "blurred"}
    run_quality(**options)
    before = file.read_bytes()
    with pytest.raises(OutputError, match="--resume"):
        run_quality(**options)
    for change in ({"seed": 1}, {"steps": 5}, {"size": 70}):
        with pytest.raises(ConfigError, match=f"made with {next(iter(change))}"):
            run_quality(**{**options, **change}, resume=True)
    assert file.read_bytes() == before
    for text in ("[]", "{", '{"rows": [1], "settings": {}}', '{"rows": [{}], "settings": {}}'):
        file.write_text(text)
        with pytest.raises(InputError, match="no rows of a comparison"):
            run_quality(**options, resume=True)
    with pytest.raises(ConfigError, match="--json"):
        run_quality(methods="blurred", resume=True)


def planes(number: int) -> list[tuple[str, np.ndarray]]:
    """Return textures of two domains, as training hands its held-out images over."""
    rng = np.random.default_rng(5)
    soft = [gaussian_filter(rng.standard_normal((130, 140)), 2.5) for _ in range(number)]
    return [(("astro", "generic")[i % 2], (s - s.min()) / np.ptp(s)) for i, s in enumerate(soft)]


def test_held_out_images_make_cases_of_their_own_kind(fake: Fake, tmp_path) -> None:
    file = tmp_path / "q.json"
    options = {"data": tmp_path, "count": 2, "size": 64, "json": file, "methods": "blurred"}
    rows = run_quality(**options, held_out=planes(4))
    assert [(row["domain"], row["image"][:-1]) for row in rows] == [
        ("astro", "astro-"),
        ("generic", "generic-"),
    ]
    assert json.loads(file.read_text())["settings"]["held_out"] is True
    assert run_quality(**options, held_out=planes(4), resume=True) == rows
    imsave(tmp_path / "plain.png", np.uint8(255 * planes(1)[0][1]), check_contrast=False)
    with pytest.raises(ConfigError, match="made with held_out True, not False"):
        run_quality(**options, resume=True)


def test_a_file_from_before_the_setting_is_one_of_all_images(fake: Fake, pictures: Path, tmp_path) -> None:
    file = tmp_path / "q.json"
    options = {"data": pictures, "count": 1, "size": 64, "json": file, "methods": "blurred", "resume": True}
    rows = run_quality(**options)
    stored = json.loads(file.read_text())
    assert stored["settings"].pop("held_out") is False
    file.write_text(json.dumps(stored))
    assert run_quality(**options) == rows
    with pytest.raises(ConfigError, match="made with held_out False, not True"):
        run_quality(**options, held_out=planes(2))


def test_the_command_takes_the_images_that_training_leaves_out(
    fake: Fake, pictures: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr("blinddps_sci.training.images.held_out", lambda path: path.stem in ("a", "moon"))
    imsave(pictures / "moon.png", np.uint8(255 * planes(1)[0][1]), check_contrast=False)
    options = ["--held-out", "--methods", "blurred", "--size", "64", "--cases", "2"]
    assert cli.main(["bench", "quality", "--data", str(pictures), *options]) == 0
    assert "medians over 2 of 2 cases" in capsys.readouterr().out
    assert {number for number, _ in fake.calls} == {0, 1}
    assert cli.main(["bench", "quality", *options]) == 1
    assert capsys.readouterr().err == (
        "blinddps: error: --held-out needs --data FOLDER, a folder of training images\n"
    )


def test_the_command_takes_the_noises(fake: Fake, pictures: Path, tmp_path, capsys) -> None:
    file = tmp_path / "q.json"
    command = ["bench", "quality", "--data", str(pictures), "--methods", "blurred", "--size", "64"]
    command += ["--cases", "2", "--json", str(file), "--noises"]
    assert cli.main([*command, "0.03,0.005"]) == 0
    stored = json.loads(file.read_text())
    assert stored["settings"]["noises"] == [0.03, 0.005]
    assert [row["noise"] for row in stored["rows"]] == [0.03, 0.005]
    assert cli.main([*command, "0.03,0.005", "--resume"]) == 0
    capsys.readouterr()
    for noises, message in (("0.03", "made with noises"), ("0.1,", "give numbers"), ("2", "noise between 0")):
        assert cli.main([*command, noises, "--resume"]) == 1
        assert message in capsys.readouterr().err


def test_rows_of_another_algorithm_are_not_gone_on_with(
    fake: Fake, pictures: Path, tmp_path, monkeypatch
) -> None:
    file = tmp_path / "q.json"
    options = {"data": pictures, "count": 1, "size": 64, "json": file, "methods": "blurred"}
    run_quality(**options)
    monkeypatch.setattr(methods, "ALGORITHM", 0)
    with pytest.raises(ConfigError, match="made with algorithm"):
        run_quality(**options, resume=True)


def test_a_method_that_fails_on_a_case_does_not_end_the_run(fake: Fake, pictures: Path) -> None:
    rows = run_quality(data=pictures, methods="wiener,split", count=2, size=64)
    failed = rows[2]
    assert (failed["case"], failed["method"], failed["psnr"]) == (1, "wiener", None)
    table = format_table(rows)
    assert "wiener, case 1" in table
    assert "left the finite numbers" in table


def test_outputs_into_nowhere_are_refused_before_anything_runs(fake: Fake, tmp_path) -> None:
    for option in ("json", "plot"):
        with pytest.raises(OutputError, match="does not exist"):
            run_quality(**{option: tmp_path / "missing" / "file"})
    assert fake.calls == []


def test_the_file_stays_whole_if_it_cannot_be_written(tmp_path) -> None:
    file = tmp_path / "q.json"
    write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert json.loads(file.read_text()) == {"a": 1}


@pytest.mark.slow
def test_the_methods_run_and_are_drawn(pictures: Path, tmp_path) -> None:
    rows = run_quality(data=pictures, count=1, size=64, steps=2, chains=1, samples=2, plot=tmp_path / "q.png")
    assert len(rows) == 6
    assert not any("error" in row for row in rows)
    for row in rows:
        assert (row["mnc"] is not None) == (row["method"] in ("split", "blind-rl"))
        assert (row["coverage"] is not None) == row["method"].startswith("split")
        assert (row["chi2"] is not None) == (row["method"] != "blurred")
    assert (tmp_path / "q.png").read_bytes().startswith(b"\x89PNG")
