"""The kernel's gauge: centroid on the centre pixel, non-negative, sum one, with gradients."""

from __future__ import annotations

import pytest
import torch

from blinddps_sci.operators import centroid, recentre, recentre_sharp


def spot(size: int, y: float, x: float, width: float = 1.5) -> torch.Tensor:
    """Return a Gaussian spot at (y, x) from the centre pixel."""
    q = torch.arange(size, dtype=torch.float64) - size // 2
    rows, columns = (torch.exp(-0.5 * ((q - p) / width) ** 2) for p in (y, x))
    return rows[:, None] * columns[None, :]


@pytest.mark.parametrize("size", [31, 32])
def test_the_centroid_is_counted_from_the_centre_pixel(size: int) -> None:
    delta = torch.zeros(size, size)
    delta[size // 2, size // 2] = 3
    torch.testing.assert_close(centroid(delta), torch.zeros(2))
    found = centroid(spot(size, 1.3, -2.6))
    torch.testing.assert_close(found, torch.tensor([1.3, -2.6], dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [31, 32])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (1.0, -2.0), (0.37, -0.81), (-3.2, 2.5)])
def test_recentring_puts_the_centroid_on_the_centre(size: int, offset: tuple[float, float]) -> None:
    centred = recentre(spot(size, *offset))
    assert centroid(centred).abs().max() < 1e-3
    assert centred.min() >= 0
    assert centred.sum() == pytest.approx(1, abs=1e-9)


def test_a_whole_shift_does_not_blur() -> None:
    shifted, centred = spot(32, 2, -3), spot(32, 0, 0)
    torch.testing.assert_close(recentre(shifted), centred / centred.sum(), rtol=0, atol=1e-6)


def test_a_fraction_of_a_pixel_widens_a_kernel_by_no_more_than_a_quarter_square_pixel() -> None:
    centred = recentre(spot(32, 0.5, 0.0))
    q = torch.arange(32, dtype=torch.float64) - 16
    assert float((centred.sum(dim=1) * q**2).sum()) == pytest.approx(1.5**2 + 0.25, abs=1e-3)
    assert float((centred.sum(dim=0) * q**2).sum()) == pytest.approx(1.5**2, abs=1e-3)


@pytest.mark.parametrize("size", [31, 32])
@pytest.mark.parametrize("offset", [(0.5, 0.0), (0.37, -0.81), (-3.2, 2.5)])
def test_the_sharp_shift_moves_a_kernel_as_it_is(size: int, offset: tuple[float, float]) -> None:
    centred = spot(size, 0, 0)
    torch.testing.assert_close(
        recentre_sharp(spot(size, *offset)), centred / centred.sum(), rtol=0, atol=1e-4
    )


def test_the_sharp_shift_of_a_single_pixel_rings() -> None:
    """Its sum is one all the same, and what is positive stays where it should be."""
    kernel = torch.zeros(2, 16, 16, dtype=torch.float64)
    kernel[0, 8, 8] = kernel[1, 8, 8] = kernel[1, 8, 9] = 1.0
    moved = recentre_sharp(kernel)
    assert moved[1].min() < 0
    torch.testing.assert_close(moved.sum(dim=(-2, -1)), torch.ones(2, dtype=torch.float64))
    assert centroid(moved.clamp(min=0)).abs().max() < 0.02
    torch.testing.assert_close(moved[0], kernel[0])


def test_mass_that_leaves_the_grid_is_corrected_for() -> None:
    # a faint level at the border drops off: one shift alone would leave 0.03 pixel
    kernel = spot(16, 3.0, 0.0) + 1e-3
    assert centroid(kernel)[0] > 2.9
    assert centroid(recentre(kernel)).abs().max() < 1e-3


def test_planes_are_shifted_on_their_own() -> None:
    kernels = torch.stack([spot(20, 1.2, 0.3), spot(20, -2.5, 1.1), spot(20, 0, 0)])[:, None]
    together = recentre(kernels)
    singles = torch.stack([recentre(kernel) for kernel in kernels])
    torch.testing.assert_close(together, singles)
    assert centroid(together).abs().max() < 1e-3


# PyTorch's own forward mode compiles with what PyTorch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_gradients_are_right() -> None:
    kernel = (spot(6, 0.3, -0.4, 0.8) + 0.01).requires_grad_()
    assert torch.autograd.gradcheck(recentre, (kernel,), check_forward_ad=True)
    assert torch.autograd.gradcheck(centroid, (kernel,), check_forward_ad=True)


def test_a_centred_kernel_still_tells_where_it_would_go() -> None:
    kernel = torch.zeros(9, 9, dtype=torch.float64)
    kernel[4, 4] = 1
    kernel.requires_grad_()
    (gradient,) = torch.autograd.grad((recentre(kernel)[4:6, 4] * torch.tensor([0.0, 1.0])).sum(), kernel)
    assert gradient.abs().sum() > 0


def test_an_empty_kernel_gives_no_nan() -> None:
    assert torch.isfinite(recentre(torch.zeros(1, 1, 8, 8))).all()
    assert centroid(torch.zeros(8, 8)).eq(0).all()


def test_the_argument_is_not_changed() -> None:
    kernel = spot(12, 1.2, 0.3)
    before = kernel.clone()
    recentre(kernel)
    assert torch.equal(kernel, before)
