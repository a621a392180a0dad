"""Maps to physical units: gauges per item, inverses, preconditioning; penalties with a gradient."""

from __future__ import annotations

import pytest
import torch

from blinddps_sci.errors import ConfigError
from blinddps_sci.operators import AsinhStretch, LinearStretch, centroid
from blinddps_sci.priors.error import Root, error_root
from blinddps_sci.priors.uninformative import UniformPrior
from blinddps_sci.sampling.noise import Site
from blinddps_sci.sampling.unknown import Identity, ImageMap, KernelMap, Sparsity, TiltMap, Unknown

STRETCHES = [LinearStretch(-2.0, 10.0), AsinhStretch(0.0, 1000.0, 5.0)]


def blobs(items: int, planes: int, size: int = 16) -> torch.Tensor:
    """Return peaked kernels off the centre, on the network's domain."""
    places = torch.arange(size, dtype=torch.float64) - size // 2
    y0, x0 = torch.rand(2, items, planes, 1, dtype=torch.float64) * 4 - 2
    rows = torch.exp(-((places - y0) ** 2) / 4)
    columns = torch.exp(-((places - x0) ** 2) / 6)
    return 2 * rows[..., :, None] * columns[..., None, :] - 1


def test_kernels_are_non_negative_and_sum_to_one_each() -> None:
    # the last two items differ in scale: a sum over the batch would be seen
    z = torch.rand(4, 3, 9, 9) * 2 - 1.3
    z[2] = -1 + 1e-3 * torch.rand(3, 9, 9)
    z[3] = 1 - 1e-3 * torch.rand(3, 9, 9)
    for map_ in (KernelMap(), KernelMap(centred=False)):
        kernel = map_(z)
        assert kernel.min() >= 0
        torch.testing.assert_close(kernel.sum(dim=(-2, -1)), torch.ones(4, 3))
        torch.testing.assert_close(torch.cat([map_(z[i : i + 1]) for i in range(4)]), kernel)


@pytest.mark.parametrize("size", [15, 16])
def test_the_centroid_is_zero(size: int) -> None:
    z = blobs(5, 2, size)
    assert centroid(KernelMap(centred=False)(z)).abs().max() > 0.5
    assert centroid(KernelMap()(z)).abs().max() < 1e-3


def test_mixing_averages_the_kernels_of_the_nodes() -> None:
    z = blobs(2, 3)
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.5, 0.25], [0.0, 0.5, 0.5]])
    apart = KernelMap(centred=False)(z)
    mixed = KernelMap(centred=False, mixing=rows)(z)
    torch.testing.assert_close(mixed[:, 0], apart[:, 0])
    torch.testing.assert_close(mixed[:, 1], 0.25 * apart[:, 0] + 0.5 * apart[:, 1] + 0.25 * apart[:, 2])
    torch.testing.assert_close(mixed.sum(dim=(-2, -1)), torch.ones(2, 3, dtype=torch.float64))
    assert centroid(KernelMap(mixing=rows)(z)).abs().max() < 1e-3


@pytest.mark.parametrize("power", [1, 2])
def test_a_centred_kernel_survives_the_way_back_and_forth(power: int) -> None:
    map_ = KernelMap(power=power)
    kernel = map_(blobs(3, 2))
    z = map_.inverse(kernel)
    assert float(z.amax()) == 1
    assert float(z.amin()) >= -1
    torch.testing.assert_close(map_(z), kernel, atol=1e-5, rtol=1e-4)


def test_amplitudes_are_square_roots_of_kernels() -> None:
    z = blobs(3, 2)
    amplitude = (z + 1) / 2
    expected = amplitude**2 / (amplitude**2).sum(dim=(-2, -1), keepdim=True)
    torch.testing.assert_close(KernelMap(centred=False, power=2)(z), expected)
    # The sign of an amplitude says nothing.
    torch.testing.assert_close(KernelMap(centred=False, power=2)(-2 - z), expected)


@pytest.mark.parametrize("stretch", STRETCHES)
def test_the_image_survives_the_way_back_and_forth(stretch) -> None:
    z = torch.linspace(-1.2, 1.5, 101, dtype=torch.float64)
    flux = ImageMap(stretch)(z)
    torch.testing.assert_close(ImageMap(stretch).inverse(flux), z)
    ends = ImageMap(stretch)(torch.tensor([-1.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(ends, torch.tensor([stretch.low, stretch.high], dtype=torch.float64))


@pytest.mark.parametrize("stretch", STRETCHES)
def test_precondition_divides_by_the_square_of_the_relative_slope(stretch) -> None:
    image = ImageMap(stretch)
    z = torch.linspace(-1, 1.2, 23, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(image(z).sum(), z)
    relative = slope / ((stretch.high - stretch.low) / 2)
    gradient = torch.ones_like(slope)
    expected = gradient / torch.where(relative > 1, relative, 1.0) ** 2
    torch.testing.assert_close(image.precondition(z.detach(), gradient), expected)
    if isinstance(stretch, AsinhStretch):
        assert relative.min() < 0.2
        assert expected.min() < 0.2
    else:
        assert torch.equal(expected, gradient)


# --- the Gaussian about an estimate ---


def diagonal_root(estimate: torch.Tensor, seed: int = 4) -> Root:
    """Return independent deviations between 0.01 and 0.1."""
    generator = torch.Generator().manual_seed(seed)
    deviation = 0.01 + 0.09 * torch.rand(estimate.shape, generator=generator, dtype=estimate.dtype)
    return Root(lambda v: deviation * v, lambda v: deviation * v)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("centred", [True, False])
def test_kernels_are_drawn_with_a_sum_of_one(power: int, centred: bool) -> None:
    estimate = blobs(4, 3, 9)
    local = KernelMap(centred=centred, power=power).local(estimate, diagonal_root(estimate))
    ones = torch.ones(4, 3, dtype=torch.float64)
    torch.testing.assert_close(local.origin.sum(dim=(-2, -1)), ones)
    assert local.origin.dtype == local.root.apply(estimate).dtype == torch.float64
    for seed in range(3):
        noise = torch.randn(estimate.shape, generator=torch.Generator().manual_seed(seed)).double()
        draw = local.origin + local.root.apply(noise)
        assert (draw - local.origin).abs().max() > 1e-4
        torch.testing.assert_close(draw.sum(dim=(-2, -1)), ones, atol=1e-13, rtol=0)
        torch.testing.assert_close(local.physical(draw).sum(dim=(-2, -1)), ones)


def test_draws_of_centred_kernels_keep_their_middle() -> None:
    estimate = blobs(4, 3, 32)
    local = KernelMap(power=2).local(estimate, diagonal_root(estimate))
    place = (torch.arange(32) - 16).double()
    window = torch.exp(-0.5 * (place * 6 / 32) ** 2)
    noise = torch.randn(estimate.shape, generator=torch.Generator().manual_seed(1)).double()
    for kernel in (local.origin, local.origin + local.root.apply(noise)):
        for moment in (torch.outer(place * window, window), torch.outer(window, place * window)):
            assert (kernel * moment).sum(dim=(-2, -1)).abs().max() < 1e-10
        torch.testing.assert_close(kernel.sum(dim=(-2, -1)), torch.ones(4, 3).double())


@pytest.mark.parametrize("power", [1, 2])
def test_the_root_of_kernels_has_an_adjoint(power: int) -> None:
    estimate = blobs(1, 1, 5)
    root = KernelMap(power=power).local(estimate, diagonal_root(estimate)).root
    eye = torch.eye(25, dtype=torch.float64).reshape(25, 1, 5, 5)
    forward, backward = (part(eye).reshape(25, 25) for part in (root.apply, root.adjoint))
    torch.testing.assert_close(forward, backward.T)


@pytest.mark.parametrize("power", [1, 2])
def test_the_gaussian_has_the_moments_of_the_kernel_given_its_sum(power: int) -> None:
    """Against draws of the amplitude: the mean, and the covariance conditioned on the sum."""
    estimate = blobs(1, 1, 4) * 0.8
    root, items = diagonal_root(estimate), 200_000
    noise = torch.randn(items, 1, 4, 4, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    drawn = ((estimate + root.apply(noise) + 1) / 2) ** power
    drawn = drawn.reshape(items, 16)
    mean, variance = drawn.mean(dim=0), drawn.var(dim=0)
    local = KernelMap(centred=False, power=power).local(estimate, root)
    total = mean.sum()
    torch.testing.assert_close(local.origin.flatten(), mean / total, rtol=1e-2, atol=1e-4)
    free = torch.diag(variance) / total**2
    expected = free - torch.outer(free.sum(dim=0), free.sum(dim=0)) / free.sum()
    eye = torch.eye(16, dtype=torch.float64).reshape(16, 1, 4, 4)
    matrix = local.root.apply(eye).reshape(16, 16).T
    torch.testing.assert_close(matrix @ matrix.T, expected, rtol=0.05, atol=0.01 * float(expected.max()))


@pytest.mark.parametrize("power", [1, 2])
def test_kernels_return_to_the_domain_with_their_peak_at_one(power: int) -> None:
    free = KernelMap(centred=False, power=power)
    estimate = free.inverse(KernelMap(power=power)(blobs(4, 2)))
    faint = Root(lambda v: 1e-3 * v, lambda v: 1e-3 * v)
    local = free.local(estimate, faint)
    back = local.domain(local.origin)
    assert back.min() >= -1
    torch.testing.assert_close(back.amax(dim=(-2, -1)), torch.ones(4, 2).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(back, estimate, atol=5e-3, rtol=0)
    # Noise raises the maximum and not the scale.
    wide = Root(lambda v: 0.05 * v, lambda v: 0.05 * v)
    local = free.local(estimate, wide)
    noise = torch.randn(estimate.shape, generator=torch.Generator().manual_seed(2)).double()
    draw = local.domain(local.origin + local.root.apply(noise))
    bright = estimate > 0.5
    assert (draw - estimate)[bright].mean().abs() < 0.04


def test_the_slope_of_shared_kernels_is_that_of_the_map() -> None:
    mixing = torch.tensor([[0.7, 0.3], [0.2, 0.8]])
    estimate = blobs(2, 2, 8)
    local = KernelMap(mixing=mixing, power=2).local(estimate, diagonal_root(estimate))
    change = torch.randn(estimate.shape, generator=torch.Generator().manual_seed(3)).double()
    change -= change.mean(dim=(-2, -1), keepdim=True)
    step = 1e-6 * change / change.abs().amax() * local.origin.amax()
    ahead, behind = (local.physical(local.origin + sign * step) for sign in (1, -1))
    slope = local.jacobian(local.origin)
    torch.testing.assert_close(slope.apply(2 * step), ahead - behind, atol=1e-11, rtol=1e-4)
    other = torch.randn(estimate.shape, generator=torch.Generator().manual_seed(4)).double()
    torch.testing.assert_close((slope.apply(change) * other).sum(), (change * slope.adjoint(other)).sum())


@pytest.mark.parametrize("stretch", STRETCHES)
def test_the_image_is_drawn_in_flux(stretch) -> None:
    z = torch.linspace(-1.2, 1.5, 24, dtype=torch.float64).reshape(1, 1, 4, 6)
    root = error_root(None, z, 0.2)
    local = ImageMap(stretch).local(z, root)
    torch.testing.assert_close(local.origin, stretch.inverse(z))
    torch.testing.assert_close(local.domain(local.origin), z)
    assert torch.equal(local.physical(local.origin), local.origin)
    change = torch.randn(z.shape, generator=torch.Generator().manual_seed(1)).double()
    automatic = Identity.jacobian(ImageMap(stretch), z)
    torch.testing.assert_close(local.root.apply(change), automatic.apply(root.apply(change)))
    torch.testing.assert_close(local.root.adjoint(change), root.adjoint(automatic.adjoint(change)))
    slope = local.jacobian(local.origin)
    assert torch.equal(slope.apply(change), change)
    assert torch.equal(slope.adjoint(change), change)


def test_tilts_have_no_mean_and_a_stated_scale() -> None:
    z = torch.randn(3, 2, 6, 7) + 0.4
    tilt = TiltMap(2.5)(z)
    assert tilt.mean(dim=(-2, -1)).abs().max() < 1e-6
    torch.testing.assert_close(tilt, 2.5 * (z - z.mean(dim=(-2, -1), keepdim=True)))
    torch.testing.assert_close(TiltMap(2.5)(TiltMap(2.5).inverse(tilt)), tilt)


def test_tilts_of_frames_average_to_zero_over_the_frames() -> None:
    z = torch.randn(2, 6, 4, 5) + 0.4
    gauge = TiltMap(2.0, frames=3)
    tilt = gauge(z).unflatten(1, (3, 2))
    assert tilt.mean(dim=1).abs().max() < 1e-6
    torch.testing.assert_close(tilt[:, 0] - tilt[:, 1], 2 * (z[:, 0:2] - z[:, 2:4]))
    placed = TiltMap(2.0, frames=3, mean=(0.5, -1.0))
    torch.testing.assert_close(
        placed(z) - gauge(z), torch.tensor([0.5, -1.0] * 3)[:, None, None].expand_as(z)
    )
    torch.testing.assert_close(placed(placed.inverse(placed(z))), placed(z))
    torch.testing.assert_close(placed.jacobian(z).apply(z), gauge(z))
    own, automatic = gauge.jacobian(z), Identity.jacobian(gauge, z)
    change = torch.randn_like(z)
    torch.testing.assert_close(own.apply(change), automatic.apply(change))
    torch.testing.assert_close(own.adjoint(change), automatic.adjoint(change))


def test_identity_is_identity() -> None:
    z = torch.randn(2, 1, 3, 3)
    for found in (Identity()(z), Identity().inverse(z), Identity().precondition(z + 1, z)):
        assert torch.equal(found, z)


def sparsity_gradient(z: torch.Tensor, order: float, *, published: bool) -> torch.Tensor:
    """Return the penalty's gradient, on the kernel before (ours) or after it is normalised."""
    z = z.clone().requires_grad_()
    seen = 2 * KernelMap(centred=False)(z) - 1 if published else z
    (gradient,) = torch.autograd.grad(Sparsity(1.0, order)(seen).sum(), z)
    return gradient


@pytest.mark.parametrize("order", [1.0, 0.5])
def test_sparsity_has_a_gradient_that_favours_few_bright_pixels(order: float) -> None:
    z = blobs(2, 1)
    gradient = sparsity_gradient(z, order, published=False)
    assert gradient.min() > 0.1
    if order < 1:
        # a faint pixel is pushed down more than a bright one
        faint, bright = gradient[z < -0.99].mean(), gradient[z > 0].mean()
        assert faint > 3 * bright


def test_the_published_placement_of_the_sparsity_has_none() -> None:
    # The first power of a kernel that sums to one is one, whatever the kernel is.
    z = blobs(2, 1)
    assert sparsity_gradient(z, 1.0, published=True).abs().max() < 1e-15
    assert sparsity_gradient(z, 1.0, published=False).abs().max() == 0.5


def test_sparsity_is_per_item_and_has_a_closed_form() -> None:
    z = torch.rand(3, 2, 4, 4, dtype=torch.float64) * 2 - 1
    expected = 0.7 * torch.stack([(((item + 1) / 2 + 1e-3) ** 0.5).sum() for item in z])
    torch.testing.assert_close(Sparsity(0.7, 0.5)(z), expected)


def test_planes_have_places_of_their_own() -> None:
    unknown = Unknown(UniformPrior(), (3, 4, 4))
    assert unknown.sites == (Site(component=0), Site(component=1), Site(component=2))
    with pytest.raises(ConfigError, match="2 sites were given for an unknown of 3 planes"):
        Unknown(UniformPrior(), (3, 4, 4), sites=(Site(), Site(1, 1)))


@pytest.mark.parametrize("power", [1, 2])
def test_a_kernel_of_nothing_and_a_negative_draw_stay_finite(power: int) -> None:
    kernel_map = KernelMap(centred=False, power=power)
    deviation = torch.full((1, 1, 8, 8), 0.2)
    root = Root(lambda v: deviation * v, lambda v: deviation * v)
    local = kernel_map.local(torch.full((1, 1, 8, 8), -1.0), root)
    assert torch.isfinite(local.origin).all()
    negative = torch.full((1, 1, 8, 8), -0.5)
    negative[..., 0, 0] = 0.1
    assert torch.isfinite(local.domain(negative)).all()
    assert local.domain(negative).abs().max() < 1e4
