"""The restore panel by real clicks in a real window: preview, run, cancel, resume, errors, closing."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest

pytest.importorskip("pytestqt")
pytest.importorskip("napari")

from astropy.io import fits
from napari.qt.threading import GeneratorWorker
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QScrollArea

from blinddps_sci import open_result
from blinddps_sci.engine.cluster import local_cluster
from blinddps_sci.engine.config import make_config
from blinddps_sci.engine.run_folder import RunFolder, folders_of
from napari_plugin.controller import is_resumable
from napari_plugin.restore_panel import RestorePanel

SMALL = {
    "prior": "gaussian", "kernel_prior": "gaussian", "psf_size": 7, "steps": 3, "chains": 1, "samples": 2,
    "tile": 32, "overlap": 8, "unit": 32, "noise": "gaussian:2",
}  # fmt: skip
LONG = 60_000


def texture(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(1).normal(0, 2, (height, width))
    return (100 + 40 * np.sin(y / 5) * np.cos(x / 7) + noise).astype(np.float32)


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what users are told of errors."""
    told: list[str] = []
    for module in ("restore_panel", "restore_session"):
        monkeypatch.setattr(f"napari_plugin.{module}.notify_error", told.append)
    return told


@pytest.fixture
def open_panel(make_napari_viewer: Any, tmp_path: Path, qtbot: Any) -> Iterator[Callable[..., RestorePanel]]:
    """Return what opens the panel in a viewer with an image, small options filled in."""

    def make(values: np.ndarray, *, show: bool = False, options: dict[str, Any] = SMALL) -> RestorePanel:
        viewer = make_napari_viewer(show=show)
        viewer.add_image(values, name="cells", scale=(0.5, 0.5), translate=(10, 20), units=("um", "um"))
        panel = RestorePanel(viewer)
        viewer.window.add_dock_widget(panel, name="Restore", area="right")
        panel.output.line.setText(str(tmp_path / "out.zarr"))
        for name, value in options.items():
            panel.form.set_value(name, value)
        panel.viewer = viewer
        return panel

    yield make
    GeneratorWorker.await_workers(LONG)  # estimates, which would go on during the next test


def click(qtbot: Any, button: Any) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def finish(qtbot: Any, panel: RestorePanel) -> None:
    qtbot.waitUntil(lambda: not panel.session.busy, timeout=LONG)


def choose_box(panel: RestorePanel) -> None:
    """Draw a rectangle about rows 8 to 39 and columns 16 to 47, and choose it as the region."""
    panel.viewer.add_shapes([np.array([[8, 16], [8, 47], [39, 47], [39, 16]])], name="box", scale=(0.5, 0.5))
    panel.viewer.layers["box"].translate = (10, 20)
    panel.input.region_box.setCurrentText("box")


def names(panel: RestorePanel) -> list[str]:
    return [layer.name for layer in panel.viewer.layers]


def test_the_panel_opens_without_the_library_and_says_what_a_run_takes(open_panel, qtbot) -> None:
    panel = open_panel(texture(48, 64))
    qtbot.waitUntil(lambda: "Preview" in panel.controls.estimate.text(), timeout=LONG)
    assert "48 × 64 px" in panel.controls.estimate.text()
    assert "gaussian:2" in panel.controls.estimate.text()
    assert panel.form.fields["psf"].toolTip().startswith("How the PSF may vary")
    assert not panel.controls.resume.isEnabled()
    assert not panel.controls.cancel.isEnabled()


def test_a_preview_lies_on_what_it_is_of(open_panel, qtbot, errors) -> None:
    panel = open_panel(texture(48, 64))
    choose_box(panel)
    click(qtbot, panel.controls.preview)
    finish(qtbot, panel)
    assert errors == []
    layer = panel.viewer.layers["cells preview"]
    assert layer.data.shape == (32, 32)
    np.testing.assert_allclose(layer.translate, (10 + 8 * 0.5, 20 + 16 * 0.5))
    np.testing.assert_allclose(layer.scale, (0.5, 0.5))
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    original = panel.viewer.layers["cells"].data[8:40, 16:48]
    assert np.corrcoef(layer.data.ravel(), original.ravel())[0, 1] > 0.8


def test_a_preview_is_seen_from_its_first_step(open_panel, qtbot, errors) -> None:
    panel = open_panel(texture(48, 64))
    seen: list[np.ndarray] = []
    panel.viewer.layers.events.inserted.connect(lambda event: seen.append(event.value.data))
    click(qtbot, panel.controls.preview)
    qtbot.waitUntil(lambda: bool(seen), timeout=LONG)
    finish(qtbot, panel)
    assert errors == []
    assert seen[0].shape == (48, 64)
    assert names(panel) == ["cells", "cells preview"]
    # The mean of the draws has taken the place of what the sampler thought.
    assert not np.array_equal(panel.viewer.layers["cells preview"].data, seen[0])


def test_a_preview_that_is_cancelled_leaves_nothing(open_panel, qtbot, errors) -> None:
    panel = open_panel(texture(256, 256))  # which takes seconds
    panel.viewer.layers.events.inserted.connect(lambda event: panel.session.cancel())
    click(qtbot, panel.controls.preview)
    finish(qtbot, panel)
    assert errors == []
    assert names(panel) == ["cells"]
    assert panel.controls.status.text() == "Stopped."


def test_a_run_fills_layers_and_ends_with_those_of_its_result(open_panel, qtbot, errors, tmp_path) -> None:
    panel = open_panel(texture(48, 64))
    click(qtbot, panel.controls.run)
    assert not panel.controls.run.isEnabled()
    assert not panel.form.isEnabled()
    qtbot.waitUntil(lambda: "out restored (running)" in names(panel), timeout=LONG)
    live = panel.viewer.layers["out restored (running)"]
    assert panel.viewer.layers.selection.active is live
    qtbot.waitUntil(lambda: np.isfinite(live.data).any(), timeout=LONG)
    finish(qtbot, panel)
    assert errors == []
    assert not [name for name in names(panel) if "running" in name]
    restored, deviation = (panel.viewer.layers[f"out {what}"] for what in ("restored", "standard deviation"))
    assert restored.metadata["path"] == str(tmp_path / "out.zarr")
    for layer in (restored, deviation):
        np.testing.assert_allclose(layer.translate, (10, 20))
        np.testing.assert_allclose(layer.scale, (0.5, 0.5))
        assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert np.isfinite(np.asarray(restored.data)).all()
    assert panel.form.isEnabled()
    assert panel.controls.status.text().startswith("Done in")


def test_a_scheduler_that_runs_already_does_the_work(open_panel, qtbot, errors, tmp_path) -> None:
    with local_cluster(1, device="cpu") as client:
        panel = open_panel(texture(48, 64), options=SMALL | {"scheduler": client.scheduler.address})
        assert not panel.form.fields["workers"].isEnabled()
        click(qtbot, panel.controls.run)
        finish(qtbot, panel)
    assert errors == []
    assert panel.controls.status.text().startswith("Done in")
    (folder,) = folders_of(tmp_path / "out.zarr").iterdir()
    done = [line for line in RunFolder(folder).journal() if line["event"] == "done"]
    assert {line["process"] for line in done}.isdisjoint({os.getpid()})
    assert np.isfinite(np.asarray(panel.viewer.layers["out restored"].data)).all()


def test_a_scheduler_of_a_run_does_not_compute_what_the_viewer_shows(open_panel, qtbot, errors) -> None:
    with local_cluster(1, device="cpu") as client:
        panel = open_panel(texture(48, 64), options=SMALL | {"scheduler": client.scheduler.address})
        click(qtbot, panel.controls.run)
        schedulers = set()
        while panel.session.busy:
            qtbot.wait(20)
            schedulers.add(dask.config.get("scheduler", None))
    assert errors == []
    assert schedulers == {None}


def test_another_run_has_another_name(open_panel, qtbot, errors, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    panel = open_panel(texture(48, 64))
    panel.output.line.clear()
    first = panel.output.path
    click(qtbot, panel.controls.run)
    finish(qtbot, panel)
    assert errors == []
    assert first.is_dir()
    assert not panel.output.chosen
    assert panel.output.path == first.with_name("cells-restored-2.zarr")


def test_cancel_stops_within_a_step_and_resume_goes_on(open_panel, qtbot, errors, tmp_path) -> None:
    panel = open_panel(texture(96, 96))
    click(qtbot, panel.controls.run)
    qtbot.waitUntil(lambda: "out restored (running)" in names(panel), timeout=LONG)
    store = open_result(tmp_path / "out.zarr")
    qtbot.waitUntil(lambda: np.isfinite(store.array("scale0/image")[:]).any(), timeout=LONG)
    begin = time.perf_counter()
    click(qtbot, panel.controls.cancel)
    finish(qtbot, panel)
    took = time.perf_counter() - begin
    print(f"cancelled in {1000 * took:.0f} ms")
    assert took < 0.5 + 2.0  # a step of this problem takes far less than two seconds, beside other tests, too
    live = panel.viewer.layers["out restored (running)"].data
    kept = np.asarray(store.array("scale0/image")[:])
    np.testing.assert_array_equal(live, kept)  # finished tiles, and nothing else
    assert np.isnan(kept).any()
    click(qtbot, panel.controls.preview)
    finish(qtbot, panel)
    assert "out restored (running)" in names(panel)  # a preview is something else
    click(qtbot, panel.controls.resume)
    finish(qtbot, panel)
    assert errors == []
    assert not [name for name in names(panel) if "running" in name]
    restored = panel.viewer.layers["out restored"]
    np.testing.assert_array_equal(np.asarray(restored.data)[~np.isnan(kept)], kept[~np.isnan(kept)])
    np.testing.assert_allclose(restored.translate, (10, 20))
    assert not panel.controls.resume.isEnabled()


def test_a_run_of_an_earlier_session_lies_where_its_store_says(open_panel, qtbot, errors) -> None:
    panel = open_panel(texture(96, 96))
    click(qtbot, panel.controls.run)
    qtbot.waitUntil(lambda: "out restored (running)" in names(panel), timeout=LONG)
    click(qtbot, panel.controls.cancel)
    finish(qtbot, panel)
    viewer = panel.viewer
    viewer.window.remove_dock_widget(panel)
    viewer.layers.clear()
    again = RestorePanel(viewer)
    viewer.window.add_dock_widget(again, name="Restore again", area="right")
    again.output.line.setText(panel.output.line.text())
    click(qtbot, again.controls.resume)
    qtbot.waitUntil(lambda: "out restored (running)" in [layer.name for layer in viewer.layers], timeout=LONG)
    np.testing.assert_allclose(viewer.layers["out restored (running)"].scale, (0.5, 0.5))
    finish(qtbot, again)
    assert errors == []
    np.testing.assert_allclose(viewer.layers["out restored"].scale, (0.5, 0.5))


@pytest.mark.parametrize(
    ("values", "options", "exists", "message"),
    [
        (np.full((48, 64), np.nan, np.float32), {}, False, "no usable pixel"),
        (texture(48, 64), {}, True, "exists"),
        (texture(48, 64), {"overlap": 31}, False, "leaves no core"),
        (texture(48, 64), {"noise": "loud"}, False, "noise 'loud' is not one of"),
    ],
)
def test_errors_are_told_in_one_line_and_the_panel_stays_usable(
    open_panel, qtbot, errors, tmp_path, values, options, exists, message
) -> None:
    panel = open_panel(values, options={**SMALL, **options})
    if exists:
        (tmp_path / "out.zarr").mkdir()
    click(qtbot, panel.controls.run)
    finish(qtbot, panel)
    assert len(errors) == 1
    assert message in errors[0]
    assert "\n" not in errors[0]
    assert names(panel) == ["cells"]
    assert panel.controls.run.isEnabled()
    assert panel.form.isEnabled()


@pytest.mark.parametrize("what", ["panel", "window"])
def test_closing_during_a_run_stops_it_and_leaves_it_resumable(
    open_panel, qtbot, errors, tmp_path, what
) -> None:
    panel = open_panel(texture(96, 96), options={**SMALL, "steps": 200})
    click(qtbot, panel.controls.run)
    qtbot.waitUntil(lambda: "out restored (running)" in names(panel), timeout=LONG)
    running = panel.session._running
    if what == "panel":
        panel.viewer.window.remove_dock_widget(panel)
    else:
        panel.viewer.close()
    qtbot.waitUntil(lambda: running.join(0.0), timeout=LONG)
    assert errors == []
    assert is_resumable(tmp_path / "out.zarr")


def test_the_command_is_copied_with_its_input(open_panel, qtbot, errors, tmp_path) -> None:
    panel = open_panel(texture(48, 64))
    click(qtbot, panel.controls.copy)
    qtbot.waitUntil(lambda: panel.controls.status.text().startswith("Copied"), timeout=LONG)
    words = shlex.split(QApplication.clipboard().text())
    assert words[:5] == [
        *("blinddps", "restore", str(tmp_path / "out.input.zarr"), "-o", str(tmp_path / "out.zarr"))
    ]
    assert "--prior=gaussian" in words
    assert "--chains=1" in words
    assert (tmp_path / "out.input.zarr").is_dir()


def test_the_noise_is_estimated_on_request(open_panel, qtbot, errors) -> None:
    panel = open_panel(texture(48, 64))
    click(qtbot, panel.form.estimate_noise)
    qtbot.waitUntil(lambda: panel.form.values()["noise"].startswith("gaussian:"), timeout=LONG)
    assert 1.0 < float(panel.form.values()["noise"].removeprefix("gaussian:")) < 4.0


def test_layers_planes_and_shapes_are_followed(open_panel, qtbot) -> None:
    panel = open_panel(texture(48, 64))
    viewer = panel.viewer
    viewer.add_image(np.zeros((3, 20, 30)), name="stack", axis_labels=("z", "y", "x"))
    viewer.add_labels(np.zeros((20, 30), int), name="cells segmented")
    viewer.add_shapes(name="box", ndim=2)
    boxes = (panel.input.layer_box, panel.input.region_box)
    assert [[box.itemText(n) for n in range(box.count())] for box in boxes] == [
        ["cells", "stack"],
        ["whole image", "current view", "box"],
    ]
    panel.input.layer_box.setCurrentText("stack")
    viewer.dims.set_current_step(0, 2)
    assert panel.input.shown() == {"z": 2}
    assert panel.input.chosen() == {}
    panel.input.plane_boxes["z"].setCurrentIndex(1)
    assert panel.input.chosen() == {"z": 2}
    viewer.layers.clear()
    assert not panel.controls.run.isEnabled()


def test_the_estimate_follows_the_rectangle(open_panel, qtbot) -> None:
    panel = open_panel(texture(48, 64))
    shapes = panel.viewer.add_shapes(name="box", ndim=2, scale=(0.5, 0.5), translate=(10, 20))
    panel.input.region_box.setCurrentText("box")
    qtbot.waitUntil(lambda: "holds no shape" in panel.controls.estimate.text(), timeout=LONG)
    shapes.add_rectangles([[8, 16], [39, 47]])
    qtbot.waitUntil(lambda: "32 × 32 px" in panel.controls.estimate.text(), timeout=LONG)
    shapes.data = [np.array([[8, 16], [8, 31], [39, 31], [39, 16]])]
    qtbot.waitUntil(lambda: "32 × 16 px" in panel.controls.estimate.text(), timeout=LONG)
    assert panel.input.region() == ((8, 40), (16, 32))


def test_a_layer_that_is_renamed_stays_chosen(open_panel) -> None:
    panel = open_panel(texture(48, 64))
    panel.viewer.add_image(np.zeros((20, 30)), name="other")
    panel.viewer.layers["cells"].name = "nuclei"
    assert panel.input.layer() is panel.viewer.layers["nuclei"]
    assert panel.input.layer_box.currentText() == "nuclei"


def test_an_output_that_is_no_store_is_refused_beforehand(open_panel, qtbot, errors, tmp_path) -> None:
    panel = open_panel(texture(48, 64))
    panel.output.line.setText(str(tmp_path / "out.fits"))
    qtbot.waitUntil(lambda: "out.fits is no NAME.zarr" in panel.controls.estimate.text(), timeout=LONG)
    click(qtbot, panel.controls.run)
    finish(qtbot, panel)
    assert len(errors) == 1
    assert "no NAME.zarr" in errors[0]
    assert list(tmp_path.glob("out*")) == []


def test_a_result_that_cannot_be_shown_leaves_the_panel_usable(
    open_panel, qtbot, errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = open_panel(texture(48, 64))
    monkeypatch.setattr("napari_plugin.reader.read_result", lambda path: 1 / 0)
    click(qtbot, panel.controls.run)
    finish(qtbot, panel)
    assert errors == ["ZeroDivisionError: division by zero"]
    assert panel.form.isEnabled()
    assert panel.controls.run.isEnabled()


def test_a_closed_panel_hears_nothing_more(open_panel, qtbot) -> None:
    panel = open_panel(texture(48, 64))
    qtbot.waitUntil(lambda: "Preview" in panel.controls.estimate.text(), timeout=LONG)
    panel.viewer.window.remove_dock_widget(panel)
    panel.controls.estimate.setText("quiet")
    panel.viewer.add_image(np.zeros((20, 30)), name="other")
    panel.viewer.scene.camera.zoom *= 9
    qtbot.wait(800)  # twice as long as it waits for further changes
    assert panel.controls.estimate.text() == "quiet"
    assert panel.input.layer_box.findText("other") == -1


def test_turbulence_puts_out_what_does_not_go_with_it_and_shows_its_presets(open_panel) -> None:
    panel = open_panel(texture(48, 64), options={})
    fields = panel.form.fields
    assert panel.form.values()["model"] == "blur"
    assert not fields["keep"].isEnabled()
    panel.form.set_value("keep", 0.5)
    assert "keep" not in panel.form.values()
    panel.form.set_value("model", "turbulence")
    assert not fields["psf"].isEnabled()
    assert "psf" not in panel.form.values()
    panel.form.set_value("tilt_prior", "published")
    asked = panel._ask().request()
    assert make_config(asked.options).keep == 0.5
    assert "--tilt-prior=published" in asked.command
    assert fields["tile"].text() == "96"
    fields["tile"].stepUp()
    assert panel.form.values()["tile"] == 97


def test_a_preview_of_a_region_takes_calibration_frames_of_the_whole_detector(
    open_panel, qtbot, errors, tmp_path
) -> None:
    fits.writeto(tmp_path / "dark.fits", np.full((48, 64), 30, np.float32))
    panel = open_panel(texture(48, 64), options=SMALL | {"dark": str(tmp_path / "dark.fits")})
    choose_box(panel)
    click(qtbot, panel.controls.preview)
    finish(qtbot, panel)
    assert errors == []
    assert panel.viewer.layers["cells preview"].data.mean() == pytest.approx(70, abs=3)
    assert f"--dark={tmp_path / 'dark.fits'}" in panel._ask().request().command


def test_it_fits_into_a_narrow_dock_and_is_not_black(open_panel, qtbot) -> None:
    panel = open_panel(texture(48, 64), show=True)
    panel.form._more.setChecked(True)
    assert panel.minimumSizeHint().width() <= 320
    assert panel.minimumSizeHint().height() <= 700
    panel.resize(320, 700)
    qtbot.wait(200)
    (scroll,) = panel.findChildren(QScrollArea)
    assert scroll.verticalScrollBar().isVisible()  # there is more than fits
    for field in (*panel.form.fields.values(), panel.form.estimate_noise):
        assert field.width() >= field.minimumSizeHint().width()
        assert field.mapTo(scroll.viewport(), field.rect().topRight()).x() < scroll.viewport().width()
    picture = panel.viewer.screenshot(canvas_only=False, flash=False)
    assert picture[..., :3].std() > 20


class Ticks:
    """How long a window did not answer, told by a timer that should ring every 5 ms."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setInterval(5)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.gaps.append(now - self._last)
        self._last = now

    def longest(self) -> float:
        """Stop, and return the longest time in seconds."""
        self._timer.stop()
        return max(self.gaps)


@pytest.mark.slow
def test_the_window_answers_while_a_run_is_going_on(open_panel, qtbot, errors) -> None:
    panel = open_panel(texture(128, 128), show=True, options={**SMALL, "tile": 64, "unit": 64})
    click(qtbot, panel.controls.preview)  # loads the library
    finish(qtbot, panel)
    click(qtbot, panel.controls.run)
    qtbot.waitUntil(lambda: "out restored (running)" in names(panel), timeout=LONG)
    qtbot.wait(500)  # what napari does to show a new layer is not the run's
    ticks = Ticks()
    qtbot.waitUntil(lambda: "100 %" in panel.controls.status.text() or len(ticks.gaps) > 1000, timeout=LONG)
    panel.session.cancel()
    finish(qtbot, panel)
    mostly, longest = np.quantile(ticks.gaps, 0.95), ticks.longest()
    print(
        f"{len(ticks.gaps)} ticks, 95 % within {1000 * mostly:.0f} ms, at most {1000 * longest:.0f} ms apart"
    )
    assert errors == []
    # An idle window waits, too, where other processes are at work.
    assert mostly < 0.1
    assert longest < 1.0
