"""The pictures of docs/napari.md, from a real window and images that ship with scikit-image.

docs/napari.md says how to make them without a display. What was restored is kept in --cache and opened
again; the first two restore anew.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import napari
import numpy as np
from napari.layers import Layer
from PIL import Image
from qtpy.QtWidgets import QApplication

import blinddps_sci
from napari_plugin.compare import ComparePanel
from napari_plugin.psf_panel import PsfPanel
from napari_plugin.reader import read_result
from napari_plugin.restore_panel import RestorePanel
from napari_plugin.sample_data import burst, hubble

OUT = Path(__file__).parent / "napari"
CACHE = Path(gettempdir()) / "blinddps-screenshots"
NAME = "Hubble deep field, blurred"
REGION = (slice(10, 202), slice(70, 262))
OPTIONS = {"prior": "astro", "quality": "fast", "steps": 16}
SMALL_UNITS = {"tile": 64, "overlap": 24, "unit": 96}
BURST = {"model": "turbulence", "prior": "astro", "quality": "fast", "tile": 48, "overlap": 16, "unit": 128}


def spin(seconds: float = 1800, until: Callable[[], bool] = lambda: False) -> None:
    """Let the window work for some time, or until something is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QApplication.processEvents()
        time.sleep(0.02)


def window(panel: type, title: str) -> tuple[Any, Any]:
    """Open a viewer with a panel."""
    viewer = napari.Viewer()
    viewer.window._qt_window.resize(1280, 800)
    docked = panel(viewer)
    viewer.window.add_dock_widget(docked, name=title, area="right")
    spin(1.0)
    return viewer, docked


def save(viewer: Any, name: str) -> None:
    """Take a picture of the window."""
    spin(1.5)
    shown = viewer.screenshot(canvas_only=False, flash=False)[..., :3]
    file = OUT / f"{name}.png"
    Image.fromarray(np.ascontiguousarray(shown)).save(file, optimize=True)
    print(file, file.stat().st_size // 1024, "kB")


def sky() -> tuple[Any, dict[str, Any]]:
    """Return 192 x 192 pixels of the Hubble deep field, blurred by a Moffat profile 4 pixels wide."""
    data, options, _ = hubble()[-1]
    part = data[REGION]
    return part, {**options, "contrast_limits": tuple(np.percentile(part, (1.0, 99.5)))}


def add_result(viewer: Any, path: Path, image: Any, **options: Any) -> None:
    """Open a result as napari does; restore it before, unless it is there."""
    if not path.exists():
        blinddps_sci.restore(image, path, **options)
    for layer in read_result(path):
        viewer.add_layer(Layer.create(*layer))


def restore_panel(data: Any, options: dict[str, Any], cache: Path) -> tuple[Any, Any]:
    """Open a viewer with an image and the restore panel."""
    viewer, panel = window(RestorePanel, "Restore")
    viewer.add_image(data, **options)
    for name, value in OPTIONS.items():
        panel.form.set_value(name, value)
    panel.output.line.setText(str(cache / "live.zarr"))
    panel.output.replace.setChecked(True)
    return viewer, panel


def preview(cache: Path) -> None:
    """Show a preview of 192 x 192 pixels, and say how long it took."""
    data, options, _ = hubble()[-1]
    viewer, panel = restore_panel(data, {**options, "contrast_limits": sky()[1]["contrast_limits"]}, cache)
    corners = [[80, 140], [80, 331], [271, 331], [271, 140]]
    viewer.add_shapes(corners, name="region", face_color="#0000", edge_color="#ffb000", edge_width=2)
    panel.input.region_box.setCurrentText("region")
    viewer.scene.camera.center, viewer.scene.camera.zoom = (176, 236), 2.4
    spin(until=lambda: "Preview" in panel.controls.estimate.text())
    clicked = time.monotonic()
    panel.controls.preview.click()
    spin(until=lambda: f"{NAME} preview" in viewer.layers)
    first = time.monotonic()
    spin(until=lambda: not panel.session.busy)
    print(f"preview: first seen after {first - clicked:.1f} s, done after {time.monotonic() - clicked:.1f} s")
    save(viewer, "preview")


def running(cache: Path) -> None:
    """Show a run half way, which is then stopped."""
    viewer, panel = restore_panel(*sky(), cache)
    # PSFs that are not reconciled need no estimation of all units before the first is restored.
    for name, value in {**SMALL_UNITS, "psf": "per-tile"}.items():
        panel.form.set_value(name, value)
    spin(until=lambda: "4 units" in panel.controls.estimate.text())
    panel.controls.run.click()
    spin(until=lambda: "unit 3 of 4, step 8" in panel.controls.status.text())
    save(viewer, "running")
    panel.controls.cancel.click()
    spin(until=lambda: not panel.session.busy)


def psf(cache: Path) -> None:
    """Show the PSF of a tile."""
    viewer, panel = window(PsfPanel, "PSF of a tile")
    add_result(viewer, cache / "sky.zarr", sky()[0], **OPTIONS, **SMALL_UNITS)
    viewer.reset_view()
    panel.select(1, 2)
    save(viewer, "psf")


def compare(cache: Path) -> None:
    """Draw a line between before and after."""
    viewer, panel = window(ComparePanel, "Before and after")
    data, options = sky()
    viewer.add_image(data, **options)
    add_result(viewer, cache / "sky.zarr", data, **OPTIONS, **SMALL_UNITS)
    viewer.layers["sky PSF nodes"].visible = False
    viewer.reset_view()
    panel.same.setChecked(True)
    save(viewer, "compare")


def tilts(cache: Path) -> None:
    """Show the tilts of one frame of a burst."""
    frames, options, _ = burst()[-1]
    viewer, _ = window(PsfPanel, "PSF of a tile")
    viewer.add_image(frames[:6], **options)
    add_result(viewer, cache / "burst.zarr", frames[:6], **BURST)
    viewer.layers["burst PSF nodes"].visible = False  # the arrows begin there
    scene = viewer.layers["burst restored"]
    scene.contrast_limits = tuple(np.percentile(np.asarray(scene.data), (1.0, 99.9)))
    viewer.reset_view()
    viewer.dims.set_current_step(0, 5)
    save(viewer, "tilts")


if __name__ == "__main__":
    pictures = {maker.__name__: maker for maker in (preview, running, psf, compare, tilts)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"results that are kept; default {CACHE}")
    parser.add_argument("pictures", nargs="*", help=f"out of {', '.join(pictures)}; all of them")
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    for name in given.pictures or pictures:
        pictures[name](given.cache.absolute())
        napari.Viewer.close_all()
