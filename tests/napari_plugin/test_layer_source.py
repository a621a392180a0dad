"""What a layer is to the library: its file, or an array that keeps axes and scale and can be written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from astropy.io import fits

from blinddps_sci import open_stack
from blinddps_sci.errors import InputError, OutputError
from napari_plugin.layer_source import part_of, source_of, write_input
from napari_plugin.placement import Placement, axes_of

layers = pytest.importorskip("napari.layers")


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(3).normal(100.0, 9.0, (2, 40, 50)).astype(np.float32)


def write_zarr(path: Path, values: np.ndarray) -> Path:
    names = ("t", "c", "z", "y", "x")[-values.ndim :]
    zarr.create_array(str(path), data=values, dimension_names=names)
    return path


def test_a_layer_of_a_file_is_the_file(tmp_path: Path, values: np.ndarray) -> None:
    path = write_zarr(tmp_path / "a.zarr", values)
    layer = layers.Image(values, metadata={"path": str(path)}, axis_labels=("z", "y", "x"))
    source = source_of(layer)
    assert (source.path, dict(source.options)) == (path, {})
    assert dict(part_of(source, {"z": 1}, ((5, 25), (0, 50)))["data"].sizes) == {"z": 1, "y": 20, "x": 50}
    np.testing.assert_array_equal(part_of(source, {"z": 1}, ((5, 25), (0, 50)))["data"][0], values[1, 5:25])


def test_a_channel_of_a_file_is_an_option_but_a_slice_is_an_array(tmp_path: Path, values: np.ndarray) -> None:
    path = tmp_path / "a.zarr"
    zarr.create_array(str(path), data=values, dimension_names=("c", "y", "x"))
    layer = layers.Image(values, metadata={"path": str(path)}, axis_labels=("c", "y", "x"))
    assert source_of(layer, {"c": 1}).options == {"channel": 1}
    write_zarr(tmp_path / "b.zarr", values)
    layer = layers.Image(values, metadata={"path": str(tmp_path / "b.zarr")}, axis_labels=("z", "y", "x"))
    one = source_of(layer, {"z": 1})
    assert one.path is None
    np.testing.assert_array_equal(open_stack(one.source)["data"], values[1])


def test_calibration_comes_before_a_region_is_cut(tmp_path: Path, values: np.ndarray) -> None:
    dark = np.arange(40 * 50, dtype=np.float32).reshape(40, 50)
    fits.writeto(tmp_path / "dark.fits", dark)
    source = source_of(layers.Image(values[0]), calibration={"dark": str(tmp_path / "dark.fits")})
    part = part_of(source, {}, ((5, 25), (10, 50)))
    np.testing.assert_allclose(part["data"], (values[0] - dark)[5:25, 10:], rtol=1e-5)


@pytest.mark.parametrize("metadata", [{"fingerprint": "beef"}, {}])
def test_a_layer_that_does_not_show_its_file_is_an_array(
    tmp_path: Path, values: np.ndarray, metadata: dict[str, str]
) -> None:
    path = write_zarr(tmp_path / "a.zarr", values)
    shown = values if metadata else values[:, :20]  # an image of a result; a part of the file
    assert source_of(layers.Image(shown, metadata={"path": str(path), **metadata})).path is None
    assert source_of(layers.Image(values, metadata={"path": str(tmp_path / "gone.zarr")})).path is None


def test_a_layer_that_was_changed_is_not_its_file(tmp_path: Path, values: np.ndarray) -> None:
    path = write_zarr(tmp_path / "a.zarr", values)
    layer = layers.Image(values, metadata={"path": str(path)}, axis_labels=("z", "y", "x"))
    layer.data = values - values.mean()
    source = source_of(layer)
    assert source.path is None
    np.testing.assert_allclose(source.source.values, values - values.mean())


def test_an_array_keeps_axes_scale_and_unit_when_it_is_written(tmp_path: Path, values: np.ndarray) -> None:
    layer = layers.Image(
        values,
        scale=(0.3, 0.1, 0.2),
        units=("um", "um", "um"),
        axis_labels=("z", "y", "x"),
        metadata={"unit": "counts"},
    )
    source = source_of(layer)
    write_input(source.source, tmp_path / "new" / "in.zarr")
    for stack in (open_stack(source.source), open_stack(tmp_path / "new" / "in.zarr")):
        assert stack["data"].dims == ("z", "y", "x")
        np.testing.assert_allclose(stack.attrs["pixel_scale"], [0.1, 0.2])
        assert (stack.attrs["pixel_unit"], stack.attrs["unit"]) == ("micrometer", "counts")
        assert stack.attrs["z_scale"] == pytest.approx(0.3)
        np.testing.assert_array_equal(stack["data"], values)


def test_of_a_lazy_layer_nothing_but_the_region_is_computed(tmp_path: Path) -> None:
    import dask.array as da

    seen = []

    def block(block_info: dict) -> np.ndarray:
        seen.append(block_info[None]["array-location"])
        return np.ones((256, 256), np.float32)

    data = da.map_blocks(
        block, chunks=((256,) * 4, (256,) * 4), dtype=np.float32, meta=np.zeros((0, 0), "f4")
    )
    source = source_of(layers.Image(data, contrast_limits=(0, 1)))
    seen.clear()
    write_input(source.source, tmp_path / "in.zarr", ((300, 400), (10, 100)))
    assert set(map(str, seen)) == {"[(256, 512), (0, 256)]"}
    stack = open_stack(tmp_path / "in.zarr", region="300:400,10:100")
    assert (stack["data"].values == 1).all()
    assert len(list((tmp_path / "in.zarr" / "0" / "c").rglob("*"))) == 2  # a folder and one chunk


def test_of_several_levels_the_finest_is_taken(values: np.ndarray) -> None:
    layer = layers.Image([values[0], values[0, ::2, ::2]], multiscale=True)
    np.testing.assert_array_equal(open_stack(source_of(layer).source)["data"], values[0])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (layers.Image(np.zeros((20, 20, 3), np.uint8), rgb=True), "split its channels"),
        (layers.Image(np.zeros((20, 20), bool)), "only real numbers"),
        (layers.Image(np.zeros((1, 2, 3, 20, 20))), "label them"),
    ],
)
def test_what_is_no_image_is_refused_in_a_sentence(layer: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        axes_of(layer)


def test_a_folder_that_is_no_zarr_is_not_replaced(tmp_path: Path, values: np.ndarray) -> None:
    (tmp_path / "in.zarr").mkdir()
    with pytest.raises(OutputError, match="no Zarr folder"):
        write_input(source_of(layers.Image(values)).source, tmp_path / "in.zarr")


def test_a_region_lies_where_it_was_cut_out(values: np.ndarray) -> None:
    layer = layers.Image(
        values,
        scale=(1, 0.5, 0.5),
        translate=(7, 10, 20),
        units=("pixel", "um", "um"),
        axis_labels=("t", "y", "x"),
    )
    place = Placement.of(layer).options(("y", "x"), ((4, 20), (6, 30)))
    assert place["translate"] == [12.0, 23.0]
    assert place["scale"] == [0.5, 0.5]
    assert place["units"] == ("micrometer", "micrometer")
    made = layers.Image(values[0, 4:20, 6:30], **place)
    np.testing.assert_allclose(made.data_to_world((0, 0)), layer.data_to_world((0, 4, 6))[1:])
