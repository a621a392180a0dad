"""The command on stand-ins for the real files: rows, tables, pictures, and how a run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter

from blinddps_sci import cli
from blinddps_sci.bench import REAL_CASES, real_case, real_lines, real_shakes
from blinddps_sci.bench.real_lines import CASE as LINES
from blinddps_sci.bench.real_pair import CASE as PAIR
from blinddps_sci.bench.real_psf import CASE as PSF
from blinddps_sci.bench.real_shakes import CASE as SHAKES
from blinddps_sci.bench.real_stars import CASE as STARS
from blinddps_sci.bench.real_truth import run_real
from blinddps_sci.errors import ConfigError, InputError

RNG = np.random.default_rng(0)


def point(shape: tuple[int, ...], *places: tuple[int, ...]) -> np.ndarray:
    image = np.zeros(shape)
    for place in places:
        image[place] = 1
    return image


def make_lines(folder: Path) -> None:
    x = np.arange(150)
    profile = sum(np.exp(-0.5 * ((x - at) / 6) ** 2) for at in (30, 60, 75, 110))
    stack = RNG.poisson(np.broadcast_to(20 + 40 * profile, (6, 40, 150)))
    tifffile.imwrite(folder / LINES.files[0], stack.astype(np.uint8))
    beads = gaussian_filter(point((41, 90, 90), (20, 30, 30), (20, 60, 60)), (3, 4, 4))
    tifffile.imwrite(folder / LINES.files[1], np.uint8(200 * beads / beads.max()))


def make_pair(folder: Path) -> None:
    scene = gaussian_filter(point((200, 200), (90, 80), (120, 110), (100, 140)), 3)
    kernel = gaussian_filter(point((15, 15), (7, 7)), 1.5)
    coarse = gaussian_filter(scene, 8).reshape(40, 5, 40, 5).mean(axis=(1, 3))
    coarse = 1000 * coarse / coarse.max() + RNG.normal(0, 2, coarse.shape)
    for name, image, scale in zip(PAIR.files, (coarse, kernel, scene), (5, 5, 1), strict=True):
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
        wcs.wcs.crpix = [(100 - 0.5) / scale + 0.5 + 0.5 / scale] * 2
        wcs.wcs.cdelt = [-scale * 1e-5, scale * 1e-5]
        cube = image if image is scene else np.stack([image] * 5)
        fits.writeto(folder / name, cube, wcs.to_header())


def make_psf(folder: Path) -> None:
    galaxies = gaussian_filter(point((48, 48), (20, 20), (30, 34)), 3)
    galaxies = galaxies / galaxies.max() + RNG.normal(0, 0.01, galaxies.shape)
    for name in PSF.files:
        rms, kernel = "rms" in name, name.endswith("psf.fits.gz")
        image = np.full((48, 48), 0.01) if rms else gaussian_filter(point((20, 20), (9, 9)), 1.5)
        fits.writeto(folder / name, (image if rms or kernel else galaxies).astype(np.float32))


def make_stars(folder: Path) -> None:
    places = [tuple(place) for place in RNG.integers(25, 95, (8, 2))]
    for n, name in enumerate(STARS.files):
        moved = point((128, 128), *((y, x + 3 * n) for y, x in places))
        frame = 500 + 3e4 * gaussian_filter(moved, 3) + RNG.normal(0, 10, moved.shape)
        fits.writeto(folder / name, frame.astype(np.uint16))


def make_shakes(folder: Path) -> None:
    for name in SHAKES.files:
        if "kernel" in name and "gt" in name:
            image = gaussian_filter(point((13, 13), (6, 6)), 1.5)
        else:
            image = gaussian_filter(
                np.random.default_rng(5).standard_normal((56, 56)), 2 if "gt" in name else 2.5
            )
        imageio.imwrite(folder / name, np.uint8(255 * (image - image.min()) / np.ptp(image)))


MAKE: dict[str, Callable[[Path], None]] = dict(
    zip(REAL_CASES, (make_lines, make_pair, make_psf, make_stars, make_shakes), strict=True)
)
CASES = dict(zip(REAL_CASES, (LINES, PAIR, PSF, STARS, SHAKES), strict=True))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Let every restoration be one of two steps without networks, and remember what it was asked for."""
    asked: list[dict[str, Any]] = []
    real = real_case.restore

    def restore(source: Any, **options: Any) -> Any:
        asked.append(options)
        cheap = {
            "prior": "gaussian",
            "kernel_prior": "uniform",
            "steps": 2,
            "chains": 1,
            "samples": 1,
            "psf_size": 9,
        }
        return real(source, **{**options, **cheap})

    monkeypatch.setattr(real_case, "restore", restore)
    monkeypatch.setattr(real_lines, "_ITERATIONS", 2)
    return asked


def stand_in(folder: Path, name: str) -> Path:
    for file in CASES[name].files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
    MAKE[name](folder)
    return folder


@pytest.mark.parametrize(
    ("name", "restorations", "prior"),
    [("lines", 3, "micro"), ("pair", 2, "astro"), ("psf", 4, "astro"), ("stars", 1, "astro")],
)
def test_a_case_gives_a_row_for_every_run_a_table_and_a_picture(
    quick, tmp_path: Path, capsys, name: str, restorations: int, prior: str
) -> None:
    if name == "stars":
        pytest.importorskip("photutils")
    data, kept = stand_in(tmp_path, name), tmp_path / "r.json"
    command = ["bench", "real", "--data", str(data), "--cases", name, "--quality", "fast"]
    command += ["--json", str(kept)]
    assert cli.main([*command, "--pictures", str(tmp_path / "p")]) == 0
    printed = capsys.readouterr().out
    assert CASES[name].title in printed
    assert len(quick) == restorations
    assert {(each["prior"], each["quality"], each["seed"]) for each in quick} == {(prior, "fast", 0)}
    rows = json.loads(kept.read_text())["rows"]
    assert not [row for row in rows if "error" in row]
    blind = [row for row in rows if "blind" in row["method"]]
    assert all(np.isfinite(row["chi2"]) for row in blind)
    assert all(f"| {row['method']} |" in printed for row in rows)
    picture = imageio.imread(tmp_path / "p" / f"{name}.png")
    assert picture[..., :3].std() > 10
    assert len(list((tmp_path / "p").glob("*.npz"))) == len(rows)


def test_a_run_goes_on_where_it_stopped(monkeypatch, tmp_path: Path, capsys) -> None:
    calls: list[bool] = []

    def restore(source: np.ndarray, **options: Any) -> xr.Dataset:
        if len(calls) == 5:
            calls.append(True)
            raise KeyboardInterrupt
        calls.append("psf_file" in options)
        kernel = point((9, 9), (4, 4))[None, None, None, None]
        dims = ("frame", "channel", "node_y", "node_x", "ky", "kx")
        return xr.Dataset(
            {"image": (("y", "x"), source), "psf_kernel": (dims, kernel), "chi2": ("tile", [1.0])}
        )

    monkeypatch.setattr(real_case, "restore", restore)
    monkeypatch.setattr(real_shakes, "richardson_lucy_of", lambda image, kernel: image)
    monkeypatch.setattr(real_shakes, "blind_richardson_lucy", lambda image, size: (image, np.ones((3, 3))))
    data, kept = stand_in(tmp_path, "shakes"), tmp_path / "r.json"
    command = ["bench", "real", "--data", str(data), "--cases", "shakes", "--json", str(kept)]
    assert cli.main(command) == 130
    assert len(json.loads(kept.read_text())["rows"]) == 2 * 4 + 2
    assert cli.main([*command, "--resume", "--items", "4"]) == 0
    assert "| blind | 4 |" in capsys.readouterr().out
    assert cli.main([*command, "--resume", "--pictures", str(tmp_path / "p")]) == 0
    assert len(calls) == 2 * 32 + 1  # the one that was interrupted is done again
    rows = json.loads(kept.read_text())["rows"]
    assert len({(row["item"], row["method"]) for row in rows}) == len(rows) == 4 * 32
    printed = capsys.readouterr().out
    assert "| blind | 32 |" in printed
    assert "| blind, then Richardson-Lucy | 32 |" in printed
    assert imageio.imread(tmp_path / "p" / "shakes.png")[..., :3].std() > 10


def test_what_is_missing_is_named(quick, tmp_path: Path, capsys) -> None:
    with pytest.raises(ConfigError, match=r"give --data FOLDER \(lines reads micro/"):
        run_real(data=None, cases=["lines"])
    with pytest.raises(InputError, match=r"lacks .*Cut_HSC\.fits; give the folder"):
        run_real(data=tmp_path, cases=["pair"])
    with pytest.raises(ConfigError, match="items 0: give 1 or more"):
        run_real(data=tmp_path, items=0)
    with pytest.raises(ConfigError, match="cases moons: give some of lines, pair"):
        run_real(data=tmp_path, cases=["moons"])
    stand_in(tmp_path, "pair")
    assert cli.main(["bench", "real", "--data", str(tmp_path), "--cases", "pair,lines"]) == 0
    assert "lines: left out, micro/" in capsys.readouterr().out


def test_a_run_that_fails_has_a_row_that_says_so(monkeypatch, tmp_path: Path) -> None:
    def restore(source: Any, **options: Any) -> Any:
        raise InputError("the image shows nothing")

    monkeypatch.setattr(real_case, "restore", restore)
    printed = run_real(data=stand_in(tmp_path, "pair"), cases=["pair"], json=tmp_path / "r.json")
    assert "- blind: the image shows nothing" in printed
    (tmp_path / PAIR.files[0]).write_bytes(b"damaged")
    assert "Cut_HSC.fits cannot be read" in run_real(data=tmp_path, cases=["pair"])
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [row["method"] for row in rows if "error" in row] == ["told the PSF of Subaru", "blind"]
