"""The released code's operators: the same numbers as PyTorch's own layers, item by item."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d, grid_sample

from blinddps_sci.operators import PublishedBlur, PublishedTurbulence


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def same(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Return the released code's blur of one item, (1, C, H, W)."""
    planes = [conv2d(image[:, c : c + 1], kernel, padding="same") for c in range(image.shape[1])]
    return torch.cat(planes, dim=1)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("size", [7, 8, 16])
def test_the_blur_is_the_layer_with_padding_same(size: int) -> None:
    image, kernel = draw(1, 3, 16, 16), draw(1, 1, size, size, seed=1).abs()
    kernel = kernel / kernel.sum()
    found = PublishedBlur().forward({"img": image, "kernel": kernel})
    torch.testing.assert_close(found, same(image, kernel), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_its_gradients_are_those_of_the_layer() -> None:
    image, kernel = draw(1, 3, 16, 16).requires_grad_(), draw(1, 1, 8, 8, seed=1).requires_grad_()
    weight = draw(1, 3, 16, 16, seed=2)
    found = torch.autograd.grad(
        PublishedBlur().forward({"img": image, "kernel": kernel}), (image, kernel), weight
    )
    expected = torch.autograd.grad(same(image, kernel), (image, kernel), weight)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_an_even_kernel_shifts_by_a_pixel_as_published() -> None:
    image = torch.zeros(1, 1, 16, 16)
    image[..., 8, 8] = 1
    kernel = torch.zeros(1, 1, 8, 8)
    kernel[..., 4, 4] = 1
    found = PublishedBlur().forward({"img": image, "kernel": kernel})
    assert found[0, 0, 7, 7] == pytest.approx(1, abs=1e-6)


def reference_warp(image: torch.Tensor, tilt: torch.Tensor) -> torch.Tensor:
    """Return the warp of one item pixel by pixel: bilinear, zero beyond the border."""
    height, width = image.shape[-2:]
    out = torch.zeros_like(image)
    for y in range(height):
        for x in range(width):
            py, px = y + float(tilt[0, 1, y, x]), x + float(tilt[0, 0, y, x])
            for qy in (int(py // 1), int(py // 1) + 1):
                for qx in (int(px // 1), int(px // 1) + 1):
                    if 0 <= qy < height and 0 <= qx < width:
                        out[..., y, x] += (1 - abs(py - qy)) * (1 - abs(px - qx)) * image[..., qy, qx]
    return out


def delta(size: int = 7) -> torch.Tensor:
    kernel = torch.zeros(1, 1, size, size)
    kernel[..., size // 2, size // 2] = 1
    return kernel


def test_the_warp_reads_at_the_pixel_plus_its_tilt() -> None:
    image, tilt = draw(1, 2, 12, 15), 2 * draw(1, 2, 12, 15, seed=1)
    found = PublishedTurbulence().forward({"img": image, "kernel": delta(), "tilt": tilt})
    torch.testing.assert_close(found, reference_warp(image, tilt), rtol=0, atol=1e-5)


def test_zero_tilt_is_the_blur_alone() -> None:
    image, kernel = draw(2, 3, 16, 16), draw(2, 1, 8, 8, seed=1)
    unknowns = {"img": image, "kernel": kernel, "tilt": torch.zeros(2, 2, 16, 16)}
    expected = PublishedBlur().forward({"img": image, "kernel": kernel})
    torch.testing.assert_close(PublishedTurbulence().forward(unknowns), expected, rtol=1e-5, atol=1e-5)


def test_the_sampling_grid_has_the_published_order_of_operations() -> None:
    image, tilt = draw(1, 1, 16, 16), draw(1, 2, 16, 16, seed=1)
    pixels = torch.arange(1, 17, dtype=torch.float32)
    columns, rows = pixels.expand(16, 16) + tilt[0, 0], pixels[:, None].expand(16, 16) + tilt[0, 1]
    grid = torch.stack([(p - 1 - 7.5) * 2 / 15 for p in (columns, rows)], dim=-1)[None]
    expected = grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    found = PublishedTurbulence().forward({"img": image, "kernel": delta(), "tilt": tilt})
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_items_are_independent_and_arguments_unchanged() -> None:
    unknowns = {
        "img": draw(4, 3, 16, 16),
        "kernel": draw(4, 1, 8, 8, seed=1),
        "tilt": draw(4, 2, 16, 16, seed=2),
    }
    before = {name: value.clone() for name, value in unknowns.items()}
    together = PublishedTurbulence().forward(unknowns)
    for b in range(4):
        alone = PublishedTurbulence().forward({name: value[b : b + 1] for name, value in unknowns.items()})
        torch.testing.assert_close(together[b : b + 1], alone, rtol=1e-5, atol=1e-5)
    assert all(torch.equal(unknowns[name], before[name]) for name in unknowns)


def test_gradients_reach_all_three() -> None:
    unknowns = {
        "img": draw(1, 3, 16, 16).requires_grad_(),
        "kernel": draw(1, 1, 8, 8, seed=1).requires_grad_(),
        "tilt": draw(1, 2, 16, 16, seed=2).requires_grad_(),
    }
    norm = PublishedTurbulence().forward(unknowns).norm()
    for gradient in torch.autograd.grad(norm, list(unknowns.values())):
        assert torch.isfinite(gradient).all()
        assert gradient.abs().sum() > 0
