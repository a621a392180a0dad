"""Reconciliation: many nodes' estimates become one field, and each counts by what the data say of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from blinddps_sci.operators import centroid
from blinddps_sci.sampling.reconcile import KernelEstimate, reconcile, structure

SIZE, CHAINS = 11, 4


def spot(width: float, seed: int | None = None, noise: float = 0.0) -> Tensor:
    """Return a Gaussian kernel (K, K) of sum one, with noise that is negative somewhere."""
    places = torch.arange(SIZE, dtype=torch.float64) - SIZE // 2
    kernel = torch.exp(-(places[:, None] ** 2 + places**2) / (2 * width**2))
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        kernel = kernel + noise * torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    return kernel / kernel.sum()


def field_of(
    rows: int, columns: int, *, row: int = 0, widths: dict[int, float] | None = None, noise: float = 0.02
) -> KernelEstimate:
    """Return the estimate of a unit with a grid of nodes of the same kernel, some of another width."""
    count, widths = rows * columns, widths or {}
    chains = torch.stack(
        [
            torch.stack([spot(widths.get(n, 1.5), 1000 * row + 100 * c + n, noise) for n in range(count)])
            for c in range(CHAINS)
        ]
    )
    places = torch.tensor([(row + n // columns, n % columns) for n in range(count)])
    return KernelEstimate(chains, torch.ones(count, dtype=torch.float64), places)


def error(kernels: Tensor) -> Tensor:
    return (kernels - spot(1.5)).flatten(-2).norm(dim=-1)


@pytest.mark.parametrize("model", ["per-tile", "smooth", "shared"])
def test_a_field_is_of_kernels(model: str) -> None:
    found = reconcile([field_of(3, 3)], model)
    assert found.mean.shape == (1 if model == "shared" else 9, SIZE, SIZE)
    assert found.deviations.shape == (CHAINS, *found.mean.shape)
    assert found.mean.min() >= 0
    torch.testing.assert_close(found.mean.sum(dim=(-2, -1)), torch.ones(len(found.mean), dtype=torch.float64))
    assert centroid(found.mean[:, None]).abs().max() < 0.05
    torch.testing.assert_close(found.deviations.mean(dim=0), torch.zeros_like(found.mean))


def test_the_more_a_model_averages_the_better_kernels_that_are_alike_get() -> None:
    apart, smooth, shared = (
        error(reconcile([field_of(5, 5)], model).mean) for model in ("per-tile", "smooth", "shared")
    )
    assert smooth.mean() < 0.7 * apart.mean()
    assert shared.mean() < 0.7 * smooth.mean()


def test_tiles_that_are_independent_are_left_as_they_are() -> None:
    estimate = field_of(2, 3)
    found = reconcile([estimate, field_of(2, 3, row=2)], "per-tile")
    expected = estimate.chains.mean(dim=0).clamp(min=0)
    torch.testing.assert_close(found.mean, expected / expected.sum(dim=(-2, -1), keepdim=True))
    assert not found.outliers.any()


@pytest.mark.parametrize("model", ["smooth", "shared"])
def test_nodes_count_by_their_evidence(model: str) -> None:
    """A node of empty sky, whose kernel is too wide, takes over that of its neighbours."""
    estimate = field_of(2, 2, widths={0: 3.0})
    blind = torch.tensor([1e-2, 1, 1, 1], dtype=torch.float64)
    equal, weighted = (
        error(reconcile([replace(estimate, evidence=e)], model).mean) for e in (estimate.evidence, blind)
    )
    assert weighted[0] < 0.4 * equal[0]


def test_where_all_is_empty_all_count_alike() -> None:
    estimate = field_of(3, 3)
    nothing = replace(estimate, evidence=torch.zeros(9, dtype=torch.float64))
    torch.testing.assert_close(reconcile([nothing], "smooth").mean, reconcile([estimate], "smooth").mean)


@pytest.mark.parametrize("model", ["smooth", "shared"])
def test_a_node_that_is_far_from_all_around_it_is_set_aside(model: str) -> None:
    wrong = 4
    found = reconcile([field_of(3, 3, widths={wrong: 4.0})], model)
    assert found.outliers.tolist() == [n == wrong for n in range(9)]
    clean = reconcile([field_of(3, 3)], model)
    assert error(found.mean).max() < 2 * error(clean.mean).max()


def test_a_field_that_varies_slowly_has_no_outliers() -> None:
    widths = {n: 1.2 + 0.1 * (n % 5) for n in range(25)}
    assert not reconcile([field_of(5, 5, widths=widths)], "smooth").outliers.any()


def test_too_few_nodes_have_no_outliers() -> None:
    assert not reconcile([field_of(2, 2, widths={3: 4.0})], "shared").outliers.any()


def test_the_first_unit_is_asked_for_and_others_are_heard() -> None:
    upper, lower = field_of(2, 3), field_of(2, 3, row=2)
    alone, with_lower = (reconcile(e, "smooth").mean for e in ([upper], [upper, lower]))
    assert with_lower.shape == alone.shape == (6, SIZE, SIZE)
    torch.testing.assert_close(with_lower[:3], alone[:3])  # the lower unit does not touch its first row
    assert (with_lower[3:] - alone[3:]).abs().max() > 1e-4
    assert error(with_lower[3:]).mean() < error(alone[3:]).mean()


def test_units_that_adjoin_agree_on_one_field() -> None:
    """Whichever unit asks, a node's kernel is the same if all around it are heard."""
    upper, lower = field_of(2, 3), field_of(2, 3, row=2)
    both = KernelEstimate(
        torch.cat([upper.chains, lower.chains], dim=1),
        torch.cat([upper.evidence, lower.evidence]),
        torch.cat([upper.places, lower.places]),
    )
    whole = reconcile([both], "smooth").mean
    torch.testing.assert_close(reconcile([upper, lower], "smooth").mean, whole[:6])
    torch.testing.assert_close(reconcile([lower, upper], "smooth").mean, whole[6:])


def test_units_without_chains_are_passed_over_and_fewer_chains_count_again() -> None:
    first, second = field_of(2, 2), field_of(2, 2, row=2)
    empty = KernelEstimate(torch.zeros(0, 4, SIZE, SIZE), torch.zeros(4), second.places + 2)
    fewer = replace(second, chains=second.chains[:1])
    found = reconcile([first, empty, fewer], "shared")
    assert len(found.deviations) == CHAINS
    expected = torch.cat([first.chains.mean(dim=0), fewer.chains.mean(dim=0)]).mean(dim=0).clamp(min=0)
    torch.testing.assert_close(found.mean[0], expected / expected.sum())


def test_kernels_of_the_draws_scatter_as_the_mean_does() -> None:
    found = reconcile([field_of(2, 2)], "per-tile")
    drawn = found.draws(2 * CHAINS)
    torch.testing.assert_close(drawn[:CHAINS].mean(dim=0), found.mean)
    torch.testing.assert_close(drawn[:CHAINS].std(dim=0, correction=0), found.std / CHAINS**0.5)
    assert torch.equal(drawn[:CHAINS], drawn[CHAINS:])


@pytest.mark.parametrize("chains", [2, 3, 6])
@pytest.mark.parametrize("model", ["per-tile", "smooth", "shared"])
def test_draws_scatter_as_far_as_the_mean_is_from_the_truth(model: str, chains: int) -> None:
    """Chains about a known kernel: the squared error of their mean is the variance of the draws."""
    errors, variances = [], []
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        noise = 1e-3 * torch.randn(chains, 4, SIZE, SIZE, generator=generator, dtype=torch.float64)
        places = torch.tensor([(n // 2, n % 2) for n in range(4)])
        # On a pedestal nothing is cut off as negative.
        truth = (spot(1.5) + 0.1) / (1 + 0.1 * SIZE**2)
        estimate = KernelEstimate(truth + noise, torch.ones(4, dtype=torch.float64), places)
        found = reconcile([estimate], model)
        errors.append((found.mean - truth).square().mean())
        variances.append(found.draws(6).var(dim=0, correction=0).mean())
    ratio = torch.stack(variances).mean() / torch.stack(errors).mean()
    assert ratio == pytest.approx(1, abs=0.1)


def test_two_chains_are_drawn_with_their_own_kernels() -> None:
    estimate = field_of(2, 2)
    two = replace(estimate, chains=estimate.chains[:2])
    found = reconcile([two], "per-tile")
    torch.testing.assert_close(
        found.draws(4) - found.mean, (two.chains - two.chains.mean(dim=0)).repeat(2, 1, 1, 1)
    )


def test_a_single_chain_does_not_scatter() -> None:
    estimate = field_of(2, 2)
    one = reconcile([replace(estimate, chains=estimate.chains[:1])], "per-tile")
    torch.testing.assert_close(one.draws(3), one.mean.expand(3, -1, -1, -1))
    assert one.std.isnan().all()


def test_noise_about_a_faint_kernel_adds_up_to_no_pedestal() -> None:
    """Averaged over many nodes it cancels; cut off node by node it would not."""
    estimate = field_of(10, 10, noise=0.05)
    far = spot(1.5) < 1e-4
    assert far.sum() > 20
    shared = reconcile([estimate], "shared").mean[0]
    assert shared[far].mean() < 0.3 * estimate.chains.clamp(min=0)[..., far].mean()


# --- evidence ---


def test_flat_parts_say_nothing_and_noise_divides() -> None:
    flat, edge = torch.zeros(6, 8), torch.zeros(6, 8)
    edge[:, 4:] = 3.0
    ones = torch.ones(6, 8)
    assert not structure(flat + 5, ones).any()
    assert torch.equal(structure(edge, ones)[:, 3], torch.full((6,), 9.0))
    assert structure(edge, ones).sum() == 6 * 9
    torch.testing.assert_close(structure(edge, ones / 2), structure(edge, ones) / 4)


def test_what_was_not_measured_says_nothing() -> None:
    scene = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    whitening = torch.ones(6, 8)
    whitening[:, :4] = 0
    seen = structure(scene, whitening)
    assert not seen[:, :4].any()
    assert seen[:, 4:].any()
