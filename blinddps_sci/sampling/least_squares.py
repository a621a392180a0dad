"""Conjugate gradients over several unknowns at once, for every item of a batch on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["Block", "conjugate_gradients"]

Block = dict[str, Tensor]
"""One tensor (B, ...) for each unknown: a vector of the joint problem."""


_CHECK = 2
"""Iterations between two looks at how far an item still moves."""


def conjugate_gradients(
    matrix: Callable[[Mapping[str, Tensor]], Block],
    right: Block,
    start: Block,
    iterations: int,
    tolerance: float = 0.0,
) -> Block:
    """Solve ``matrix(w) = right`` for a symmetric positive definite matrix.

    Parameters
    ----------
    matrix : callable
        The matrix, as a map of blocks.
    right, start : dict of str to Tensor, each (B, ...)
        Right-hand side and first guess.
    iterations : int
        At most so many.
    tolerance : float
        An item is left as it is once two iterations have moved none of its unknowns by more than
        this, root mean square; whatever the other items of the batch do. 0 makes all iterations and
        never waits for the device.

    Notes
    -----
    M. R. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear systems", 1952.
    """
    found = checked = start
    residual = _plus(right, -1.0, matrix(start))
    direction, square = residual, _dot(residual, residual)
    tiny = torch.finfo(square.dtype).tiny
    moving = torch.ones_like(square)
    for number in range(1, iterations + 1):
        image = matrix(direction)
        # An item that is solved has a residual and a direction of zero; its steps are zero too.
        step = moving * square / _dot(direction, image).clamp(min=tiny)
        found = _plus(found, step, direction)
        if tolerance and number % _CHECK == 0:
            moving = moving * (_largest_change(found, checked) > tolerance)
            if not moving.any():
                break
            checked = found
        residual = _plus(residual, -step, image)
        following = _dot(residual, residual)
        direction = _plus(residual, following / square.clamp(min=tiny), direction)
        square = following
    return found


def _largest_change(a: Block, b: Block) -> Tensor:
    """Return the root mean square difference of each item, (B,), of the block where it is largest."""
    changes = [(a[name] - b[name]).square().flatten(1).mean(dim=1).sqrt() for name in a]
    return torch.stack(changes).amax(dim=0)


def _dot(a: Block, b: Block) -> Tensor:
    """Return the inner product of each item, (B,)."""
    parts = [(a[name] * b[name]).flatten(1).sum(dim=1) for name in a]
    return torch.stack(parts).sum(dim=0)


def _plus(a: Block, factor: float | Tensor, b: Block) -> Block:
    """Return ``a + factor b`` with one factor for all or one for each item (B,)."""
    if isinstance(factor, Tensor):
        return {name: a[name] + factor.reshape(-1, *(1,) * (a[name].ndim - 1)) * b[name] for name in a}
    return {name: a[name] + factor * b[name] for name in a}
