"""The gallery: its pictures and outputs are those of the code that stands beside them."""

from __future__ import annotations

import ast
import importlib.util
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from blinddps_sci.engine import job

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXAMPLES = sorted(path.stem for path in (DOCS / "examples").glob("*.py"))


def runner() -> ModuleType:
    """Load the script that runs the examples."""
    spec = importlib.util.spec_from_file_location("run_examples", DOCS / "run_examples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_has_a_place() -> None:
    assert sorted(runner().ORDER) == EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_was_run_since_its_code_has_changed(name: str) -> None:
    script = runner()
    assert script.record().get(name) == script.digest(name), f"make gallery EXAMPLES={name}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_picture_is_small(name: str) -> None:
    assert 0 < (DOCS / "examples" / "pictures" / f"{name}.png").stat().st_size < runner().LARGEST
    assert (DOCS / "examples" / "pictures" / f"{name}.txt").read_text().strip()


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_an_example_imports_is_there(name: str) -> None:
    for node in ast.walk(ast.parse((DOCS / "examples" / f"{name}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("blinddps_sci"):
            module = import_module(str(node.module))
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_prose_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = runner()
    monkeypatch.setattr(script, "EXAMPLES", tmp_path)
    texts = {
        "a": '"""One."""\n\nx = 1\n',
        "b": '"""Two."""\n\n# %%\n# More.\n\nx = 1\n',
        "c": '"""One."""\n\nx = 2\n',
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    assert script.digest("a") == script.digest("b") != script.digest("c")


def test_another_algorithm_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = runner().digest(EXAMPLES[0])
    monkeypatch.setattr(job, "ALGORITHM", 0)
    assert runner().digest(EXAMPLES[0]) != before
