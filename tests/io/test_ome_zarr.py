"""Reading OME-Zarr 0.4 and 0.5, the package's own layout, and plain Zarr."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings

import numpy as np
import pytest
import xarray as xr
import zarr

from blinddps_sci.errors import InputError
from blinddps_sci.io import open_stack
from blinddps_sci.io.ome_zarr import open_levels
from blinddps_sci.io.result import create_result

RNG = np.random.default_rng(1)


def zarr_v2(path, data, **attrs):
    array = zarr.create_array(
        str(path), shape=data.shape, dtype=data.dtype, chunks=(8,) * data.ndim, zarr_format=2
    )
    array[...] = data
    array.attrs.update(attrs)
    return path


def zarr_v3(path, data, dims=None, **attrs):
    array = zarr.create_array(
        str(path), shape=data.shape, dtype=data.dtype, chunks=(8,) * data.ndim, dimension_names=dims
    )
    array[...] = data
    array.attrs.update(attrs)
    return path


def pixels(*shape):
    return RNG.integers(0, 60_000, size=shape).astype("u2")


def multiscale(axes, scale, *, whole=None, path="0", unit="micrometer"):
    typed = {"t": "time", "c": "channel"}
    image = {
        "axes": [
            {"name": a, "type": typed.get(a, "space"), **({"unit": unit} if a in "zyx" and unit else {})}
            for a in axes
        ],
        "datasets": [{"path": path, "coordinateTransformations": [{"type": "scale", "scale": list(scale)}]}],
    }
    if whole:
        image["coordinateTransformations"] = [{"type": "scale", "scale": list(whole)}]
    return image


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_files_of_the_reference_writer(tmp_path, version):
    data = pixels(2, 3, 4, 32, 24)
    path = tmp_path / "a.ome.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the writer's own, at import too
        from ome_zarr.format import FormatV04, FormatV05
        from ome_zarr.writer import write_image

        write_image(
            data, str(path), axes="tczyx", scale={"t": 1.0, "c": 1.0, "z": 0.5, "y": 0.2, "x": 0.1},
            axes_units={"z": "micrometer", "y": "micrometer", "x": "micrometer"}, scale_factors=[2],
            fmt=FormatV04() if version == "0.4" else FormatV05(),
        )  # fmt: skip
    stack = open_stack(path)
    assert stack["data"].dims == ("t", "c", "z", "y", "x")
    assert stack["data"].dtype == np.dtype("=f4")
    np.testing.assert_array_equal(stack["data"].values, data)
    assert stack.attrs["pixel_scale"] == [0.2, 0.1]
    assert (stack.attrs["pixel_unit"], stack.attrs["z_scale"]) == ("micrometer", 0.5)
    assert (stack.attrs["format"], stack.attrs["dtype_on_disk"]) == ("ome-zarr", "<u2")
    json.dumps(stack.attrs, allow_nan=False)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_scales_multiply_and_units_become_micrometres(tmp_path, zarr_format):
    path = tmp_path / "a.zarr"
    root = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    data = pixels(2, 16, 24)
    writer = zarr_v2 if zarr_format == 2 else zarr_v3
    writer(path / "s" / "full", data)
    image = multiscale("cyx", (1, 2, 3), whole=(1, 50, 100), path="s/full", unit="nanometer")
    metadata = {"multiscales": [image], "omero": {"channels": [{"label": "DAPI"}, {"label": "actin"}]}}
    root.attrs.update(metadata if zarr_format == 2 else {"ome": {"version": "0.5", **metadata}})
    stack = open_stack(path)
    np.testing.assert_allclose(stack.attrs["pixel_scale"], [0.1, 0.3])
    assert stack.attrs["pixel_unit"] == "micrometer"
    assert stack.attrs["channel_names"] == ["DAPI", "actin"]
    for channel in ("actin", 1, "1"):
        one = open_stack(path, channel=channel)
        assert one["data"].dims == ("y", "x")
        np.testing.assert_array_equal(one["data"].values, data[1])
        assert one.attrs["channel"] == "actin"


def test_no_unit_is_pixels_and_axes_may_be_bare_names(tmp_path):
    path = tmp_path / "a.zarr"
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    zarr_v2(path / "0", pixels(1, 1, 2, 16, 24))
    root.attrs["multiscales"] = [{"version": "0.1", "datasets": [{"path": "0"}]}]
    stack = open_stack(path)
    assert stack["data"].dims == ("t", "c", "z", "y", "x")
    assert stack.attrs["pixel_unit"] == "pixel"


def test_bioformats2raw_containers_plates_and_images_inside(tmp_path):
    path = tmp_path / "a.zarr"
    zarr.open_group(str(path), mode="w").attrs["ome"] = {"bioformats2raw.layout": 3}
    inner = zarr.open_group(str(path / "0"), mode="w")
    zarr_v3(path / "0" / "0", data := pixels(16, 24))
    inner.attrs["ome"] = {"multiscales": [multiscale("yx", (1, 1))]}
    np.testing.assert_array_equal(open_stack(path)["data"].values, data)
    np.testing.assert_array_equal(open_stack(path / "0")["data"].values, data)
    zarr.open_group(str(path), mode="a").attrs["ome"] = {"plate": {}}
    with pytest.raises(InputError, match="is a plate"):
        open_stack(path)


def test_a_result_of_this_package_is_its_image(tmp_path):
    path = tmp_path / "out.zarr"
    zarr.open_group(str(path), mode="w")
    data = RNG.normal(size=(2, 16, 16)).astype("f4")
    zarr_v3(path / "scale0" / "image", data, dims=("c", "y", "x"), units="adu")
    zarr_v3(path / "scale0" / "std", data)
    zarr_v3(path / "psf" / "kernel", data)
    stack = open_stack(path)
    assert stack["data"].dims == ("c", "y", "x")
    assert stack.attrs["unit"] == "adu"
    np.testing.assert_array_equal(stack["data"].values, data)


@pytest.mark.parametrize(
    ("shape", "dims", "expected"),
    [
        ((16, 9), None, "yx"),
        ((3, 16, 9), None, "tyx"),
        ((2, 3, 16, 9), None, "tcyx"),
        ((16, 9, 3), ("Y", "X", "channel"), "cyx"),
        ((3, 16, 9), ("z", "y", "x"), "zyx"),
        ((2, 3, 2, 16, 9), ("t", "c", "z", "y", "x"), "tczyx"),
    ],
)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_axes_of_plain_arrays(tmp_path, shape, dims, expected, zarr_format):
    data = pixels(*shape)
    path = tmp_path / "a.zarr"
    if zarr_format == 2:
        zarr_v2(path, data, **({"_ARRAY_DIMENSIONS": list(dims)} if dims else {}))
    else:
        zarr_v3(path, data, dims=dims)
    stack = open_stack(path)
    assert "".join(stack["data"].dims) == expected
    moved = np.moveaxis(data, -1, 0) if dims and dims[-1] == "channel" else data
    np.testing.assert_array_equal(stack["data"].values, moved)
    np.testing.assert_array_equal(stack["data"].isel(y=slice(4, 12), x=3).values, moved[..., 4:12, 3])


@pytest.mark.filterwarnings("error")
def test_groups_with_one_array_and_coordinates(tmp_path):
    import xarray as xr

    path = tmp_path / "a.zarr"
    data = pixels(16, 12)
    xr.Dataset({"intensity": (("y", "x"), data)}, {"y": np.arange(16), "x": np.arange(12)}).to_zarr(
        path, consolidated=False
    )
    (path / "notes.txt").write_text("not zarr")
    np.testing.assert_array_equal(open_stack(path)["data"].values, data)
    zarr_v3(path / "second", data)
    with pytest.raises(InputError, match="intensity, second"):
        open_stack(path)
    np.testing.assert_array_equal(open_stack(path / "second")["data"].values, data)


def test_cf_scaling_of_plain_arrays(tmp_path):
    data = RNG.integers(-5, 5, size=(16, 12)).astype("i2")
    path = zarr_v2(tmp_path / "a.zarr", data, scale_factor=0.5, add_offset=10.0, _FillValue=-5)
    expected = np.where(data == -5, np.nan, data * 0.5 + 10.0)
    np.testing.assert_array_equal(open_stack(path)["data"].values, expected.astype("f4"))


def test_only_touched_chunks_are_read_and_shards_and_pickles_work(tmp_path):
    data = pixels(64, 64)
    path = tmp_path / "a.zarr"
    array = zarr.create_array(str(path), shape=(64, 64), dtype="u2", chunks=(8, 8), shards=(32, 32))
    array[...] = data
    stack = pickle.loads(pickle.dumps(open_stack(path)))
    assert stack["data"].encoding["preferred_chunks"] == {"y": 8, "x": 8}
    shutil.copy(path / "c" / "0" / "0", path / "c" / "1" / "1")
    np.testing.assert_array_equal(stack["data"].isel(y=slice(0, 30)).values, data[:30])
    (path / "c" / "1" / "1").write_bytes(b"torn")
    np.testing.assert_array_equal(stack["data"].isel(x=slice(0, 32)).values, data[:, :32])
    with pytest.raises(InputError, match="cannot be read at"):
        stack["data"].isel(y=40, x=slice(40, 50)).values  # noqa: B018


def test_identity_follows_metadata_and_pixels_not_the_folder(tmp_path):
    data = pixels(16, 16)
    (first, second) = (tmp_path / "1" / "a.zarr", tmp_path / "2" / "a.zarr")
    identity = open_stack(zarr_v3(first, data)).attrs["identity"]
    assert open_stack(zarr_v3(second, data)).attrs["identity"] == identity
    zarr.open_array(str(second), mode="r+")[0, 0] = 1 + data[0, 0]
    changed = open_stack(second).attrs["identity"]
    assert changed != identity
    zarr.open_array(str(second), mode="r+").attrs["note"] = "x"
    assert open_stack(second).attrs["identity"] != changed


def test_a_changed_array_is_not_read(tmp_path):
    path = zarr_v3(tmp_path / "a.zarr", pixels(16, 16))
    stack = open_stack(path)
    shutil.rmtree(path)
    zarr_v3(path, pixels(20, 20))
    with pytest.raises(InputError, match="has changed"):
        stack["data"].values  # noqa: B018


@pytest.mark.parametrize(
    ("data", "dims", "words"),
    [
        (np.zeros((1, 2, 2, 9, 9), "u2"), None, "5 axes without names"),
        (np.zeros((2, 2, 9, 9), "u2"), ("angle", "z", "y", "x"), "at most one each"),
        (np.zeros((9, 9), "u2"), ("lat", "lon"), "a stack has y and x"),
        (np.zeros((9, 9), "c8"), None, "complex"),
        (np.zeros((9, 9), "?"), None, "bool"),
        (np.zeros((4, 9), "u2"), None, "4 x 9 pixels"),
        (np.zeros((9,), "u2"), None, "1 axes without names"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, data, dims, words):
    with pytest.raises(InputError, match=words):
        open_stack(zarr_v3(tmp_path / "a.zarr", data, dims=dims))


def test_damaged_stores(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(InputError, match="not a Zarr folder"):
        open_stack(folder)
    (folder / "zarr.json").write_text("{ not json")
    with pytest.raises(InputError, match="cannot be read as Zarr") as error:
        open_stack(folder)
    assert "\n" not in str(error.value)
    path = tmp_path / "a.zarr"
    zarr.open_group(str(path), mode="w").attrs["ome"] = {"multiscales": [multiscale("yx", (1, 1))]}
    with pytest.raises(InputError, match="names the array '0', which does not exist"):
        open_stack(path)
    zarr.open_group(str(path), mode="a").attrs["ome"] = {"multiscales": [{"datasets": []}]}
    with pytest.raises(InputError, match="cannot be read as Zarr"):
        open_stack(path)
    zarr.open_group(str(path), mode="w")
    with pytest.raises(InputError, match="image arrays are: none"):
        open_stack(path)


def test_all_levels_are_opened_also_inside_a_container(tmp_path):
    levels = [
        {"path": str(n), "coordinateTransformations": [{"type": "scale", "scale": [2.0**n, 2.0**n]}]}
        for n in range(2)
    ]
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    attributes = {"multiscales": [{"version": "0.4", "axes": axes, "datasets": levels}]}
    zarr.create_group(str(tmp_path / "a"), zarr_format=2, attributes={"bioformats2raw.layout": 3})
    root = zarr.create_group(str(tmp_path / "a/0"), zarr_format=2, attributes=attributes)
    root.create_array("0", data=pixels(32, 40))
    small = pixels(16, 20)
    root.create_array("1", data=small)
    for path in (tmp_path / "a", tmp_path / "a/0"):
        opened = open_levels(path)
        assert [level["data"].shape for level in opened] == [(32, 40), (16, 20)]
        assert [level.attrs["pixel_scale"] for level in opened] == [[1.0, 1.0], [2.0, 2.0]]
        np.testing.assert_array_equal(opened[1]["data"].values, small)
    (single,) = open_levels(tmp_path / "a/0/1")
    assert single["data"].shape == (16, 20)
    with pytest.raises(InputError, match="not a Zarr folder"):
        open_levels(tmp_path)


def test_damaged_display_settings_are_left_aside(tmp_path):
    level = {"path": "0"}
    for number, omero in enumerate((3, {"channels": 3}, {"channels": [3, 4]})):
        attributes = {"multiscales": [{"axes": ["c", "y", "x"], "datasets": [level]}], "omero": omero}
        root = zarr.create_group(str(tmp_path / str(number)), zarr_format=2, attributes=attributes)
        root.create_array("0", data=pixels(2, 16, 20))
        assert "channel_names" not in open_stack(tmp_path / str(number)).attrs


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("packed", [False, True])
def test_missing_values_that_xarray_wrote(tmp_path, version, packed):
    data = np.round(RNG.normal(size=(16, 12)), 1).astype("f4")
    data[3, 4] = np.nan
    encoding = (
        {"dtype": "i2", "scale_factor": 0.1, "_FillValue": -32768} if packed else {"_FillValue": -9999.0}
    )
    source = xr.Dataset({"image": (("y", "x"), data)})
    source.to_zarr(tmp_path / "a.zarr", zarr_format=version, consolidated=False, encoding={"image": encoding})
    np.testing.assert_allclose(open_stack(tmp_path / "a.zarr")["data"].values, data, atol=1e-6)


def test_zeros_of_an_array_without_missing_values_are_data(tmp_path):
    data = np.zeros((16, 12), "f4")
    np.testing.assert_array_equal(open_stack(zarr_v2(tmp_path / "a.zarr", data))["data"].values, data)


def test_a_region_lies_where_it_was_cut_out(tmp_path):
    """Translations of the level are scaled by those of the image, and a result keeps where it lies."""
    path = tmp_path / "a.zarr"
    group = zarr.create_group(str(path))
    group.create_array("0", data=pixels(32, 24))
    space = {"type": "space", "unit": "nanometer"}
    levels = [{"type": "scale", "scale": [100, 200]}, {"type": "translation", "translation": [5000, 0]}]
    image = [{"type": "scale", "scale": [1, 2]}, {"type": "translation", "translation": [0, 700]}]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {
                "axes": [{"name": "y", **space}, {"name": "x", **space}],
                "datasets": [{"path": "0", "coordinateTransformations": levels}],
                "coordinateTransformations": image,
            }
        ],
    }
    assert open_stack(path).attrs["origin"] == pytest.approx({"y": 5.0, "x": 0.7})
    part = open_stack(path, region="10:30,5:20")
    assert part.attrs["origin"] == pytest.approx({"y": 6.0, "x": 2.7})
    store = create_result(tmp_path / "out.zarr", template=part, node_y=[8.0], node_x=[8.0], kernel_size=8)
    store.finish()
    kept = open_stack(tmp_path / "out.zarr")
    assert kept.attrs["origin"] == pytest.approx({"y": 6.0, "x": 2.7})
    (first, *_) = zarr.open_group(str(store.path)).attrs["ome"]["multiscales"][0]["datasets"]
    assert first["coordinateTransformations"][1]["translation"] == pytest.approx([6.0, 2.7])
