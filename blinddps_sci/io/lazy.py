"""Lazy pixels: what lies between a file's raw numbers and the variables of a stack.

A `Reader` returns raw windows of one file; `View`, `Joined` and `Repeated` rearrange axes without
reading; `LazyArray` turns windows into native float32 and is what xarray indexes.
"""

from __future__ import annotations

import itertools
import lzma
import zlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from blinddps_sci.errors import InputError
from blinddps_sci.io.files import SourceFile, reason

__all__ = [
    "Joined",
    "Key",
    "LazyArray",
    "MemmapReader",
    "Reader",
    "Repeated",
    "View",
    "to_dataset",
]

Array = np.ndarray[Any, np.dtype[Any]]
Key = tuple["int | slice", ...]


class Reader(Protocol):
    """Source of raw windows; must pickle without its open handles."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the raw numbers."""

    def read(self, key: Key) -> Array:
        """Read one window.

        Parameters
        ----------
        key : tuple of int and slice
            One entry per axis; integers are inside the axis, slices have positive steps.

        Returns
        -------
        ndarray
            The raw numbers, without the axes that were given as integers.
        """


@dataclass(frozen=True)
class MemmapReader:
    """Contiguous pixels at an offset of a file.

    The file is mapped for one read only: the pages touched leave the process with the mapping, so
    memory stays that of a window however many windows are read.
    """

    file: SourceFile
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def read(self, key: Key) -> Array:
        """Read one window; see `Reader.read`."""
        memory = np.memmap(self.file.local(), self.dtype, "r", self.offset, self.shape)
        return np.array(memory[key], subok=False)


@dataclass(frozen=True)
class View:
    """Axes of another reader in a new order, some of them held at one index.

    Attributes
    ----------
    base : Reader
        What is shown.
    order : tuple of int
        Axis of `base` behind each axis shown.
    fixed : tuple of (int, int)
        Pairs of an axis of `base` that is not shown and its index.
    """

    base: Reader
    order: tuple[int, ...]
    fixed: tuple[tuple[int, int], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis shown."""
        return tuple(self.base.shape[axis] for axis in self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the raw numbers."""
        return self.base.dtype

    def read(self, key: Key) -> Array:
        """Read one window; see `Reader.read`."""
        wanted: dict[int, int | slice] = dict(self.fixed)
        wanted.update(zip(self.order, key, strict=True))
        block = self.base.read(tuple(wanted[axis] for axis in range(len(self.base.shape))))
        kept = [axis for axis in self.order if isinstance(wanted[axis], slice)]
        stored = sorted(kept)
        return np.transpose(block, [stored.index(axis) for axis in kept])


@dataclass(frozen=True)
class Joined:
    """Several readers one behind the other along the first axis."""

    parts: tuple[Reader, ...]

    @property
    def _ends(self) -> list[int]:
        return list(itertools.accumulate(part.shape[0] for part in self.parts))

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        return (self._ends[-1], *self.parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that holds the raw numbers of all parts."""
        return np.result_type(*(part.dtype for part in self.parts))

    def read(self, key: Key) -> Array:
        """Read one window; see `Reader.read`."""
        ends = self._ends
        first = key[0]

        def one(frame: int) -> Array:
            part = bisect_right(ends, frame)
            return self.parts[part].read((frame - (ends[part - 1] if part else 0), *key[1:]))

        if isinstance(first, slice):
            return np.stack([one(frame) for frame in range(*first.indices(ends[-1]))])
        return one(int(first))


@dataclass(frozen=True)
class Repeated:
    """A reader shown again at every index of new leading axes."""

    base: Reader
    lead: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        return (*self.lead, *self.base.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the raw numbers."""
        return self.base.dtype

    def read(self, key: Key) -> Array:
        """Read one window; see `Reader.read`."""
        n = len(self.lead)
        lengths = [
            len(range(*k.indices(size)))
            for k, size in zip(key[:n], self.lead, strict=True)
            if isinstance(k, slice)
        ]
        block = self.base.read(key[n:])
        return np.broadcast_to(block, (*lengths, *block.shape))


class LazyArray(BackendArray):
    """Array that xarray indexes lazily and that pickles as a recipe, not as pixels.

    Parameters
    ----------
    reader : Reader
        Source of raw windows.
    dtype : dtype
        Type of the values handed out, native-endian.
    steps : sequence of callable, optional
        Applied in turn to each raw window; each must pickle.
    name : str, optional
        Named in errors.
    """

    def __init__(
        self,
        reader: Reader,
        dtype: np.dtype[Any],
        steps: Sequence[Callable[[Array], Array]] = (),
        name: str = "the input",
    ) -> None:
        self.reader = reader
        self.shape = tuple(int(n) for n in reader.shape)
        self.dtype = np.dtype(dtype)
        self.steps = tuple(steps)
        self.name = name

    def __getitem__(self, key: Any) -> Array:
        block: Array = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self.read
        )
        return block

    def read(self, key: Key) -> Array:
        """Read one window as values.

        Parameters
        ----------
        key : tuple of int and slice
            One entry per axis.

        Returns
        -------
        ndarray
            The window in `dtype`. Values beyond its range become infinite.

        Raises
        ------
        InputError
            If the file has gone, changed or is damaged at this place.
        """
        inside = tuple(
            k if isinstance(k, slice) else int(k) % size for k, size in zip(key, self.shape, strict=True)
        )
        lengths = [
            len(range(*k.indices(size)))
            for k, size in zip(inside, self.shape, strict=True)
            if isinstance(k, slice)
        ]
        if 0 in lengths:
            return np.zeros(lengths, self.dtype)
        try:
            block = np.asarray(self.reader.read(inside))
        except InputError:
            raise
        except (OSError, ValueError, KeyError, EOFError, RuntimeError, zlib.error, lzma.LZMAError) as error:
            raise InputError(f"{self.name} cannot be read at {_shown(inside)}: {reason(error)}") from error
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for step in self.steps:
                block = step(block)
            return np.ascontiguousarray(block, self.dtype).reshape(block.shape)


def _shown(key: Key) -> str:
    """Write an index the way it is typed."""
    parts = [
        f"{k.start or 0}:{'' if k.stop is None else k.stop}" if isinstance(k, slice) else str(k) for k in key
    ]
    return f"[{', '.join(parts)}]"


def to_dataset(
    arrays: Mapping[str, LazyArray],
    dims: Sequence[str],
    attrs: Mapping[str, Any],
    chunks: Mapping[str, int] | None = None,
) -> xr.Dataset:
    """Wrap lazy arrays of one shape into a dataset.

    Parameters
    ----------
    arrays : mapping of str to LazyArray
        `data` and, if known, `variance` and `mask`.
    dims : sequence of str
        Names of their axes.
    attrs : mapping
        Attributes of the dataset, JSON-able.
    chunks : mapping of str to int, optional
        Sizes that the file is read best in, kept as the ``preferred_chunks`` encoding.

    Returns
    -------
    xarray.Dataset
        Nothing is read.
    """
    encoding = {"preferred_chunks": dict(chunks)} if chunks else {}
    return xr.Dataset(
        {
            name: xr.Variable(tuple(dims), indexing.LazilyIndexedArray(array), encoding=encoding)
            for name, array in arrays.items()
        },
        attrs=dict(attrs),
    )
