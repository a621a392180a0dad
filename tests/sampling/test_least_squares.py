"""Conjugate gradients over blocks: every item on its own, exact after as many steps as unknowns."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from blinddps_sci.sampling.least_squares import Block, conjugate_gradients

ITEMS = 5
SHAPES = {"a": (1, 2, 3), "b": (4,)}
SIZE = 10


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def flat(block: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([block[name].flatten(1) for name in SHAPES], dim=1)


def block_of(vector: Tensor) -> Block:
    parts = vector.split([6, 4], dim=1)
    return {name: part.reshape(-1, *SHAPES[name]) for name, part in zip(SHAPES, parts, strict=True)}


def matrices(items: int = ITEMS) -> Tensor:
    """Return a symmetric positive definite matrix of each item, scaled from 1 to 1e4."""
    factor = draw(items, SIZE, SIZE, seed=1)
    scale = torch.logspace(0, 4, items, dtype=torch.float64)
    return scale[:, None, None] * (factor @ factor.mT / SIZE + torch.eye(SIZE, dtype=torch.float64))


def solve(matrix: Tensor, right: Tensor, start: Tensor, iterations: int) -> Tensor:
    def apply(block: Mapping[str, Tensor]) -> Block:
        return block_of((matrix @ flat(block)[..., None])[..., 0])

    return flat(conjugate_gradients(apply, block_of(right), block_of(start), iterations))


def test_as_many_iterations_as_unknowns_solve_the_system() -> None:
    matrix, right = matrices(), draw(ITEMS, SIZE, seed=2)
    found = solve(matrix, right, draw(ITEMS, SIZE, seed=3), SIZE + 2)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, right), rtol=1e-7, atol=1e-12)


def test_the_error_falls_with_every_iteration_in_the_norm_of_the_matrix() -> None:
    matrix, right, start = matrices(), draw(ITEMS, SIZE, seed=2), draw(ITEMS, SIZE, seed=3)
    exact = torch.linalg.solve(matrix, right)
    errors = [solve(matrix, right, start, n) - exact for n in range(8)]
    norms = torch.stack([(e[:, None] @ matrix @ e[..., None]).flatten() for e in errors])
    assert torch.equal(errors[0] + exact, start) or torch.allclose(errors[0] + exact, start)
    assert (norms[1:] < norms[:-1]).all()


def test_an_item_does_not_know_the_others() -> None:
    matrix, right, start = matrices(), draw(ITEMS, SIZE, seed=2), draw(ITEMS, SIZE, seed=3)
    whole = solve(matrix, right, start, 4)
    for i in range(ITEMS):
        one = slice(i, i + 1)
        torch.testing.assert_close(solve(matrix[one], right[one], start[one], 4), whole[one])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_solved_item_stays_solved(dtype: torch.dtype) -> None:
    """Far more iterations than needed, and one item whose first guess is the solution."""
    eye = torch.eye(SIZE, dtype=dtype).expand(2, -1, -1)
    right = draw(2, SIZE, seed=2).to(dtype)
    start = torch.stack([right[0], torch.zeros_like(right[0])])
    found = solve(eye, right, start, 50)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, right)


def test_an_item_ends_at_its_own_tolerance_whatever_the_others_do() -> None:
    """Items of very different difficulty: the same answers alone and together, and near the solution."""
    matrix = matrices()
    matrix[1:3] += torch.diag(torch.logspace(0, 6, SIZE, dtype=torch.float64))
    right, start = draw(ITEMS, SIZE, seed=2), draw(ITEMS, SIZE, seed=3)
    calls = []

    def solve_to(tolerance: float, items: slice) -> Tensor:
        def apply(block: Mapping[str, Tensor]) -> Block:
            calls.append(len(flat(block)))
            return block_of((matrix[items] @ flat(block)[..., None])[..., 0])

        found = conjugate_gradients(
            apply, block_of(right[items]), block_of(start[items]), 60, tolerance=tolerance
        )
        return flat(found)

    whole = solve_to(1e-3, slice(None))
    used = len(calls)
    exact = torch.linalg.solve(matrix, right)
    assert used < 61
    assert float((whole - exact).square().mean(dim=1).sqrt().max()) < 1e-2
    for i in range(ITEMS):
        one = slice(i, i + 1)
        torch.testing.assert_close(solve_to(1e-3, one), whole[one])
    calls.clear()
    solve_to(0.0, slice(None))
    assert len(calls) == 61
