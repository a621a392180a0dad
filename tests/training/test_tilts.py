"""Training tilts: their statistics, their parts, and a network of them from end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from blinddps_sci.errors import ConfigError
from blinddps_sci.priors.registry import load_prior
from blinddps_sci.priors.tilt import PUBLISHED_RANGE
from blinddps_sci.simulate import patchwise_tilt
from blinddps_sci.training.run import train
from blinddps_sci.training.tilts import random_tilts, tilt_batches

RECIPE = """
size = 8
batch = 4
examples = 16
warmup = 2
families = ["{family}"]
[net]
in_channels = 2
out_channels = 2
model_channels = 8
channel_mult = [1]
norm_groups = 4
num_head_channels = 8
resblock_updown = false
"""


def test_published_tilts_are_nearly_white() -> None:
    """Of eight fields the authors' generator gives .55 px in the middle and .78, .38, .14 at 1, 2, 3 px."""
    fields = np.stack([patchwise_tilt(96, np.random.default_rng(i)) for i in range(8)])
    assert fields.shape == (8, 2, 96, 96)
    assert fields.std() == pytest.approx(0.55, rel=0.05)
    for lag, expected in ((1, 0.78), (2, 0.37), (3, 0.12)):
        found = np.corrcoef(fields[..., lag:].ravel(), fields[..., :-lag].ravel())[0, 1]
        assert found == pytest.approx(expected, abs=0.03)
    edge = fields[..., :4].std()
    assert edge == pytest.approx(fields.std(), rel=0.2)


def test_tilts_of_the_atmosphere_have_unit_variance_and_depend_on_their_number() -> None:
    tilts = random_tilts(320, 4, 3, "atmosphere")
    assert (2 * tilts).std() == pytest.approx(1, abs=0.1)
    np.testing.assert_array_equal(random_tilts(10, 4, 3, "atmosphere", first=27), tilts[27:37])
    apart = [np.corrcoef(tilts[:, 0, 0, 0], tilts[:, 0, 0, n])[0, 1] for n in (1, 3)]
    assert 0.6 < apart[1] < apart[0] < 1


def test_published_tilts_end_where_the_domain_does() -> None:
    tilts = random_tilts(4, 16, 1, "published")
    assert np.abs(tilts).max() <= 1
    assert (tilts * PUBLISHED_RANGE).std() == pytest.approx(0.55, rel=0.2)


def test_batches_are_parts_of_the_fields_and_vectors_turn_with_them() -> None:
    y, x = np.meshgrid(np.arange(16.0), np.arange(16.0), indexing="ij")
    outward = np.stack([y - 7.5, x - 7.5])[None]
    sides = set()
    batches = tilt_batches(outward, 6, [4])
    for _ in range(60):
        batch, labels = next(batches)
        sides.add(batch.shape[-1])
        assert labels.tolist() == [0] * 6
        # A field of vectors that point outwards does so however it is mirrored.
        np.testing.assert_allclose(batch[:, 0, 1:] - batch[:, 0, :-1], 1)
        np.testing.assert_allclose(batch[:, 1, :, 1:] - batch[:, 1, :, :-1], 1)
    assert sides == {4, 8, 12, 16}


@pytest.mark.parametrize(("family", "domain"), [("atmosphere", "relative"), ("published", "linear")])
def test_a_tilt_prior_is_trained_and_loaded(family: str, domain: str, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.format(family=family))
    weights = train("tilt", tmp_path / "run", minutes=1 / 60, recipe=str(recipe))
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"tilts.npy", "samples.png", weights.name}
    prior, card = load_prior(str(weights), "tilt")
    assert (card.role, card.domain, card.size) == ("tilt", domain, 8)
    assert card.training_data.startswith(f"16 fields of blinddps_sci.training.tilts: {family}")
    assert prior.error is not None
    assert prior.error.kind == "frequency"
    with torch.no_grad():
        assert torch.isfinite(prior(torch.randn(2, 2, 5, 7), torch.tensor([0.1, 5.0]))).all()


def test_a_family_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no family of tilts 'sea'; give one of atmosphere, published"):
        random_tilts(1, 8, 0, "sea")
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.format(family="atmosphere").replace('["atmosphere"]', "[]"))
    with pytest.raises(ConfigError, match="has one family, of atmosphere, published"):
        train("tilt", tmp_path / "run", minutes=1 / 60, recipe=str(recipe))


@pytest.mark.parametrize("sigma", [0.05, 0.2, 1.0])
def test_the_shipped_published_tilts_are_denoised_as_well_as_linearly(sigma: float) -> None:
    """The field is nearly Gaussian and stationary, so that a filter by its spectrum is nearly the best."""
    network, _ = load_prior("tilt-published", "tilt")
    tilts = torch.from_numpy(random_tilts(24, 32, 98, "published"))
    clean, others = tilts[:8], tilts[8:]
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    power = (torch.fft.fft2(others).abs() ** 2).mean(dim=(0, 1)) / 32**2
    filtered = torch.fft.ifft2(torch.fft.fft2(noisy) * (power / (power + sigma**2))).real
    with torch.no_grad():
        found = network(noisy, torch.full((len(noisy),), sigma))
    assert ((found - clean) ** 2).mean() < 1.05 * ((filtered - clean) ** 2).mean()


@pytest.mark.parametrize("sigma", [0.2, 1.0])
def test_the_shipped_tilts_of_the_atmosphere_are_denoised_by_far(sigma: float) -> None:
    network, _ = load_prior("shipped", "tilt")
    clean = torch.from_numpy(random_tilts(64, 6, 97, "atmosphere"))
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    alone = sigma**2 * 0.25 / (sigma**2 + 0.25)  # of every value by itself
    with torch.no_grad():
        found = network(noisy, torch.full((len(noisy),), sigma))
    assert ((found - clean) ** 2).mean() < 0.5 * alone
