"""The result: averages over draws, per problem, with the status in words."""

from __future__ import annotations

import torch

from blinddps_sci.sampling.posterior import Posterior, Status


def test_mean_and_spread_are_taken_over_the_draws() -> None:
    draws = torch.randn(5, 2, 1, 3, 3)
    posterior = Posterior({"image": draws}, torch.ones(5, 2), Status.COMPLETE, 10)
    torch.testing.assert_close(posterior.mean("image"), draws.mean(dim=0))
    torch.testing.assert_close(posterior.std("image"), draws.std(dim=0, correction=1))


def test_one_draw_has_no_spread() -> None:
    posterior = Posterior({"image": torch.randn(1, 2, 1, 3, 3)}, torch.ones(1, 2), Status.COMPLETE, 10)
    assert posterior.std("image").isnan().all()
    assert posterior.std("image").shape == (2, 1, 3, 3)


def test_statuses_are_sentences() -> None:
    assert all(status.value.endswith(".") and " " in status.value for status in Status)
