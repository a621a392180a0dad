"""Checks of the arguments of the simulators.

Every public function of `blinddps_sci.simulate` calls these before it computes,
so that a wrong number ends in one clear sentence and not in an array of NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from blinddps_sci.errors import ConfigError

__all__ = ["check_between", "check_choice", "check_shape", "check_size"]


def check_size(size: int, *, smallest: int = 3) -> int:
    """Return `size` as an `int`, the side of a square kernel in pixels.

    Raises
    ------
    ConfigError
        If `size` is not a whole number of at least `smallest` pixels.
    """
    if int(size) != size or size < smallest:
        msg = f"kernel size {size!r}: give a whole number of pixels, at least {smallest}"
        raise ConfigError(msg)
    return int(size)


def check_shape(shape: tuple[int, int], *, smallest: int = 8) -> tuple[int, int]:
    """Return `shape` as two `int`, the height and width of a scene in pixels.

    Raises
    ------
    ConfigError
        If there are not two sides, or one is not a whole number of at least `smallest`.
    """
    sides = tuple(shape)
    if len(sides) != 2 or any(int(side) != side or side < smallest for side in sides):
        msg = f"scene shape {shape!r}: give (height, width), whole numbers of at least {smallest} pixels"
        raise ConfigError(msg)
    return int(sides[0]), int(sides[1])


def check_between(
    name: str,
    value: float,
    low: float,
    high: float = math.inf,
    *,
    open_low: bool = False,
    unit: str = "",
) -> float:
    """Return `value` as a `float` if it lies in [low, high] (or in (low, high]).

    Raises
    ------
    ConfigError
        If the value is outside the interval or is NaN.
    """
    number = float(value)
    if (low < number if open_low else low <= number) and number <= high:
        return number
    left = f"above {low:g}" if open_low else f"at least {low:g}"
    right = "" if high == math.inf else f" and at most {high:g}"
    msg = f"{name} {value!r}: give a number {left}{right}{' ' + unit if unit else ''}"
    raise ConfigError(msg)


def check_choice(name: str, value: str, allowed: Iterable[str]) -> str:
    """Return `value` if it is one of `allowed`.

    Raises
    ------
    ConfigError
        If `value` is not among them.
    """
    choices = sorted(allowed)
    if value not in choices:
        msg = f"{name} {value!r} is not known; choose one of {', '.join(choices)}"
        raise ConfigError(msg)
    return value
