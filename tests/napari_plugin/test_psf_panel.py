"""The PSF panel in a window, with real clicks: what is shown, marked and followed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blinddps_sci.io import open_stack
from blinddps_sci.io.result import ResultStore, create_result
from napari_plugin.reader import read_result


def gaussian(size: int, sigma: float) -> np.ndarray:
    r = np.arange(size) - size // 2
    kernel = np.exp(-0.5 * np.add.outer(r**2, r**2) / sigma**2)
    return kernel / kernel.sum()


@pytest.fixture
def result(tmp_path: Path) -> Callable[..., ResultStore]:
    """Maker of results of 3 x 4 nodes whose PSFs become wider with their number and their frame."""

    def make(name: str = "cells", frames: int = 1) -> ResultStore:
        template = open_stack(np.zeros((frames, 60, 80) if frames > 1 else (60, 80), np.float32))
        template.attrs.update(pixel_scale=[0.1, 0.1], pixel_unit="micrometer")
        template.attrs.update(region=[[100, 160], [0, 80]], origin={"y": 10.0, "x": 0.0})
        nodes = {"node_y": [9.5, 29.5, 49.5], "node_x": [9.5, 29.5, 49.5, 69.5]}
        tilts = {"tilt_y": [29.5], "tilt_x": [39.5]} if frames > 1 else {}
        made = create_result(
            tmp_path / f"{name}.zarr",
            template=template,
            dims=("y", "x"),
            frames=frames,
            kernel_size=16,
            attrs={"fingerprint": name},
            **nodes,
            **tilts,
        )
        every = slice(None)
        image = np.random.default_rng(0).normal(100.0, 5.0, (60, 80))
        made.write_region("image", {}, slice(0, 60), slice(0, 80), image)
        for frame in range(frames):
            kernels = np.stack([gaussian(16, 1.0 + 0.1 * n + frame) for n in range(12)])
            made.write_psf(
                frame, 0, every, every, kernels.reshape(3, 4, 16, 16), 0.1 * kernels.reshape(3, 4, 16, 16)
            )
            made.write_quality(frame, 0, every, every, chi2=np.arange(12.0).reshape(3, 4))
            if frames > 1:
                made.write_tilt(frame, every, every, np.full((1, 1, 2), 1.0 - 2.0 * frame))
        return made

    return make


@pytest.fixture
def window(make_napari_viewer: Any, qtbot: Any) -> Callable[..., tuple[Any, Any]]:
    """Maker of a viewer with the layers of a result and the panel."""

    def make(store: ResultStore) -> tuple[Any, Any]:
        from napari.layers import Layer

        from napari_plugin.psf_panel import PsfPanel

        viewer = make_napari_viewer(show=True)
        for layer in read_result(store.path):
            viewer.add_layer(Layer.create(*layer))
        panel = PsfPanel(viewer)
        viewer.window.add_dock_widget(panel, name="PSF of a tile")
        qtbot.waitUntil(lambda: panel.psf is not None, timeout=20000)
        return viewer, panel

    return make


def click(viewer: Any, qtbot: Any, y: float, x: float, *, drag: int = 0) -> None:
    """Press and release the mouse over a point of the world."""
    from qtpy.QtCore import QPoint, Qt

    canvas = viewer.window._qt_viewer.canvas
    transform = canvas.view.scene.node_transform(canvas.view.canvas.scene)
    cx, cy = transform.map([x, y])[:2]
    ratio = canvas.native.devicePixelRatioF()
    start = QPoint(round(cx / ratio), round(cy / ratio))
    qtbot.mouseMove(canvas.native, start)
    qtbot.mousePress(canvas.native, Qt.MouseButton.LeftButton, pos=start)
    if drag:
        for part in (1, 2):
            qtbot.mouseMove(canvas.native, start + QPoint(drag * part // 2, 0))
    qtbot.mouseRelease(canvas.native, Qt.MouseButton.LeftButton, pos=start + QPoint(drag, 0))


def test_a_click_shows_and_marks_the_tile(window: Any, result: Any, qtbot: Any) -> None:
    viewer, panel = window(result())
    assert panel.psf.node == (1, 1)
    # The region begins at row 100; a pixel is 0.1 µm.
    click(viewer, qtbot, 10.0 + 5.2, 4.9)
    qtbot.waitUntil(lambda: panel.psf.node == (2, 2))
    assert (panel.row.value(), panel.column.value()) == (2, 2)
    assert "row 2, column 2" in panel.text.text()
    assert "chi-squared" in panel.text.text()
    np.testing.assert_allclose(panel.psf.kernel, gaussian(16, 2.0), rtol=1e-5)
    mark = viewer.layers["PSF tile"]
    np.testing.assert_allclose(mark.data[0][[0, 2]], [[39.5, 39.5], [59.5, 59.5]])
    np.testing.assert_allclose(mark.extent.world[0], [13.95, 3.95], atol=0.06)
    assert viewer.layers.selection.active.name == "cells PSF nodes"
    assert np.asarray(panel.canvas.buffer_rgba())[..., :3].std() > 10


def test_a_drag_and_a_click_beside_the_image_choose_nothing(window: Any, result: Any, qtbot: Any) -> None:
    viewer, panel = window(result())
    click(viewer, qtbot, 10.0 + 0.5, 0.5, drag=40)
    click(viewer, qtbot, 10.0 - 0.5, 3.0)
    qtbot.wait(100)
    assert panel.psf.node == (1, 1)
    viewer.layers["cells PSF nodes"].mode = "select"
    viewer.layers.selection.active = viewer.layers["cells PSF nodes"]
    click(viewer, qtbot, 10.0 + 0.5, 7.5)
    qtbot.wait(100)
    assert panel.psf.node == (1, 1)


def test_boxes_and_scale_are_followed(window: Any, result: Any, qtbot: Any) -> None:
    from qtpy.QtCore import Qt

    _, panel = window(result())
    qtbot.keyClick(panel.column, Qt.Key.Key_Up)
    qtbot.keyClick(panel.row, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: panel.psf.node == (0, 2))
    assert (panel.row.maximum(), panel.column.maximum()) == (2, 3)
    before = np.asarray(panel.canvas.buffer_rgba()).copy()
    panel.stretch.setCurrentText("logarithm")
    qtbot.waitUntil(lambda: (np.asarray(panel.canvas.buffer_rgba()) != before).any())


def test_frames_of_a_burst_follow_the_viewer_and_lead_it(window: Any, result: Any, qtbot: Any) -> None:
    viewer, panel = window(result("burst", frames=3))
    assert panel.psf.plane == (0,)
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: panel.psf.plane == (2,))
    assert panel.sliders["t"].value() == 2
    np.testing.assert_allclose(panel.psf.kernel, gaussian(16, 3.5), rtol=1e-5)
    panel.sliders["t"].setValue(1)
    qtbot.waitUntil(lambda: panel.psf.plane == (1,))
    assert viewer.dims.current_step[0] == 1


def test_frames_are_found_where_the_viewer_has_them(window: Any, result: Any, qtbot: Any) -> None:
    viewer, panel = window(result("burst", frames=3))
    for layer in viewer.layers:
        if layer.ndim == 3:  # as those of an input with a step of a minute, which begins at another time
            layer.scale, layer.translate = (60.0, *layer.scale[1:]), (600.0, *layer.translate[1:])
    panel.hide()
    panel._space = None
    panel.show()
    viewer.dims.set_point(0, 720.0)
    qtbot.waitUntil(lambda: panel.psf.plane == (2,))
    panel.sliders["t"].setValue(1)
    qtbot.waitUntil(lambda: panel.psf.plane == (1,))
    assert viewer.dims.point[0] == 660.0


def test_nodes_are_coloured_by_what_is_chosen(window: Any, result: Any, qtbot: Any) -> None:
    viewer, panel = window(result())
    nodes = viewer.layers["cells PSF nodes"]
    values = nodes.features["chi2"].to_numpy()
    panel.feature.setCurrentText("chi-squared")
    assert nodes.face_contrast_limits == pytest.approx((values.min(), values.max()))
    brightness = nodes.face_color[:, :3].sum(axis=1)
    assert brightness[values.argmax()] > brightness[values.argmin()] + 0.5
    assert panel.limits.text() == f"{values.min():.2f} to {values.max():.2f}"


def test_a_store_that_was_replaced_is_read_anew(window: Any, result: Any, qtbot: Any) -> None:
    from napari.layers import Layer

    viewer, panel = window(result())
    store = result("burst", frames=3)
    old = viewer.layers["cells restored"].metadata["path"]
    shutil.rmtree(old)
    store.path.rename(old)
    viewer.layers.clear()
    for layer in read_result(old):
        viewer.add_layer(Layer.create(*layer))
    qtbot.waitUntil(lambda: panel.psf.plane == (0,), timeout=20000)
    assert set(panel.sliders) == {"t"}  # an axis that the store had not before
    assert viewer.layers["cells restored"].metadata["fingerprint"] == "burst"


def test_another_result_is_turned_to_when_it_is_selected(window: Any, result: Any, qtbot: Any) -> None:
    from napari.layers import Layer

    viewer, panel = window(result())
    other = result("stars", frames=3)
    layers = [Layer.create(*layer) for layer in read_result(other.path)]
    for layer in layers:
        viewer.add_layer(layer)
    qtbot.waitUntil(lambda: panel.psf.plane == (0,))
    viewer.layers.selection.active = viewer.layers["cells restored"]
    qtbot.waitUntil(lambda: panel.psf.plane == ())
    viewer.layers.selection.active = viewer.add_image(np.zeros((60, 80)), name="no result")
    qtbot.wait(50)
    assert panel.psf.plane == ()


def test_a_closed_panel_leaves_nothing_behind(window: Any, result: Any, qtbot: Any) -> None:
    viewer, panel = window(result())
    assert "PSF tile" in viewer.layers
    heard = len(viewer.mouse_drag_callbacks)
    viewer.window.remove_dock_widget(panel)
    assert "PSF tile" not in viewer.layers
    assert len(viewer.mouse_drag_callbacks) == heard - 1


def test_a_result_that_cannot_be_read_is_said_and_harms_nothing(window: Any, result: Any, qtbot: Any) -> None:
    from napari.utils.notifications import notification_manager

    viewer, panel = window(result())
    broken = result("stars")
    for file in broken.path.glob("psf/*/zarr.json"):
        file.write_text("{}")
    told: list[str] = []
    notification_manager.notification_ready.connect(lambda event: told.append(event.message))
    viewer.add_image(np.zeros((60, 80)), metadata={"path": str(broken.path)}, units=("um", "um"))
    qtbot.waitUntil(lambda: any("stars.zarr cannot be read" in message for message in told))
    panel.select(0, 0)
    qtbot.waitUntil(lambda: panel.psf.node == (0, 0))
    np.testing.assert_allclose(panel.psf.kernel, gaussian(16, 1.0), rtol=1e-5)
