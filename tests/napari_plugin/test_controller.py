"""What the panel does, without a window: estimate, preview, run, cancel, resume, and the same by command."""

from __future__ import annotations

import re
import shlex
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

from blinddps_sci import Axis, open_result, save_image
from blinddps_sci.cli import main
from blinddps_sci.engine.pace import measured_pace
from napari_plugin.command import Request, changed_options
from napari_plugin.controller import Controller, is_resumable
from napari_plugin.layer_source import source_of
from napari_plugin.reader import read_result
from napari_plugin.running import (
    Advanced,
    Began,
    Failed,
    Finished,
    News,
    Running,
    Stopped,
    UnitDone,
    UnitSeen,
)
from napari_plugin.stack_reader import read_stack
from napari_plugin.writer import write_zarr

layers = pytest.importorskip("napari.layers")

SMALL = {
    "prior": "gaussian", "kernel_prior": "gaussian", "psf_size": 7, "steps": 3, "chains": 1, "samples": 2,
    "tile": 32, "overlap": 8, "unit": 32, "noise": "gaussian:2",
}  # fmt: skip


@pytest.fixture
def image() -> np.ndarray:
    y, x = np.mgrid[:48, :64]
    noise = np.random.default_rng(1).normal(0, 2, (48, 64))
    return (100 + 40 * np.sin(y / 5) * np.cos(x / 7) + noise).astype(np.float32)


@pytest.fixture
def request_of(image: np.ndarray, tmp_path: Path) -> Callable[..., Request]:
    """Return what makes a request of the image, to ``out.zarr``."""

    def make(values: np.ndarray = image, region: Any = None, **options: Any) -> Request:
        source = source_of(layers.Image(values, name="cells"))
        return Request(source, changed_options({**SMALL, **options}), tmp_path / "out.zarr", region)

    return make


def listen(running: Running) -> list[News]:
    return list(running.events())


def test_an_estimate_says_what_it_takes_and_measures_the_pace_once(request_of, monkeypatch) -> None:
    controller, request, region = Controller(), request_of(noise="auto"), ((0, 32), (0, 32))
    calls = []

    def measured(job: Any, callback: Any) -> float:
        calls.append(job)
        return measured_pace(job, callback)

    monkeypatch.setattr("blinddps_sci.engine.pace.measured_pace", measured)
    found = controller.estimate(request, {}, region)
    assert (found.units, found.tiles) == (4, 4)
    assert found.memory > 0
    assert found.seconds is not None
    assert found.preview is not None
    assert 1.0 < float(found.noise.removeprefix("gaussian:")) < 4.0
    assert controller.noise(request) == found.noise
    more = controller.estimate(request_of(steps=6, noise="auto"), {}, region)
    assert more.seconds == pytest.approx(2 * found.seconds)
    assert len(calls) == 1


def test_a_preview_does_not_wait_for_the_measurement_of_the_pace(request_of, monkeypatch) -> None:
    controller, request, region = Controller(), request_of(), ((0, 32), (0, 32))

    def interrupted(job: Any, callback: Any) -> float:
        controller.preview(request, {}, region)
        callback(None)  # which ends the measurement
        pytest.fail("it goes on")

    monkeypatch.setattr("blinddps_sci.engine.pace.measured_pace", interrupted)
    found = controller.estimate(request, {}, region)
    assert (found.seconds, found.preview) == (None, None)


def test_a_preview_is_of_the_plane_and_the_region(image, request_of) -> None:
    stack = np.stack([image, 0 * image, image])
    request, region = request_of(stack), ((8, 40), (16, 48))
    (end,) = (
        news
        for news in listen(Running(partial(Controller().preview, request, {"t": 2}, region)))
        if isinstance(news, Finished)
    )
    assert dict(end.result["image"].sizes) == {"t": 1, "y": 32, "x": 32}
    restored = end.result["image"].values[0]
    assert np.corrcoef(restored.ravel(), image[8:40, 16:48].ravel())[0, 1] > 0.8


def test_a_run_tells_of_every_unit_and_fills_the_store(request_of) -> None:
    request = request_of(region=((0, 48), (0, 64)))
    news = listen(Running(partial(Controller().run, request), request.output))
    began = news[0]
    assert isinstance(began, Began)
    assert (began.store, dict(began.sizes)) == (request.output, {"y": 48, "x": 64})
    done = [(each.y.start, each.x.start) for each in news if isinstance(each, UnitDone)]
    assert sorted(done) == [(0, 0), (0, 32), (32, 0), (32, 32)]
    seen = [each for each in news if isinstance(each, UnitSeen)]
    assert all(each.values.shape == (each.y.stop - each.y.start, each.x.stop - each.x.start) for each in seen)
    parts = [each.part for each in news if isinstance(each, Advanced)]
    assert parts == sorted(parts)
    assert parts[-1] == pytest.approx(1.0)
    assert isinstance(news[-1], Finished)
    assert open_result(request.output).status == "complete"
    assert not is_resumable(request.output)


def test_the_command_does_the_same_bit_for_bit(request_of, tmp_path: Path) -> None:
    request = request_of(region=((4, 44), (0, 64)))
    assert isinstance(listen(Running(partial(Controller().run, request), request.output))[-1], Finished)
    other = tmp_path / "other" / "out.zarr"
    other.parent.mkdir()
    (other.parent / request.input.name).symlink_to(request.input)
    words = shlex.split(request.command)
    words[words.index(str(request.output))] = str(other)
    assert words[0] == "blinddps"
    assert main([*words[1:], "--quiet"]) == 0
    images = ("image", "std", "dq")
    shards = [
        path for name in images for path in request.output.glob(f"scale0/{name}/c/**/*") if path.is_file()
    ]
    assert len(shards) == 4 * len(images)
    for path in shards:
        assert path.read_bytes() == (other / path.relative_to(request.output)).read_bytes()


def test_a_large_file_in_micrometres_is_restored_and_saved_in_micrometres(tmp_path: Path) -> None:
    large = da.random.default_rng(0).normal(100, 2, (4096, 4096), chunks=512).astype(np.float32)
    save_image(large, tmp_path / "a.zarr", [Axis(name, 0.65, "micrometer") for name in "yx"])
    layer = layers.Layer.create(*read_stack(str(tmp_path / "a.zarr"))[0])
    region = ((1000, 1048), (3000, 3064))
    request = Request(source_of(layer), changed_options(SMALL), tmp_path / "out.zarr", region)
    assert request.layer.path == tmp_path / "a.zarr"  # which is not copied
    news = listen(Running(partial(Controller().run, request), request.output))
    assert isinstance(news[-1], Finished)
    restored = read_result(request.output)[0]
    write_zarr(str(tmp_path / "saved.zarr"), *restored[:2])
    for values, options, _ in (restored, *read_stack(str(tmp_path / "saved.zarr"))):
        assert np.asarray(values).shape == (48, 64)
        assert options["scale"] == pytest.approx([0.65, 0.65])
        assert list(options["units"]) == ["micrometer", "micrometer"]
    assert restored[1]["translate"] == pytest.approx([650.0, 1950.0])


def test_a_run_is_cancelled_within_a_step_and_goes_on(request_of, tmp_path: Path) -> None:
    request, controller = request_of(), Controller()
    running = Running(partial(controller.run, request), request.output)
    asked, heard = 0.0, list[float]()
    for news in running.events():
        if isinstance(news, Advanced) and not asked:
            heard.append(time.perf_counter())
        if isinstance(news, UnitDone) and not asked:
            asked = time.perf_counter()
            running.cancel()
        end = news
    took, step = time.perf_counter() - asked, float(np.diff(heard).max())
    print(f"cancelled in {1000 * took:.0f} ms; a step takes {1000 * step:.0f} ms at most")
    assert isinstance(end, Stopped)
    assert took < step + 0.5
    assert open_result(request.output).status == "running"
    assert is_resumable(request.output)
    news = listen(Running(partial(controller.resume, request.output, {}), request.output))
    assert isinstance(news[1], UnitDone)  # what was there before
    assert isinstance(news[-1], Finished)
    whole = replace(request, output=tmp_path / "whole.zarr")
    listen(Running(partial(controller.run, whole), whole.output))
    for name in ("image", "std"):
        left, right = (open_result(path).dataset()[name] for path in (request.output, whole.output))
        np.testing.assert_array_equal(left, right)


def test_a_run_may_be_cancelled_before_it_begins_and_by_closing_its_events(request_of) -> None:
    request = request_of()
    running = Running(partial(Controller().run, request), request.output)
    running.cancel()
    assert isinstance(listen(running)[-1], Stopped)
    other = replace(request, overwrite=True)
    running = Running(partial(Controller().run, other), request.output)
    events = running.events()
    next(events)
    events.close()
    assert running.join(20.0)
    assert is_resumable(request.output)


@pytest.mark.slow
def test_workers_are_stopped_too(request_of) -> None:
    request = request_of(workers=1, steps=100_000)  # a unit would take an hour
    running = Running(partial(Controller().run, request), request.output)
    events = running.events()
    assert isinstance(next(events), Began)
    timer = threading.Timer(5.0, running.cancel)
    timer.start()
    begin = time.perf_counter()
    assert isinstance(list(events)[-1], Stopped)
    assert time.perf_counter() - begin < 90.0  # to start and to end processes takes most of it
    assert is_resumable(request.output)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.full((48, 64), np.nan, np.float32), {}, "out.input.zarr has no usable pixel"),
        (None, {"prior": "nonsense"}, "unknown image prior 'nonsense'"),
        (None, {"psf_file": "gone.fits"}, "gone.fits"),
    ],
)
def test_what_cannot_be_restored_is_said_in_one_line(request_of, image, values, options, message) -> None:
    request = request_of(image if values is None else values, **options)
    end = listen(Running(partial(Controller().run, request), request.output))[-1]
    assert isinstance(end, Failed)
    assert re.search(message, end.message), end.message
    assert "\n" not in end.message
    assert not request.output.exists()


def test_an_output_is_not_replaced_unasked_and_nothing_is_written(request_of, tmp_path: Path) -> None:
    request = request_of()
    request.output.mkdir()
    end = listen(Running(partial(Controller().run, request), request.output))[-1]
    assert isinstance(end, Failed)
    assert "exists" in end.message
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]


def test_a_defect_is_named_and_does_not_hang() -> None:
    def work(**watch: Any) -> None:
        raise LookupError("no\nway")

    assert listen(Running(work)) == [Failed("LookupError: no way")]
