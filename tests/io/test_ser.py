"""SER videos: depth, byte order, mosaics and colours; what is not one."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from blinddps_sci.errors import InputError
from blinddps_sci.io import open_stack


def write_ser(path: Path, frames: np.ndarray, *, colour: int = 0, bits: int = 16, big: int = 0) -> Path:
    """Write frames (t, y, x) or (t, y, x, 3) as cameras do."""
    names = (b"observer".ljust(40), b"camera".ljust(40), b"telescope".ljust(40))
    count, height, width = frames.shape[:3]
    header = struct.pack(
        "<14s7i40s40s40s2q", b"LUCAM-RECORDER", 0, colour, big, width, height, bits, count, *names, 0, 0
    )
    kind = "u1" if bits <= 8 else ">u2" if big else "<u2"
    times = struct.pack(f"<{count}q", *range(count))
    path.write_bytes(header + frames.astype(kind).tobytes() + times)
    return path


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 250, (3, 16, 20))


@pytest.mark.parametrize(("bits", "big"), [(8, 0), (16, 0), (16, 1), (12, 0)])
def test_mono_frames_are_what_was_written(tmp_path: Path, frames: np.ndarray, bits: int, big: int) -> None:
    counts = frames * (1 if bits == 8 else 16) + (bits != 8)
    stack = open_stack(write_ser(tmp_path / "a.ser", counts, bits=bits, big=big))
    assert stack["data"].dims == ("t", "y", "x")
    np.testing.assert_array_equal(stack["data"].values, counts)
    np.testing.assert_array_equal(stack["data"][1, 2:7:2, 3].values, counts[1, 2:7:2, 3])
    assert stack.attrs["saturation"] == 2**bits - 1
    assert stack.attrs["identity"]["files"][0]["name"] == "a.ser"


@pytest.mark.parametrize(("colour", "pattern"), [(8, "RGGB"), (9, "GRBG"), (10, "GBRG"), (11, "BGGR")])
def test_a_mosaic_becomes_three_smaller_images(
    tmp_path: Path, frames: np.ndarray, colour: int, pattern: str
) -> None:
    stack = open_stack(write_ser(tmp_path / "a.ser", frames, colour=colour, bits=8))
    assert dict(stack["data"].sizes) == {"t": 3, "c": 3, "y": 8, "x": 10}
    squares: dict[str, list[np.ndarray]] = {name: [] for name in "RGB"}
    for place, name in enumerate(pattern):
        squares[name].append(frames[:, place // 2 :: 2, place % 2 :: 2])
    expected = np.stack([np.mean(squares[name], axis=0) for name in "RGB"], axis=1)
    data = stack["data"]
    np.testing.assert_array_equal(data.values, expected)
    np.testing.assert_array_equal(data[1, 1:, 1:4, 2:].values, expected[1, 1:, 1:4, 2:])
    np.testing.assert_array_equal(data[:, 2, 3, ::2].values, expected[:, 2, 3, ::2])
    assert float(data[2, 0, 4, 5]) == expected[2, 0, 4, 5]
    assert stack.attrs["channel_names"] == ["red", "green", "blue"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(stack))["data"].values, expected)


def test_one_saturated_green_of_two_is_no_value(tmp_path: Path) -> None:
    mosaic = np.full((2, 16, 16), 100)
    mosaic[0, 0, 1] = 255  # one green of the first square
    mosaic[0, 14:, 14:] = 255  # both of the last
    green = open_stack(write_ser(tmp_path / "a.ser", mosaic, colour=8, bits=8))["data"][0, 1].values
    assert np.argwhere(np.isnan(green)).tolist() == [[0, 0]]
    assert (green[0, 1], green[7, 7]) == (100, 255)


def test_numbers_that_are_shifted_to_the_left_saturate_there(tmp_path: Path, frames: np.ndarray) -> None:
    shifted = frames * 16
    assert open_stack(write_ser(tmp_path / "a.ser", shifted, bits=12)).attrs["saturation"] == 4095 * 16


def test_colours_keep_their_names(tmp_path: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 255, (2, 9, 8, 3))
    for colour, names in ((100, ["red", "green", "blue"]), (101, ["blue", "green", "red"])):
        stack = open_stack(write_ser(tmp_path / f"{colour}.ser", frames, colour=colour, bits=8))
        np.testing.assert_array_equal(stack["data"].values, frames.transpose(0, 3, 1, 2))
        assert stack.attrs["channel_names"] == names
    red = open_stack(tmp_path / "101.ser", channel="red")
    np.testing.assert_array_equal(red["data"].values, frames[..., 2])


def test_what_is_no_video_is_refused(tmp_path: Path, frames: np.ndarray) -> None:
    good = write_ser(tmp_path / "good.ser", frames).read_bytes()
    broken = tmp_path / "broken.ser"
    for content, message in (
        (good[:100], "is not a SER video"),
        (b"X" + good[1:], "is not a SER video"),
        (good[:500], "is truncated: its frames end at byte 2098"),
        (good[:18] + struct.pack("<i", 19) + good[22:], "colours of kind 19"),
        (good[:26] + struct.pack("<i", -5) + good[30:], "is damaged"),
        (good[:34] + struct.pack("<i", 32) + good[38:], "is damaged"),
    ):
        broken.write_bytes(content)
        with pytest.raises(InputError, match=message):
            open_stack(broken)
