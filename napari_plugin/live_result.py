"""Images that fill while a run goes on, for layers that are refreshed and never read as a whole.

A small result is kept in memory at full resolution. Of a large one the full resolution is read from the
store where it is looked at, and only coarser levels, which a viewer shows from afar, are kept in memory.
Nothing has a cache that could be out of date.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LiveImage", "StoredImage"]

_IN_MEMORY = 2**24
"""Pixels of the finest level that is kept in memory, all planes counted."""

_COARSEST = 512
"""Pixels of a side of the last level at most."""


class LiveImage:
    """One image of a result, filled unit by unit; NaN where nothing is yet.

    Parameters
    ----------
    store : ResultStore
        Of the run.
    name : {"image", "std"}
        Which of its images.
    in_memory : int
        Pixels that may be kept in memory.

    Attributes
    ----------
    levels : list of array_like
        What the layer shows, from fine to coarse, each (..., y, x).
    """

    def __init__(self, store: Any, name: str, in_memory: int = _IN_MEMORY) -> None:
        import numpy as np

        self._stored = StoredImage(store, name)
        *lead, height, width = self._stored.shape
        self._factors = [1]
        while math.prod(lead) * (height // self._factors[0]) * (width // self._factors[0]) > in_memory:
            self._factors[0] *= 2
        while max(height, width) // self._factors[-1] > _COARSEST:
            self._factors.append(2 * self._factors[-1])
        self._memory = [
            np.full((*lead, -(-height // factor), -(-width // factor)), np.nan, np.float32)
            for factor in self._factors
        ]
        self.levels: list[Any] = [*([self._stored] if self._factors[0] > 1 else []), *self._memory]

    @property
    def data(self) -> Any:
        """What napari is given: the only level, or all of them."""
        return self.levels if len(self.levels) > 1 else self.levels[0]

    def show(self, index: Mapping[str, int], y: slice, x: slice, values: NDArray[Any]) -> None:
        """Show values in place of a part of a plane, whether they are in the store or not.

        Parameters
        ----------
        index : mapping of str to int
            The plane.
        y, x : slice
            Rows and columns at full resolution.
        values : ndarray, (h, w)
            In the data's unit.
        """
        plane = tuple(index[dim] for dim in self._stored.dims[:-2])
        for factor, level in zip(self._factors, self._memory, strict=True):
            rows, columns = (slice(-(-part.start // factor), -(-part.stop // factor)) for part in (y, x))
            # The first pixel of each block: cheap, and what is final is made anew with the pyramid.
            first = (rows.start * factor - y.start, columns.start * factor - x.start)
            window: tuple[Any, ...] = (*plane, rows, columns)
            level[window] = values[first[0] :: factor, first[1] :: factor]

    def read(self, index: Mapping[str, int], y: slice, x: slice) -> NDArray[Any]:
        """Show what the store holds of a part of a plane, and return it."""
        plane = tuple(index[dim] for dim in self._stored.dims[:-2])
        values = self._stored[(*plane, y, x)]
        self.show(index, y, x, values)
        return values


class StoredImage:
    """An image of a store as an array that is read anew at every look.

    Parameters
    ----------
    store : ResultStore
        Of a run that may be at work.
    name : {"image", "std"}
        Which of its images.
    """

    def __init__(self, store: Any, name: str) -> None:
        import numpy as np

        self._array = store.array(f"scale0/{name}")
        self.dims = store.dims
        self.shape: tuple[int, ...] = tuple(self._array.shape)
        self.dtype = np.dtype(np.float32)
        self.ndim = len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        import numpy as np

        values: NDArray[Any] = np.asarray(self._array[key])
        return values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        import numpy as np

        return np.asarray(self[...], dtype)
