"""The files of options beside the workflows: every option in them exists and has an allowed value."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path
from typing import Any

import pytest
from dask_jobqueue.core import Job
from dask_jobqueue.slurm import SLURMJob

from blinddps_sci.engine.config import make_config

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"


def options_in(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text())


@pytest.mark.parametrize("name", ["local", "gpus", "job_array"])
def test_options_are_those_of_restore(name: str) -> None:
    options = options_in(WORKFLOWS / f"{name}.toml")
    config = make_config(options)
    assert {key: getattr(config, key) for key in options} == options


def test_slurm_has_three_tables() -> None:
    settings = options_in(WORKFLOWS / "slurm.toml")
    assert set(settings) == {"jobs", "slurm", "restore"}
    make_config(settings["restore"])
    known = {name for kind in (Job, SLURMJob) for name in inspect.signature(kind.__init__).parameters}
    assert set(settings["slurm"]) <= known


def test_every_workflow_has_its_options_beside_it() -> None:
    scripts = {path.stem for path in WORKFLOWS.iterdir() if path.suffix in {".py", ".sh"}}
    assert scripts == {path.stem for path in WORKFLOWS.glob("*.toml")}
