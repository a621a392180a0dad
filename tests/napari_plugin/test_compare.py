"""Before and after, in a window, opened as from the menu: what is drawn, and that it leaves nothing."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest

LEFT, RIGHT = 60.0, 200.0


@pytest.fixture
def window(make_napari_viewer: Any, qtbot: Any) -> tuple[Any, Any]:
    """Make a viewer with an input, a lazy restored pyramid, a hidden image, and the panel."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1000, 700)
    place = {"scale": (0.1, 0.1), "translate": (5.0, 7.0), "units": ("um", "um")}
    viewer.add_image(np.full((600, 800), LEFT), name="input", contrast_limits=(0, 255), **place)
    whole = da.full((600, 800), RIGHT, chunks=100)
    levels = [whole, whole[::2, ::2], whole[::4, ::4]]
    viewer.add_image(
        levels, name="cells restored", multiscale=True, contrast_limits=(0, 510), visible=False, **place
    )
    viewer.add_image(np.zeros((600, 800)), name="cells chi-squared", visible=False, **place)
    viewer.layers.selection.active = viewer.layers["input"]
    viewer.reset_view()
    _, panel = viewer.window.add_plugin_dock_widget("blinddps-sci", "Before and after")
    qtbot.waitUntil(lambda: panel.isVisible() and "right of the line" in viewer.layers)
    qtbot.wait(300)
    return viewer, panel


def middle_row(viewer: Any, qtbot: Any) -> np.ndarray:
    """Return the brightness of the canvas along the middle of the view, inside the image."""
    qtbot.wait(200)
    picture = viewer.screenshot(canvas_only=True, flash=False)
    row = picture[picture.shape[0] // 2, :, 0].astype(float)
    return row[row > 10]


def share_of_left(row: np.ndarray) -> float:
    return float(np.mean(np.abs(row - LEFT) < 4))


def test_the_line_moves_across_the_view(window: Any, qtbot: Any) -> None:
    viewer, panel = window
    assert (panel.before.currentText(), panel.after.currentText()) == ("input", "cells restored")
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown == ["input", "right of the line"]
    for value in (250, 700):
        panel.line.setValue(value)
        row = middle_row(viewer, qtbot)
        assert share_of_left(row) == pytest.approx(value / 1000, abs=0.04)
        assert (row > 250).any()  # the line itself
        assert np.abs(row[-5:] - RIGHT / 2).max() < 4
    viewer.scene.camera.zoom *= 6
    qtbot.wait(200)
    panel.line.setValue(500)
    assert share_of_left(middle_row(viewer, qtbot)) == pytest.approx(0.5, abs=0.04)


def test_contrast_may_be_shared(window: Any, qtbot: Any) -> None:
    viewer, panel = window
    panel.same.setChecked(True)
    assert np.abs(middle_row(viewer, qtbot)[-5:] - RIGHT).max() < 4
    assert viewer.layers["cells restored"].contrast_limits == [0, 510]


def test_blinking_shows_each_by_turns(window: Any, qtbot: Any) -> None:
    from qtpy.QtCore import QPoint, Qt

    viewer, panel = window
    qtbot.mouseClick(panel.blink, Qt.MouseButton.LeftButton, pos=QPoint(10, panel.blink.height() // 2))
    assert panel.blink.isChecked()
    seen = set()
    for _ in range(2):
        before = viewer.layers["right of the line"].visible
        qtbot.waitUntil(lambda before=before: viewer.layers["right of the line"].visible != before)
        seen.add(round(share_of_left(middle_row(viewer, qtbot))))
    assert seen == {0, 1}
    panel.blink.setChecked(False)
    assert viewer.layers["right of the line"].visible
    assert share_of_left(middle_row(viewer, qtbot)) == pytest.approx(0.5, abs=0.04)


def test_other_images_may_be_chosen(window: Any, qtbot: Any) -> None:
    viewer, panel = window
    panel.before.setCurrentText("cells restored")
    panel.before.activated.emit(panel.before.currentIndex())
    assert panel.hint.text() == "Choose two images."
    assert "right of the line" not in viewer.layers
    panel.after.setCurrentText("input")
    panel.after.activated.emit(panel.after.currentIndex())
    assert panel.hint.text() == ""
    assert np.abs(middle_row(viewer, qtbot)[-5:] - LEFT).max() < 4
    viewer.layers.remove("input")
    assert panel.after.currentText() != "input"


def test_a_result_that_comes_later_is_compared(window: Any, qtbot: Any) -> None:
    viewer, panel = window
    for name in ("cells restored", "cells chi-squared"):
        viewer.layers.remove(name)
    assert panel.hint.text() == "Choose two images."
    viewer.add_image(np.full((60, 80), RIGHT), name="stars restored", units=("um", "um"))
    assert (panel.before.currentText(), panel.after.currentText()) == ("input", "stars restored")
    assert "right of the line" in viewer.layers


def test_a_closed_panel_leaves_all_as_it_was(window: Any, qtbot: Any) -> None:
    viewer, panel = window
    viewer.window.remove_dock_widget(panel)
    visible = {layer.name: layer.visible for layer in viewer.layers}
    assert visible == {"input": True, "cells restored": False, "cells chi-squared": False}
    assert viewer.layers.selection.active.name == "input"
    viewer.add_image(np.zeros((4, 4)), name="later", units=("um", "um"))
    assert "right of the line" not in viewer.layers


def test_the_layer_of_the_line_may_be_deleted(window: Any, qtbot: Any) -> None:
    viewer, panel = window
    viewer.layers.remove("right of the line")
    panel.line.setValue(100)
    assert "right of the line" not in viewer.layers
    panel.after.activated.emit(panel.after.currentIndex())
    assert share_of_left(middle_row(viewer, qtbot)) == pytest.approx(0.1, abs=0.04)


def test_a_part_is_that_of_the_image_right_of_the_column() -> None:
    from napari_plugin.compare import RightOf

    image = np.arange(60).reshape(3, 4, 5)
    right = RightOf(da.from_array(image))
    right.column, right.edge = 2.0, -1.0
    whole = np.asarray(right)
    assert np.isnan(whole[..., :2]).all()
    assert (whole[..., 2] == -1).all()
    np.testing.assert_array_equal(whole[..., 3:], image[..., 3:])
    np.testing.assert_array_equal(right[1, 1:3, 1:5], whole[1, 1:3, 1:5])
    np.testing.assert_array_equal(right[1, :, 4], image[1, :, 4])
    assert np.isnan(right[1, :, 0]).all()
