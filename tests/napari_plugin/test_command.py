"""Which options are given, what line does the same, and what the result is called."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from blinddps_sci.engine.config import make_config
from blinddps_sci.errors import ConfigError
from napari_plugin.command import Request, changed_options, free_output, preview_options
from napari_plugin.layer_source import LayerSource

ARRAY = LayerSource("my layer", np.zeros((20, 20)), {})


def test_only_what_differs_from_the_presets_is_given() -> None:
    plain = make_config({}).model_dump()
    assert changed_options(plain) == {}
    assert changed_options({**plain, "prior": "astro", "steps": 32}) == {"prior": "astro"}
    fast = make_config({"quality": "fast"}).model_dump()
    assert changed_options(fast) == {"quality": "fast"}
    assert changed_options({"quality": "fast", "steps": 32}) == {"quality": "fast", "steps": 32}
    assert changed_options({"model": "turbulence", "psf_size": 64, "tile": 256}) == {
        "model": "turbulence",
        "tile": 256,
    }


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves no core"):
        changed_options({"tile": 64, "overlap": 60})


def test_the_command_is_quoted_and_names_everything() -> None:
    layer = LayerSource("a", "/data/my image.fits", {"hdu": 2, "channel": 1})
    options = {"prior": "astro", "noise": "gaussian:3.5", "compile": True}
    request = Request(layer, options, Path("/out dir/a.zarr"), ((0, 10), (5, 20)), overwrite=True)
    assert shlex.split(request.command) == [
        *("blinddps", "restore", "/data/my image.fits", "-o", "/out dir/a.zarr"),
        *("--hdu=2", "--channel=1", "--region=0:10,5:20", "--prior=astro", "--noise=gaussian:3.5"),
        *("--compile", "--overwrite"),
    ]


def test_an_array_is_restored_from_a_file_beside_the_output() -> None:
    assert Request(ARRAY, {}, Path("/out/b.zarr")).input == Path("/out/b.input.zarr")


def test_a_preview_is_the_same_problem_but_fast_and_here() -> None:
    options = {"prior": "astro", "quality": "best", "steps": 50, "workers": 4, "tile": 128}
    few = {"steps": 7, "chains": 1, "samples": 2}
    assert preview_options(options) == {"prior": "astro", "quality": "fast", **few, "tile": 128, "unit": 512}
    burst = {"model": "turbulence", "quality": "best", "samples": 4}
    assert preview_options(burst) == {"model": "turbulence", "quality": "fast", "unit": 512}
    assert preview_options({"sampler": "dps"}) == {"sampler": "dps", "quality": "fast", "unit": 512}
    assert make_config(preview_options({"tile": 600})).unit == 600
    make_config(preview_options(options))


def test_names_of_results_are_free_and_fit_for_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "m31.fits.gz"
    assert free_output("x", file) == tmp_path / "m31-restored.zarr"
    (tmp_path / "m31-restored.zarr").mkdir()
    assert free_output("x", file) == tmp_path / "m31-restored-2.zarr"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert free_output("cell [1]/x", None) == tmp_path / "blinddps" / "cell--1--x-restored.zarr"
    assert free_output("..", None).name == "layer-restored.zarr"
