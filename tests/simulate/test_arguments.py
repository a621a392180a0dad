from __future__ import annotations

import math

import pytest

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.arguments import check_between, check_choice, check_shape, check_size


def test_good_values_come_back_as_plain_numbers() -> None:
    assert check_size(32) == 32
    assert check_shape((8, 9)) == (8, 9)
    assert check_between("x", 1, 0.0, 2.0) == 1.0
    assert check_choice("word", "a", ["a", "b"]) == "a"


@pytest.mark.parametrize("value", [0, 2, -5, 7.5])
def test_size_must_be_whole_and_large_enough(value: float) -> None:
    with pytest.raises(ConfigError, match="at least 3"):
        check_size(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(8,), (8, 4), (8, 8, 8), (8, 9.5)])
def test_shape_must_have_two_sides(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="height, width"):
        check_shape(shape)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1.0, 0.0, 3.0, math.nan])
def test_interval_is_named_in_the_message(value: float) -> None:
    with pytest.raises(ConfigError, match=r"gain .*above 0 and at most 2 e-"):
        check_between("gain", value, 0.0, 2.0, open_low=True, unit="e-")


def test_unknown_choice_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="choose one of a, b"):
        check_choice("word", "c", ["b", "a"])
