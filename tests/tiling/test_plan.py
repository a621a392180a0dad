"""Plans: every pixel has one writer, windows sum to one, and nothing depends on the image's size."""

from __future__ import annotations

import pickle
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from blinddps_sci.errors import ConfigError
from blinddps_sci.tiling import Box, Plan, Tile, Unit


@st.composite
def plans(draw) -> Plan:
    tile = draw(st.integers(2, 40))
    overlap = draw(st.integers(0, tile // 2))
    unit = draw(st.integers(tile, 3 * tile + 7))
    shape = draw(st.tuples(st.integers(1, 110), st.integers(1, 110)))
    kernel = draw(st.integers(1, 12))
    try:
        return Plan(shape, draw(st.integers(1, 3)), tile, overlap, unit, kernel)
    except ConfigError:
        assume(False)
        raise


quick = settings(deadline=None, max_examples=40)


def image_box(plan: Plan) -> Box:
    return Box(0, plan.shape[0], 0, plan.shape[1])


def contains(outer: Box, inner: Box) -> bool:
    return outer.intersect(inner) == inner


@quick
@given(plans())
def test_cores_partition_every_plane(plan: Plan) -> None:
    writers = np.zeros((plan.planes, *plan.shape), int)
    for unit in plan.units():
        writers[(unit.plane, *unit.core.slices)] += 1
        assert max(unit.core.shape) <= plan.unit
        assert unit.core.y0 % plan.unit == unit.core.x0 % plan.unit == 0
    np.testing.assert_array_equal(writers, 1)


@quick
@given(plans())
def test_data_lie_in_the_image_and_the_canvas_exceeds_them_by_the_halo(plan: Plan) -> None:
    assert plan.halo >= plan.kernel_size // 2
    assert plan.halo >= plan.kernel_size - plan.kernel_size // 2
    for unit in plan.units():
        around = unit.core.expand(plan.overlap // 2).intersect(image_box(plan))
        assert contains(unit.data, around)
        assert contains(image_box(plan), unit.data)
        assert unit.canvas == unit.data.expand(plan.halo)
        for side, whole in zip(unit.data.shape, plan.shape, strict=True):
            assert side >= min(plan.tile, whole)


@quick
@given(plans())
def test_windows_of_a_units_tiles_sum_to_one_on_its_canvas(plan: Plan) -> None:
    for unit in plan.units():
        total = np.zeros(unit.canvas.shape)
        for tile in plan.tiles(unit):
            assert contains(unit.canvas, tile.box)
            assert tile.box.shape == (len(tile.window_y), len(tile.window_x))
            weight = np.outer(tile.window_y, tile.window_x)
            assert weight.min() >= 0
            total[tile.box.within(unit.canvas).slices] += weight
        np.testing.assert_allclose(total, 1, atol=1e-6)


@quick
@given(plans())
def test_blend_windows_of_all_units_sum_to_one(plan: Plan) -> None:
    total = np.zeros((plan.planes, *plan.shape))
    for unit in plan.units():
        wy, wx = plan.blend_window(unit)
        total[(unit.plane, *unit.data.slices)] += np.outer(wy, wx)
    np.testing.assert_allclose(total, 1, atol=1e-6)


@quick
@given(plans())
def test_neighbours_are_the_units_whose_weight_is_not_zero_in_the_core(plan: Plan) -> None:
    assume(plan.n_units <= 60)
    units = list(plan.units())
    weights = {}
    for unit in units:
        weight = np.zeros((plan.planes, *plan.shape))
        weight[(unit.plane, *unit.data.slices)] = np.outer(*plan.blend_window(unit))
        weights[unit.index] = weight
    for unit in units:
        reach = {
            index
            for index, weight in weights.items()
            if index != unit.index and weight[(unit.plane, *unit.core.slices)].any()
        }
        assert set(plan.neighbours(unit)) == reach


@quick
@given(plans())
def test_nodes_are_a_rectangular_grid_with_one_tile_each(plan: Plan) -> None:
    rows, columns = plan.node_grid
    y, x = plan.nodes()
    assert (len(y), len(x)) == (rows, columns)
    assert np.all(np.diff(y) > 0)
    assert np.all(np.diff(x) > 0)
    seen = []
    for unit in plan.units():
        for tile in plan.tiles(unit):
            seen.append((unit.plane, *tile.index))
            assert unit.core.y0 <= y[tile.index[0]] <= unit.core.y1 - 1
            assert unit.core.x0 <= x[tile.index[1]] <= unit.core.x1 - 1
    expected = [(p, r, c) for p in range(plan.planes) for r in range(rows) for c in range(columns)]
    assert sorted(seen) == expected
    assert plan.n_tiles == len(expected)


@quick
@given(plans())
def test_largest_tile_and_canvas_are_met_and_not_exceeded(plan: Plan) -> None:
    units = list(plan.units())
    tiles = [tile.box for unit in units for tile in plan.tiles(unit)]
    assert plan.largest_tile() == (max(b.height for b in tiles), max(b.width for b in tiles))
    canvases = [unit.canvas for unit in units]
    assert plan.largest_canvas() == (max(b.height for b in canvases), max(b.width for b in canvases))


@quick
@given(plans(), st.integers(1, 60), st.integers(1, 60))
def test_cells_of_a_whole_unit_do_not_depend_on_the_images_size(plan: Plan, down: int, right: int) -> None:
    larger = Plan(
        (plan.shape[0] + down, plan.shape[1] + right),
        plan.planes,
        plan.tile,
        plan.overlap,
        plan.unit,
        plan.kernel_size,
    )
    for index, axis in enumerate(plan.axes):
        for unit in range(axis.n_units):
            if axis.core_length(unit) == plan.unit:
                assert axis.cells(unit) == larger.axes[index].cells(unit)
                assert axis.first_node(unit) == larger.axes[index].first_node(unit)


def test_a_unit_is_found_by_its_number_planes_first() -> None:
    plan = Plan((100, 70), 3, 20, 6, 40, 5)
    assert plan.unit_grid == (3, 2)
    assert plan.n_units == 18
    unit = plan.unit_at(9)
    assert (unit.index, unit.plane, unit.iy, unit.ix) == (9, 1, 1, 1)
    assert unit.core == Box(40, 80, 40, 70)
    assert unit.data == Box(37, 83, 37, 70)
    assert unit.canvas == Box(34, 86, 34, 73)
    assert [found.index for found in plan.units()] == list(range(18))


@pytest.mark.parametrize("index", [-1, 18])
def test_a_number_that_is_no_unit_is_refused(index: int) -> None:
    with pytest.raises(ConfigError, match="units 0 to 17"):
        Plan((100, 70), 3, 20, 6, 40, 5).unit_at(index)


def test_neighbours_stay_in_their_plane() -> None:
    plan = Plan((120, 120), 2, 20, 6, 40, 5)
    assert plan.neighbours(plan.unit_at(9)) == (10, 12, 13)
    assert len(plan.neighbours(plan.unit_at(13))) == 8


def test_without_overlap_nobody_reaches_into_a_unit() -> None:
    plan = Plan((120, 120), 1, 20, 0, 40, 5)
    assert plan.neighbours(plan.unit_at(4)) == ()


def test_an_image_smaller_than_a_tile_is_one_tile() -> None:
    plan = Plan((50, 64), 1, 256, 64, 1024, 32)
    (tile,) = plan.tiles(plan.unit_at(0))
    assert tile.box == Box(-16, 66, -16, 80)
    assert tile.window_y.min() == tile.window_x.min() == 1


def test_a_cropped_tile_keeps_its_windows_values() -> None:
    plan = Plan((200, 200), 1, 60, 20, 120, 9)
    unit = plan.unit_at(0)
    for tile in plan.tiles(unit):
        part = tile.cropped(unit.data)
        assert part.box == tile.box.intersect(unit.data)
        assert part.index == tile.index
        first = part.box.y0 - tile.box.y0
        np.testing.assert_array_equal(part.window_y, tile.window_y[first : first + part.box.height])


def test_plans_are_values() -> None:
    plan = Plan((200, 100), 2, 60, 20, 120, 9)
    again = pickle.loads(pickle.dumps(plan))
    assert again == plan
    assert hash(again) == hash(plan)
    assert isinstance(again.unit_at(0), Unit)
    assert isinstance(again.tiles(again.unit_at(0))[0], Tile)


def test_a_very_large_image_is_planned_in_a_moment() -> None:
    start = time.process_time()
    plan = Plan((100_000, 100_000), 1, 256, 64, 1024, 32)
    assert plan.n_units == 98 * 98
    assert plan.n_tiles == len(plan.nodes()[0]) * len(plan.nodes()[1])
    boxes = [unit.canvas for unit in plan.units()]
    middle = plan.tiles(plan.unit_at(plan.n_units // 2))
    assert time.process_time() - start < 1
    assert len(boxes) == plan.n_units
    assert len(middle) == 25


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape": (0, 10)}, "height 0"),
        ({"shape": (10, 20, 3)}, r"\(height, width\)"),
        ({"planes": 0}, "planes 0"),
        ({"tile": 64.5}, "tile 64.5"),
        ({"overlap": -2}, "overlap -2"),
        ({"overlap": 64}, "leaves nothing of tile 64"),
        ({"unit": 63}, "unit 63 is smaller than tile 64"),
        ({"kernel_size": 0}, "kernel_size 0"),
        ({"overlap": 50}, "lower the overlap to 32"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_numbers(changed: dict, message: str) -> None:
    options = {"shape": (300, 300), "planes": 1, "tile": 64, "overlap": 16, "unit": 256, "kernel_size": 9}
    Plan(**options)
    with pytest.raises(ConfigError, match=message):
        Plan(**{**options, **changed})


@given(st.integers(2, 64), st.data())
@quick
def test_the_overlap_that_a_refusal_names_is_accepted(tile: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(tile // 2, tile - 1))
    unit = data.draw(st.integers(tile, 5 * tile))
    try:
        Plan((100, 100), 1, tile, overlap, unit, 5)
    except ConfigError as error:
        allowed = int(str(error).split("lower the overlap to ")[1].split(" ")[0])
        assert 0 <= allowed < overlap
        Plan((100, 100), 1, tile, allowed, unit, 5)


@given(st.integers(1, 300), st.integers(1, 300))
@quick
def test_a_short_edge_is_never_refused(height: int, width: int) -> None:
    plan = Plan((height, width), 1, 64, 32, 128, 9)
    assert sum(unit.core.area for unit in plan.units()) == height * width
