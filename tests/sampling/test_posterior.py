"""The result: averages over draws, per problem, with the status in words."""

from __future__ import annotations

import torch

from blinddps_sci.sampling.posterior import Posterior, Status, concatenate


def test_mean_and_spread_are_taken_over_the_draws() -> None:
    draws = torch.randn(5, 2, 1, 3, 3)
    posterior = Posterior({"image": draws}, torch.ones(5, 2), Status.COMPLETE, 10)
    torch.testing.assert_close(posterior.mean("image"), draws.mean(dim=0))
    torch.testing.assert_close(posterior.std("image"), draws.std(dim=0, correction=1))


def test_one_draw_has_no_spread() -> None:
    posterior = Posterior({"image": torch.randn(1, 2, 1, 3, 3)}, torch.ones(1, 2), Status.COMPLETE, 10)
    assert posterior.std("image").isnan().all()
    assert posterior.std("image").shape == (2, 1, 3, 3)


def posterior_of(draws: torch.Tensor, mean: torch.Tensor | None = None, **options) -> Posterior:
    means = {} if mean is None else {"image": mean}
    fields = {"chi2": torch.ones(draws.shape[:2]), "status": Status.COMPLETE, "evaluations": 10, **options}
    return Posterior({"image": draws}, means=means, **fields)


def test_draws_are_moved_to_what_the_chains_take_the_mean_to_be() -> None:
    draws, means = torch.randn(2, 5, 2, 1, 3, 3)
    posterior = posterior_of(draws, means)
    moved = posterior.about_mean("image")
    torch.testing.assert_close(moved.mean(dim=0), means.mean(dim=0))
    torch.testing.assert_close(moved.std(dim=0), draws.std(dim=0))
    assert not torch.allclose(moved, draws, atol=0.01)


def test_a_single_draw_is_not_moved() -> None:
    draw, mean = torch.randn(2, 1, 2, 1, 3, 3)
    torch.testing.assert_close(posterior_of(draw, mean).about_mean("image"), draw)


def test_parts_are_joined_in_their_order() -> None:
    draws, means = torch.randn(2, 5, 2, 1, 3, 3)
    parts = [posterior_of(draws[part], means[part]) for part in (slice(2), slice(2, 5))]
    whole = concatenate(parts)
    torch.testing.assert_close(whole.samples["image"], draws)
    torch.testing.assert_close(whole.means["image"], means)
    assert (whole.chi2.shape, whole.evaluations, whole.status) == ((5, 2), 20, Status.COMPLETE)
    spoilt = posterior_of(draws[:2], means[:2], status=Status.NOT_FINITE)
    assert concatenate([parts[1], spoilt]).status is Status.NOT_FINITE


def test_one_of_the_draws_knows_nothing_of_the_others() -> None:
    draws, means = torch.randn(2, 3, 2, 1, 3, 3)
    chi2 = torch.arange(6.0).reshape(3, 2)
    one = posterior_of(draws, means, chi2=chi2).alone(1)
    torch.testing.assert_close(one.samples["image"], draws[1:2])
    torch.testing.assert_close(one.mean("image"), means[1])
    torch.testing.assert_close(one.chi2, chi2[1:2])


def test_statuses_are_sentences() -> None:
    assert all(status.value.endswith(".") and " " in status.value for status in Status)
