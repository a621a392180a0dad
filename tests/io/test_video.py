"""Videos: frames are read in any order, in grey or colour; what is none is one clear error."""

from __future__ import annotations

import builtins
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blinddps_sci.errors import InputError
from blinddps_sci.io import open_stack, read_window

av = pytest.importorskip("av")


def written(path: Path, frames: np.ndarray) -> Path:
    """Write frames (t, y, x, 3) without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        for values in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 16, 24, 3), dtype=np.uint8)


def test_a_video_in_colour(frames: np.ndarray, tmp_path: Path) -> None:
    stack = open_stack(written(tmp_path / "burst.avi", frames))
    assert dict(stack["data"].sizes) == {"t": 5, "c": 3, "y": 16, "x": 24}
    stack = pickle.loads(pickle.dumps(stack))
    np.testing.assert_array_equal(stack["data"].values, frames.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(stack["data"][3, 1, 2:9, 4].values, frames[3, 2:9, 4, 1])
    np.testing.assert_array_equal(stack["data"][1:5:2, 2].values, frames[1:5:2, :, :, 2])
    assert stack.attrs["saturation"] == 255


def test_a_video_in_grey_is_of_one_channel(frames: np.ndarray, tmp_path: Path) -> None:
    grey = np.repeat(frames[..., :1], 3, axis=-1)
    stack = open_stack(written(tmp_path / "burst.MKV", grey), region="4:16,0:24")
    assert dict(stack["data"].sizes) == {"t": 5, "y": 12, "x": 24}
    window = read_window(stack, {"t": 4}, slice(0, 12), slice(2, 20))
    np.testing.assert_allclose(window.data, grey[4, 4:, 2:20, 0], atol=1)


def test_a_channel_of_a_video(frames: np.ndarray, tmp_path: Path) -> None:
    stack = open_stack(written(tmp_path / "burst.mp4.mkv", frames), channel="green")
    np.testing.assert_array_equal(stack["data"].values, frames[..., 1])


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("not a video, however long it may be " * 20)
    with pytest.raises(InputError, match=r"text.mp4 cannot be read as a video"):
        open_stack(path)


def test_without_pyav_the_extra_is_named(
    frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = written(tmp_path / "burst.avi", frames), builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "av":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r'needs PyAV: pip install "blinddps-sci\[video\]"'):
        open_stack(path)
