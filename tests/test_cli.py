"""The command line: every command does its work, and whatever is wrong takes one line and exit code 1."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
import torch
import zarr
from astropy.io import fits

from blinddps_sci import cli
from blinddps_sci.engine import tasks
from blinddps_sci.engine.config import EXECUTION, RestoreConfig
from blinddps_sci.engine.job import Job
from blinddps_sci.errors import InputError
from blinddps_sci.io.result import open_result
from blinddps_sci.priors.registry import shipped
from blinddps_sci.priors.store import PriorCard, save_denoiser
from blinddps_sci.priors.unet import UNet, UNetConfig
from blinddps_sci.priors.wrap import EDMDenoiser
from blinddps_sci.simulate.scenes import SCENES

PARITY_FILES = sorted((Path(__file__).parent / "data").glob("*.npz"))


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a command in this process."""

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    return call


def run_outside(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "blinddps_sci", *map(str, arguments)],
        capture_output=True, text=True, timeout=200, **options,
    )  # fmt: skip


def _network(path: Path, role: str, size: int) -> Path:
    config = UNetConfig(1, 1, 4, (1,), norm_groups=2, resblock_updown=False, middle_attention=False)
    card = PriorCard(role=role, net=config.as_dict(), parameterisation="edm", size=size)
    save_denoiser(path, EDMDenoiser(UNet(config)), card)
    return path


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of a restoration of a second, with networks of a few weights."""
    folder = tmp_path_factory.mktemp("networks")
    image, kernel = (
        _network(folder / "i.safetensors", "image", 32),
        _network(folder / "k.safetensors", "kernel", 8),
    )
    options = {"prior": image, "kernel-prior": kernel, "psf-size": 8, "steps": 3, "samples": 2}
    options |= {"tile": 32, "overlap": 8, "unit": 64, "device": "cpu"}
    return [str(part) for name, value in options.items() for part in (f"--{name}", value)]


def picture(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (100 + np.add.outer(np.arange(shape[-2]), np.arange(shape[-1])) + rng.normal(0, 2, shape)).astype(
        "f4"
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    fits.writeto(tmp_path / "in.fits", picture(32, 40))
    return tmp_path / "in.fits"


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- restore and plan ---


def test_restore_writes_the_output_and_says_where(run, quick, source, tmp_path) -> None:
    done = run("restore", source, "-o", tmp_path / "out.fits", "--noise", "gaussian:2", *quick)
    assert done.code == 0
    assert done.out.startswith(f"written: {tmp_path / 'out.fits'}\nreduced chi-squared of the draws: ")
    assert "gaussian with sigma 2" in done.err
    assert "budget: " in done.err
    assert "\n100%: 1.28k/1.28kpx, " in done.err
    assert done.err.endswith(" left, 1/1 units\n")
    assert written(tmp_path) == ["in.fits", "out.fits"]
    again = run("restore", source, "-o", tmp_path / "out.fits", "--overwrite", "--quiet", *quick)
    assert (again.code, again.err) == (0, "")


def test_units_that_fail_are_named_and_tried_again_by_resume(
    run, quick, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits.writeto(tmp_path / "wide.fits", picture(40, 150))
    plain = tasks.restore_unit

    def failing(job: Job, number: int, *others: object) -> object:
        if number == 1:
            raise InputError("bad luck")
        return plain(job, number, *others)

    monkeypatch.setattr(tasks, "restore_unit", failing)
    done = run("restore", tmp_path / "wide.fits", "-o", tmp_path / "out.fits", "--quiet", *quick)
    assert done.code == 3
    assert done.err == "blinddps: unit 1 is quarantined: InputError: bad luck\n"
    assert np.isnan(fits.getdata(tmp_path / "out.fits", "SCI")[:, 64:128]).all()
    monkeypatch.undo()
    done = run("resume", tmp_path / "out.fits", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert np.isfinite(fits.getdata(tmp_path / "out.fits", "SCI")).all()
    assert written(tmp_path) == ["out.fits", "wide.fits"]


def test_frames_and_a_configuration_file(run, quick, source, tmp_path) -> None:
    fits.writeto(tmp_path / "second.fits", picture(32, 40))
    (tmp_path / "options.toml").write_text('seed = 8\nsamples = 1\nnoise = "poisson-gaussian:2,1"\n')
    out = tmp_path / "out.zarr"
    done = run(
        "restore", source, tmp_path / "second.fits", "-o", out, *quick, "--config", tmp_path / "options.toml",
        "--region", "0:24,8:40", "--quality", "best",
    )  # fmt: skip
    assert done.code == 0
    config = open_result(out).attrs["config"]
    assert (config["seed"], config["samples"], config["steps"]) == (8, 2, 3)
    assert config["noise"] == "poisson-gaussian:2,1"
    assert open_result(out).dataset()["image"].shape == (2, 24, 32)


def test_plan_says_what_would_be_done_and_writes_nothing(run, quick, source, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("plan", source, *quick)
    assert (done.code, done.err) == (0, "")
    for part in ("y=32 x x=40", "1 units", "3 steps, 2 draws", "memory per worker", "network calls, about"):
        assert part in done.out
    assert written(tmp_path) == ["in.fits"]


def test_every_field_of_the_configuration_is_an_option_and_the_reverse() -> None:
    commands = next(a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    own = {"help", "input", "config", "output", "overwrite", "quiet"}
    for name, extra in (("restore", own), ("plan", own - {"overwrite", "quiet"})):
        actions = commands.choices[name]._actions
        assert {action.dest for action in actions} - extra == set(RestoreConfig.model_fields)
        for action in actions:
            if action.dest not in extra:
                assert action.option_strings == [f"--{action.dest.replace('_', '-')}"]
                assert str(RestoreConfig.model_fields[action.dest].default) in (action.help or "")


def test_a_run_goes_on_with_whatever_does_not_change_the_answer() -> None:
    commands = next(a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    resume, restore = (
        {a.dest: a.help for a in commands.choices[name]._actions} for name in ("resume", "restore")
    )
    options = resume.keys() - {"help", "output", "overwrite", "quiet"}
    assert options == EXECUTION - {"shard"}
    assert all(resume[name] == restore[name] for name in options)


def test_a_shard_says_what_it_has_done_and_what_comes_next(run, quick, tmp_path) -> None:
    fits.writeto(tmp_path / "wide.fits", picture(40, 150))
    out = tmp_path / "out.zarr"
    part = run("restore", tmp_path / "wide.fits", "-o", out, "--shard", "0/2", "--quiet", *quick)
    assert (part.code, part.err) == (0, "")
    assert part.out == (
        "shard 0/2: 0 of its 1 units are blended, 1 wait for other shards\n"
        f"once all shards have ended, `blinddps resume {out}` finishes the run\n"
    )
    other = run("restore", tmp_path / "wide.fits", "-o", out, "--shard", "1/2", "--quiet", *quick)
    assert other.out.startswith("shard 1/2: ")
    assert open_result(out).status == "running"
    done = run("resume", out, "--quiet", "--device", "cpu", "--memory-limit", "100")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"written: {out}\n")
    assert open_result(out).status == "complete"
    late = run("restore", tmp_path / "wide.fits", "-o", out, "--shard", "0/2", "--quiet", *quick)
    assert late.out.startswith(f"written: {out}\n")


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("hdu", "1", 1),
        ("hdu", "SCI,2", "SCI,2"),
        ("channel", "-1", -1),
        ("channel", "DAPI", "DAPI"),
        ("steps", "7", "7"),
    ],
)
def test_numbers_and_names_of_extensions_and_channels(option: str, value: str, expected: object) -> None:
    parsed = vars(cli._parser().parse_args(["plan", "a.fits", f"--{option}={value}"]))
    assert parsed[option] == expected
    assert set(parsed) == {"command", "input", "output", "config", option}


@pytest.mark.parametrize("arguments", [["--help"], ["restore", "--help"], ["bench", "quality", "--help"]])
def test_help_is_printed(run, capsys, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 0
    assert "usage: blinddps" in capsys.readouterr().out


# --- looking at results ---


@pytest.fixture
def store(run, quick, tmp_path) -> Path:
    tifffile.imwrite(tmp_path / "in.tif", picture(40, 48).astype(np.uint16))
    assert run("restore", tmp_path / "in.tif", "-o", tmp_path / "out.zarr", "--quiet", *quick).code == 0
    return tmp_path / "out.zarr"


def test_info_describes_a_store_an_image_and_weights(run, store, tmp_path) -> None:
    done = run("info", store)
    assert (done.code, done.err) == (0, "")
    assert "status: complete" in done.out
    assert "image: y=40 x x=48" in run("info", tmp_path / "in.tif").out
    assert "role: kernel" in run("info", _network(tmp_path / "k.safetensors", "kernel", 8)).out


def test_report_writes_a_page_once(run, store, tmp_path) -> None:
    page = tmp_path / "r.html"
    assert run("report", store, "-o", page) == Done(0, f"{page}\n", "")
    assert "<h2>Provenance</h2>" in page.read_text()
    assert_refused(run("report", store, "-o", page))
    assert run("report", store, "-o", page, "--overwrite").code == 0


def test_export_writes_fits_tiff_and_psf(run, store, tmp_path) -> None:
    done = run("export", store, "-o", tmp_path / "a.fits", "--psf", tmp_path / "a.psf.fits")
    assert (done.code, done.out.splitlines()) == (0, [str(tmp_path / "a.fits"), str(tmp_path / "a.psf.fits")])
    assert run("export", store, "-o", tmp_path / "a.tif").code == 0
    image = open_result(store).dataset()["image"].values
    np.testing.assert_array_equal(fits.getdata(tmp_path / "a.fits"), image)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), image)
    assert fits.getdata(tmp_path / "a.psf.fits").ndim == 3
    assert run("export", store, "-o", tmp_path / "a.fits").code == 1
    assert run("export", store, "-o", tmp_path / "a.fits", "--overwrite").code == 0


def test_priors_are_listed_and_shown(run) -> None:
    listed = run("priors")
    assert listed == run("priors", "list")
    assert [line.split()[0] for line in listed.out.splitlines()] == list(shipped())
    name, card = next(iter(shipped().items()))
    assert card.sha256 in run("priors", "show", name).out


def test_simulate_lists_its_choices_and_writes_a_frame(run, tmp_path) -> None:
    assert set(SCENES) <= set(run("simulate", "list").out.split())
    out = tmp_path / "frame.fits"
    done = run(
        "simulate", "stars", "-o", out, "--size", 32, "--psf-size", 9, "--psf", "moffat", "--noise", 0.1
    )
    assert (done.code, done.out.strip()) == (0, str(out))
    assert fits.getdata(out).shape == (32, 32)


# --- benchmarks, training ---


@pytest.mark.skipif(not PARITY_FILES, reason="tests/data holds no stored trajectory")
def test_bench_parity_follows_the_published_code(run) -> None:
    done = run("bench", "parity", PARITY_FILES[0])
    assert done.code == 0
    assert "largest difference" in done.out


def test_bench_parity_fails_on_a_difference(run, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("blinddps_sci.bench.parity.compare", lambda file: {"norm": 1e-6, "final_img": 0.5})
    done = run("bench", "parity", tmp_path / "any.npz")
    assert done.code == 1
    assert "largest difference 5.000e-01" in done.out


@pytest.mark.slow
def test_bench_quality_prints_a_table_and_writes_json(run, tmp_path) -> None:
    options = ("--images", 1, "--size", 64, "--steps", 2, "--samples", 1, "--json", tmp_path / "q.json")
    done = run("bench", "quality", *options)
    assert done.code == 0
    assert "medians over" in done.out
    stored = json.loads((tmp_path / "q.json").read_text())
    assert {row["method"] for row in stored["rows"]} >= {"blurred", "split"}


RECIPE = """
size = 8
batch = 4
examples = 40
[net]
in_channels = 1
out_channels = 1
model_channels = 8
channel_mult = [1]
norm_groups = 4
resblock_updown = false
middle_attention = false
"""


@pytest.mark.slow
def test_train_makes_weights_that_restore_takes(run, source, quick, tmp_path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    options = ("--recipe", tmp_path / "tiny.toml", "--output", tmp_path / "run", "--licence", "CC0-1.0")
    done = run("train", "kernel", "--minutes", 0.005, *options)
    weights = tmp_path / "run" / "tiny.safetensors"
    assert (done.code, done.out.strip()) == (0, str(weights))
    assert "licence: CC0-1.0" in run("info", weights).out
    assert run("train", "kernel", "--minutes", 0.002, *options).code == 1
    assert run("train", "kernel", "--minutes", 0.002, *options, "--resume").code == 0
    restored = run("restore", source, "-o", tmp_path / "out.zarr", *quick, "--kernel-prior", weights)
    assert restored.code == 0


# --- what is wrong ---


def assert_refused(done: Done) -> None:
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith("blinddps: error: ")
    assert done.err.count("\n") == 1
    assert done.err.endswith("\n")
    assert len(done.err) > 40
    assert "Traceback" not in done.err


def truncated_fits(path: Path) -> Path:
    fits.writeto(path / "bad.fits", picture(64, 64))
    (path / "bad.fits").write_bytes((path / "bad.fits").read_bytes()[:5000])
    return path / "bad.fits"


def random_bytes(path: Path) -> Path:
    (path / "bad.fits").write_bytes(np.random.default_rng(0).bytes(6000))
    return path / "bad.fits"


def empty(name: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        (path / name).touch()
        return path / name

    return make


def tiff_without_image(path: Path) -> Path:
    (path / "bad.tif").write_bytes(b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00")
    return path / "bad.tif"


def fits_of(data: np.ndarray) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        fits.writeto(path / "bad.fits", data)
        return path / "bad.fits"

    return make


def zarr_of_six_axes(path: Path) -> Path:
    zarr.create_array(str(path / "bad.zarr"), data=np.zeros((2, 2, 2, 2, 16, 16), "f4"))
    return path / "bad.zarr"


def table(path: Path) -> Path:
    columns = fits.ColDefs([fits.Column("flux", "E", array=np.arange(5))])
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path / "bad.fits")
    return path / "bad.fits"


BAD_INPUTS: dict[str, Callable[[Path], Path]] = {
    "missing": lambda path: path / "missing.fits",
    "folder": lambda path: path,
    "truncated FITS": truncated_fits,
    "random bytes": random_bytes,
    "empty FITS": empty("bad.fits"),
    "empty TIFF": empty("bad.tif"),
    "TIFF without an image": tiff_without_image,
    "three pixels": fits_of(picture(3, 3)),
    "five axes": fits_of(np.zeros((2, 2, 2, 16, 16), "f4")),
    "six axes": zarr_of_six_axes,
    "one axis": fits_of(np.zeros(500, "f4")),
    "all NaN": fits_of(np.full((32, 32), np.nan, "f4")),
    "table": table,
    "unknown kind": empty("bad.docx"),
}


@pytest.mark.parametrize("kind", BAD_INPUTS)
@pytest.mark.parametrize("command", ["restore", "plan"])
def test_a_bad_input_is_refused(run, quick, tmp_path, kind: str, command: str) -> None:
    path = BAD_INPUTS[kind](tmp_path)
    before = written(tmp_path)
    output = ("-o", tmp_path / "out.fits") if command == "restore" else ()
    assert_refused(run(command, path, *output, *quick))
    assert written(tmp_path) == before


BAD_OPTIONS = {
    "unknown prior": ("--prior", "radio"),
    "missing weights": ("--prior", "missing.safetensors"),
    "corrupt weights": ("--prior", "{folder}/corrupt.safetensors"),
    "altered weights": ("--prior", "{folder}/altered.safetensors"),
    "weights of another role": ("--prior", "{folder}/kernel.safetensors"),
    "unknown kernel prior": ("--kernel-prior", "radio"),
    "size of another kernel": ("--psf-size", "9"),
    "unknown key in the TOML": ("--config", "{folder}/unknown.toml"),
    "broken TOML": ("--config", "{folder}/broken.toml"),
    "missing TOML": ("--config", "missing.toml"),
    "negative steps": ("--steps", "-5"),
    "steps in words": ("--steps", "many"),
    "overlap larger than the tile": ("--overlap", "100"),
    "unit smaller than the tile": ("--unit", "32", "--tile", "48"),
    "unknown noise": ("--noise", "loud"),
    "noise without a number": ("--noise", "gaussian"),
    "unknown quality": ("--quality", "ultra"),
    "unknown sampler": ("--sampler", "gibbs"),
    "no such device": ("--device", "cuda"),
    "missing PSF": ("--psf-file", "missing.fits"),
    "damaged PSF": ("--psf-file", "{folder}/broken.toml"),
    "region outside": ("--region", "0:500,0:32"),
    "region in words": ("--region", "all"),
    "no such extension": ("--hdu", "7"),
    "no such channel": ("--channel", "3"),
    "too little memory": ("--memory-limit", "0.00001"),
    "infinite memory": ("--memory-limit", "inf"),
    "negative seed": ("--seed", "-1"),
    "unknown option": ("--stepz", "3"),
    "option without a value": ("--steps",),
}


@pytest.mark.parametrize("kind", BAD_OPTIONS)
@pytest.mark.parametrize("command", ["restore", "plan"])
def test_a_bad_option_is_refused(run, quick, source, tmp_path, monkeypatch, kind: str, command: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "unknown.toml").write_text("stepz = 3\n")
    (tmp_path / "broken.toml").write_text("steps =\n")
    kernel = _network(tmp_path / "kernel.safetensors", "kernel", 8)
    good = kernel.read_bytes()
    (tmp_path / "corrupt.safetensors").write_bytes(good[: len(good) // 2])
    (tmp_path / "altered.safetensors").write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    before = written(tmp_path)
    output = ("-o", tmp_path / "out.fits") if command == "restore" else ()
    wrong = (part.format(folder=tmp_path) for part in BAD_OPTIONS[kind])
    assert_refused(run(command, source, *output, *quick, *wrong))
    assert written(tmp_path) == before


@pytest.mark.parametrize("output", ["there.fits", "there.zarr", "missing/out.fits", "out.png", "out", ""])
def test_a_bad_output_is_refused(run, quick, source, tmp_path, output: str) -> None:
    (tmp_path / "there.fits").touch()
    (tmp_path / "there.zarr").mkdir()
    before = written(tmp_path)
    assert_refused(run("restore", source, "-o", tmp_path / output, *quick))
    assert written(tmp_path) == before


def test_plan_looks_at_the_disk_of_the_output(run, quick, source, tmp_path, monkeypatch) -> None:
    places = []

    def nearly_full(folder: Path) -> object:
        places.append(folder)
        return type("Disk", (), {"free": 5000})()

    monkeypatch.setattr("blinddps_sci.engine.budget.shutil.disk_usage", nearly_full)
    done = run("plan", source, "-o", tmp_path / "out.zarr", *quick)
    assert_refused(done)
    assert "5.0 kB are free" in done.err
    assert places == [tmp_path]
    assert_refused(run("plan", source, "-o", tmp_path / "missing" / "out.zarr", *quick))


class Harmful:
    """What a hostile checkpoint would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_that_runs_code_is_refused_and_does_not_run(run, tmp_path) -> None:
    trap = tmp_path / "trap"
    torch.save({"weight": torch.zeros(2), "trap": Harmful(trap)}, tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Harmful(trap)))
    for name in ("zip.pt", "plain.pt"):
        assert_refused(run("convert", tmp_path / name, "-o", tmp_path / "out.safetensors"))
    assert written(tmp_path) == ["plain.pt", "zip.pt"]
    # The trap works where pickles are trusted.
    pickle.loads((tmp_path / "plain.pt").read_bytes())
    assert trap.is_dir()


BAD_COMMANDS = {
    "no command": (),
    "unknown command": ("frobnicate",),
    "restore without anything": ("restore",),
    "restore without an output": ("restore", "{in}"),
    "plan without an input": ("plan",),
    "info of nothing": ("info", "{folder}/missing.fits"),
    "info of a folder": ("info", "{folder}/empty"),
    "info of text": ("info", "{folder}/notes.txt"),
    "info of damaged weights": ("info", "{folder}/bad.safetensors"),
    "report of nothing": ("report", "{folder}/missing.zarr", "-o", "{folder}/r.html"),
    "report of an image": ("report", "{in}", "-o", "{folder}/r.html"),
    "report without a page": ("report", "{folder}/missing.zarr"),
    "export of nothing": ("export", "{folder}/missing.zarr", "-o", "{folder}/out.fits"),
    "export of an image": ("export", "{in}", "-o", "{folder}/out.fits"),
    "export to nothing": ("export", "{folder}"),
    "export to another kind": ("export", "{folder}/missing.zarr", "-o", "{folder}/out.png"),
    "simulate without an output": ("simulate", "stars"),
    "simulate dragons": ("simulate", "dragons", "-o", "{folder}/out.fits"),
    "simulate a wild PSF": ("simulate", "stars", "--psf", "wild", "-o", "{folder}/out.fits"),
    "simulate a negative size": ("simulate", "stars", "--size", "-3", "-o", "{folder}/out.fits"),
    "simulate in words": ("simulate", "stars", "--size", "large", "-o", "{folder}/out.fits"),
    "simulate over a file": ("simulate", "stars", "-o", "{in}"),
    "show of no prior": ("priors", "show"),
    "show of an unknown prior": ("priors", "show", "radio"),
    "bad choice": ("priors", "sing"),
    "convert nothing": ("convert", "{folder}/missing.pt", "-o", "{folder}/out.safetensors"),
    "convert text": ("convert", "{folder}/notes.txt", "-o", "{folder}/out.safetensors"),
    "convert into nowhere": ("convert", "{folder}/small.pt", "-o", "{folder}/missing/out.safetensors"),
    "convert over a file": ("convert", "{folder}/small.pt", "-o", "{in}"),
    "convert another network": ("convert", "{folder}/small.pt", "-o", "{folder}/out.safetensors"),
    "train another role": ("train", "sky", "--minutes", "1"),
    "train without an end": ("train", "kernel"),
    "train without data": ("train", "image", "--minutes", "0.01", "--output", "{folder}/run"),
    "train another recipe": (
        "train",
        "kernel",
        "--minutes",
        "0.01",
        "--recipe",
        "radio",
        "--output",
        "{folder}/run",
    ),
    "train further from nothing": (
        "train",
        "kernel",
        "--minutes",
        "0.01",
        "--resume",
        "--output",
        "{folder}/run",
    ),
    "bench of nothing": ("bench",),
    "parity of nothing": ("bench", "parity", "{folder}/missing.npz"),
    "parity of an image": ("bench", "parity", "{in}"),
    "quality of no image": ("bench", "quality", "--images", "0"),
    "quality of an empty folder": ("bench", "quality", "--data", "{folder}/empty"),
    "quality into nowhere": ("bench", "quality", "--json", "{folder}/missing/q.json"),
    "step without a size": ("bench", "step", "--size", "0"),
    "tiles without a size": ("bench", "tiles", "--size", "0"),
    "demo into a file": ("demo", "--output", "{in}"),
}


@pytest.mark.parametrize("kind", BAD_COMMANDS)
def test_a_bad_command_is_refused(run, source, tmp_path, kind: str) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "bad.safetensors").write_bytes(b"x" * 200)
    (tmp_path / "empty").mkdir()
    torch.save({"weight": torch.zeros(2)}, tmp_path / "small.pt")
    places = {"in": source, "folder": tmp_path}
    before, content = written(tmp_path), source.read_bytes()
    assert_refused(run(*(part.format(**places) for part in BAD_COMMANDS[kind])))
    assert written(tmp_path) == before
    assert source.read_bytes() == content


# --- what looks wrong and is not ---


def test_a_constant_image_is_restored(run, quick, tmp_path) -> None:
    fits.writeto(tmp_path / "flat.fits", np.full((32, 32), 7, dtype=np.int16))
    assert run("restore", tmp_path / "flat.fits", "-o", tmp_path / "out.fits", *quick).code == 0
    assert np.isfinite(fits.getdata(tmp_path / "out.fits")).all()


def test_infinite_pixels_are_flagged_and_filled(run, quick, tmp_path) -> None:
    data = picture(40, 40)
    bad = np.random.default_rng(2).random(data.shape) < 0.1
    data[bad] = np.inf
    fits.writeto(tmp_path / "in.fits", data)
    assert run("restore", tmp_path / "in.fits", "-o", tmp_path / "out.fits", *quick).code == 0
    with fits.open(tmp_path / "out.fits") as hdus:
        np.testing.assert_array_equal(hdus["DQ"].data, bad)
        assert np.isfinite(hdus["SCI"].data).all()
        assert np.isfinite(hdus["ERR"].data).all()


# --- real processes ---


@pytest.mark.slow
def test_a_restoration_with_the_shipped_networks_in_a_process_of_its_own(source, tmp_path) -> None:
    done = run_outside(
        "restore", source, "-o", tmp_path / "out.fits", "--steps", 2, "--samples", 1, "--device", "cpu"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("written: ")
    assert np.isfinite(fits.getdata(tmp_path / "out.fits")).all()


@pytest.mark.slow
def test_an_error_in_a_process_of_its_own(quick, tmp_path) -> None:
    path = truncated_fits(tmp_path)
    done = run_outside("restore", path, "-o", tmp_path / "out.fits", *quick)
    assert_refused(Done(done.returncode, done.stdout, done.stderr))
    assert written(tmp_path) == ["bad.fits"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_what_a_run_needs_to_go_on(quick, source, tmp_path, kind: signal.Signals) -> None:
    arguments = ["restore", source, "-o", tmp_path / "out.fits", *quick, "--steps", "90000", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "blinddps_sci", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background ignores the signal, and what it starts would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 120
        run = tmp_path / "out.fits.zarr.run"
        while not run.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert run.exists()
        time.sleep(1)
        process.send_signal(kind)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err == "blinddps: interrupted; a restoration goes on with `blinddps resume OUTPUT`\n"
    assert written(tmp_path) == ["in.fits", "out.fits.zarr", "out.fits.zarr.run"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent")
@pytest.mark.parametrize(
    ("kind", "where"),
    [(signal.SIGINT, ()), (signal.SIGTERM, ()), (signal.SIGINT, ("--workers", "2"))],
    ids=["Ctrl-C", "SIGTERM", "Ctrl-C with workers"],
)
def test_a_run_that_was_told_to_end_goes_on_to_the_same_answer(
    run, quick, tmp_path, kind: signal.Signals, where: tuple[str, ...]
) -> None:
    fits.writeto(tmp_path / "long.fits", picture(40, 400))
    job = ["restore", tmp_path / "long.fits", "--quiet", *quick, "-o"]
    arguments = [*job, tmp_path / "out.zarr", *where]
    process = subprocess.Popen(
        [sys.executable, "-m", "blinddps_sci", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 120
        folder = tmp_path / "out.zarr.run"
        while not any(folder.glob("*/restore/*/*.json")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # As a terminal does it, and a cluster: to every process of the run.
        os.killpg(process.pid, kind)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert err.endswith("blinddps: interrupted; a restoration goes on with `blinddps resume OUTPUT`\n")
    assert where or err.count("\n") == 1  # workers say what ended them
    assert open_result(tmp_path / "out.zarr").status == "running"
    assert not any(folder.glob("*/quarantine/*"))
    assert run("resume", tmp_path / "out.zarr", "--quiet").code == 0
    assert run(*job, tmp_path / "whole.zarr").code == 0
    resumed, whole = (open_result(tmp_path / name).dataset() for name in ("out.zarr", "whole.zarr"))
    for name in ("image", "std", "dq"):
        np.testing.assert_array_equal(resumed[name], whole[name])
