"""The pilot: kernels of sum one, whatever the unit of the data, and a least squares that finds the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve
from torch import nn

from blinddps_sci.errors import PriorError
from blinddps_sci.priors.pilot import Pilot, PilotConfig
from blinddps_sci.priors.store import PriorCard, load_denoiser, load_pilot, save_pilot

TINY = PilotConfig(size=12, features=2, full=4, half=8, blocks=1, width=8)


@pytest.fixture
def pilot() -> Pilot:
    torch.manual_seed(0)
    return Pilot(TINY).eval().requires_grad_(False)


def test_every_stage_gives_kernels(pilot: Pilot) -> None:
    found = pilot(torch.rand(3, 1, 30, 44), torch.full((3,), 0.01))
    assert len(found) == 2
    for kernels in found:
        assert kernels.shape == (3, 1, 12, 12)
        assert kernels.min() >= 0
        torch.testing.assert_close(kernels.sum(dim=(-2, -1)), torch.ones(3, 1))


def test_the_unit_and_the_level_of_the_data_do_not_matter(pilot: Pilot) -> None:
    data, noise = torch.rand(2, 1, 32, 32), torch.tensor([0.01, 0.03])
    torch.testing.assert_close(
        pilot(1000 * data + 70, 1000 * noise)[-1], pilot(data, noise)[-1], atol=1e-5, rtol=1e-3
    )


def test_an_image_is_seen_alone(pilot: Pilot) -> None:
    data, noise = torch.rand(3, 1, 32, 32), torch.tensor([0.01, 0.03, 0.02])
    together = pilot(data, noise)[-1]
    for n in range(3):
        torch.testing.assert_close(
            pilot(data[n : n + 1], noise[n : n + 1])[-1][0], together[n], atol=1e-5, rtol=1e-3
        )


def test_nothing_to_see_is_no_error(pilot: Pilot) -> None:
    assert torch.isfinite(pilot(torch.zeros(1, 1, 32, 32), torch.tensor([1.0]))[-1]).all()


def test_the_least_squares_of_perfect_features_are_the_kernel(pilot: Pilot) -> None:
    """Of points that are known under the filters, in a scene whose borders are empty."""
    rng = np.random.default_rng(1)
    scene, kernel = np.zeros((96, 96)), np.zeros((12, 12))
    scene[tuple(rng.integers(36, 60, (2, 12)))] = rng.random(12) + 0.5
    kernel[6, 6], kernel[4, 8], kernel[7, 3] = 0.5, 0.3, 0.2  # of no symmetry
    blurred = fftconvolve(scene, np.pad(kernel, ((0, 1), (0, 1))), mode="same")

    stage = pilot.stages[0]
    filters = stage.filters.weight - stage.filters.weight.mean(dim=(-2, -1), keepdim=True)
    features = nn.functional.conv2d(torch.from_numpy(scene).float()[None, None], filters, padding=3)
    solved: list[torch.Tensor] = []
    stage.sharpen = Constant(features)
    stage.refine = Keeping(solved)
    stage.smallness.data[:] = -20.0
    data = torch.from_numpy(blurred).float()[None, None]
    stage(data, torch.full((1, 1, 1, 1), 1e-3), torch.full((1, 1, 12, 12), 1 / 144))
    found = solved[0][0, 0] * kernel.max()
    np.testing.assert_allclose(found, kernel, atol=0.01)


class Constant(nn.Module):
    """Sharp features that are known."""

    def __init__(self, values: torch.Tensor) -> None:
        super().__init__()
        self.values = values

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.values


class Keeping(nn.Module):
    """Leaves what it is given in a list."""

    def __init__(self, into: list[torch.Tensor]) -> None:
        super().__init__()
        self.into = into

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.into.append(x)
        return x[:, :1]


def test_a_pilot_is_written_and_read(pilot: Pilot, tmp_path: Path) -> None:
    path = tmp_path / "pilot.safetensors"
    card = save_pilot(path, pilot, PriorCard("pilot", TINY.as_dict(), "direct", 12))
    again, read = load_pilot(path)
    assert read == card
    assert again.config == TINY
    data, noise = torch.rand(1, 1, 32, 32), torch.tensor([0.01])
    torch.testing.assert_close(again(data, noise)[-1], pilot(data, noise)[-1], atol=1e-3, rtol=0.02)
    with pytest.raises(PriorError, match="do not fit its architecture"):
        load_denoiser(path)
