"""The layers of a result, finished or at work, of stacks and of bursts; no Qt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from blinddps_sci.io import open_stack
from blinddps_sci.io.result import ResultStore, create_result
from napari_plugin import result_layers
from napari_plugin.result_layers import layers_of

Layers = dict[str, tuple[Any, dict[str, Any], str]]


def gaussian(size: int, sigma: float) -> np.ndarray:
    """Return a PSF centred at ``size // 2``."""
    r = np.arange(size) - size // 2
    kernel = np.exp(-0.5 * np.add.outer(r**2, r**2) / sigma**2)
    return kernel / kernel.sum()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., ResultStore]:
    """Maker of results of 40 x 600 pixels with 2 x 3 nodes, the last without a PSF."""

    def made(shape: tuple[int, ...], **options: Any) -> ResultStore:
        dims = [*"tc"[2 - len(shape) :], "y", "x"]
        template = open_stack(xr.DataArray(np.zeros((*shape, 40, 600), np.float32), dims=dims))
        template.attrs.update(pixel_scale=[0.1, 0.2], pixel_unit="micrometer", unit="counts")
        template.attrs.update(region=[[100, 140], [0, 600]], origin={"y": 10.0, "x": 0.0})
        nodes = {"node_y": [9.5, 29.5], "node_x": [99.5, 299.5, 499.5]}
        store = create_result(tmp_path / "cells.zarr", template=template, **nodes, **options)
        kernels, chi2 = np.full((2, 3, 32, 32), np.nan), np.full((2, 3), np.nan)
        for number in range(5):
            kernels[divmod(number, 3)], chi2[divmod(number, 3)] = gaussian(32, 1.5 + number), number
        every = slice(None)
        for frame, channel in np.ndindex(*store.array("psf/kernel").shape[:2]):
            store.write_psf(frame, channel, every, every, kernels)
            store.write_quality(frame, channel, every, every, chi2=chi2 + 10 * frame + 100 * channel)
        return store

    return made


@pytest.fixture
def stack(make: Callable[..., ResultStore]) -> ResultStore:
    """Make a finished result of two channels."""
    store = make((2,), dims=("c", "y", "x"), channels=2, attrs={"fingerprint": "beef"})
    image = np.random.default_rng(0).normal(100.0, 5.0, (2, 40, 600)).astype(np.float32)
    for c in range(2):
        for name, plane in (("image", image[c]), ("std", np.ones((40, 600)))):
            store.write_region(name, {"c": c}, slice(0, 40), slice(0, 600), plane)
    store.build_pyramid()
    store.finish()
    return store


@pytest.fixture
def burst(make: Callable[..., ResultStore]) -> ResultStore:
    """Make the result of a burst of three frames in two channels, the last frame left out."""
    nodes = {"tilt_y": [9.5, 29.5], "tilt_x": [99.5, 299.5, 499.5]}
    store = make((3, 2), dims=("c", "y", "x"), frames=3, channels=2, **nodes)
    for frame in range(2):
        tilts = np.full((2, 3, 2), [1.0, -2.0]) * (1 - 2 * frame)
        store.write_tilt(frame, slice(None), slice(None), tilts)
    return store


def layers(store: ResultStore) -> Layers:
    """Return the layers by what their names end with."""
    return {layer[1]["name"].removeprefix("cells "): layer for layer in layers_of(store.path)}


def test_images_are_lazy_pyramids_with_scale_unit_and_place(stack: ResultStore) -> None:
    found = layers(stack)
    image, options, kind = found["restored"]
    assert kind == "image"
    assert options["multiscale"]
    assert [level.shape for level in image] == [(2, 40, 600), (2, 20, 300)]
    assert all(hasattr(level, "dask") for level in image)
    np.testing.assert_array_equal(image[0][1].compute(), stack.array("scale0/image")[1])
    assert options["scale"] == [1.0, 0.1, 0.2]
    assert options["translate"] == [0.0, 10.0, 0.0]
    assert options["units"] == ("pixel", "micrometer", "micrometer")
    assert options["axis_labels"] == ("c", "y", "x")
    low, high = options["contrast_limits"]
    assert 85 < low < 100 < high < 115
    assert options["metadata"]["fingerprint"] == "beef"
    assert options["metadata"]["path"] == str(stack.path)
    std, hidden, _ = found["standard deviation"]
    assert hidden["visible"] is False
    assert hidden["contrast_limits"] == (1.0, 2.0)
    assert std[0].shape == (2, 40, 600)


def test_every_pixel_has_the_chi_squared_of_its_tile(stack: ResultStore) -> None:
    figure, options, kind = layers(stack)["chi-squared"]
    assert (kind, options["visible"], options["contrast_limits"]) == ("image", False, (0.0, 2.0))
    assert options["scale"] == [1.0, 0.1, 0.2]
    assert figure.shape == (2, 40, 600)
    assert figure.dtype == np.float32
    values = np.asarray(figure)
    expected = np.kron(np.array([[0, 1, 2], [3, 4, np.nan]]), np.ones((20, 200)))
    np.testing.assert_array_equal(values[0], expected)
    np.testing.assert_array_equal(values[1], expected + 100)


def test_chi_squared_of_a_large_image_is_a_pyramid_that_reads_little(tmp_path: Path) -> None:
    template = open_stack(np.zeros((2048, 3072), np.float32))
    nodes = {"node_y": np.arange(32) * 64 + 31.5, "node_x": np.arange(48) * 64 + 31.5}
    store = create_result(tmp_path / "cells.zarr", template=template, kernel_size=2, **nodes)
    levels, options, _ = layers(store)["chi-squared"]
    assert options["multiscale"]
    assert [level.shape for level in levels] == [(2048, 3072), (1024, 1536), (512, 768)]
    expected = np.arange(32.0 * 48.0).reshape(32, 48)
    store.array("quality/chi2")[0, 0] = expected
    np.testing.assert_array_equal(levels[0][::64, 63::64], expected)
    np.testing.assert_array_equal(levels[2][15::16, ::16], expected)


def test_nodes_carry_the_figures_of_their_psf(stack: ResultStore) -> None:
    position, options, kind = layers(stack)["PSF nodes"]
    assert kind == "points"
    np.testing.assert_array_equal(position[[0, 4, 6]], [[0, 9.5, 99.5], [0, 29.5, 299.5], [1, 9.5, 99.5]])
    assert options["scale"] == [1.0, 0.1, 0.2]
    features = options["features"]
    np.testing.assert_allclose(features["fwhm"][:5], 2.3548 * (1.5 + np.arange(5)), rtol=0.03)
    np.testing.assert_allclose(features["ellipticity"][:5], 0.0, atol=0.01)
    np.testing.assert_array_equal(features["chi2"][:5], np.arange(5))
    np.testing.assert_array_equal(features["chi2"][6:11], np.arange(5) + 100.0)
    assert np.isnan([features[name][5] for name in ("fwhm", "ellipticity", "chi2")]).all()
    assert features["node_x"].tolist() == [0, 1, 2] * 4
    assert options["face_color"] == "fwhm"
    assert np.isfinite(options["face_contrast_limits"]).all()


def test_of_very_many_nodes_some_are_shown(stack: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_layers, "MAX_KERNELS", 6)
    position, options, _ = layers(stack)["PSF nodes"]
    np.testing.assert_array_equal(
        position, [[0, 9.5, 99.5], [0, 9.5, 499.5], [1, 9.5, 99.5], [1, 9.5, 499.5]]
    )
    np.testing.assert_array_equal(options["features"]["node_x"], [0, 2, 0, 2])


def test_frames_of_a_burst_are_an_axis_of_its_figures(burst: ResultStore) -> None:
    found = layers(burst)
    assert found["restored"][1]["axis_labels"] == ("c", "y", "x")
    for name in ("chi-squared", "weight", "PSF nodes", "tilts x4"):
        assert found[name][1]["axis_labels"] == ("t", "c", "y", "x")
    np.testing.assert_array_equal(
        np.asarray(found["chi-squared"][0])[:, :, 0, 0], [[0, 100], [10, 110], [20, 120]]
    )
    assert found["PSF nodes"][0].shape == (3 * 2 * 6, 4)


def test_tilts_are_arrows_of_each_frame(burst: ResultStore) -> None:
    vectors, options, kind = layers(burst)["tilts x4"]
    assert kind == "vectors"
    assert options["length"] == 4.0
    # Two frames, two channels, six nodes; the frame that was left out has none.
    assert vectors.shape == (24, 2, 4)
    np.testing.assert_array_equal(vectors[0], [[0, 0, 9.5, 99.5], [0, 0, 1.0, -2.0]])
    np.testing.assert_array_equal(vectors[-1], [[1, 1, 29.5, 499.5], [0, 0, -1.0, 2.0]])
    np.testing.assert_allclose(options["features"]["pixels"], np.sqrt(5))


def test_a_run_that_has_begun_opens(tmp_path: Path) -> None:
    template = open_stack(np.zeros((20, 30), np.float32))
    create_result(
        tmp_path / "cells.zarr",
        template=template,
        node_y=[9],
        node_x=[9],
        kernel_size=8,
        tilt_y=[9],
        tilt_x=[9],
    )
    found = {layer[1]["name"]: layer for layer in layers_of(tmp_path / "cells.zarr")}
    image, options, _ = found["cells restored"]
    assert image.shape == (20, 30)
    assert not options["multiscale"]
    assert options["cache"] is False
    assert "contrast_limits" not in options
    assert found["cells PSF nodes"][0].tolist() == [[0.0, 9.0, 9.0]]
    assert found["cells tilts x1"][0].shape == (0, 2, 3)


def test_a_large_run_at_work_has_levels_and_shows_what_comes(tmp_path: Path) -> None:
    template = open_stack(np.zeros((1500, 2100), np.float32))
    store = create_result(
        tmp_path / "cells.zarr", template=template, node_y=[749.5], node_x=[1049.5], shard=512
    )
    levels, _, _ = layers(store)["restored"]
    assert [level.shape for level in levels] == [(1500, 2100), (750, 1050), (375, 525)]
    assert np.isnan(levels[2][100, 100].compute())
    store.write_region("image", {}, slice(0, 512), slice(0, 512), np.full((512, 512), 7.0))
    assert levels[2][100, 100].compute() == 7.0
    assert layers(store)["restored"][1]["contrast_limits"] == (7.0, 8.0)
