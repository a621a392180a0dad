"""The measured error of a denoiser: its spectrum and its dependence on the value, of held-out images."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.io import imsave
from torch import Tensor, nn

from blinddps_sci.errors import InputError
from blinddps_sci.priors.error import ErrorTable
from blinddps_sci.simulate import random_kernels
from blinddps_sci.training import calibrate
from blinddps_sci.training.calibrate import image_error, kernel_error
from blinddps_sci.training.images import LABELS, held_out
from blinddps_sci.training.kernels import amplitudes


class Shrinking(nn.Module):
    """Return a share of the noisy input: its error is ``(gain - 1) x0 + gain sigma noise``."""

    labels = LABELS

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.seen: list[Tensor | None] = []

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        assert x.shape[0] == sigma.shape[0]
        self.seen.append(label)
        return self.gain * x


class Sure(Shrinking):
    """Answer one, whatever is asked."""

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        return torch.ones_like(x)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "_SIGMAS", np.array([0.05, 0.5]))


def file_name(kept: bool) -> str:
    return next(f"a{n}.png" for n in range(1000) if held_out(Path(f"a{n}.png")) is kept)


def write(folder: Path, kept: bool, side: int = 150) -> np.ndarray:
    """Write a picture of white noise and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
    imsave(folder / file_name(kept), pixels, check_contrast=False)
    return pixels


def assert_sound(table: ErrorTable, kind: str) -> None:
    assert table.kind == kind
    assert table.sigmas == (0.05, 0.5)
    assert np.shape(table.variance) == (len(table.sigmas), len(table.bins))
    assert min(map(min, table.variance)) > 0
    assert (np.diff(table.bins) > 0).all()


def test_the_error_of_an_image_network_is_a_spectrum(few, tmp_path: Path) -> None:
    """What passes the noise as it is has a white error of sigma squared."""
    write(tmp_path / "micro", kept=True)
    table = image_error(Shrinking(1.0), tmp_path)
    assert_sound(table, "frequency")
    np.testing.assert_allclose(table.factors, 1, rtol=0.2)  # it errs everywhere alike
    for sigma, row in zip(table.sigmas, table.variance, strict=True):
        # of the lowest bands and of the corner a dozen coefficients, of the others hundreds
        np.testing.assert_allclose(row, sigma**2, rtol=0.8)
        np.testing.assert_allclose(row[3:-1], sigma**2, rtol=0.2)


def test_where_an_image_is_lively_the_error_is_larger(few) -> None:
    """Half of the image is flat, half of it is a grating, and what answers it shifted errs there alone."""

    class Late(Shrinking):
        def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
            return 0.01 * x + 0.99 * torch.roll(clean, 1, dims=-1)

    clean = torch.zeros(1, 1, 128, 128)
    clean[..., 64:] = 0.1 * torch.sin(torch.arange(64) * 0.9)
    table = calibrate._local_spectrum(Late(1.0), clean, torch.zeros(1))
    for row in table.factors:
        assert row[-1] > 5 * row[0]
        assert all(low <= high * 1.1 for low, high in pairwise(row))
    root = table.root(clean, 0.05)
    drawn = root.apply(torch.randn(200, 1, 128, 128)).std(dim=0)[0]
    assert drawn[:, 80:120].mean() > 5 * drawn[:, 8:48].mean()


def test_an_image_network_is_measured_on_what_was_kept_from_it(few, tmp_path: Path) -> None:
    """What answers zero has the spectrum of the images as its error, whatever the noise is."""
    pixels = write(tmp_path / "micro", kept=True)
    write(tmp_path / "other", kept=False)
    denoiser = Shrinking(0.0)
    table = image_error(denoiser, tmp_path)
    centre = pixels[11:139, 11:139] / 127.5 - 1
    for row in table.variance:
        np.testing.assert_allclose(row[3:-1], centre.var(), rtol=0.2)
    assert [label.tolist() for label in denoiser.seen if label is not None] == [[1], [1]]


def test_of_each_domain_a_few_images_are_taken(few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "_PER_DOMAIN", 2)
    # The colours of three astronomical pictures, of which one each is taken.
    planes = [*[("astro", 130)] * 3, ("generic", 140), *[("astro", 128)] * 6, ("micro", 40)]
    made = [(domain, np.full((side, side), i / 12)) for i, (domain, side) in enumerate(planes)]
    monkeypatch.setattr(calibrate, "held_out_planes", lambda data: iter(made))
    denoiser = Shrinking(1.0)
    measured = []
    monkeypatch.setattr(calibrate, "_local_spectrum", lambda *given: measured.append(given))
    image_error(denoiser, tmp_path)
    ((_, patches, told),) = measured
    assert told.tolist() == [0, 0, 2]
    np.testing.assert_allclose(patches.mean(axis=(1, 2, 3)), np.array([0, 4, 3]) / 6 - 1, atol=1e-6)


@pytest.mark.parametrize(("kept", "side"), [(False, 150), (True, 100)])
def test_without_a_large_held_out_image_nothing_is_measured(tmp_path: Path, kept: bool, side: int) -> None:
    write(tmp_path / "micro", kept, side)
    with pytest.raises(InputError, match="no image of 128 pixels that is held out from training"):
        image_error(Shrinking(1.0), tmp_path)


def test_the_error_of_a_kernel_network_is_by_value(few) -> None:
    table = kernel_error(Shrinking(1.0), 9)
    assert_sound(table, "value")
    assert -1 <= table.bins[0] < table.bins[-1] <= 1
    # Under little noise a grey estimate is as wrong as the noise.
    np.testing.assert_allclose(table.variance[0][5:9], 0.05**2, rtol=0.3)
    # Under much of it what looks bright is dark more often than not, and further off than what looks dark.
    assert table.variance[1][-1] > 1.5 * table.variance[1][0]


def test_a_value_that_no_estimate_has_borrows_the_error_of_all(few) -> None:
    table = kernel_error(Shrinking(0.0), 9)
    squares = float((amplitudes(random_kernels(400, 9, 987_654)) ** 2).mean())
    for row in table.variance:
        np.testing.assert_allclose(row, squares, rtol=1e-5)


def test_an_error_of_zero_is_floored(few, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "random_kernels", lambda count, size, seed: np.ones((count, size, size)))
    table = kernel_error(Sure(1.0), 9)
    assert min(map(min, table.variance)) == 1e-8
