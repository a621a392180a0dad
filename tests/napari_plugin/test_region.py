"""Which pixels a drawn shape or a view means, told by napari's own layers without a window."""

from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import InputError
from napari_plugin.region import middle_of, region_of_rectangle, region_of_view, region_text, sides

layers = pytest.importorskip("napari.layers")


def rectangle(y0: float, x0: float, y1: float, x1: float) -> np.ndarray:
    return np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]])


def test_a_rectangle_covers_the_pixels_that_it_touches() -> None:
    image = layers.Image(np.zeros((60, 80)))
    shapes = layers.Shapes([rectangle(9.6, 20.4, 29.2, 50.5)])
    assert region_of_rectangle(image, shapes) == ((10, 30), (20, 51))
    assert region_text(region_of_rectangle(image, shapes)) == "10:30,20:51"


def test_scale_and_translate_of_both_layers_count_and_axes_before_the_last_two_do_not() -> None:
    image = layers.Image(np.zeros((3, 60, 80)), scale=(1, 0.5, 0.5), translate=(0, 10.0, 20.0))
    shapes = layers.Shapes([rectangle(6, 13, 10, 20)], scale=(2, 2))
    # world 12..20, 26..40 -> pixels 4..20, 12..40, whose centres are whole numbers
    assert region_of_rectangle(image, shapes) == ((4, 21), (12, 41))


def test_the_selected_shape_counts_else_the_last_one() -> None:
    image = layers.Image(np.zeros((60, 80)))
    shapes = layers.Shapes([rectangle(0, 0, 20, 20), rectangle(30, 30, 50, 50)])
    shapes.selected_data = set()
    assert region_of_rectangle(image, shapes) == ((30, 51), (30, 51))
    shapes.selected_data = {0}
    assert region_of_rectangle(image, shapes) == ((0, 21), (0, 21))


def test_what_lies_outside_is_cut_off() -> None:
    image = layers.Image(np.zeros((60, 80)))
    assert region_of_rectangle(image, layers.Shapes([rectangle(-9, 50, 30, 500)])) == ((0, 31), (50, 80))


@pytest.mark.parametrize("corners", [(100, 100, 200, 200), (0, 0, 3, 30)])
def test_too_little_is_refused(corners: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="covers less than 8 x 8 pixels"):
        region_of_rectangle(layers.Image(np.zeros((60, 80))), layers.Shapes([rectangle(*corners)]))


def test_a_layer_without_a_shape_is_refused() -> None:
    with pytest.raises(InputError, match="holds no shape"):
        region_of_rectangle(layers.Image(np.zeros((60, 80))), layers.Shapes(ndim=2))


def test_the_view_is_read_off_the_layer_at_the_level_that_is_shown() -> None:
    image = layers.Image(np.zeros((60, 80)))
    assert region_of_view(image) == ((0, 60), (0, 80))
    image.corner_pixels = np.array([[10, 20], [39, 49]])
    assert region_of_view(image) == ((10, 40), (20, 50))
    pyramid = layers.Image([np.zeros((64, 80)), np.zeros((32, 40))], multiscale=True)
    pyramid.data_level = 1
    pyramid.corner_pixels = np.array([[5, 10], [19, 24]])
    assert region_of_view(pyramid) == ((10, 40), (20, 50))


def test_the_middle_of_a_region() -> None:
    assert middle_of(((0, 100), (50, 60)), 20) == ((40, 60), (50, 60))
    assert sides(((40, 60), (50, 60))) == (20, 10)
