"""Errors of priors: roots are roots, white noise through them has the covariance that is stated."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from blinddps_sci.errors import PriorError
from blinddps_sci.priors.error import (
    _STRAYED,
    ErrorTable,
    Root,
    UncertainPrior,
    activity,
    error_root,
    frequencies,
)
from blinddps_sci.priors.fused import FusedPrior, PlanewisePrior, TileWindow
from blinddps_sci.priors.gaussian import GaussianPrior, StationaryGaussianPrior
from blinddps_sci.priors.store import PriorCard, load_denoiser, save_denoiser
from blinddps_sci.priors.uninformative import UniformPrior
from blinddps_sci.priors.wrap import EDMDenoiser

SIGMAS = (0.01, 0.1, 1.0)
BINS = (0.0, 0.25, 0.5, 0.75)
SPECTRUM = ErrorTable(
    "frequency",
    SIGMAS,
    BINS,
    ((1e-5, 5e-5, 9e-5, 1e-4), (1e-4, 1e-3, 5e-3, 1e-2), (0.02, 0.1, 0.3, 0.5)),
)
LOCAL = replace(
    SPECTRUM, activities=(0.01, 0.1, 1.0), factors=((0.5, 1.0, 2.0), (0.4, 1.0, 3.0), (0.8, 1.0, 1.2))
)
BY_VALUE = ErrorTable(
    "value",
    SIGMAS,
    (-0.75, 0.0, 0.75),
    ((1e-6, 1e-5, 1e-4), (1e-4, 1e-3, 1e-2), (0.01, 0.1, 0.2)),
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(root: Root, shape: tuple[int, ...]) -> Tensor:
    """Return the root as a matrix, (D, D)."""
    size = int(np.prod(shape))
    return root.apply(torch.eye(size, dtype=torch.float64).reshape(size, *shape)).reshape(size, size).T


def dense_adjoint(root: Root, shape: tuple[int, ...]) -> Tensor:
    return dense(Root(root.adjoint, root.apply), shape)


def gaussian(size: int) -> GaussianPrior:
    factor = draw(size, size, seed=3)
    return GaussianPrior(draw(size, seed=4), factor @ factor.T / size + 0.01 * torch.eye(size))


def field_prior(height: int, width: int) -> StationaryGaussianPrior:
    fy, fx = np.fft.fftfreq(height), np.fft.fftfreq(width)
    return StationaryGaussianPrior(torch.from_numpy(0.02 / (0.03 + fy[:, None] ** 2 + fx[None] ** 2)))


# The side 11 is no fast length, so that the filter works on a padded grid.
@pytest.mark.parametrize("shape", [(1, 4, 6), (1, 11, 5)])
@pytest.mark.parametrize("sigma", [0.03, 2.0])
def test_the_adjoint_of_every_root_is_its_transpose(shape: tuple[int, ...], sigma: float) -> None:
    estimate = draw(1, *shape)
    roots = {
        "frequency": SPECTRUM.root(estimate, sigma),
        "value": BY_VALUE.root(estimate, sigma),
        "local": LOCAL.root(estimate, sigma),
        "gaussian": gaussian(int(np.prod(shape))).error_root(estimate, sigma),
        "stationary": field_prior(*shape[1:]).error_root(estimate, sigma),
        "unknown": error_root(UniformPrior(), estimate, sigma),
    }
    for name, root in roots.items():
        matrix = dense(root, shape)
        torch.testing.assert_close(dense_adjoint(root, shape), matrix.T, msg=name)
        if name not in ("gaussian", "local"):
            torch.testing.assert_close(matrix, matrix.T, msg=name)


def test_filtered_white_noise_has_the_tabled_spectrum() -> None:
    side, items = 32, 400
    filtered = SPECTRUM.root(torch.zeros(1, 1, side, side, dtype=torch.float64), 0.1).apply(
        draw(items, 1, side, side)
    )
    power = (torch.fft.rfft2(filtered, norm="ortho").abs() ** 2).mean(dim=(0, 1)).numpy()
    expected = _STRAYED * np.exp(np.interp(frequencies(side, side), BINS, np.log(SPECTRUM.variance[1])))
    # A mean of squares of a normal: a relative standard error of at most sqrt(2 / items).
    assert np.abs(power / expected - 1).max() < 5 * np.sqrt(2 / items)
    assert np.mean(power / expected) == pytest.approx(1, abs=0.01)


def test_scaled_white_noise_has_the_tabled_variance_of_each_value() -> None:
    values = [-2.0, -0.75, -0.375, 0.0, 0.75, 1.5]
    estimate = torch.tensor(values, dtype=torch.float64).reshape(1, 1, 2, 3)
    found = BY_VALUE.root(estimate, 0.1).apply(draw(20_000, 1, 2, 3)).var(dim=0).flatten()
    # Between two bins the logarithm is interpolated, beyond the ends the variance stays.
    expected = torch.tensor([1e-4, 1e-4, 1e-3 / 10**0.5, 1e-3, 1e-2, 1e-2], dtype=torch.float64)
    torch.testing.assert_close(found, _STRAYED * expected, rtol=0.05, atol=0)


@pytest.mark.parametrize("table", [SPECTRUM, BY_VALUE])
def test_between_two_levels_the_variance_is_their_geometric_mean(table: ErrorTable) -> None:
    rows = np.asarray(table.variance)
    for row, sigma in zip(rows, SIGMAS, strict=True):
        np.testing.assert_allclose(np.exp(table.at(sigma)), row)
    np.testing.assert_allclose(np.exp(table.at(0.1 * 10**0.5)), np.sqrt(rows[1] * rows[2]))
    np.testing.assert_allclose(np.exp(table.at(1e-4)), rows[0])
    np.testing.assert_allclose(np.exp(table.at(50.0)), rows[-1])


def test_activity_is_the_gradient_and_fades_around_edges() -> None:
    ramp = 0.3 * torch.arange(20.0)[:, None] + 0.4 * torch.arange(24.0)
    torch.testing.assert_close(activity(ramp)[5:12, 5:16], torch.full((7, 11), 0.5))
    step = torch.zeros(16, 40)
    step[:, 20:] = 1.0
    found = activity(step)[8]
    assert found[19] == found.max()
    assert (found[:10] == 0).all()
    assert found[16] > 0.1 * found[19]
    assert (activity(torch.ones(1, 1)) == 0).all()
    pair = draw(2, 1, 9, 7)
    assert torch.equal(activity(pair)[1:], activity(pair[1:]))


def test_a_local_error_is_larger_where_the_estimate_is_lively() -> None:
    estimate = torch.zeros(1, 1, 32, 64, dtype=torch.float64)
    estimate[..., 32:] = 0.1 * torch.arange(32.0, dtype=torch.float64)  # an activity of 0.1
    noise = draw(4000, 1, 32, 64)
    local, alike = (table.root(estimate, 0.1).apply(noise).std(dim=0)[0] for table in (LOCAL, SPECTRUM))
    ratio = _STRAYED**0.5 * local / alike
    torch.testing.assert_close(ratio[:, 40:58], torch.ones(32, 18, dtype=torch.float64))
    torch.testing.assert_close(ratio[:, :20], torch.full((32, 20), 0.4, dtype=torch.float64))


def test_frequencies_are_lengths_of_wave_vectors() -> None:
    found = frequencies(4, 6)
    assert found.shape == (4, 4)
    assert (found[0, 0], found[0, 3], found[2, 0]) == (0, 0.5, 0.5)
    assert found[2, 3] == pytest.approx(np.hypot(0.5, 0.5))


def test_a_root_keeps_the_precision_and_the_shape_of_its_estimate() -> None:
    for table in (SPECTRUM, LOCAL, BY_VALUE):
        estimate = draw(2, 3, 11, 8).float()
        found = table.root(estimate, 0.2).apply(estimate)
        assert (found.dtype, found.shape) == (torch.float32, estimate.shape)


@pytest.mark.parametrize("sigma", [0.02, 0.5, 20.0])
def test_the_square_of_a_gaussians_root_is_its_posterior_covariance(sigma: float) -> None:
    prior, shape = gaussian(6), (1, 2, 3)
    root = dense(prior.error_root(draw(1, *shape), sigma), shape)
    eye = torch.eye(6, dtype=torch.float64)
    expected = torch.linalg.inv(torch.linalg.inv(prior.covariance) + eye / sigma**2)
    torch.testing.assert_close(root @ root.T, expected, atol=1e-9, rtol=1e-7)


def test_the_square_of_a_stationary_root_is_its_posterior_covariance() -> None:
    height, width, sigma = 4, 6, 0.3
    prior = field_prior(height, width)
    y, x = np.divmod(np.arange(height * width), width)
    power = prior.power * sigma**2 / (prior.power + sigma**2)
    offsets = (y[:, None] - y) % height, (x[:, None] - x) % width
    expected = torch.fft.ifft2(power).real[offsets]
    root = dense(prior.error_root(draw(1, 1, height, width), sigma), (1, height, width))
    torch.testing.assert_close(root @ root.T, expected)


def test_a_prior_that_knows_nothing_of_its_error_has_that_of_a_unit_range() -> None:
    assert not isinstance(UniformPrior(), UncertainPrior)
    ones = torch.ones(1, 1, 3, 3)
    for sigma, variance in ((1e-3, 1e-6), (0.5, 0.125), (1e3, 0.25)):
        found = error_root(UniformPrior(), ones, sigma).apply(ones) ** 2
        torch.testing.assert_close(found, torch.full_like(ones, variance), rtol=1e-4, atol=0)


def test_a_network_has_the_error_of_its_table_and_the_assumed_one_without(make_net) -> None:
    net, estimate, noise = EDMDenoiser(make_net()), draw(1, 1, 8, 8), draw(1, 1, 8, 8, seed=1)
    assumed = error_root(None, estimate, 0.3).apply(noise)
    assert torch.equal(error_root(net, estimate, 0.3).apply(noise), assumed)
    net.error = BY_VALUE
    found = error_root(net, estimate, 0.3).apply(noise)
    assert torch.equal(found, BY_VALUE.root(estimate, 0.3).apply(noise))
    assert not torch.equal(found, assumed)


def test_fused_and_planewise_priors_have_the_error_of_their_prior(make_net) -> None:
    net = EDMDenoiser(make_net())
    net.error = SPECTRUM
    whole = slice(0, 10)
    fused = FusedPrior(net, [TileWindow(whole, slice(0, 6), torch.ones(10, 6))] * 2)
    estimate, noise = draw(2, 3, 10, 10), draw(2, 3, 10, 10, seed=1)
    expected = SPECTRUM.root(estimate, 0.2).apply(noise)
    for prior in (fused, PlanewisePrior(net), FusedPrior(PlanewisePrior(net), fused.tiles)):
        assert isinstance(prior, UncertainPrior)
        assert torch.equal(error_root(prior, estimate, 0.2).apply(noise), expected)


# --- the card ---


@pytest.fixture
def card(make_net) -> tuple[EDMDenoiser, PriorCard]:
    net = make_net(mult=(1,), middle_attention=False)
    made = PriorCard("kernel", net.config.as_dict(), "edm", 8, domain="amplitude", error=asdict(BY_VALUE))
    return EDMDenoiser(net), made


@pytest.mark.parametrize("table", [SPECTRUM, LOCAL, BY_VALUE])
def test_a_table_survives_the_card(card, table: ErrorTable, tmp_path: Path) -> None:
    denoiser, made = card
    save_denoiser(tmp_path / "net.safetensors", denoiser, replace(made, error=asdict(table)))
    again, read = load_denoiser(tmp_path / "net.safetensors")
    assert again.error == table
    assert read.domain == "amplitude"
    estimate = draw(1, 1, 8, 8)
    torch.testing.assert_close(
        again.error_root(estimate, 0.2).apply(estimate), table.root(estimate, 0.2).apply(estimate)
    )


def test_a_card_without_a_table_is_a_network_without_one(card, tmp_path: Path) -> None:
    denoiser, made = card
    save_denoiser(tmp_path / "net.safetensors", denoiser, replace(made, error=None))
    assert load_denoiser(tmp_path / "net.safetensors")[0].error is None


@pytest.mark.parametrize("name", ["kind", "sigmas", "bins", "variance"])
@pytest.mark.parametrize("damage", ["left out", "a number", "cut"])
def test_a_damaged_table_is_refused(card, name: str, damage: str, tmp_path: Path) -> None:
    denoiser, made = card
    fields = asdict(BY_VALUE)
    rest = {"a number": 3.0, "cut": fields[name][:-1]}
    fields = {key: rest.get(damage) if key == name else value for key, value in fields.items()}
    if damage == "left out":
        del fields[name]
    path = tmp_path / "net.safetensors"
    save_denoiser(path, denoiser, replace(made, error=fields))
    with pytest.raises(PriorError, match=r"table of errors in .* is damaged"):
        load_denoiser(path)


@pytest.mark.parametrize(
    "row",
    [(0.01, 0.0, 0.2), (0.01, -1.0, 0.2), (0.01, 0.2), (0.01, "x", 0.2), (0.01, float("nan"), 0.2)],
)
def test_a_table_without_a_positive_variance_everywhere_is_refused(card, row, tmp_path: Path) -> None:
    denoiser, made = card
    damaged = {**asdict(BY_VALUE), "variance": [*BY_VALUE.variance[:2], row]}
    path = tmp_path / "net.safetensors"
    save_denoiser(path, denoiser, replace(made, error=damaged))
    with pytest.raises(PriorError, match=r"table of errors in .* is damaged"):
        load_denoiser(path)


@pytest.mark.parametrize("name", ["sigmas", "bins"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -9.0])
def test_a_table_whose_levels_or_bins_do_not_rise_is_refused(card, name, value, tmp_path: Path) -> None:
    denoiser, made = card
    fields = asdict(BY_VALUE)
    first, _, *rest = fields[name]
    path = tmp_path / "net.safetensors"
    save_denoiser(path, denoiser, replace(made, error={**fields, name: [first, value, *rest]}))
    with pytest.raises(PriorError, match=r"table of errors in .* is damaged \(levels"):
        load_denoiser(path)
