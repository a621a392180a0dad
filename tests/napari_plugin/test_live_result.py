"""Images that fill while a run goes on: what is read, at which level, and how fresh it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blinddps_sci import open_result
from blinddps_sci.io import open_stack
from blinddps_sci.io.result import ResultStore, create_result
from napari_plugin.live_result import LiveImage, StoredImage

SIDE = 64


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    template = open_stack(np.zeros((2, 3 * SIDE, 4 * SIDE), np.float32))
    return create_result(
        tmp_path / "out.zarr", template=template, node_y=[10], node_x=[10], shard=SIDE, chunk=SIDE
    )


def write(store: ResultStore, plane: int, row: int, column: int, value: float) -> tuple[dict, slice, slice]:
    y, x = (slice(SIDE * n, SIDE * (n + 1)) for n in (row, column))
    store.write_region("image", {"t": plane}, y, x, np.full((SIDE, SIDE), value))
    return {"t": plane}, y, x


def test_units_appear_as_they_are_written_and_nothing_else(store: ResultStore) -> None:
    live = LiveImage(open_result(store.path), "image")
    assert np.isnan(live.data).all()
    live.read(*write(store, 1, 0, 2, 5.0))
    assert (live.data[1, :SIDE, 2 * SIDE : 3 * SIDE] == 5.0).all()
    assert np.isfinite(live.data).sum() == SIDE**2
    live.read(*write(store, 1, 0, 2, 6.0))  # written once more: nothing is cached
    assert (live.data[1, :SIDE, 2 * SIDE : 3 * SIDE] == 6.0).all()


def test_of_a_large_result_only_coarse_levels_are_in_memory(store: ResultStore) -> None:
    live = LiveImage(open_result(store.path), "image", in_memory=10_000)
    assert isinstance(live.levels[0], StoredImage)
    assert [level.shape for level in live.levels] == [(2, 192, 256), (2, 48, 64)]
    where = write(store, 0, 2, 1, 7.0)
    assert (np.asarray(live.levels[0][0, 130:140, 70:80]) == 7.0).all()  # read where it is looked at
    assert np.isnan(live.levels[1]).all()
    live.read(*where)
    assert (live.levels[1][0, 32:48, 16:32] == 7.0).all()
    assert np.isfinite(live.levels[1]).sum() == 16**2


def test_what_is_seen_of_a_unit_goes_when_there_is_nothing_of_it_in_the_store(store: ResultStore) -> None:
    live = LiveImage(open_result(store.path), "image")
    part = ({"t": 0}, slice(0, SIDE), slice(SIDE, 2 * SIDE))
    live.show(*part, np.arange(SIDE**2, dtype=np.float32).reshape(SIDE, SIDE))
    assert live.data[0, 1, SIDE + 1] == SIDE + 1
    live.read(*part)
    assert np.isnan(live.data).all()


def test_units_of_odd_sizes_fill_every_pixel_of_coarse_levels_once(tmp_path: Path) -> None:
    template = open_stack(np.zeros((101, 147), np.float32))
    store = create_result(tmp_path / "o.zarr", template=template, node_y=[1], node_x=[1], shard=50, chunk=50)
    live = LiveImage(store, "std", in_memory=2000)
    (level,) = live.levels[1:]
    for y in range(0, 101, 50):
        for x in range(0, 147, 50):
            part = np.mgrid[y : min(y + 50, 101), x : min(x + 50, 147)].sum(axis=0).astype(np.float32)
            before = np.isfinite(level).sum()
            live.show({}, slice(y, min(y + 50, 101)), slice(x, min(x + 50, 147)), part)
            assert np.isfinite(level).sum() > before
    factor = 4
    expected = np.add.outer(np.arange(0, 101, factor), np.arange(0, 147, factor))
    np.testing.assert_array_equal(level, expected)
