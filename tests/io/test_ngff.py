"""OME-NGFF metadata: the geometry it states, and what two independent readers make of a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from blinddps_sci.io import open_stack
from blinddps_sci.io.ngff import axes, multiscale, ome_attributes, spacing
from blinddps_sci.io.result import ResultStore, create_result
from napari_plugin.reader import get_reader

MICRO = {"pixel_scale": [0.1, 0.2], "pixel_unit": "micrometer", "z_scale": 0.5}


def make(path: Path, dims: tuple[str, ...], sizes: dict[str, int], **facts: Any) -> ResultStore:
    """Create and finish a result with a pyramid, its image being a ramp along y and x."""
    nothing = np.broadcast_to(np.float32(0), [sizes[dim] for dim in dims])
    template = xr.Dataset({"data": (dims, nothing)}, attrs=facts)
    store = create_result(
        path,
        template=template,
        node_y=[1.0],
        node_x=[1.0],
        frames=sizes.get("t", 1) * sizes.get("z", 1),
        channels=sizes.get("c", 1),
        kernel_size=4,
        shard=256,
        chunk=128,
    )
    ramp = np.add.outer(1000.0 * np.arange(sizes["y"]), np.arange(sizes["x"])).astype(np.float32)
    for lead in np.ndindex(*(sizes[dim] for dim in dims[:-2])):
        for y in range(0, sizes["y"], 256):
            for x in range(0, sizes["x"], 256):
                region = slice(y, min(y + 256, sizes["y"])), slice(x, min(x + 256, sizes["x"]))
                store.write_region("image", dict(zip(dims, lead, strict=False)), *region, ramp[region])
    store.build_pyramid()
    store.finish()
    return store


SIZES = {"t": 2, "c": 2, "z": 3, "y": 600, "x": 300}
every_kind = pytest.mark.parametrize(
    "dims", [("y", "x"), ("c", "y", "x"), ("t", "z", "y", "x"), ("t", "c", "z", "y", "x")]
)


@every_kind
@pytest.mark.parametrize("unit", ["micrometer", "arcsec"])
def test_the_schema_of_ngff_holds(tmp_path: Path, dims: tuple[str, ...], unit: str) -> None:
    image = pytest.importorskip("ome_zarr_models.v05.image")
    facts = {**MICRO, "pixel_unit": unit}
    make(tmp_path / "out.zarr", dims, {dim: SIZES[dim] for dim in dims}, **facts)
    # Axes, levels and transformations against the schema, and all arrays against what they name.
    model = image.Image.from_zarr(zarr.open_group(str(tmp_path / "out.zarr"), mode="r"))
    for described, name in zip(model.ome_attributes.multiscales, ("image", "std"), strict=True):
        assert [axis.name for axis in described.axes] == list(dims)
        assert {axis.unit for axis in described.axes if axis.type == "space"} == {
            {"arcsec": "arcsecond"}.get(unit, unit)
        }
        assert [level.path for level in described.datasets] == [f"scale0/{name}", f"scale1/{name}"]
        scales = [level.coordinateTransformations[0].scale for level in described.datasets]
        assert [scale[-2:] for scale in scales] == [[0.1, 0.2], [0.2, 0.4]]


@every_kind
def test_xarray_and_napari_see_every_level(tmp_path: Path, dims: tuple[str, ...]) -> None:
    sizes = {dim: SIZES[dim] for dim in dims}
    store = make(tmp_path / "out.zarr", dims, sizes, **MICRO)
    coarse = sizes | {"y": 300, "x": 150}
    tree = xr.open_datatree(store.path, engine="zarr")
    for level, expected in enumerate((sizes, coarse)):
        seen = xr.open_zarr(store.path, group=f"scale{level}")
        assert dict(seen["image"].sizes) == dict(tree[f"scale{level}/std"].sizes) == expected
        np.testing.assert_array_equal(seen["image"], store.array(f"scale{level}/image")[...])
    # On the coordinates the ramp is where it was, at every level.
    last = dict.fromkeys(dims[:-2], 0)
    np.testing.assert_allclose(seen["image"].isel(last), 1000.0 * seen["y"] + seen["x"], rtol=1e-6)
    reader = get_reader(str(store.path))
    assert reader is not None
    (levels, options, kind), *_ = reader(str(store.path))
    assert (kind, [level.shape for level in levels]) == ("image", [(*sizes.values(),), (*coarse.values(),)])
    assert options["scale"] == [{"y": 0.1, "x": 0.2, "z": 0.5}.get(dim, 1.0) for dim in dims]


def test_an_independent_reader_finds_levels_and_scales(tmp_path: Path) -> None:
    io = pytest.importorskip("ome_zarr.io")
    reader = pytest.importorskip("ome_zarr.reader")
    store = make(tmp_path / "out.zarr", ("c", "y", "x"), {"c": 2, "y": 600, "x": 301}, **MICRO)
    (node,) = list(reader.Reader(io.parse_url(store.path))())
    assert [level.shape for level in node.data] == [(2, 600, 301), (2, 300, 151)]
    np.testing.assert_array_equal(np.asarray(node.data[1]), store.array("scale1/image")[...])
    assert [axis["name"] for axis in node.metadata["axes"]] == ["c", "y", "x"]
    scales = [level[0]["scale"] for level in node.metadata["coordinateTransformations"]]
    assert scales == [[1.0, 0.1, 0.2], [1.0, 0.2, 0.4]]


def test_open_stack_finds_pixel_size_and_unit(tmp_path: Path) -> None:
    store = make(tmp_path / "out.zarr", ("z", "y", "x"), {"z": 2, "y": 40, "x": 30}, unit="counts", **MICRO)
    again = open_stack(store.path)
    assert again["data"].dims == ("z", "y", "x")
    for key, value in {**MICRO, "unit": "counts"}.items():
        assert again.attrs[key] == value


def test_pixels_keep_their_place_through_the_pyramid(tmp_path: Path) -> None:
    """The mean of a ramp over a pixel is its value at the centre, so values tell positions."""
    store = make(tmp_path / "out.zarr", ("y", "x"), {"y": 1024, "x": 2048}, **MICRO)
    levels = json.loads((store.path / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0][
        "datasets"
    ]
    assert len(levels) == 3
    for level in levels:
        transforms = {t["type"]: t[t["type"]] for t in level["coordinateTransformations"]}
        scale, shift = np.array(transforms["scale"]), np.array(transforms.get("translation", [0.0, 0.0]))
        values = store.array(level["path"])[...]
        for index in ((0, 0), (3, 7), (values.shape[0] - 1, 11)):
            y, x = (np.array(index) * scale + shift) / MICRO["pixel_scale"]
            assert values[index] == pytest.approx(1000.0 * y + x, rel=1e-6)


def test_axes_and_units() -> None:
    described = axes(("t", "c", "y", "x"), "arcsec")
    assert [axis["type"] for axis in described] == ["time", "channel", "space", "space"]
    assert [axis.get("unit") for axis in described] == [None, None, "arcsecond", "arcsecond"]
    assert all("unit" not in axis for axis in axes(("z", "y", "x"), "pixel"))
    assert spacing(("t", "z", "y", "x"), MICRO) == {"t": 1.0, "z": 0.5, "y": 0.1, "x": 0.2}
    assert spacing(("y", "x"), {}) == {"y": 1.0, "x": 1.0}


def test_image_comes_first_and_std_has_its_own_pyramid() -> None:
    described = ome_attributes(("y", "x"), MICRO, levels=2)
    assert described["version"] == "0.5"
    assert [m["datasets"][1]["path"] for m in described["multiscales"]] == ["scale1/image", "scale1/std"]
    assert multiscale("image", ("y", "x"), {}, 1)["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 1.0]}
    ]
