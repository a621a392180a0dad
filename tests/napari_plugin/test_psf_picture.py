"""What is read, said and drawn of one PSF; no Qt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from blinddps_sci.io import open_stack
from blinddps_sci.io.result import ResultStore, create_result
from napari_plugin.psf_picture import STRETCHES, describe, draw, read_node
from napari_plugin.result_space import space_of

COLOURS = {"background": "#202020", "text": "#f0f0f0", "mark": "#ffb000"}


def gaussian(size: int, sigma: float) -> np.ndarray:
    r = np.arange(size) - size // 2
    kernel = np.exp(-0.5 * np.add.outer(r**2, (0.8 * r) ** 2) / sigma**2)
    return kernel / kernel.sum()


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    """Make a result of two frames and 2 x 3 nodes, each with a PSF of its own, but one."""
    template = open_stack(xr.DataArray(np.zeros((2, 40, 60), np.float32), dims=list("tyx")))
    template.attrs.update(pixel_scale=[0.1, 0.1], pixel_unit="micrometer")
    nodes = {"node_y": [9.5, 29.5], "node_x": [9.5, 29.5, 49.5]}
    made = create_result(tmp_path / "cells.zarr", template=template, frames=2, **nodes)
    every = slice(None)
    for frame in range(2):
        kernels = np.stack([gaussian(32, 1.5 + 0.5 * n + frame) for n in range(6)]).reshape(2, 3, 32, 32)
        kernels[1, 2] = np.nan
        made.write_psf(frame, 0, every, every, kernels, 0.01 * kernels)
        made.write_quality(frame, 0, every, every, chi2=np.arange(6.0).reshape(2, 3) + 10 * frame)
    return made


def picture(store: ResultStore, node: tuple[int, int], stretch: str = "root") -> np.ndarray:
    """Return the pixels of the figure that is drawn."""
    figure = Figure(figsize=(3.4, 6))
    canvas = FigureCanvasAgg(figure)
    draw(figure, read_node(store, space_of(store), node, (0,)), stretch, COLOURS)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(float)


def test_a_node_is_read_with_those_around_it(store: ResultStore) -> None:
    psf = read_node(store, space_of(store), (0, 1), (1,))
    np.testing.assert_allclose(psf.kernel, gaussian(32, 3.0), rtol=1e-6)
    np.testing.assert_allclose(psf.std, 0.01 * psf.kernel, rtol=1e-6)
    assert psf.chi2 == 11.0
    there = np.isfinite(psf.around).all(axis=(2, 3))
    np.testing.assert_array_equal(there, [[False] * 3, [True] * 3, [True, True, False]])
    np.testing.assert_allclose(psf.around[1, 2], gaussian(32, 3.5), rtol=1e-6)
    np.testing.assert_allclose(psf.around[2, 0], gaussian(32, 4.0), rtol=1e-6)


def test_figures_are_said_in_pixels_and_in_the_unit(store: ResultStore) -> None:
    words = dict(describe(read_node(store, space_of(store), (0, 0), (0,)), ["frame"]))
    assert words["tile"] == "row 0, column 0, frame 0"
    pixels, _, physical = words["FWHM"].partition(" = ")
    assert float(pixels.removesuffix(" px")) == pytest.approx(2.3548 * 1.5 / 0.8**0.5, rel=0.03)
    assert float(physical.removesuffix(" µm")) == pytest.approx(0.1 * float(pixels.split()[0]), rel=0.01)
    assert words["ellipticity"] == "0.20 at 0°"
    assert words["chi-squared"] == "0.00"
    peak, error = (float(part) for part in words["peak"].split(" ± "))
    assert peak == pytest.approx(gaussian(32, 1.5).max(), abs=1e-4)
    assert error == pytest.approx(0.01 * peak, abs=1e-4)


def test_a_tile_that_is_not_there_says_so(store: ResultStore) -> None:
    psf = read_node(store, space_of(store), (1, 2), (0,))
    assert not psf.there
    assert dict(describe(psf, ["frame"]))["PSF"] == "none: the tile has not been restored"
    assert picture(store, (1, 2)).std() > 0


def test_stretches_show_wings(store: ResultStore) -> None:
    pictures: dict[str, Any] = {stretch: picture(store, (0, 0), stretch) for stretch in STRETCHES}
    # The kernel's picture is at the upper left; what is brighter there shows more of the wings.
    bright = {name: image[40:200, 50:140].mean() for name, image in pictures.items()}
    assert bright["linear"] < bright["root"] < bright["logarithm"]


def test_panels_have_their_names(store: ResultStore) -> None:
    figure = Figure()
    draw(figure, read_node(store, space_of(store), (0, 0), (0,)), "root", COLOURS)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == [
        "PSF, mean (µm)",
        "standard deviation",
        "radial profile",
        "tiles around",
        "light within, %",
    ]
    # Of 32 pixels of 0.1 µm the one at index 16 is at zero.
    np.testing.assert_allclose(figure.axes[0].images[0].get_extent(), [-1.65, 1.55, 1.55, -1.65])
