"""Cutting boxes out of images and adding them back: two linear maps, each the other's adjoint.

A blur that varies over the field works on one box per kernel. PyTorch's own slicing would fill
a whole image per box in the backward pass; these cost the boxes' area in both directions and
add in a fixed order, so that a result does not depend on the device's scheduling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["Corner", "cut", "paste"]

Corner = tuple[int, int]
"""(y, x) of a box's first pixel; may be negative."""


def cut(image: Tensor, corners: Sequence[Corner], size: tuple[int, int]) -> Tensor:
    """Return boxes of one size, zero beyond the image.

    Parameters
    ----------
    image : Tensor, (B, C, H, W)
        Any floating point type.
    corners : sequence of (y, x), length G
        First pixel of each box.
    size : tuple of int
        (h, w) of the boxes.

    Returns
    -------
    Tensor, (G, B, C, h, w)
        Differentiable to any order, in forward and reverse mode.
    """
    if not torch.is_grad_enabled():
        return _cut(image, corners, size)
    boxes: Tensor = _Cut.apply(image, tuple(corners), size)  # type: ignore[no-untyped-call]
    return boxes


def paste(patches: Tensor, corners: Sequence[Corner], shape: tuple[int, int]) -> Tensor:
    """Add boxes into an image of zeros; what lies beyond it is dropped.

    Parameters
    ----------
    patches : Tensor, (G, B, C, h, w)
        Any floating point type.
    corners : sequence of (y, x), length G
        First pixel of each box.
    shape : tuple of int
        (H, W) of the image.

    Returns
    -------
    Tensor, (B, C, H, W)
        Differentiable to any order, in forward and reverse mode.
    """
    if not torch.is_grad_enabled():
        return _paste(patches, corners, shape)
    image: Tensor = _Paste.apply(patches, tuple(corners), shape)  # type: ignore[no-untyped-call]
    return image


def _cut(image: Tensor, corners: Sequence[Corner], size: tuple[int, int]) -> Tensor:
    patches = image.new_zeros((len(corners), *image.shape[:2], *size))
    for patch, corner in zip(patches, corners, strict=True):
        inside, within = _overlap(corner, size, image.shape[-2:])
        patch[(..., *within)] = image[(..., *inside)]
    return patches


def _paste(patches: Tensor, corners: Sequence[Corner], shape: tuple[int, int]) -> Tensor:
    image = patches.new_zeros((*patches.shape[1:3], *shape))
    for patch, corner in zip(patches, corners, strict=True):
        inside, within = _overlap(corner, patches.shape[-2:], shape)
        image[(..., *inside)] += patch[(..., *within)]
    return image


class _Cut(torch.autograd.Function):
    @staticmethod
    def forward(image: Tensor, corners: tuple[Corner, ...], size: tuple[int, int]) -> Tensor:
        return _cut(image, corners, size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        image, ctx.corners, ctx.size = inputs
        ctx.shape = tuple(image.shape[-2:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return paste(gradient, ctx.corners, ctx.shape), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return cut(tangent, ctx.corners, ctx.size)


class _Paste(torch.autograd.Function):
    @staticmethod
    def forward(patches: Tensor, corners: tuple[Corner, ...], shape: tuple[int, int]) -> Tensor:
        return _paste(patches, corners, shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        patches, ctx.corners, ctx.shape = inputs
        ctx.size = tuple(patches.shape[-2:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return cut(gradient, ctx.corners, ctx.size), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return paste(tangent, ctx.corners, ctx.shape)


def _overlap(
    corner: Corner, size: Sequence[int], shape: Sequence[int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the part of a box that lies in an image: in the image's pixels and in the box's."""
    inside, within = [], []
    for start, length, limit in zip(corner, size, shape, strict=True):
        low = min(max(start, 0), limit)
        high = max(min(start + length, limit), low)
        inside.append(slice(low, high))
        within.append(slice(low - start, high - start) if high > low else slice(0, 0))
    return (inside[0], inside[1]), (within[0], within[1])
