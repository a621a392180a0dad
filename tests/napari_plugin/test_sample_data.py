"""Sample data: real images as they are, or blurred with their truth; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from blinddps_sci import open_stack
from napari_plugin import sample_data


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("sample data must not need a network")

    monkeypatch.setattr("socket.socket.connect", refuse)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (sample_data.moon, (512, 512)),
        (sample_data.retina, (1411, 1411)),
        (sample_data.hubble, (512, 512)),
        (sample_data.tissue, (448, 448)),
        (sample_data.burst, (12, 128, 128)),
    ],
)
def test_every_sample_can_be_restored(make: Callable[[], list[Any]], shape: tuple[int, ...]) -> None:
    image, options, kind = make()[-1]
    assert (kind, image.shape, image.dtype, options.get("visible", True)) == ("image", shape, "float32", True)
    assert options["axis_labels"] == tuple("tyx"[-len(shape) :])
    low, high = options["contrast_limits"]
    assert image.min() <= low < high <= image.max()
    assert open_stack(image)["data"].shape == shape


@pytest.mark.parametrize("make", [sample_data.hubble, sample_data.tissue])
def test_the_blurred_say_so_and_their_truth_is_sharper(make: Callable[[], list[Any]]) -> None:
    (truth, hidden, _), (blurred, shown, _) = make()
    assert ("truth" in hidden["name"], "blurred" in shown["name"], hidden["visible"]) == (True, True, False)
    # The same place: shifting either by a pixel makes them less alike.
    inner = blurred[8:-8, 8:-8]
    alike = [
        np.corrcoef(inner.ravel(), truth[8 + dy : -8 + dy, 8 + dx : -8 + dx].ravel())[0, 1]
        for dy, dx in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
    ]
    assert alike[0] == max(alike)
    assert alike[0] > 0.8
    assert truth.std() > blurred.std()


def test_the_frames_of_the_burst_differ_and_come_again() -> None:
    (truth, _, _), (frames, options, _) = sample_data.burst()
    assert "simulated" in options["name"]
    assert truth.shape == frames.shape[1:]
    assert np.corrcoef(frames.mean(axis=0).ravel(), truth.ravel())[0, 1] > 0.8
    assert np.abs(frames[0] - frames[1]).mean() > 0.01
    np.testing.assert_array_equal(frames, sample_data.burst()[1][0])
