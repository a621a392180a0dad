"""Noise: a pure function of its key and of the absolute position, standard normal, independent."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from blinddps_sci.sampling.noise import KeyedNoise, Role, Site, Stream, keyed_normal

STREAM = Stream(7, frame=3, channel=2, sample=5)
BASE = {"unknown": "image", "role": Role.ANCESTRAL, "step": 11, "site": Site(0, 0, component=1)}
SHAPE = (96, 80)

OTHERS = {
    "seed": (replace(STREAM, seed=8), BASE),
    "seed beyond 32 bits": (replace(STREAM, seed=7 + 2**40), BASE),
    "frame": (replace(STREAM, frame=2), BASE),
    "frame beyond 16 bits": (replace(STREAM, frame=3 + 65536), BASE),
    "channel": (replace(STREAM, channel=3), BASE),
    "sample": (replace(STREAM, sample=4), BASE),
    "unknown": (STREAM, {**BASE, "unknown": "kernel"}),
    "role": (STREAM, {**BASE, "role": Role.START}),
    "step": (STREAM, {**BASE, "step": 12}),
    "component": (STREAM, {**BASE, "site": Site(0, 0, component=2)}),
    "row": (STREAM, {**BASE, "site": Site(64, 0, component=1)}),
    "column": (STREAM, {**BASE, "site": Site(0, 64, component=1)}),
    "frame and channel swapped": (replace(STREAM, frame=2, channel=3), BASE),
    "step and sample swapped": (replace(STREAM, sample=11), {**BASE, "step": 5}),
    "row and column swapped": (STREAM, {**BASE, "site": Site(-64, 128, component=1)}),
}


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation in units of its standard error when there is none."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1] * np.sqrt(a.size))


def test_the_same_key_gives_the_same_bits() -> None:
    first = keyed_normal(STREAM, **BASE, shape=SHAPE)
    assert first.dtype == np.float32
    assert np.array_equal(first, keyed_normal(replace(STREAM), **BASE, shape=SHAPE))


def test_the_bits_are_those_of_stored_runs() -> None:
    # A run that is resumed, or repeated by a later version, must see the noise it was begun with.
    found = keyed_normal(Stream(0), "image", Role.START, 0, Site(), (2, 3))
    expected = [[-0.6725462, 0.042090636, 0.8983462], [-0.900428, -0.025174135, 1.1294196]]
    np.testing.assert_array_equal(found, np.array(expected, dtype=np.float32))


@pytest.mark.parametrize("field", OTHERS)
def test_every_part_of_the_key_changes_the_draw_altogether(field: str) -> None:
    stream, key = OTHERS[field]
    base, other = (keyed_normal(s, **k, shape=SHAPE) for s, k in ((STREAM, BASE), (stream, key)))
    assert (base == other).mean() < 1e-3
    assert abs(correlation(base, other)) < 4


def test_all_streams_are_independent_of_each_other() -> None:
    draws = [keyed_normal(stream, **key, shape=SHAPE) for stream, key in OTHERS.values()]
    found = [abs(correlation(a, b)) for a, b in combinations(draws, 2)]
    assert len(found) == len(OTHERS) * (len(OTHERS) - 1) / 2
    # 105 pairs: beyond four standard errors once in 150 such tests, and the draws are fixed
    assert max(found) < 4


def test_neighbouring_pixels_are_independent_also_across_blocks() -> None:
    plane = keyed_normal(STREAM, **BASE, shape=(256, 256))
    assert abs(correlation(plane[1:], plane[:-1])) < 4
    assert abs(correlation(plane[:, 1:], plane[:, :-1])) < 4
    assert abs(correlation(plane[64:], plane[:-64])) < 4


@pytest.mark.parametrize(("y", "x"), [(0, 0), (5, 63), (-7, 3), (-130, -65), (63, -64), (100_000, 64)])
@pytest.mark.parametrize("shape", [(1, 1), (9, 70)])
def test_a_window_anywhere_is_a_cutting_of_a_larger_one(y: int, x: int, shape: tuple[int, int]) -> None:
    height, width = shape
    margin = (40, 70)
    large = keyed_normal(STREAM, "image", Role.DATA, 1, Site(y - 40, x - 70), (height + 90, width + 150))
    small = keyed_normal(STREAM, "image", Role.DATA, 1, Site(y, x), shape)
    assert np.array_equal(small, large[margin[0] : margin[0] + height, margin[1] : margin[1] + width])


def test_the_order_of_the_batch_is_irrelevant() -> None:
    streams = [Stream(seed, sample=sample) for seed in (1, 2) for sample in (0, 1, 2)]
    sites, like = [Site(3, -5), Site(3, -5, component=1)], torch.empty(6, 2, 10, 9, dtype=torch.float64)
    whole = KeyedNoise(streams)("image", Role.START, 0, sites, like)
    assert (whole.shape, whole.dtype) == (like.shape, like.dtype)
    backwards = KeyedNoise(streams[::-1])("image", Role.START, 0, sites, like)
    assert torch.equal(backwards.flip(0), whole)
    for index, stream in enumerate(streams):
        alone = KeyedNoise([stream])("image", Role.START, 0, sites, like[:1])
        assert torch.equal(alone[0], whole[index])
    assert not torch.equal(whole[:, 0], whole[:, 1])


def test_draws_are_standard_normal() -> None:
    draws = keyed_normal(STREAM, **BASE, shape=(512, 512)).astype(float).ravel()
    n = draws.size
    # standard errors of the first four moments of a standard normal
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((draws**power).mean() - expected) < 4 * np.sqrt(variance / n)
    assert 4 < np.abs(draws).max() < 6.5
