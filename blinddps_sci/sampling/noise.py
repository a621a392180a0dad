"""Noise as a pure function of who asks, when and where.

A draw depends on the seed, the unknown, the role, the frame, channel and sample, the step
and the absolute position, and on nothing else: not on the batch, the tile, the worker or the
order. Overlapping tiles therefore see the same noise, and a run can be cut up in any way.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

__all__ = ["KeyedNoise", "NoiseSource", "Role", "Site", "Stream", "keyed_normal"]

_BLOCK = 64
_WORD = 2**32


class Role(IntEnum):
    """What a draw is for; every role has a stream of its own."""

    START = 0
    ANCESTRAL = 1
    DATA = 2
    PRIOR = 3
    RENOISE = 4
    PROBE = 5


@dataclass(frozen=True)
class Stream:
    """Identity of one item of a batch.

    Parameters
    ----------
    seed : int
        Seed of the run, non-negative.
    frame, channel, sample : int
        Which frame and channel of the stack, and which posterior sample or chain.
    """

    seed: int
    frame: int = 0
    channel: int = 0
    sample: int = 0


@dataclass(frozen=True)
class Site:
    """Where a plane of an unknown lies: absolute position of its first element, and component."""

    y: int = 0
    x: int = 0
    component: int = 0


class NoiseSource(Protocol):
    """Gives the standard normal draws of a run."""

    def __call__(self, unknown: str, role: Role, step: int, sites: Sequence[Site], like: Tensor) -> Tensor:
        """Return a draw with the shape, type and device of ``like`` (B, C, H, W)."""
        ...


@lru_cache(maxsize=256)
def _key(seed: int, unknown: str, role: Role) -> tuple[int, int]:
    state = np.random.SeedSequence([seed, zlib.crc32(unknown.encode()), role]).generate_state(2, np.uint64)
    return int(state[0]), int(state[1])


def _blocks(start: int, length: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield (block, where it lands in the output, what part of it) along one axis."""
    for block in range(start // _BLOCK, (start + length - 1) // _BLOCK + 1):
        low, high = max(start, block * _BLOCK), min(start + length, (block + 1) * _BLOCK)
        yield block, slice(low - start, high - start), slice(low - block * _BLOCK, high - block * _BLOCK)


def keyed_normal(
    stream: Stream, unknown: str, role: Role, step: int, site: Site, shape: tuple[int, int]
) -> np.ndarray:
    """Return standard normal noise (H, W), float32, whose value at a position never changes.

    The plane is cut into blocks of 64 x 64 at absolute positions; each is drawn by a Philox
    generator whose key is (seed, unknown, role) and whose counter is (step, sample, frame,
    channel, component, block).

    Notes
    -----
    J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    out = np.empty(shape, dtype=np.float32)
    key = np.array(_key(stream.seed, unknown, role), dtype=np.uint64)
    when = (step % _WORD) << 32 | stream.sample % _WORD
    who = stream.frame % _WORD << 32 | stream.channel % 2**16 << 16 | site.component % 2**16
    for by, to_y, from_y in _blocks(site.y, shape[0]):
        for bx, to_x, from_x in _blocks(site.x, shape[1]):
            where = (by % _WORD) << 32 | bx % _WORD
            bits = np.random.Philox(key=key, counter=np.array([0, when, who, where], dtype=np.uint64))
            block = np.random.Generator(bits).standard_normal((_BLOCK, _BLOCK), dtype=np.float32)
            out[to_y, to_x] = block[from_y, from_x]
    return out


@dataclass(frozen=True)
class KeyedNoise:
    """The `NoiseSource` of every real run: one `Stream` per item of the batch."""

    streams: Sequence[Stream]

    def __call__(self, unknown: str, role: Role, step: int, sites: Sequence[Site], like: Tensor) -> Tensor:
        """Return a draw with the shape, type and device of ``like`` (B, C, H, W)."""
        height, width = like.shape[-2:]
        planes = [
            keyed_normal(stream, unknown, role, step, site, (height, width))
            for stream in self.streams
            for site in sites
        ]
        return torch.from_numpy(np.stack(planes)).reshape(like.shape).to(like)
