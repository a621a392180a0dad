"""What is declared is what is used: dependencies, versions, weights."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import blinddps_sci

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
OWN = {"blinddps_sci", "napari_plugin"}
OPTIONAL = {"bokeh", "deepinv", "torchmfbd"}
"""Loaded by name, where they are there; asked for by extras, or by a benchmark that does without."""


def distribution(requirement: str) -> str:
    """Return the name of a requirement, normalised."""
    return re.split(r"[\[<>=!~; ]", requirement)[0].lower().replace("_", "-")


def imported(package: str) -> set[str]:
    """Return the top names of the third parties that a package imports, anywhere."""
    names: set[str] = set()
    for path in (REPOSITORY / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").split(".")[0])
    return names - OWN - set(sys.stdlib_module_names)


def providers(names: set[str]) -> set[str]:
    """Return the distributions that provide modules."""
    found = packages_distributions()
    return {distribution(found.get(name, [name])[0]) for name in names}


def test_every_dependency_is_imported_and_every_import_declared() -> None:
    declared = {distribution(text) for text in PROJECT["dependencies"]}
    extras = {distribution(text) for group in PROJECT["optional-dependencies"].values() for text in group}
    used = providers(imported("blinddps_sci"))
    assert declared - used == set()
    assert used - declared - extras - OPTIONAL == set()


def test_the_plugin_needs_no_more_than_napari_brings() -> None:
    declared = {distribution(text) for text in PROJECT["dependencies"]}
    assert providers(imported("napari_plugin")) - declared == {"napari", "qtpy"}


def test_lower_bounds_are_not_above_the_tested_versions() -> None:
    tested = dict(
        line.split("==") for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if "==" in line
    )
    versions = {distribution(name): version for name, version in tested.items()}
    for text in PROJECT["dependencies"]:
        least = re.search(r">=([\d.]+)", text)
        assert least is not None, f"{text} has no lower bound"
        pair = (
            tuple(map(int, re.findall(r"\d+", part)[:3])) for part in (least[1], versions[distribution(text)])
        )
        lower, tried = pair
        assert lower <= tried


def test_the_version_is_stated_once() -> None:
    assert "version" not in PROJECT
    assert f"version: {blinddps_sci.__version__}" in (REPOSITORY / "CITATION.cff").read_text()


@pytest.mark.parametrize("what", ["packages", "include"])
def test_what_a_distribution_holds_is_there(what: str) -> None:
    build = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    paths = build["wheel"]["packages"] if what == "packages" else build["sdist"]["include"]
    assert [path for path in paths if not (REPOSITORY / path.lstrip("/")).exists()] == []


def test_the_weights_fit_into_a_wheel() -> None:
    sizes = [path.stat().st_size for path in (REPOSITORY / "blinddps_sci").rglob("*.safetensors")]
    assert 0 < sum(sizes) < 30e6
