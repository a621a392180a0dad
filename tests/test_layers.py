"""The one allowed direction of imports, and the size of modules, read from the source.

The design's arrows stand here as data. Every import counts, at the top of a module or inside a
function, relative or absolute, under ``TYPE_CHECKING`` or through `importlib.import_module`.
"""

from __future__ import annotations

import ast
import graphlib
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
LIBRARY = "blinddps_sci"
PACKAGES = (LIBRARY, "napari_plugin", "workflows")

# The library's own face, `blinddps_sci/__init__.py`, is a layer of its own.
FACE = "face"

_MATHEMATICS = {"errors", "metrics"}
_SAMPLING = _MATHEMATICS | {"operators", "likelihoods", "priors"}
_ENGINE = _SAMPLING | {"sampling", "io", "tiling"}
_TRAINING = _MATHEMATICS | {"simulate", "priors"}
_FACE = _ENGINE | _TRAINING | {"engine", "training"}

# layer: the layers it may import besides itself
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "metrics": {"errors"},
    "io": _MATHEMATICS,
    "tiling": _MATHEMATICS,
    "operators": _MATHEMATICS,
    "likelihoods": _MATHEMATICS,
    "priors": _MATHEMATICS,
    "simulate": _MATHEMATICS,
    "sampling": _SAMPLING,
    "engine": _ENGINE,
    "training": _TRAINING,
    FACE: _FACE,
    "bench": _ENGINE | {"engine", "simulate", FACE},
    "cli": _FACE | {"bench", FACE},
    "__main__": {"cli"},
    "napari_plugin": {FACE, "engine", "errors"},
    "workflows": {FACE, "engine", "errors"},
}

# The version is a constant: anyone may ask the face for it, and no cycle comes of it.
FROM_ANYWHERE = {"__version__"}

_TORCH = {"torch", "torchvision"}
_DASK = {"dask", "distributed"}
_VIEWERS = {"magicgui", "napari", "PyQt5", "PyQt6", "PySide2", "PySide6", "qtpy", "superqt", "vispy"}

# layer: the third parties it never imports, beyond those that nobody does
NEVER: dict[str, set[str]] = {
    "errors": _TORCH | _DASK,
    "metrics": _TORCH | _DASK,
    "io": _TORCH,
    "tiling": _TORCH,
    "simulate": _TORCH,
    "sampling": _DASK | {"zarr", "astropy"},
}
NEVER_ANYWHERE = {"torchvision"}
NEVER_IN_THE_LIBRARY = _VIEWERS
TORCH_MEETS_DASK_ONLY_IN = {"engine", "workflows"}

MAX_LINES = {LIBRARY: 400, "napari_plugin": 400, "workflows": 100}
MAX_MEDIAN_LINES = 150


@dataclass(frozen=True)
class Import:
    """One import: from the module that holds it to the module (or third party) that it names."""

    source: str
    target: str
    names: frozenset[str]
    line: int


def find_modules(root: Path) -> dict[str, Path]:
    """Return the dotted name and the file of each module of the three packages under `root`."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def layer_of(module: str) -> str:
    """Return the layer that a module of the three packages belongs to."""
    parts = module.split(".")
    if parts[0] != LIBRARY:
        return parts[0]
    return parts[1] if len(parts) > 1 else FACE


def read_imports(module: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    """Yield every import of one module, each resolved to the module that it loads."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, frozenset(), node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            names = {alias.name for alias in node.names}
            inner = {name for name in names if f"{base}.{name}" in modules}
            for name in sorted(inner):
                yield Import(module, f"{base}.{name}", frozenset(), node.lineno)
            if names - inner:
                yield Import(module, base, frozenset(names - inner), node.lineno)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield Import(module, node.args[0].value, frozenset(), node.lineno)


def read_tree(root: Path) -> tuple[dict[str, Path], list[Import]]:
    """Return the modules under `root` and all their imports."""
    modules = find_modules(root)
    return modules, [found for name, path in modules.items() for found in read_imports(name, path, modules)]


def forbidden_arrows(root: Path) -> list[str]:
    """Return one line for each import that the tables do not allow."""
    modules, imports = read_tree(root)
    found = [
        f"{name}: `{layer_of(name)}` is no layer of the design"
        for name in modules
        if layer_of(name) not in ALLOWED
    ]
    meets: dict[str, set[str]] = {}
    for each in imports:
        source, top = layer_of(each.source), each.target.split(".")[0]
        where = f"{each.source}:{each.line}: {source} imports {each.target}"
        if top not in PACKAGES:
            never = NEVER_ANYWHERE | NEVER.get(source, set())
            never = never | NEVER_IN_THE_LIBRARY if each.source.split(".")[0] == LIBRARY else never
            if top in never:
                found.append(f"{where}, never allowed there")
            meets.setdefault(source, set()).add(top)
        elif each.target not in modules:
            found.append(f"{where}, which does not exist")
        elif not (each.target == LIBRARY and each.names and each.names <= FROM_ANYWHERE):
            target = layer_of(each.target)
            if target != source and target not in ALLOWED.get(source, set()):
                found.append(f"{where}, an arrow that the design does not have")
    for layer, parties in meets.items():
        if "torch" in parties and parties & _DASK and layer not in TORCH_MEETS_DASK_ONLY_IN:
            found.append(f"{layer}: torch meets Dask, which is the engine's part")
    return found


def find_cycle(root: Path) -> list[str]:
    """Return the modules of one import cycle, or nothing."""
    modules, imports = read_tree(root)
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for each in imports:
        version_only = each.target == LIBRARY and each.names and each.names <= FROM_ANYWHERE
        if each.target in modules and each.target != each.source and not version_only:
            graph[each.source].add(each.target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def too_long(root: Path) -> list[str]:
    """Return one line for each module over its limit, and one for a median over its own."""
    lines = {
        name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in find_modules(root).items()
    }
    found = [
        f"{name} has {count} lines of {MAX_LINES[name.split('.')[0]]} allowed"
        for name, count in lines.items()
        if count > MAX_LINES[name.split(".")[0]]
    ]
    library = [count for name, count in lines.items() if not name.startswith("workflows")]
    if library and statistics.median(library) > MAX_MEDIAN_LINES:
        median = statistics.median(library)
        found.append(f"the median module has {median:g} lines of {MAX_MEDIAN_LINES} allowed")
    return found


def test_every_import_of_the_repository_follows_an_allowed_arrow() -> None:
    assert forbidden_arrows(REPOSITORY) == []


def test_no_import_cycle() -> None:
    assert find_cycle(REPOSITORY) == []


def test_modules_are_short() -> None:
    assert too_long(REPOSITORY) == []


def test_the_check_reads_the_repository() -> None:
    modules, imports = read_tree(REPOSITORY)
    assert f"{LIBRARY}.errors" in modules
    assert Import("blinddps_sci.metrics.pair", "numpy", frozenset(), 0) in {
        Import(each.source, each.target, each.names, 0) for each in imports
    }
    assert any(each.target == f"{LIBRARY}.errors" for each in imports)


def test_the_table_has_no_cycle_and_names_only_layers() -> None:
    tuple(graphlib.TopologicalSorter(ALLOWED).static_order())
    assert set().union(*ALLOWED.values()) <= set(ALLOWED)
    assert set(NEVER) <= set(ALLOWED)


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write a small tree that keeps every rule, with `files` laid over it."""
    clean = {
        "blinddps_sci/__init__.py": "__version__ = '0'\ndef f():\n    from blinddps_sci.engine import run\n",
        "blinddps_sci/errors.py": "",
        "blinddps_sci/io/__init__.py": "import dask\nfrom blinddps_sci.errors import E\n",
        "blinddps_sci/priors/__init__.py": "import torch\nfrom blinddps_sci.metrics import psnr\n",
        "blinddps_sci/metrics/__init__.py": "import numpy\n",
        "blinddps_sci/sampling/__init__.py": "import torch\nfrom blinddps_sci.priors import P\n",
        "blinddps_sci/engine/__init__.py": "from blinddps_sci.engine import run\n",
        "blinddps_sci/engine/run.py": "import dask, torch\nfrom blinddps_sci import __version__, sampling\n",
        "napari_plugin/__init__.py": "import napari\nimport blinddps_sci\n",
        "workflows/local.py": "import blinddps_sci\n",
    }
    for name, text in (clean | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_a_clean_tree_passes(tmp_path: Path) -> None:
    root = plant(tmp_path, {})
    assert (forbidden_arrows(root), find_cycle(root), too_long(root)) == ([], [], [])


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("blinddps_sci/io/a.py", "import torch.nn\n", "io imports torch.nn, never"),
        ("blinddps_sci/tiling/a.py", "def f():\n    from torch import nn\n", "tiling imports torch, never"),
        ("blinddps_sci/sampling/a.py", "import dask.array as da\n", "sampling imports dask.array, never"),
        ("blinddps_sci/sampling/a.py", "from zarr import open\n", "sampling imports zarr, never"),
        ("blinddps_sci/priors/a.py", "from torchvision import ops\n", "priors imports torchvision, never"),
        ("workflows/a.py", "import torchvision\n", "workflows imports torchvision, never"),
        ("blinddps_sci/cli.py", "from qtpy import QtCore\n", "cli imports qtpy, never"),
        ("blinddps_sci/io/a.py", "import napari\n", "io imports napari, never"),
        ("blinddps_sci/operators/a.py", "import dask\nimport torch\n", "operators: torch meets Dask"),
        (
            "blinddps_sci/io/a.py",
            "from blinddps_sci import engine\n",
            "imports blinddps_sci.engine, an arrow",
        ),
        ("blinddps_sci/io/a.py", "from ..engine.run import x\n", "imports blinddps_sci.engine.run, an arrow"),
        ("blinddps_sci/priors/a.py", "from .. import sampling\n", "imports blinddps_sci.sampling, an arrow"),
        ("blinddps_sci/errors.py", "import blinddps_sci.metrics\n", "imports blinddps_sci.metrics, an arrow"),
        ("blinddps_sci/engine/a.py", "from blinddps_sci import restore\n", "imports blinddps_sci, an arrow"),
        ("blinddps_sci/priors/a.py", "import napari_plugin\n", "imports napari_plugin, an arrow"),
        ("workflows/a.py", "from blinddps_sci.priors import P\n", "imports blinddps_sci.priors, an arrow"),
        ("blinddps_sci/io/a.py", "f = import_module('blinddps_sci.engine')\n", "an arrow"),
        ("blinddps_sci/io/a.py", "from blinddps_sci.errorz import E\n", "which does not exist"),
        ("blinddps_sci/helpers.py", "", "`helpers` is no layer"),
    ],
)
def test_a_planted_arrow_is_found(tmp_path: Path, file: str, text: str, message: str) -> None:
    found = forbidden_arrows(plant(tmp_path, {file: text}))
    assert any(message in line for line in found), found


@pytest.mark.parametrize(
    "files",
    [
        {
            "blinddps_sci/priors/a.py": "from blinddps_sci.priors.b import x\n",
            "blinddps_sci/priors/b.py": "def f():\n    from blinddps_sci.priors import a\n",
        },
        {
            "blinddps_sci/priors/__init__.py": "from blinddps_sci.priors.a import x\n",
            "blinddps_sci/priors/a.py": "from blinddps_sci.priors import y\n",
        },
    ],
)
def test_a_planted_cycle_is_found(tmp_path: Path, files: dict[str, str]) -> None:
    cycle = find_cycle(plant(tmp_path, files))
    assert "blinddps_sci.priors.a" in cycle
    assert all(name.startswith("blinddps_sci.priors") for name in cycle)


def test_planted_long_modules_are_found(tmp_path: Path) -> None:
    line = "x = 1\n"
    assert too_long(plant(tmp_path, {"blinddps_sci/io/a.py": line * 400})) == []
    over = {"blinddps_sci/io/a.py": line * 401, "workflows/local.py": line * 101}
    assert [text.split()[0] for text in too_long(plant(tmp_path, over))] == [
        "blinddps_sci.io.a",
        "workflows.local",
    ]
    many = {f"blinddps_sci/io/b{n}.py": line * 151 for n in range(20)}
    found = too_long(plant(tmp_path, over | many | {"blinddps_sci/io/a.py": "", "workflows/local.py": ""}))
    assert found == ["the median module has 151 lines of 150 allowed"]
