"""The manifest: every name in it exists, is light to import, and does in napari what it says."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blinddps_sci import Axis, save_image
from blinddps_sci.io import open_stack

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGIN = "blinddps-sci"
# dask and scikit-image are not among them: napari itself loads both.
HEAVY = ("torch", "distributed", "xarray", "zarr", "astropy", "matplotlib")

_IMPORT = """
import importlib, json, sys
missing, names = [], json.loads(sys.argv[1])
for name in names:
    module, _, attribute = name.partition(':')
    if not callable(getattr(importlib.import_module(module), attribute, None)):
        missing.append(name)
print(json.dumps({'missing': missing, 'modules': sorted({name.split('.')[0] for name in sys.modules})}))
"""


@pytest.fixture(scope="module")
def manifest() -> Any:
    with warnings.catch_warnings():
        # npe2 0.10 uses an argument that pydantic has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        npe2 = pytest.importorskip("npe2")
    return npe2.PluginManifest.from_file(REPOSITORY / "napari_plugin" / "napari.yaml")


def imported(names: list[str]) -> dict[str, Any]:
    """Import in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _IMPORT, json.dumps(names)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_every_command_exists_and_loads_nothing_heavy(manifest: Any) -> None:
    pytest.importorskip("qtpy")
    report = imported([command.python_name for command in manifest.contributions.commands])
    assert report["missing"] == []
    assert [name for name in HEAVY if name in report["modules"]] == []


def test_readers_writers_and_samples_need_no_qt(manifest: Any) -> None:
    used = {widget.command for widget in manifest.contributions.widgets}
    names = [each.python_name for each in manifest.contributions.commands if each.id not in used]
    modules = imported(names)["modules"]
    assert not {"qtpy", "PyQt6", "PySide6", "napari"} & set(modules)


def test_every_command_is_used(manifest: Any) -> None:
    given = manifest.contributions
    used = {each.command for each in (*given.readers, *given.writers, *given.widgets, *given.sample_data)}
    assert {command.id for command in given.commands} == used
    items = [item.command for menu in given.menus.values() for item in menu]
    assert set(items) <= used
    assert [item.command for item in given.menus["napari/layers/filter"]] == [f"{PLUGIN}.restore_panel"]


def test_napari_opens_and_saves_with_scale_and_unit(make_napari_viewer: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 1000, (600, 700)).astype(np.uint16)
    axes = [Axis("y", 0.1, "micrometer", 3.0), Axis("x", 0.2, "micrometer")]
    save_image(values, tmp_path / "cells.zarr", axes)
    viewer = make_napari_viewer()
    (layer,) = viewer.open(tmp_path / "cells.zarr", plugin=PLUGIN)
    assert (layer.name, layer.multiscale, layer.axis_labels) == ("cells", True, ("y", "x"))
    np.testing.assert_allclose(layer.scale, [0.1, 0.2])
    np.testing.assert_allclose(layer.translate, [3.0, 0.0])
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    for name in ("a.zarr", "a.tif", "a.ome.tif", "a.fits"):
        assert layer.save(str(tmp_path / name), plugin=PLUGIN) == [str(tmp_path / name)]
        stack = open_stack(tmp_path / name)
        np.testing.assert_array_equal(stack["data"].values, values)
        np.testing.assert_allclose(stack.attrs["pixel_scale"], [0.1, 0.2], rtol=1e-6)
        assert stack.attrs["pixel_unit"] == "micrometer"


def test_an_unreadable_file_is_one_error_and_the_viewer_lives(
    make_napari_viewer: Any, tmp_path: Path
) -> None:
    (tmp_path / "bad.fits").write_bytes(b"nothing")
    viewer = make_napari_viewer()
    with pytest.raises(Exception, match=r"bad\.fits"):
        viewer.open(tmp_path / "bad.fits", plugin=PLUGIN)
    assert len(viewer.layers) == 0


def test_samples_open_from_the_menu(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer()
    for key, count in (("moon", 1), ("hubble", 2), ("burst", 2)):
        viewer.layers.clear()
        viewer.open_sample(PLUGIN, key)
        assert len(viewer.layers) == count
        assert viewer.layers[-1].visible
        assert not any(layer.visible for layer in viewer.layers[:-1])


def test_every_panel_opens_from_the_menus(make_napari_viewer: Any, manifest: Any) -> None:
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    for widget in manifest.contributions.widgets:
        _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, widget.display_name)
        assert panel.isVisibleTo(panel.parent())
    menus = get_app_model().menus
    for menu, items in manifest.contributions.menus.items():
        there = {getattr(item, "command", None) and item.command.id for item in menus.get_menu(menu)}
        assert {item.command for item in items} <= there
