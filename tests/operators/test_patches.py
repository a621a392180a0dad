"""Cutting and pasting boxes: adjoint to each other and differentiable in every mode."""

from __future__ import annotations

import pytest
import torch

from blinddps_sci.operators.patches import cut, paste

CORNERS = [(0, 0), (-2, 3), (4, 5), (20, 1), (-9, -9), (4, 5)]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_box_holds_the_images_pixels_and_zeros_beyond() -> None:
    image = draw(2, 1, 8, 9)
    boxes = cut(image, CORNERS, (5, 6))
    assert boxes.shape == (6, 2, 1, 5, 6)
    torch.testing.assert_close(boxes[0], image[..., :5, :6])
    torch.testing.assert_close(boxes[1][..., 2:, :], image[..., :3, 3:9])
    assert boxes[1][..., :2, :].eq(0).all()
    assert boxes[3].eq(0).all()
    assert boxes[4].eq(0).all()


def test_boxes_add_where_they_overlap() -> None:
    image = paste(torch.ones(2, 1, 1, 3, 3), [(0, 0), (2, 2)], (5, 5))
    assert image[0, 0, 2, 2] == 2
    assert image.sum() == 18


def test_cut_and_paste_are_adjoint() -> None:
    image, boxes = draw(2, 3, 8, 9), draw(6, 2, 3, 5, 6, seed=1)
    torch.testing.assert_close(
        (cut(image, CORNERS, (5, 6)) * boxes).sum(), (image * paste(boxes, CORNERS, (8, 9))).sum()
    )


# PyTorch's own forward mode compiles with what PyTorch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_gradients_are_right_in_both_modes_and_orders() -> None:
    image = draw(1, 1, 6, 5).requires_grad_()
    boxes = draw(6, 1, 1, 3, 4).requires_grad_()
    for function, value in (
        (lambda x: cut(x, CORNERS, (3, 4)) ** 2, image),
        (lambda p: paste(p, CORNERS, (6, 5)) ** 2, boxes),
    ):
        assert torch.autograd.gradcheck(function, (value,), check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, (value,))


def test_arguments_are_not_changed() -> None:
    image, boxes = draw(1, 1, 6, 5), draw(6, 1, 1, 3, 4)
    before = image.clone(), boxes.clone()
    cut(image, CORNERS, (3, 4)).add_(1)
    paste(boxes, CORNERS, (6, 5)).add_(1)
    assert torch.equal(image, before[0])
    assert torch.equal(boxes, before[1])
