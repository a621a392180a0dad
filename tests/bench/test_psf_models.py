"""`bench psf-models`: every tile of every model is scored at its node."""

from __future__ import annotations

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from blinddps_sci import cli
from blinddps_sci.bench import psf_models
from blinddps_sci.bench.fields import Field, make_fields
from blinddps_sci.bench.psf_models import MODELS, run_psf_models
from blinddps_sci.engine.job import ALGORITHM
from blinddps_sci.errors import ConfigError, OutputError


@pytest.fixture
def perfect(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict]]:
    """Let `smooth` find the truth, `shared` the PSF of one corner, and `per-tile` no PSF at all."""
    made: dict[bytes, Field] = {}
    calls: list[tuple[str, dict]] = []

    def make(size: int, nodes: int, seed: int) -> tuple[Field, ...]:
        fields = make_fields(size, nodes, seed)
        made.update({field.data.tobytes(): field for field in fields})
        return fields

    def restore(data: np.ndarray, *, psf: str, **options: object) -> xr.Dataset:
        field = made[data.tobytes()]
        calls.append((psf, options))
        line = np.linspace(10.0, len(data) - 11.0, 3)
        places = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1)
        dot = np.zeros((32, 32))
        dot[16, 16] = 1
        kernels = [
            {"smooth": field.psf_at(y, x), "shared": field.kernels[0, 0], "per-tile": dot}[psf]
            for y, x in places.reshape(-1, 2)
        ]
        return xr.Dataset(
            {
                "image": (("y", "x"), field.truth if psf == "smooth" else data),
                "psf_kernel": (
                    ("frame", "channel", "node_y", "node_x", "ky", "kx"),
                    np.reshape(kernels, (1, 1, 3, 3, 32, 32)),
                ),
                "psf_position": (("node_y", "node_x", "coordinate"), places),
                "chi2": (("frame", "channel", "tile_y", "tile_x"), np.full((1, 1, 3, 3), 1.5)),
            }
        )

    monkeypatch.setattr(psf_models, "make_fields", make)
    monkeypatch.setattr(psf_models, "restore", restore)
    return calls


def test_every_tile_is_scored_against_the_psf_at_its_node(perfect, tmp_path) -> None:
    file = tmp_path / "p.json"
    text = run_psf_models(size=128, nodes=3, tile=64, overlap=16, seed=2, quality="fast", json=file)
    stored = json.loads(file.read_text())
    rows = {(row["field"], row["model"]): row for row in stored["rows"]}
    assert [model for model, _ in perfect] == list(MODELS) * 2
    assert perfect[0][1] == {
        "prior": "generic",
        "noise": "gaussian:0.01",
        "seed": 2,
        "quality": "fast",
        "tile": 64,
        "overlap": 16,
    }
    assert stored["settings"]["size"] == 128
    assert stored["settings"]["algorithm"] == ALGORITHM
    for field in ("space-invariant", "space-variant"):
        found = rows[field, "smooth"]
        assert found["mnc"] == pytest.approx(1, abs=1e-6)
        assert found["width_error"] == pytest.approx(0, abs=1e-6)
        assert found["psnr"] > 100
        assert (found["tiles"], found["chi2"]) == (9, 1.5)
        assert rows[field, "per-tile"]["width_error"] == pytest.approx(1)
        assert rows[field, "per-tile"]["psnr"] == found["input_psnr"] < 30
    assert rows["space-invariant", "shared"]["mnc"] == pytest.approx(1, abs=1e-6)
    assert rows["space-variant", "shared"]["mnc"] < 0.98
    assert rows["space-variant", "shared"]["width_error"] > 0.1
    file.write_text(json.dumps({**stored, "rows": stored["rows"][:4]}))
    options = {"size": 128, "nodes": 3, "tile": 64, "overlap": 16, "seed": 2, "quality": "fast"}
    assert run_psf_models(**options, json=file, resume=True).splitlines()[:7] == text.splitlines()[:7]
    assert len(perfect) == 6 + 2
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 6
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 63}, "size is 64 to 512"),
        ({"size": 513}, "size is 64 to 512"),
        ({"nodes": 1}, "nodes 2 to 33"),
        ({"seed": -1}, "seed not negative"),
        ({"quality": "good"}, "quality"),
        ({"size": 96}, "single tile"),
        ({"size": 128, "tile": 64, "overlap": 48}, "overlap 48"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(perfect, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_psf_models(**options)
    assert perfect == []


def test_a_file_into_nowhere_is_refused_before_anything_runs(perfect, tmp_path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        run_psf_models(json=tmp_path / "missing" / "p.json")
    assert perfect == []


def test_the_command_hands_its_options_over(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    seen = SimpleNamespace()

    def run(**options: object) -> str:
        seen.options = options
        return "table"

    monkeypatch.setattr(psf_models, "run_psf_models", run)
    assert cli.main(["bench", "psf-models", "--size", "128", "--tile", "64"]) == 0
    assert capsys.readouterr().out == "table\n"
    defaults = {"nodes": 5, "seed": 0, "quality": "default", "overlap": 64, "json": None, "resume": False}
    assert seen.options == {"size": 128, "tile": 64, **defaults}


@pytest.mark.slow
def test_the_models_are_restored_and_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = partial(psf_models.restore, steps=2, chains=1, samples=1)
    monkeypatch.setattr(psf_models, "restore", quick)
    text = run_psf_models(size=96, nodes=2, tile=64, overlap=16)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| space")]
    assert [row[1] for row in rows] == list(MODELS) * 2
    for row in rows:
        assert int(row[2]) == 4
        assert 0 < float(row[5]) <= 1
        assert float(row[7]) > 0
