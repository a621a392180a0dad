"""`bench photometry`: the truth scores without error, what is wrong with an image is what is reported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage

from blinddps_sci import cli
from blinddps_sci.bench import photometry
from blinddps_sci.bench.photometry import by_magnitude, run_photometry, summarise_photometry
from blinddps_sci.bench.sky_fields import SkyField, make_field
from blinddps_sci.bench.sky_scores import _detected, score_sky
from blinddps_sci.errors import ConfigError, InputError, OutputError

pytest.importorskip("photutils")


@pytest.fixture(scope="module")
def stars() -> SkyField:
    return make_field("stars", "moffat", 128, 1001)


@pytest.fixture(scope="module")
def galaxies() -> SkyField:
    return make_field("galaxies", "moffat", 128, 1001)


def rows_of(image: np.ndarray, field: SkyField) -> list[dict[str, Any]]:
    scores, catalogue = score_sky(image, field)
    return [{"kind": field.kind, "method": "x", "scores": scores, "catalogue": catalogue}]


def test_a_field_is_its_catalogue_blurred_and_exposed(stars: SkyField) -> None:
    assert stars.kernel.sum() == pytest.approx(1, abs=1e-5)
    assert ((stars.positions >= 12) & (stars.positions <= 115)).all()
    inside = (stars.truth - stars.sky).sum()
    assert stars.flux.sum() < 1.05 * inside  # and there are others beyond the catalogue
    assert np.median(stars.data) == pytest.approx(stars.sky, rel=0.1)
    dark = stars.data[stars.truth < stars.sky + 1]
    assert 0.9 * stars.noise < 1.4826 * np.median(np.abs(dark - np.median(dark))) < 1.3 * stars.noise
    np.testing.assert_array_equal(make_field("stars", "moffat", 128, 1001).data, stars.data)


@pytest.mark.parametrize("kind", ["stars", "galaxies"])
def test_the_truth_is_without_error(kind: str, request: pytest.FixtureRequest) -> None:
    field = request.getfixturevalue(kind)
    (summary,) = summarise_photometry(rows_of(field.truth, field))
    for name in ("flux", "flux_scatter", "shift", "scatter", "sky"):
        assert summary[name] == pytest.approx(0, abs=0.2 if name == "sky" else 1e-6), name
    assert summary["false"] == 0
    assert summary["moved"] < 0.3
    if kind == "stars":
        assert summary["width"] == 1.0
        assert summary["corrected"] == pytest.approx(0, abs=1.0)
        brightest = by_magnitude(rows_of(field.truth, field))[0]
        assert brightest["completeness x"] == 100.0
    else:
        assert summary["ellipticity"] == 0.0


def test_errors_that_are_put_in_come_out(stars: SkyField) -> None:
    wrong = stars.sky + 0.9 * ndimage.shift(stars.truth - stars.sky, (0.1, -0.2), order=5)
    wrong[60:64, 60:64] += 20 * stars.noise  # of no source: there is none near
    assert np.linalg.norm(stars.positions - 61.5, axis=1).min() > 4
    (summary,) = summarise_photometry(rows_of(wrong, stars))
    assert summary["flux"] == pytest.approx(-10, abs=0.5)
    assert summary["shift"] == pytest.approx(np.hypot(0.1, 0.2), abs=0.01)
    assert summary["false"] == 1


def test_a_detection_of_a_source_at_the_edge_is_not_false(stars: SkyField) -> None:
    """The source is no part of the catalogue; its centroid drifts to where the catalogue begins."""
    image = np.full_like(stars.truth, stars.sky)
    image[12:15, 29:32] += 20 * stars.noise
    assert np.linalg.norm(stars.positions - (13, 30), axis=1).min() > 4
    fields = [replace(stars, others=np.array([[y, 30.0, 0.0]])) for y in (11.5, 5.0)]
    assert [_detected(image, field)[1] for field in fields] == [0, 1]


def test_biases_of_fields_do_not_cancel() -> None:
    score = dict.fromkeys(("shift_y", "shift_x", "moved_y", "moved_x", "scatter", "sky"))
    score |= {"found": 1, "sources": 1, "false": 0}
    rows = [
        {
            "kind": "stars",
            "method": "x",
            "scores": score,
            "catalogue": [{"signal": 20.0, "flux": flux, "corrected": None}] * 3,
        }
        for flux in (0.05, -0.05)
    ]
    (summary,) = summarise_photometry(rows)
    assert summary["flux"] == pytest.approx(0)
    assert summary["flux_of_field"] == pytest.approx(5)


def test_blur_takes_flux_out_of_the_aperture_and_the_correction_brings_it_back(stars: SkyField) -> None:
    blurred = stars.sky + ndimage.gaussian_filter(stars.truth - stars.sky, 2.2)
    (summary,) = summarise_photometry(rows_of(blurred, stars))
    assert summary["flux"] < -5
    assert abs(summary["corrected"]) < 1.5
    assert summary["width"] == pytest.approx(np.hypot(0.7, 2.2) / 0.7, rel=0.05)


@pytest.fixture
def perfect(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Let `restore` find the truth."""
    made: dict[bytes, SkyField] = {}
    calls: list[dict[str, Any]] = []

    def make(*what: Any) -> SkyField:
        field = make_field(*what)
        made[field.data.tobytes()] = field
        return field

    def restore(data: np.ndarray, **options: Any) -> xr.Dataset:
        field = made[data.tobytes()]
        calls.append(options)
        dims = ("frame", "channel", "node_y", "node_x", "ky", "kx")
        return xr.Dataset(
            {
                "image": (("y", "x"), field.truth),
                "psf_kernel": (dims, field.kernel[None, None, None, None]),
                "chi2": (("tile",), [1.25]),
            }
        )

    monkeypatch.setattr(photometry, "make_field", make)
    monkeypatch.setattr(photometry, "restore", restore)
    return calls


def test_tables_file_picture_and_how_a_run_goes_on(perfect, tmp_path: Path, capsys) -> None:
    file, plot = tmp_path / "p.json", tmp_path / "p.png"
    command = ["bench", "photometry", "--size", "96", "--psfs", "moffat", "--json", str(file)]
    assert cli.main([*command, "--kinds", "stars", "--methods", "input,fast"]) == 0
    assert cli.main([*command, "--resume", "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    assert len(perfect) == 6
    assert [call["quality"] for call in perfect] == ["fast", "default", "fast", "fast", "default", "fast"]
    assert ["psf_file" in call for call in perfect] == [False, False, True] * 2
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) == 8
    assert [row["mnc"] for row in rows if "mnc" in row] == pytest.approx(6 * [1.0])
    assert "+0.0 ± 0.0" in printed
    assert plot.stat().st_size > 10_000


def test_what_cannot_be_done_is_refused(perfect, tmp_path: Path) -> None:
    for options in ({"fields": 0}, {"kinds": ["quasars"]}, {"psfs": ["box"]}, {"methods": ["magic"]}):
        with pytest.raises(ConfigError, match="give"):
            run_photometry(**options)
    with pytest.raises(ConfigError, match="size"):
        run_photometry(size=10)
    with pytest.raises(ConfigError, match="--json"):
        run_photometry(resume=True)
    file = tmp_path / "p.json"
    run_photometry(size=64, kinds=["stars"], psfs=["moffat"], methods=["input"], json=file)
    with pytest.raises(OutputError, match="--resume"):
        run_photometry(size=64, json=file)
    with pytest.raises(ConfigError, match="made with"):
        run_photometry(size=65, json=file, resume=True)
    file.write_text("{}")
    with pytest.raises(InputError, match="no rows"):
        run_photometry(size=64, json=file, resume=True)
