"""The napari reader: which folders it takes, and the layers it makes; no napari and no Qt needed."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from blinddps_sci.io import open_stack
from blinddps_sci.io.result import ResultStore, create_result
from napari_plugin.reader import get_reader, half_maximum_width

REPOSITORY = Path(__file__).resolve().parents[2]


def gaussian(size: int, sigma: float) -> np.ndarray:
    """Return a PSF centred at ``size // 2``."""
    r = np.arange(size) - size // 2
    kernel = np.exp(-0.5 * np.add.outer(r**2, r**2) / sigma**2)
    return kernel / kernel.sum()


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    """Make a burst's result: two channels, three frames, 2 x 3 nodes, the last without a PSF."""
    template = open_stack(np.zeros((3, 2, 40, 600), np.float32))
    template.attrs.update(pixel_scale=[0.1, 0.2], pixel_unit="micrometer", unit="counts")
    made = create_result(
        tmp_path / "cells.zarr",
        template=template,
        dims=("c", "y", "x"),
        node_y=[10, 30],
        node_x=[100, 300, 500],
        frames=3,
        channels=2,
        attrs={"fingerprint": "beef"},
    )
    image = np.random.default_rng(0).normal(100.0, 5.0, (2, 40, 600)).astype(np.float32)
    for c in range(2):
        for name, plane in (("image", image[c]), ("std", np.ones((40, 600)))):
            made.write_region(name, {"c": c}, slice(0, 40), slice(0, 600), plane)
    kernels, chi2 = np.full((2, 3, 32, 32), np.nan), np.full((2, 3), np.nan)
    for number in range(5):
        kernels[divmod(number, 3)], chi2[divmod(number, 3)] = gaussian(32, 1.5 + number), number
    for frame in range(3):
        made.write_psf(frame, 0, slice(None), slice(None), kernels)
        made.write_quality(frame, 1, slice(None), slice(None), chi2=chi2 + frame)
    made.build_pyramid()
    made.finish()
    return made


def read(store: ResultStore) -> list[tuple[Any, dict[str, Any], str]]:
    """Read through the function that napari is given."""
    reader = get_reader(str(store.path))
    assert reader is not None
    return reader([str(store.path)])


def test_only_results_of_this_package_are_taken(store: ResultStore, tmp_path: Path) -> None:
    assert get_reader(store.path) is not None
    assert get_reader([str(store.path)]) is not None
    assert get_reader([str(store.path), str(store.path)]) is None
    zarr.create_group(str(tmp_path / "other.zarr"), zarr_format=3, attributes={"ome": {}})
    zarr.create_group(str(tmp_path / "old.zarr"), zarr_format=2)
    (tmp_path / "bad.zarr").mkdir()
    (tmp_path / "bad.zarr" / "zarr.json").write_text("[1, 2")
    (tmp_path / "list.zarr").mkdir()
    (tmp_path / "list.zarr" / "zarr.json").write_text("[1, 2]")
    for name in ("other.zarr", "old.zarr", "bad.zarr", "list.zarr", "none.zarr"):
        assert get_reader(str(tmp_path / name)) is None


def test_images_are_lazy_pyramids_with_scale_and_unit(store: ResultStore) -> None:
    (image, options, kind), (std, hidden, _), _ = read(store)
    assert kind == "image"
    assert options["multiscale"]
    assert [level.shape for level in image] == [(2, 40, 600), (2, 20, 300)]
    assert all(hasattr(level, "dask") for level in image)
    np.testing.assert_array_equal(image[0][1].compute(), store.array("scale0/image")[1])
    assert options["scale"] == [1.0, 0.1, 0.2]
    assert options["units"] == ("pixel", "micrometer", "micrometer")
    assert options["axis_labels"] == ("c", "y", "x")
    low, high = options["contrast_limits"]
    assert 85 < low < 100 < high < 115
    assert options["metadata"]["fingerprint"] == "beef"
    assert hidden["visible"] is False
    assert hidden["contrast_limits"] == (1.0, 2.0)
    assert std[0].shape == (2, 40, 600)


def test_nodes_carry_the_width_of_their_psf(store: ResultStore) -> None:
    position, options, kind = read(store)[2]
    assert kind == "points"
    np.testing.assert_array_equal(position[[0, 4]], [[10, 100], [30, 300]])
    assert options["scale"] == (0.1, 0.2)
    features = options["features"]
    expected = 2.3548 * (1.5 + np.arange(5))
    np.testing.assert_allclose(features["fwhm"][:5], expected, rtol=0.03)
    np.testing.assert_array_equal(features["chi2"][:5], 1.0 + np.arange(5))
    assert np.isnan(features["fwhm"][5])
    assert np.isnan(features["chi2"][5])
    assert features["node_x"].tolist() == [0, 1, 2, 0, 1, 2]


def test_a_result_without_a_pixel_opens(tmp_path: Path) -> None:
    template = open_stack(np.zeros((20, 30), np.float32))
    made = create_result(tmp_path / "new.zarr", template=template, node_y=[9], node_x=[9], kernel_size=8)
    (image, options, _), _, (position, _, _) = read(made)
    assert image.shape == (20, 30)
    assert not options["multiscale"]
    assert "contrast_limits" not in options
    assert position.tolist() == [[9.0, 9.0]]


def test_width_of_a_gaussian_and_of_nothing() -> None:
    for sigma in (1.2, 3.0):
        assert half_maximum_width(gaussian(33, sigma)) == pytest.approx(2.3548 * sigma, rel=0.04)
    assert half_maximum_width(gaussian(32, 3.0)) == pytest.approx(
        half_maximum_width(gaussian(33, 3.0)), rel=1e-6
    )
    assert np.isnan(half_maximum_width(np.zeros((5, 5))))
    assert np.isnan(half_maximum_width(np.full((5, 5), np.nan)))


def test_importing_the_reader_loads_nothing_heavy() -> None:
    code = "import sys, napari_plugin.reader; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120
    )
    heavy = {"numpy", "zarr", "xarray", "dask", "torch", "astropy", "napari", "qtpy", "blinddps_sci"}
    assert "napari_plugin" in done.stdout.split()
    assert heavy.isdisjoint(done.stdout.split())


def test_the_manifest_is_valid_and_names_the_reader() -> None:
    with warnings.catch_warnings():
        # npe2 0.10 uses an argument that pydantic has deprecated.
        warnings.simplefilter("ignore")
        npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(REPOSITORY / "napari_plugin" / "napari.yaml")
    manifest.validate_imports()
    assert manifest.name == "blinddps-sci"
    (reader,) = manifest.contributions.readers
    assert reader.accepts_directories
    assert reader.filename_patterns == ["*.zarr"]
    (command,) = [c for c in manifest.contributions.commands if c.id == reader.command]
    assert command.python_name == "napari_plugin.reader:get_reader"
