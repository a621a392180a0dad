"""What is usual for a denoiser: its errors on held-out pictures, and how many of them would be told of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from blinddps_sci.errors import InputError
from blinddps_sci.priors.novelty import LEVELS, UNTOLD
from blinddps_sci.training import novelty
from blinddps_sci.training.novelty import image_novelty


class Shrinking(nn.Module):
    """Return a share of its input, and keep the labels that it was told."""

    def __init__(self, gain: float, labels: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.gain, self.labels = nn.Parameter(torch.tensor(gain)), labels
        self.told: set[int | None] = set()

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        self.told.add(None if label is None else int(label))
        return self.gain * x


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(12):
        soft = gaussian_filter(rng.standard_normal((140, 150)), 3)
        made.append((("astro", "micro")[number % 2], (soft - soft.min()) / np.ptp(soft)))
    monkeypatch.setattr(novelty, "held_out_planes", lambda data: iter(made))
    monkeypatch.setattr(novelty, "_WINDOWS", 24)
    return made


def test_the_usual_error_is_that_of_the_held_out_pictures(pictures) -> None:
    """What passes a share of the noise has that share of its variance, and the rest of the scene's."""
    table = image_novelty(Shrinking(0.9), Path())
    usual = table.under(UNTOLD)
    assert usual is not None
    assert usual.images == 48
    for level, error in zip(LEVELS, usual.error, strict=True):
        scene = (error - 0.81 * level**2) / 0.01
        assert 0 < scene < 1
    assert 1 < usual.limit < 2
    assert 0 <= usual.false_alarms < 0.3


def test_a_label_is_measured_on_its_own_pictures_and_the_others_on_all(pictures) -> None:
    denoiser = Shrinking(0.9, ("astro", "micro", "generic"))
    table = image_novelty(denoiser, Path())
    assert {label: usual.images for label, usual in table.labels.items()} == {
        "astro": 24, "micro": 24, "generic": 48,
    }  # fmt: skip
    assert denoiser.told == {0, 1, 2}
    assert table.under("unlabelled") is None


def test_a_label_without_pictures_is_left_out(pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novelty, "held_out_planes", lambda data: iter(pictures[1::2]))
    assert set(image_novelty(Shrinking(0.9, ("astro", "micro")), Path()).labels) == {"micro"}


def test_without_a_large_picture_there_is_nothing_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novelty, "held_out_planes", lambda data: iter([("micro", np.zeros((126, 400)))]))
    with pytest.raises(InputError, match="no image of 127 pixels that is held out"):
        image_novelty(Shrinking(0.9), Path("folder"))
