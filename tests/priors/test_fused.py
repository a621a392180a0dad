"""Fusion of tiles: with a local prior no grid of tiles can be seen, neither in the gradient."""

from __future__ import annotations

import pytest
import torch

from blinddps_sci.priors import fused
from blinddps_sci.priors.fused import FusedPrior, PlanewisePrior, TileWindow
from blinddps_sci.priors.gaussian import GaussianPrior
from blinddps_sci.priors.uninformative import IndependentGaussianPrior, UniformPrior
from blinddps_sci.priors.wrap import EDMDenoiser

HEIGHT, WIDTH = 21, 18


def spans(length: int, tile: int, step: int) -> list[tuple[slice, torch.Tensor]]:
    """Return tiles along one axis with triangular windows that sum to one."""
    starts = [*range(0, length - tile, step), length - tile]
    ramps = torch.zeros(len(starts), length)
    shape = 1 + torch.minimum(torch.arange(tile), torch.arange(tile).flip(0)).float()
    for ramp, start in zip(ramps, starts, strict=True):
        ramp[start : start + tile] = shape
    ramps /= ramps.sum(dim=0)
    return [(slice(s, s + tile), ramp[s : s + tile]) for ramp, s in zip(ramps, starts, strict=True)]


def grid(tile: int, step: int) -> list[TileWindow]:
    return [
        TileWindow(y, x, torch.outer(wy, wx))
        for y, wy in spans(HEIGHT, tile, step)
        for x, wx in spans(WIDTH, tile, step)
    ]


def evaluate(prior, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the estimate and the gradient of a sum of its squares."""
    inputs = x.clone().requires_grad_()
    estimate = prior(inputs, sigma)
    (gradient,) = torch.autograd.grad((estimate**2).sum(), inputs)
    return estimate.detach(), gradient


@pytest.fixture
def canvas() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, 3, HEIGHT, WIDTH), torch.tensor([0.3, 2.0])


@pytest.mark.parametrize(("tile", "step"), [(18, 18), (9, 5), (6, 6), (7, 3)])
@pytest.mark.parametrize("local", [UniformPrior(), IndependentGaussianPrior(0.1, 0.6)])
def test_a_local_prior_does_not_see_the_tiles(canvas, local, tile: int, step: int) -> None:
    estimate, gradient = evaluate(local, *canvas)
    fused, fused_gradient = evaluate(FusedPrior(local, grid(tile, step)), *canvas)
    torch.testing.assert_close(fused, estimate, atol=1e-6, rtol=0)
    torch.testing.assert_close(fused_gradient, gradient, atol=1e-6, rtol=1e-6)


def test_a_network_is_the_weighted_mean_of_its_tiles(make_net, canvas) -> None:
    x, sigma = canvas[0][:, :1], canvas[1]
    net, tiles = EDMDenoiser(make_net()), grid(10, 6)
    expected = torch.zeros_like(x)
    for tile in tiles:
        expected[..., tile.y, tile.x] += tile.weight * net(x[..., tile.y, tile.x], sigma)
    with torch.no_grad():
        without = FusedPrior(net, tiles)(x, sigma)
    estimate, _ = evaluate(FusedPrior(net, tiles), x, sigma)
    torch.testing.assert_close(estimate, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(without, expected, atol=1e-5, rtol=1e-5)


def test_recomputed_tiles_give_the_gradient_of_plain_ones(make_net, canvas) -> None:
    x, sigma = canvas[0][:, :1], canvas[1]
    net, tiles = EDMDenoiser(make_net()), grid(10, 6)

    def plain(values: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        fused = torch.zeros_like(values)
        for tile in tiles:
            margins = (tile.x.start, WIDTH - tile.x.stop, tile.y.start, HEIGHT - tile.y.stop)
            part = tile.weight * net(values[..., tile.y, tile.x], level)
            fused = fused + torch.nn.functional.pad(part, margins)
        return fused

    _, gradient = evaluate(FusedPrior(net, tiles), x, sigma)
    torch.testing.assert_close(gradient, evaluate(plain, x, sigma)[1], atol=1e-5, rtol=1e-5)


def test_the_activations_of_one_tile_are_held_at_a_time(canvas) -> None:
    calls = []

    def counted(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        calls.append(x.shape)
        return x.sin()

    tiles = grid(9, 5)
    fused = FusedPrior(counted, tiles)
    with torch.no_grad():
        fused(*canvas)
    assert len(calls) == len(tiles)
    calls.clear()
    evaluate(fused, *canvas)
    # once forward, once again in the backward pass
    assert len(calls) == 2 * len(tiles)


def test_one_tile_is_the_prior_itself(make_net, canvas) -> None:
    x, sigma = canvas[0][:, :1], canvas[1]
    net = EDMDenoiser(make_net())
    whole = TileWindow(slice(0, HEIGHT), slice(0, WIDTH), torch.ones(HEIGHT, WIDTH))
    assert torch.equal(FusedPrior(net, [whole])(x, sigma), net(x, sigma))


def test_planes_are_denoised_each_on_its_own(make_net, canvas) -> None:
    x, sigma = canvas
    net = EDMDenoiser(make_net())
    found = PlanewisePrior(net)(x, sigma)
    assert found.shape == x.shape
    for plane in range(x.shape[1]):
        expected = net(x[:, plane : plane + 1], sigma)
        torch.testing.assert_close(found[:, plane : plane + 1], expected, atol=1e-5, rtol=1e-5)
    single = x[:, :1]
    assert torch.equal(PlanewisePrior(net)(single, sigma), net(single, sigma))


def test_many_planes_are_denoised_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def prior(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return x * sigma[:, None, None, None]

    monkeypatch.setattr(fused, "PIXELS_AT_ONCE", 8 * 9)
    x, sigma = torch.randn(2, 9, 3, 3), torch.tensor([0.5, 2.0])
    torch.testing.assert_close(PlanewisePrior(prior)(x, sigma), x * sigma[:, None, None, None])
    assert seen == [8, 8, 2]


def test_planes_that_belong_together_are_denoised_together() -> None:
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]]).kron(torch.eye(6))
    pair = GaussianPrior(torch.zeros(12), covariance)
    x, sigma = torch.randn(2, 6, 2, 3), torch.tensor([0.5, 2.0])
    prior = PlanewisePrior(pair, channels=2)
    found = prior(x, sigma)
    white = torch.randn_like(x)
    root = prior.error_root(found, 0.5)
    for first in (0, 2, 4):
        part = slice(first, first + 2)
        torch.testing.assert_close(found[:, part], pair(x[:, part], sigma))
        alone = pair.error_root(found[:, part], 0.5)
        torch.testing.assert_close(root.apply(white)[:, part], alone.apply(white[:, part]))
        torch.testing.assert_close(root.adjoint(white)[:, part], alone.adjoint(white[:, part]))
