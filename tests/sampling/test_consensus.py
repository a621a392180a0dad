"""Consensus of chains: aligned, those that fit badly left out, better than any of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from blinddps_sci.operators import centroid
from blinddps_sci.sampling.consensus import consensus

SIZE, CHAINS, PIXELS = 15, 6, 5000


def spot(dy: float = 0.0, dx: float = 0.0) -> Tensor:
    """Return an asymmetric kernel (1, K, K), moved by (dy, dx) pixels, of sum one."""
    places = torch.arange(SIZE, dtype=torch.float64) - SIZE // 2
    y, x = places[:, None] - dy, places - dx
    kernel = torch.exp(-(y**2) / 5 - x**2 / 3) + 0.4 * torch.exp(-((y - 2) ** 2) / 2 - (x - 1) ** 2 / 2)
    return (kernel / kernel.sum())[None]


def copies(noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return noisy kernels (C, 1, K, K), each moved by up to a pixel and a half, and the centred truth."""
    generator = torch.Generator().manual_seed(seed)
    moves = 3 * torch.rand(CHAINS, 2, generator=generator, dtype=torch.float64) - 1.5
    moved = torch.stack([spot(*move) for move in moves.tolist()])
    grain = torch.randn(moved.shape, generator=generator, dtype=torch.float64)
    kernels = moved + noise * moved.sqrt() * grain
    truth = consensus(spot()[None], torch.ones(1), PIXELS).chains[0]
    return kernels / kernels.sum(dim=(-2, -1), keepdim=True), truth


def distance(kernel: Tensor, truth: Tensor) -> Tensor:
    return (kernel - truth).flatten(-3).norm(dim=-1)


def test_the_mean_of_aligned_chains_beats_every_chain() -> None:
    kernels, truth = copies(0.02)
    found = consensus(kernels, torch.ones(CHAINS), PIXELS)
    assert found.used.all()
    error = distance(found.chains.mean(dim=0), truth)
    assert error < 0.7 * distance(found.chains, truth).min()
    # and averaged as they came they would be a blur
    assert error < 0.3 * distance(kernels.mean(dim=0), truth)


def test_chains_are_centred_kernels_with_their_noise() -> None:
    kernels, _ = copies(0.02)
    assert kernels.min() < 0
    found = consensus(kernels, torch.ones(CHAINS), PIXELS).chains
    sums = found.sum(dim=(-2, -1))
    torch.testing.assert_close(sums, torch.ones_like(sums))
    assert centroid(found.clamp(min=0)).abs().max() < 1e-2
    assert found.min() < 0


@pytest.mark.parametrize("bad", [1.2, 5.0, torch.nan, torch.inf])
def test_a_chain_that_does_not_explain_the_data_is_left_out(bad: float) -> None:
    kernels, _ = copies(0.02)
    chi2 = torch.ones(CHAINS)
    chi2[2] = bad
    kernels[2] = 1 / SIZE**2
    found = consensus(kernels, chi2, PIXELS)
    others = [0, 1, 3, 4, 5]
    assert found.used.tolist() == [i in others for i in range(CHAINS)]
    torch.testing.assert_close(found.chains, consensus(kernels[others], torch.ones(5), PIXELS).chains)
    assert len(found.chains) == CHAINS - 1


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_chain_that_is_not_finite_does_not_explain_the_data_best(value: float) -> None:
    kernels, _ = copies(0.02)
    kernels[2, 0, 3, 3] = value
    chi2 = torch.ones(CHAINS)
    chi2[2] = 0.0  # none of its pixels counted
    assert consensus(kernels, chi2, PIXELS).used.tolist() == [i != 2 for i in range(CHAINS)]
    nothing = consensus(torch.full_like(kernels, value), torch.zeros(CHAINS), PIXELS)
    assert not nothing.used.any()
    assert nothing.chains.shape == (0, *kernels.shape[1:])


def test_the_scatter_of_chi_squared_is_tolerated_and_no_more() -> None:
    kernels, _ = copies(0.02)
    scatter = (2 / PIXELS) ** 0.5
    chi2 = 0.97 * (1 + scatter * torch.tensor([0.0, 1.0, 2.0, 4.9, 5.1, 8.0]))
    assert consensus(kernels, chi2, PIXELS).used.tolist() == [True, True, True, True, False, False]
    # Of fewer pixels it scatters more.
    assert consensus(kernels, chi2, PIXELS // 4).used.all()


def test_nodes_are_aligned_one_by_one() -> None:
    first, _ = copies(0.0, seed=1)
    second, _ = copies(0.0, seed=2)
    both = consensus(torch.cat([first, second], dim=1), torch.ones(CHAINS), PIXELS)
    assert both.chains.shape == (CHAINS, 2, SIZE, SIZE)
    torch.testing.assert_close(both.chains[:, :1], consensus(first, torch.ones(CHAINS), PIXELS).chains)
    torch.testing.assert_close(both.chains[:, 1:], consensus(second, torch.ones(CHAINS), PIXELS).chains)
