"""Half-open boxes in absolute pixels, the coordinates that every part of a run shares.

A canvas exceeds the data, so a box may have negative corners; only its part inside an array
can index it.
"""

from __future__ import annotations

from dataclasses import dataclass

from blinddps_sci.errors import InputError

__all__ = ["Box"]


@dataclass(frozen=True, slots=True)
class Box:
    """The pixels with ``y0 <= y < y1`` and ``x0 <= x < x1``.

    Parameters
    ----------
    y0, y1, x0, x1 : int
        In absolute data pixels; may be negative. ``y0 <= y1`` and ``x0 <= x1``.

    Raises
    ------
    InputError
        If a side would be negative.
    """

    y0: int
    y1: int
    x0: int
    x1: int

    def __post_init__(self) -> None:
        if self.y1 < self.y0 or self.x1 < self.x0:
            raise InputError(
                f"box {self.y0}:{self.y1}, {self.x0}:{self.x1} has a negative side; "
                "give start before stop, y first"
            )

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.y1 - self.y0

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.x1 - self.x0

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """The box as an index of an array's last two axes.

        Raises
        ------
        InputError
            If the box begins before the array, where NumPy would count from the end.
        """
        if self.y0 < 0 or self.x0 < 0:
            raise InputError(
                f"box {self.y0}:{self.y1}, {self.x0}:{self.x1} begins before the array; "
                "intersect it with the array's box first"
            )
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def expand(self, pixels: int) -> Box:
        """Return the box with a border of so many pixels on each side."""
        return Box(self.y0 - pixels, self.y1 + pixels, self.x0 - pixels, self.x1 + pixels)

    def shifted(self, dy: int, dx: int) -> Box:
        """Return the box moved by (dy, dx) pixels."""
        return Box(self.y0 + dy, self.y1 + dy, self.x0 + dx, self.x1 + dx)

    def within(self, other: Box) -> Box:
        """Return the same pixels, counted from the first pixel of another box."""
        return self.shifted(-other.y0, -other.x0)

    def intersect(self, other: Box) -> Box:
        """Return the common pixels; a box without area if there are none."""
        y0, x0 = max(self.y0, other.y0), max(self.x0, other.x0)
        return Box(y0, max(y0, min(self.y1, other.y1)), x0, max(x0, min(self.x1, other.x1)))
