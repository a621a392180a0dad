"""A frame of six units, options with which it takes seconds, its result, and programs that stand in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from astropy.io import fits
from skimage import data

from blinddps_sci import restore

REPOSITORY = Path(__file__).resolve().parents[2]
UNITS = 6

Run = Callable[..., subprocess.CompletedProcess[str]]

OPTIONS = """
kernel_prior = "uniform"
psf_size = 8
steps = 2
chains = 1
samples = 2
tile = 64
overlap = 8
unit = 64
device = "cpu"
precision = "float32"
"""


@pytest.fixture(scope="session")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames") / "frame.fits"
    fits.writeto(path, data.camera()[96:224, 128:320].astype(np.float32))
    return path


@pytest.fixture(scope="session")
def options(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("options") / "options.toml"
    path.write_text(OPTIONS)
    return path


@pytest.fixture(scope="session")
def whole(frame: Path, options: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the result of this process alone."""
    path = tmp_path_factory.mktemp("whole") / "whole.zarr"
    restore(frame, path, config=options)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runner of a script of workflows/ in a folder of its own, whose `bin` comes first in the path."""
    (tmp_path / "bin").mkdir()

    def start(script: str, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        path = REPOSITORY / "workflows" / script
        program = [sys.executable, path] if path.suffix == ".py" else ["bash", path]
        search = [str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
        done = subprocess.run(
            [*program, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PATH": os.pathsep.join(search), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return start


@pytest.fixture
def program(tmp_path: Path, run: Run) -> Callable[[str, str], None]:
    """Maker of shell scripts that stand in for programs."""

    def make(name: str, text: str) -> None:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/usr/bin/env bash\n{text}\n")
        path.chmod(0o755)

    return make


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Path, Path], None]:
    """Comparison of everything in two stores, bit by bit."""

    def compare(one: Path, other: Path) -> None:
        found, expected = (
            dict(zarr.open_group(path, mode="r").members(max_depth=None)) for path in (one, other)
        )
        assert set(found) == set(expected)
        for name, array in expected.items():
            if isinstance(array, zarr.Array):
                np.testing.assert_array_equal(found[name][...], array[...], err_msg=name)

    return compare
