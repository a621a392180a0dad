"""The check that every image metric passes its arguments through."""

from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import InputError
from blinddps_sci.metrics.pair import as_image, as_pair, check_data_range


def test_masked_pixels_may_hold_anything_and_arguments_stay_untouched() -> None:
    estimate = np.array([[1.0, np.nan], [3.0, 4.0]])
    truth = np.array([[np.inf, 2.0], [3.0, 5.0]], dtype=np.float32)
    mask = np.array([[True, True], [False, False]])
    pair = as_pair(estimate, truth, mask)
    np.testing.assert_array_equal(pair.estimate, [[0, 0], [3, 4]])
    np.testing.assert_array_equal(pair.truth, [[0, 0], [3, 5]])
    np.testing.assert_array_equal(pair.usable, ~mask)
    assert np.isnan(estimate[0, 1])
    assert pair.truth.dtype == np.float64


@pytest.mark.parametrize(
    ("estimate", "truth", "mask", "message"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), None, r"\(2, 3\).*\(3, 2\)"),
        (np.zeros(4), np.zeros(4), np.zeros(3, bool), "mask has shape"),
        (np.zeros(4), np.zeros(4), np.ones(4, bool), "no pixel is usable"),
        (np.zeros(0), np.zeros(0), None, "no pixel is usable"),
        (np.array([np.nan, 1.0]), np.zeros(2), None, "estimate has 1 NaN"),
        (np.zeros(2), np.array([np.inf, np.inf]), None, "truth has 2 NaN"),
    ],
)
def test_what_is_refused(estimate, truth, mask, message) -> None:
    with pytest.raises(InputError, match=message):
        as_pair(estimate, truth, mask)


@pytest.mark.parametrize("image", [np.zeros(3), np.zeros((0, 3)), np.zeros((2, 2, 2)), [[np.nan]]])
def test_an_image_is_two_dimensional_and_finite(image) -> None:
    with pytest.raises(InputError, match="the picture has"):
        as_image(image, "picture")


@pytest.mark.parametrize("data_range", [0.0, -1.0, np.inf, np.nan])
def test_a_data_range_is_positive(data_range) -> None:
    with pytest.raises(InputError, match="data_range is"):
        check_data_range(data_range)
