"""The result store: whole shards, atomic creation, statuses, pyramid, and what xarray sees."""

from __future__ import annotations

import json
import os
import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from blinddps_sci.errors import ConfigError, InputError, OutputError
from blinddps_sci.io import open_stack, result
from blinddps_sci.io.pyramid import halve, level_sizes
from blinddps_sci.io.result import (
    DQ_BITS,
    ResultStore,
    create_result,
    open_result,
    output_path_for,
    store_path_for,
)
from blinddps_sci.io.result_layout import nodes_per_key
from blinddps_sci.tiling.plan import Plan

HEIGHT, WIDTH, SHARD, CHUNK = 100, 150, 64, 16


def stack(*shape: int) -> xr.Dataset:
    """Return an open stack with a few facts."""
    opened = open_stack(np.zeros(shape or (HEIGHT, WIDTH), np.float32))
    opened.attrs.update(unit="adu", pixel_scale=[0.25, 0.2], pixel_unit="arcsec")
    return opened


def create(path: Path, template: xr.Dataset | None = None, **options: Any) -> ResultStore:
    """Create a small result."""
    known: dict[str, Any] = {
        "node_y": [10.0, 50.0, 90.0],
        "node_x": [20.0, 120.0],
        "kernel_size": 8,
        "shard": SHARD,
        "chunk": CHUNK,
    }
    return create_result(path, template=stack() if template is None else template, **(known | options))


def regions(store: ResultStore) -> list[tuple[slice, slice]]:
    """List the shards of one plane."""
    height, width = store.array("scale0/image").shape[-2:]
    rows, columns = store.array("scale0/image").shards[-2:]
    return [
        (slice(y, min(y + rows, height)), slice(x, min(x + columns, width)))
        for y in range(0, height, rows)
        for x in range(0, width, columns)
    ]


def fill(store: ResultStore, name: str, plane: np.ndarray, index: dict[str, int] | None = None) -> None:
    """Write one plane shard by shard."""
    for y, x in regions(store):
        store.write_region(name, index or {}, y, x, plane[y, x])


def keys(store: ResultStore, name: str) -> dict[str, bytes]:
    """Return the content of every key of an array."""
    folder = store.path / name
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.name != "zarr.json"
    }


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(HEIGHT, WIDTH)).astype(np.float32)


def test_a_new_result_has_the_arrays_of_the_contract(tmp_path: Path) -> None:
    store = create(tmp_path / "out.zarr", frames=2, channels=3)
    assert store.status == "running"
    assert store.dims == ("y", "x")
    expected = {
        "scale0/image": ((HEIGHT, WIDTH), ("y", "x"), "float32"),
        "scale0/std": ((HEIGHT, WIDTH), ("y", "x"), "float32"),
        "scale0/dq": ((HEIGHT, WIDTH), ("y", "x"), "uint16"),
        "psf/kernel": ((2, 3, 3, 2, 8, 8), ("frame", "channel", "node_y", "node_x", "ky", "kx"), "float32"),
        "psf/std": ((2, 3, 3, 2, 8, 8), ("frame", "channel", "node_y", "node_x", "ky", "kx"), "float32"),
        "psf/position": ((3, 2, 2), ("node_y", "node_x", "yx"), "float64"),
        "quality/chi2": ((2, 3, 3, 2), ("frame", "channel", "tile_y", "tile_x"), "float32"),
    }
    for name, (shape, dims, dtype) in expected.items():
        array = store.array(name)
        assert (array.shape, array.metadata.dimension_names, str(array.dtype)) == (shape, dims, dtype)
    assert store.array("scale0/image").shards == (SHARD, SHARD)
    assert store.array("scale0/image").chunks == (CHUNK, CHUNK)
    assert np.isnan(store.array("scale0/image")[...]).all()
    assert (store.array("scale0/dq")[...] == DQ_BITS["no_result"]).all()
    np.testing.assert_array_equal(store.psf()["position"].values[2, 1], [90.0, 120.0])
    assert store.tilt() is None
    with pytest.raises(OutputError, match="no array 'scale0/nothing'"):
        store.array("scale0/nothing")


def test_every_shard_comes_back_edges_included(tmp_path: Path, noise: np.ndarray) -> None:
    store = create(tmp_path / "out.zarr")
    fill(store, "image", noise)
    fill(store, "scale0/std", np.abs(noise))
    fill(store, "dq", np.ones(noise.shape, int))
    store.finish()
    seen = xr.open_zarr(tmp_path / "out.zarr", group="scale0")
    np.testing.assert_array_equal(seen["image"], noise)
    np.testing.assert_array_equal(seen["std"], np.abs(noise))
    assert seen["dq"].dtype == np.uint16
    assert (seen["dq"] == 1).all()
    assert seen["image"].attrs["units"] == "adu"
    assert seen["y"].values[[0, -1]].tolist() == [0.0, HEIGHT - 1.0]
    tree = xr.open_datatree(tmp_path / "out.zarr", engine="zarr")
    assert set(tree.groups) == {"/", "/scale0", "/psf", "/quality"}


def test_a_running_store_opens_with_xarray_without_a_warning(tmp_path: Path, noise: np.ndarray) -> None:
    store = create(tmp_path / "out.zarr")
    store.write_region("image", {}, slice(0, 64), slice(64, 128), noise[:64, 64:128])
    seen = xr.open_zarr(tmp_path / "out.zarr", group="scale0")["image"].values
    np.testing.assert_array_equal(seen[:64, 64:128], noise[:64, 64:128])
    assert np.isfinite(seen).sum() == 64 * 64


def test_a_write_touches_its_own_keys_only(tmp_path: Path, noise: np.ndarray) -> None:
    store = create(tmp_path / "out.zarr")
    fill(store, "image", noise)
    before = keys(store, "scale0/image")
    store.write_region("image", {}, slice(64, 100), slice(0, 128), -noise[64:, :128])
    after = keys(store, "scale0/image")
    assert set(before) == set(after)
    assert {name for name in before if before[name] != after[name]} == {"c/1/0", "c/1/1"}
    store.write_psf(0, 0, slice(0, 2), 1, np.full((2, 8, 8), 1 / 64))
    assert set(keys(store, "psf/kernel")) == {"c/0/0/0/1/0/0"}
    assert keys(store, "psf/std") == {}
    store.write_quality(0, 0, slice(2, 3), slice(0, 1), chi2=[[1.0]])
    assert set(keys(store, "quality/chi2")) == {"c/0/0/1/0"}


@pytest.mark.parametrize("where", [(slice(0, 64), slice(0, 64)), (slice(64, 100), slice(128, 150))])
def test_a_torn_shard_is_repaired_by_writing_it_again(
    tmp_path: Path, noise: np.ndarray, where: tuple[slice, slice]
) -> None:
    store = create(tmp_path / "out.zarr")
    fill(store, "image", noise)
    torn = store.path / "scale0/image/c" / str(where[0].start // SHARD) / str(where[1].start // SHARD)
    torn.write_bytes(torn.read_bytes()[:-7])
    with pytest.raises(ValueError, match="checksum"):
        store.array("scale0/image")[where]
    store.write_region("image", {}, *where, noise[where])
    np.testing.assert_array_equal(store.array("scale0/image")[...], noise)


def test_an_empty_shard_replaces_a_full_one(tmp_path: Path, noise: np.ndarray) -> None:
    store = create(tmp_path / "out.zarr")
    fill(store, "image", noise)
    store.write_region("image", {}, slice(0, 64), slice(0, 64), np.full((64, 64), np.nan))
    assert "c/0/0" not in keys(store, "scale0/image")
    seen = store.array("scale0/image")[...]
    assert np.isnan(seen[:64, :64]).all()
    np.testing.assert_array_equal(seen[64:], noise[64:])
    half = noise[:64, 64:128].copy()
    half[:32] = np.nan
    store.write_region("image", {}, slice(0, 64), slice(64, 128), half)
    np.testing.assert_array_equal(store.array("scale0/image")[:64, 64:128], half)


def test_zeros_are_data_and_not_fill(tmp_path: Path) -> None:
    store = create(tmp_path / "out.zarr")
    for name in ("image", "dq"):
        store.write_region(name, {}, slice(0, 64), slice(0, 64), np.zeros((64, 64)))
        assert (store.array(f"scale0/{name}")[:64, :64] == 0).all()


@pytest.mark.parametrize(
    ("y", "x", "message"),
    [
        (slice(0, 32), slice(0, 64), "y = 0:32 cuts a shard"),
        (slice(16, 64), slice(0, 64), "y = 16:64 cuts a shard"),
        (slice(0, 64), slice(64, 149), "x = 64:149 cuts a shard"),
        (slice(64, 128), slice(0, 64), "y = 64:128 does not lie in 0:100"),
        (slice(-64, 64), slice(0, 64), "does not lie in"),
        (slice(64, 64), slice(0, 64), "does not lie in"),
        (slice(0, 64, 2), slice(0, 64), "does not lie in"),
    ],
)
def test_a_region_that_is_not_whole_shards_is_refused(
    tmp_path: Path, y: slice, x: slice, message: str
) -> None:
    store = create(tmp_path / "out.zarr")
    block = np.zeros((abs(y.stop - y.start), abs(x.stop - x.start)))
    with pytest.raises(OutputError, match=message):
        store.write_region("image", {}, y, x, block)
    assert keys(store, "scale0/image") == {}


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    store = create(tmp_path / "out.zarr", stack(2, HEIGHT, WIDTH))
    y = x = slice(0, 64)
    with pytest.raises(OutputError, match=r"values of shape \(64, 63\)"):
        store.write_region("image", {"t": 0}, y, x, np.zeros((64, 63)))
    with pytest.raises(OutputError, match="not one plane"):
        store.write_region("image", {}, y, x, np.zeros((64, 64)))
    with pytest.raises(OutputError, match="t = 2:3 does not lie in 0:2"):
        store.write_region("image", {"t": 2}, y, x, np.zeros((64, 64)))
    with pytest.raises(OutputError, match="not an image of the result"):
        store.write_region("weight", {"t": 0}, y, x, np.zeros((64, 64)))
    with pytest.raises(OutputError, match="node_y = 3:4 does not lie in 0:3"):
        store.write_psf(0, 0, 3, 0, np.zeros((8, 8)))
    with pytest.raises(OutputError, match="node_y = 1:2 cuts a shard; one begins every 2 in 0:3"):
        store.write_psf(0, 0, 1, 0, np.zeros((8, 8)))
    with pytest.raises(OutputError, match=r"shape \(9, 9\)"):
        store.write_psf(0, 0, 2, 0, np.zeros((9, 9)))
    with pytest.raises(OutputError, match="no array 'tilt/displacement'"):
        store.write_tilt(0, 0, 0, np.zeros(2))


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path, noise: np.ndarray) -> None:
    store = create(tmp_path / "out.zarr")
    packed = pickle.dumps(store)

    def work(region: tuple[slice, slice]) -> None:
        pickle.loads(packed).write_region("image", {}, *region, noise[region])

    def node(number: int) -> None:
        iy, ix = (slice(0, 2), slice(2, 3))[number // 2], number % 2
        kernels = np.full((iy.stop - iy.start, 8, 8), number)
        pickle.loads(packed).write_psf(0, 0, iy, ix, kernels, np.ones_like(kernels))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, regions(store)))
        list(pool.map(node, range(4)))
    np.testing.assert_array_equal(store.array("scale0/image")[...], noise)
    np.testing.assert_array_equal(store.array("psf/kernel")[0, 0, :, :, 0, 0], [[0, 1], [0, 1], [2, 3]])


@settings(max_examples=300, deadline=None)
@given(
    length=st.integers(8, 6000),
    unit=st.integers(32, 1500),
    tile=st.integers(16, 300),
    overlap=st.integers(0, 150),
)
def test_no_key_of_psfs_has_two_writers(length: int, unit: int, tile: int, overlap: int) -> None:
    try:
        plan = Plan((length, length), 1, tile, overlap, unit, 8)
    except ConfigError:
        return
    (axis, _), (nodes, _) = plan.axes, plan.nodes()
    side = nodes_per_key(nodes, unit)
    writers = Counter(node // side for node in range(axis.n_nodes))
    for number in range(axis.n_units):
        mine = [span.node for span in axis.spans(number)]
        assert mine == list(range(mine[0], mine[0] + len(mine)))
        # Whole keys of its own, and with units of one kind a single one.
        assert {node // side for node in mine} == {number}
        assert writers[number] == len(mine)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [([5, 40, 70, 110], 2), ([5, 40, 70], 2), ([5, 70, 90], 1), ([5, 40, 70, 130, 140], 1), ([5, 300], 1)],
)
def test_nodes_share_a_key_only_if_all_shards_have_as_many(nodes: list[float], expected: int) -> None:
    assert nodes_per_key(np.array(nodes, float), 64) == expected


def test_a_store_that_has_been_used_pickles(tmp_path: Path) -> None:
    store = create(tmp_path / "out.zarr")
    store.array("scale0/image")
    again = pickle.loads(pickle.dumps(store))
    assert again == store
    assert len(pickle.dumps(store)) < 400


def test_axes_of_a_stack_and_of_a_burst(tmp_path: Path) -> None:
    template = stack(5, 2, HEIGHT, WIDTH)
    whole = create(tmp_path / "stack.zarr", template)
    assert whole.dims == ("t", "c", "y", "x")
    assert whole.array("scale0/image").shards == (1, 1, SHARD, SHARD)
    whole.write_region("image", {"t": 4, "c": 1}, slice(64, 100), slice(128, 150), np.ones((36, 22)))
    assert np.isfinite(whole.array("scale0/image")[...]).sum() == 36 * 22
    assert np.isfinite(whole.array("scale0/image")[4, 1, 64:, 128:]).all()
    options = {"dims": ("c", "y", "x"), "frames": 5, "channels": 2, "tilt_y": [30.0, 70.0], "tilt_x": [75.0]}
    burst = create(tmp_path / "burst.zarr", template, **options)
    assert burst.array("scale0/image").shape == (2, HEIGHT, WIDTH)
    tilt = np.arange(10.0).reshape(5, 2)
    for frame in range(5):
        burst.write_tilt(frame, 1, 0, tilt[frame])
    seen = burst.tilt()
    assert seen is not None
    np.testing.assert_array_equal(seen["displacement"][:, 1, 0], tilt)
    assert np.isnan(seen["displacement"][:, 0, 0]).all()
    np.testing.assert_array_equal(seen["position"][1, 0], [70.0, 75.0])
    single = create(tmp_path / "single.zarr", stack(5, HEIGHT, WIDTH), dims=("c", "y", "x"))
    assert single.array("scale0/image").shape == (1, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("height", "width", "shards", "chunks"),
    [
        (8, 2000, (8, 1024), (8, 256)),
        (257, 300, (512, 512), (256, 256)),
        (1025, 1024, (1024, 1024), (256, 256)),
    ],
)
def test_shards_are_clipped_to_the_image(
    tmp_path: Path, height: int, width: int, shards: tuple[int, int], chunks: tuple[int, int]
) -> None:
    store = create(tmp_path / "out.zarr", stack(height, width), shard=1024, chunk=256)
    array = store.array("scale0/image")
    assert (array.shards, array.chunks) == (shards, chunks)
    plane = np.random.default_rng(1).normal(size=(height, width)).astype(np.float32)
    fill(store, "image", plane)
    np.testing.assert_array_equal(array[...], plane)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk": 48}, "does not hold whole chunks"),
        ({"shard": 0}, "shard is 0"),
        ({"frames": 0}, "frames is 0"),
        ({"node_y": [50.0, 10.0]}, "node_y must be finite, strictly increasing"),
        ({"node_x": [np.nan]}, "node_x must be finite"),
        ({"tilt_y": [3.0]}, "both tilt_y and tilt_x"),
        ({"dims": ("x", "y")}, r"has the axes \(..., y, x\)"),
    ],
)
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create(tmp_path / "out.zarr", **options)
    assert os.listdir(tmp_path) == []


def test_an_existing_result_is_kept_unless_told_otherwise(tmp_path: Path, noise: np.ndarray) -> None:
    store = create(tmp_path / "out.zarr")
    fill(store, "image", noise)
    with pytest.raises(OutputError, match="exists"):
        create(tmp_path / "out.zarr")
    np.testing.assert_array_equal(store.array("scale0/image")[...], noise)
    new = create(tmp_path / "out.zarr", overwrite=True)
    assert np.isnan(new.array("scale0/image")[...]).all()
    assert os.listdir(tmp_path) == ["out.zarr"]


@pytest.mark.parametrize("step", ["make_arrays", "consolidate", "_put_in_place"])
def test_a_failure_while_creating_leaves_no_half_store(
    tmp_path: Path, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    create(tmp_path / "old.zarr").write_region("image", {}, slice(0, 64), slice(0, 64), noise[:64, :64])
    monkeypatch.setattr(result, step, fail)
    for name in ("new.zarr", "old.zarr"):
        with pytest.raises(OutputError, match="No space left"):
            create(tmp_path / name, overwrite=True)
    assert os.listdir(tmp_path) == ["old.zarr"]
    kept = open_result(tmp_path / "old.zarr").array("scale0/image")[:64, :64]
    np.testing.assert_array_equal(kept, noise[:64, :64])


def test_the_old_result_comes_back_if_the_last_rename_fails(
    tmp_path: Path, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(tmp_path / "out.zarr").write_region("image", {}, slice(0, 64), slice(0, 64), noise[:64, :64])
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        create(tmp_path / "out.zarr", overwrite=True)
    assert os.listdir(tmp_path) == ["out.zarr"]
    assert np.isfinite(open_result(tmp_path / "out.zarr").array("scale0/image")[:64, :64]).all()


def test_places_that_must_not_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        create(tmp_path / "no" / "out.zarr")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("cat")
    (tmp_path / "file.zarr").write_text("text")
    zarr.create_group(str(tmp_path / "raw.zarr")).create_array("0", data=np.arange(4))
    zarr.create_group(str(tmp_path / "old.zarr"), zarr_format=2)
    for name in ("photos", "file.zarr", "raw.zarr", "old.zarr"):
        with pytest.raises(OutputError, match="exists and is not a result"):
            create(tmp_path / name, overwrite=True)
    assert (tmp_path / "photos" / "cat.jpg").exists()
    np.testing.assert_array_equal(zarr.open_group(str(tmp_path / "raw.zarr"))["0"][...], np.arange(4))


def test_left_overs_of_a_killed_run_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".out.zarr.partial" / "scale0").mkdir(parents=True)
    store = create(tmp_path / "out.zarr")
    torn = store.path / "scale0/image/c/0/0.0123.partial"
    torn.parent.mkdir(parents=True)
    torn.write_text("half a shard")
    store.finish()
    assert os.listdir(tmp_path) == ["out.zarr"]
    assert not torn.exists()


def test_status_and_record(tmp_path: Path) -> None:
    attrs = {
        "config": {"seed": 7, "sigma": np.float32(1.5), "file": Path("a.toml"), "bad": float("nan")},
        "fingerprint": "0a1b",
        "weights": {"image": "ff" * 32},
        "threads": np.int64(2),
        "uncertainty": {"scale": 1.1, "interval_95": 3.0},
    }
    template = stack()
    template.attrs["header"] = [["OBJECT", "M 31", "name"], ["EMPTY", None, ""]]
    store = create(tmp_path / "out.zarr", template, attrs=attrs)
    record = store.attrs
    assert record["config"] == {"seed": 7, "sigma": 1.5, "file": "a.toml", "bad": "nan"}
    assert record["header"] == [["OBJECT", "M 31", "name"], ["EMPTY", None, ""]]
    assert (record["unit"], record["pixel_scale"], record["threads"]) == ("adu", [0.25, 0.2], 2)
    assert (store.status, store.sentence) == ("running", "The run has not finished.")
    store.update_attrs(seconds=3.5)
    store.set_status("running", "Half way.")
    assert (store.sentence, store.attrs["seconds"], store.attrs["fingerprint"]) == ("Half way.", 3.5, "0a1b")
    store.finish("Two units are quarantined.")
    opened = open_result(tmp_path / "out.zarr")
    assert (opened.status, opened.sentence) == ("complete", "Two units are quarantined.")
    assert opened.dataset().attrs["fingerprint"] == "0a1b"
    assert opened.dataset()["std"].attrs["interval_95"] == 3.0
    # Strict JSON: other languages read it, too.
    text = (tmp_path / "out.zarr" / "zarr.json").read_text()
    metadata = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert metadata["attributes"]["status"] == "complete"
    assert "scale0/image" in metadata["consolidated_metadata"]["metadata"]
    with pytest.raises(OutputError, match="'done' is not one of running, complete"):
        store.set_status("done")  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="cannot be stored"):
        store.update_attrs(thing=object())


def test_a_store_open_for_reading_is_not_written(tmp_path: Path) -> None:
    create(tmp_path / "out.zarr")
    store = open_result(tmp_path / "out.zarr")
    for write in (
        lambda: store.write_region("image", {}, slice(0, 64), slice(0, 64), np.zeros((64, 64))),
        lambda: store.write_quality(0, 0, 2, 0, chi2=1.0),
        lambda: store.finish(),
        lambda: store.build_pyramid(),
        lambda: store.update_attrs(a=1),
    ):
        with pytest.raises(OutputError, match="for reading only"):
            write()
    open_result(tmp_path / "out.zarr", "r+").write_quality(0, 0, 2, 1, chi2=0.5)
    chi2 = store.quality()["chi2"]
    assert chi2.dims == ("frame", "channel", "tile_y", "tile_x")
    assert float(chi2[0, 0, 2, 1]) == 0.5
    assert int(np.isfinite(chi2).sum()) == 1


def test_only_results_of_this_package_open(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a result"):
        open_result(tmp_path / "none.zarr")
    zarr.create_group(str(tmp_path / "other.zarr"), zarr_format=3)
    with pytest.raises(InputError, match="not written by blinddps-sci"):
        open_result(tmp_path / "other.zarr")
    with pytest.raises(ConfigError, match="mode 'w'"):
        open_result(tmp_path / "other.zarr", "w")
    create(tmp_path / "m31.fits.zarr")
    assert open_result(tmp_path / "m31.fits").path == tmp_path / "m31.fits.zarr"


@pytest.mark.parametrize(
    ("output", "store"),
    [("a/out.fits", "a/out.fits.zarr"), ("out.TIF", "out.TIF.zarr"), ("out.zarr", "out.zarr")],
)
def test_the_store_behind_an_output(output: str, store: str) -> None:
    assert store_path_for(output) == Path(store)
    assert output_path_for(store) == Path(output)


def test_an_output_of_unknown_kind_is_refused() -> None:
    with pytest.raises(OutputError, match=r"picture.png has none of the suffixes .zarr"):
        store_path_for("picture.png")


def test_trajectory(tmp_path: Path) -> None:
    store = create(tmp_path / "out.zarr")
    store.write_trajectory([np.zeros((4, 5)), np.ones((4, 5))], [np.zeros((3, 8, 8))] * 2, [2.0, 1.0])
    store.finish()
    seen = xr.open_zarr(tmp_path / "out.zarr", group="trajectory")
    assert seen["kernel"].dims == ("step", "kernel_0", "ky", "kx")
    assert seen["image"].mean(("y", "x")).values.tolist() == [0.0, 1.0]
    assert seen["sigma"].values.tolist() == [2.0, 1.0]


def test_halving_is_the_mean_of_what_is_there() -> None:
    image = np.array([[1, 3, 5], [5, 7, np.nan], [np.nan, 2, np.nan]], np.float32)
    np.testing.assert_array_equal(halve(image), np.array([[4, 5], [2, np.nan]], np.float32))
    flat = np.full((31, 17), 3.25, np.float32)
    np.testing.assert_array_equal(halve(flat), np.full((16, 9), 3.25, np.float32))
    even = np.random.default_rng(2).normal(size=(64, 32)).astype(np.float32)
    assert halve(even).mean() == pytest.approx(even.mean(), abs=1e-6)
    ramp = np.add.outer(np.arange(64.0), 2 * np.arange(32.0)).astype(np.float32)
    np.testing.assert_allclose(
        halve(ramp), np.add.outer(2 * np.arange(32) + 0.5, 2 * (2 * np.arange(16) + 0.5)), rtol=1e-6
    )


def test_levels_end_at_512() -> None:
    assert [(s["y"], s["x"]) for s in level_sizes({"t": 3, "y": 2049, "x": 100})] == [
        (2049, 100), (1025, 50), (513, 25), (257, 13),
    ]  # fmt: skip
    assert level_sizes({"y": 512, "x": 512}) == [{"y": 512, "x": 512}]


def test_the_pyramid_by_windows_is_the_pyramid_of_the_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    image = rng.normal(size=(2, 601, 1101)).astype(np.float32)
    image[:, 100:200, 300:500] = np.nan
    store = create(tmp_path / "out.zarr", stack(*image.shape), shard=256, chunk=64)
    for t in range(2):
        fill(store, "image", image[t], {"t": t})
        fill(store, "std", np.abs(image[t]), {"t": t})
    (store.path / "notes.txt").write_text("a foreign file")
    assert store.build_pyramid() == 3
    assert store.build_pyramid() == 3
    (store.path / "notes.txt").unlink()
    for name, first in (("image", image), ("std", np.abs(image))):
        for level in (1, 2):
            first = np.stack([halve(plane) for plane in first])
            seen = xr.open_zarr(store.path, group=f"scale{level}")
            np.testing.assert_array_equal(seen[name], first)
    assert seen["y"].values[:2].tolist() == [1.5, 5.5]
    store.finish()
    tree = xr.open_datatree(store.path, engine="zarr")
    assert {"/scale1", "/scale2"} <= set(tree.groups)


def test_a_dataset_is_lazy_and_labelled(tmp_path: Path, noise: np.ndarray) -> None:
    template = stack(3, HEIGHT, WIDTH).rename(t="c")
    template.attrs["channel_names"] = ["R", "G", "B"]
    store = create(tmp_path / "out.zarr", template)
    fill(store, "image", noise, {"c": 1})
    seen = store.dataset()
    assert seen["c"].values.tolist() == ["R", "G", "B"]
    assert seen.attrs["pixel_unit"] == "arcsec"
    assert seen["image"].chunks is None
    np.testing.assert_array_equal(seen["image"].sel(c="G", y=slice(10, 20)), noise[10:21])
    assert store.dataset(chunks={})["image"].chunks is not None
    again = open_stack(seen.drop_vars(["std", "dq"]))
    assert again.attrs["pixel_scale"] == [0.25, 0.2]
    np.testing.assert_array_equal(again["data"].isel(c=1), noise)
