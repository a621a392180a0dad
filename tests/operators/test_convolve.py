"""Convolution: SciPy's orientation, one centre for odd and even kernels, exact adjoints."""

from __future__ import annotations

import pytest
import torch
from scipy.signal import convolve as scipy_convolve

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.operators import convolve, convolve_adjoint_image, convolve_adjoint_kernel

SIZES = [(1, 1), (3, 3), (4, 4), (5, 8), (8, 5), (7, 2)]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("extra", [0, 3])
def test_it_is_the_convolution_of_scipy(size: tuple[int, int], extra: int) -> None:
    image, kernel = draw(2, 3, 30, 37), draw(2, 1, *size, seed=1)
    margin = max(size) // 2 + extra
    found = convolve(image, kernel, margin)
    for b in range(2):
        for c in range(3):
            full = scipy_convolve(image[b, c].numpy(), kernel[b, 0].numpy(), mode="full", method="direct")
            top, left = size[0] // 2, size[1] // 2
            same = torch.from_numpy(full)[top : top + 30, left : left + 37]
            expected = same[margin : 30 - margin, margin : 37 - margin]
            torch.testing.assert_close(found[b, c], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_a_delta_at_the_centre_is_the_identity(size: tuple[int, int]) -> None:
    image = draw(1, 1, 21, 22)
    delta = torch.zeros(1, 1, *size, dtype=torch.float64)
    delta[..., size[0] // 2, size[1] // 2] = 1
    margin = max(size) // 2
    torch.testing.assert_close(
        convolve(image, delta, margin), image[..., margin : 21 - margin, margin : 22 - margin]
    )


def test_a_delta_below_and_right_of_the_centre_moves_the_image_down_and_right() -> None:
    image = torch.zeros(1, 1, 15, 15)
    image[..., 7, 7] = 1
    kernel = torch.zeros(1, 1, 6, 6)
    kernel[..., 3 + 1, 3 + 2] = 1
    moved = convolve(image, kernel, 3)
    assert moved[0, 0, 7 - 3 + 1, 7 - 3 + 2] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("size", [6, 7])
def test_a_flat_image_stays_flat_up_to_its_border(size: int) -> None:
    kernel = draw(1, 1, size, size).abs()
    blurred = convolve(torch.full((1, 1, 20, 20), 3.0).double(), kernel / kernel.sum(), size // 2)
    torch.testing.assert_close(blurred, torch.full_like(blurred, 3.0))


def test_channels_may_have_kernels_of_their_own() -> None:
    image, kernel = draw(2, 3, 16, 16), draw(2, 3, 5, 5, seed=1)
    single = [convolve(image[:, c : c + 1], kernel[:, c : c + 1], 2) for c in range(3)]
    torch.testing.assert_close(convolve(image, kernel, 2), torch.cat(single, dim=1))


def test_items_are_independent() -> None:
    image, kernel = draw(8, 1, 24, 20), draw(8, 1, 6, 6, seed=1)
    singles = [convolve(image[b : b + 1], kernel[b : b + 1], 3) for b in range(8)]
    torch.testing.assert_close(convolve(image, kernel, 3), torch.cat(singles), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("extra", [0, 3])
def test_adjoints_satisfy_the_dot_product_identity(size: tuple[int, int], extra: int) -> None:
    margin = max(size) // 2 + extra
    image, kernel = draw(2, 3, 30, 37), draw(2, 1, *size, seed=1)
    forward = convolve(image, kernel, margin)
    residual = draw(*forward.shape, seed=2)
    product = (forward * residual).sum()
    by_image = (image * convolve_adjoint_image(residual, kernel, margin)).sum()
    by_kernel = (kernel * convolve_adjoint_kernel(residual, image, size, margin)).sum()
    torch.testing.assert_close(by_image, product)
    torch.testing.assert_close(by_kernel, product)


def test_adjoints_are_what_differentiation_finds() -> None:
    image, kernel = draw(1, 1, 18, 19).requires_grad_(), draw(1, 1, 4, 5, seed=1).requires_grad_()
    forward = convolve(image, kernel, 3)
    residual = draw(*forward.shape, seed=2)
    by_image, by_kernel = torch.autograd.grad(forward, (image, kernel), residual)
    torch.testing.assert_close(convolve_adjoint_image(residual, kernel, 3), by_image)
    torch.testing.assert_close(convolve_adjoint_kernel(residual, image, (4, 5), 3), by_kernel)


# PyTorch's own forward mode compiles with what PyTorch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_gradients_are_right_in_both_modes() -> None:
    image, kernel = draw(1, 2, 9, 8).requires_grad_(), draw(1, 1, 4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, k: convolve(x, k, 2), (image, kernel), check_forward_ad=True)


def test_single_precision_is_accurate_to_rounding() -> None:
    image, kernel = draw(1, 1, 150, 150).abs(), draw(1, 1, 64, 64, seed=1).abs()
    kernel = kernel / kernel.sum()
    exact = convolve(image, kernel, 32)
    found = convolve(image.float(), kernel.float(), 32)
    assert found.dtype == torch.float32
    assert (found - exact).abs().max() < 1e-6


@pytest.mark.parametrize("margin", [2, 10])
def test_a_margin_that_is_too_small_or_leaves_nothing_is_refused(margin: int) -> None:
    with pytest.raises(ConfigError, match=r"give at least 3 .* at most 9"):
        convolve(draw(1, 1, 20, 20), draw(1, 1, 6, 6), margin)
    with pytest.raises(ConfigError):
        convolve_adjoint_kernel(draw(1, 1, 4, 4), draw(1, 1, 20, 20), (6, 6), margin)


def test_the_adjoint_refuses_a_small_margin_too() -> None:
    with pytest.raises(ConfigError, match="give at least 8"):
        convolve_adjoint_image(draw(1, 1, 10, 10), draw(1, 1, 16, 16), 2)


def test_shapes_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(InputError, match="four axes"):
        convolve(draw(20, 20), draw(1, 1, 3, 3), 1)
    with pytest.raises(InputError, match="one kernel per item"):
        convolve(draw(2, 1, 20, 20), draw(2, 5, 3, 3), 1)
    with pytest.raises(InputError, match="one kernel per item"):
        convolve(draw(2, 1, 20, 20), draw(3, 1, 3, 3), 1)
    with pytest.raises(InputError, match="residual of shape"):
        convolve_adjoint_kernel(draw(1, 1, 9, 9), draw(1, 1, 20, 20), (3, 3), 1)
