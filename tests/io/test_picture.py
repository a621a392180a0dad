"""Pictures, and folders of frames."""

from __future__ import annotations

import struct
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from astropy.io import fits

from blinddps_sci.errors import InputError
from blinddps_sci.io import open_stack, read_window

RNG = np.random.default_rng(0)


def numbers(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max, shape).astype(dtype)


@pytest.mark.parametrize("name", ["grey.png", "grey.bmp"])
def test_a_grey_picture_is_one_plane(tmp_path: Path, name: str) -> None:
    grey = numbers(20, 30)
    imageio.imwrite(tmp_path / name, grey)
    stack = open_stack(tmp_path / name)
    assert stack["data"].dims == ("y", "x")
    assert stack.attrs["saturation"] == 255
    np.testing.assert_array_equal(stack["data"], grey)
    np.testing.assert_array_equal(stack["data"][3:9, 7].values, grey[3:9, 7])


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    grey = numbers(20, 30, dtype=np.uint16)
    imageio.imwrite(tmp_path / "deep.png", grey)
    stack = open_stack(tmp_path / "deep.png")
    assert stack.attrs["saturation"] == 65535
    np.testing.assert_array_equal(stack["data"], grey)


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_are_channels_and_transparency_is_none(tmp_path: Path, channels: int) -> None:
    colour = numbers(20, 30, channels)
    imageio.imwrite(tmp_path / "colour.png", colour)
    stack = open_stack(tmp_path / "colour.png")
    assert dict(stack["data"].sizes) == {"c": 3, "y": 20, "x": 30}
    np.testing.assert_array_equal(stack["data"].values, np.moveaxis(colour[..., :3], -1, 0))
    np.testing.assert_array_equal(
        open_stack(tmp_path / "colour.png", channel="green")["data"], colour[..., 1]
    )


def test_a_grey_picture_with_transparency_is_one_plane(tmp_path: Path) -> None:
    picture = numbers(20, 30, 2)
    imageio.imwrite(tmp_path / "veiled.png", picture)
    np.testing.assert_array_equal(open_stack(tmp_path / "veiled.png")["data"], picture[..., 0])


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    with pytest.raises(InputError, match=r"broken\.png cannot be read as a picture"):
        open_stack(tmp_path / "broken.png")


def test_a_folder_of_frames_is_a_burst_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    frames = numbers(11, 20, 30)
    for number, frame in enumerate(frames):
        imageio.imwrite(tmp_path / f"frame{number}.png", frame)
    (tmp_path / "notes.txt").write_text("clouds")
    stack = open_stack(tmp_path)
    assert stack["data"].dims == ("t", "y", "x")
    np.testing.assert_array_equal(stack["data"], frames)
    np.testing.assert_array_equal(read_window(stack, {}, slice(2, 9), slice(4, 8)).data, frames[:, 2:9, 4:8])
    assert len(stack.attrs["identity"]["files"]) == 11


def test_a_folder_of_several_kinds_is_refused(tmp_path: Path) -> None:
    imageio.imwrite(tmp_path / "a.png", numbers(20, 30))
    fits.writeto(tmp_path / "b.fits", numbers(20, 30))
    with pytest.raises(InputError, match=r"files of several kinds \(fits, picture\)"):
        open_stack(tmp_path)


def test_a_folder_without_frames_is_no_stack(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("clouds")
    with pytest.raises(InputError, match="is not a Zarr folder, and holds no frames"):
        open_stack(tmp_path)


@pytest.mark.parametrize("kind", [2, 6])
def test_sixteen_bits_a_colour_are_not_cut_to_eight(tmp_path: Path, kind: int) -> None:
    """Pillow would open it as 8 bits; its header says what it is."""
    header = struct.pack(">IIBBBBB", 16, 16, 16, kind, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header)
    with pytest.raises(InputError, match="16 bits a colour"):
        open_stack(tmp_path / "a.png")
