"""Pilot batches: what is blurred, by what, and how noisy it is; and how far an estimate is from the truth."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from blinddps_sci.priors.pilot import PilotConfig
from blinddps_sci.simulate import random_kernels
from blinddps_sci.training.images import Pack
from blinddps_sci.training.pilots import Piloting, kernel_loss, pilot_batches

TINY = PilotConfig(size=12, features=2, full=4, half=8, blocks=1, width=8)


@pytest.fixture(scope="module")
def pack() -> Pack:
    plane = np.random.default_rng(0).integers(0, 255, (60, 60), dtype=np.uint8)
    return Pack([plane], np.array([0]))


def test_a_batch_is_blurred_by_its_kernels(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels, seen = random_kernels(4, 12, 1), []
    monkeypatch.setattr(Pack, "batches", kept(Pack.batches, seen))
    for data, noise, true in islice(pilot_batches(pack, kernels, 3, 24, (-9.0, 0.0), [0]), 2):
        assert {part.dtype for part in (data, noise, true)} == {np.dtype(np.float32)}
        assert (data.shape, noise.shape, true.shape) == ((3, 1, 24, 24), (3,), (3, 1, 12, 12))
        patches = seen[-1]
        for patch, blurred, kernel in zip(patches[:, 0], data[:, 0], true[:, 0], strict=True):
            assert patch.shape == (35, 35)
            np.testing.assert_allclose(blurred, convolve2d(patch, kernel, "valid"), atol=2e-3)


def kept(batches, seen):
    """Return `Pack.batches`, which leaves its patches in ``seen``."""

    def keeping(self, *arguments, **options):
        for patches, labels in batches(self, *arguments, **options):
            seen.append(patches)
            yield patches, labels

    return keeping


def test_the_noise_is_log_normal_and_told(pack: Pack) -> None:
    flat = Pack([np.zeros_like(pack.planes[0])], np.array([0]))
    stream = pilot_batches(flat, random_kernels(4, 12, 1), 8, 24, (-2.0, 0.5), [0])
    told, found = [], []
    for data, noise, _ in islice(stream, 40):
        told.append(np.log(noise))
        # A patch of nothing is flat but for the half count by which it is dithered.
        found.append(np.log(data.std(axis=(1, 2, 3))))
    np.testing.assert_allclose(found, told, atol=0.2)
    assert np.mean(told) == pytest.approx(-2, abs=0.1)
    assert np.std(told) == pytest.approx(0.5, abs=0.1)


def test_batches_follow_the_seed(pack: Pack) -> None:
    kernels = random_kernels(4, 12, 1)
    first, again, other = (
        next(pilot_batches(pack, kernels, 3, 24, (-3.0, 0.5), seed)) for seed in ([0, 1], [0, 1], [0, 2])
    )
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_the_loss_is_nothing_for_the_truth_alone() -> None:
    kernels = torch.from_numpy(random_kernels(3, 12, 2)).float()[:, None]
    assert kernel_loss(kernels, kernels).max() < 1e-5
    moved = kernels.roll(1, dims=-1)
    assert kernel_loss(moved, kernels).min() > 0.01
    wrong = torch.full_like(kernels, 1 / 144)
    relative = ((wrong - kernels) ** 2).sum((1, 2, 3)) / (kernels**2).sum((1, 2, 3))
    hellinger = 2 - 2 * (wrong.sqrt() * kernels.sqrt()).sum((1, 2, 3))
    torch.testing.assert_close(kernel_loss(wrong, kernels), relative + hellinger, atol=1e-4, rtol=1e-4)


def test_a_pilot_learns_to_tell_two_blurs_apart(pack: Pack) -> None:
    """Of a narrow and a wide kernel, which no constant fits."""
    offsets = np.arange(12) - 6
    kernels = np.stack([np.exp(-0.5 * (offsets[:, None] ** 2 + offsets**2) / s**2) for s in (0.5, 2.5)])
    kernels /= kernels.sum(axis=(1, 2), keepdims=True)
    torch.manual_seed(0)
    objective = Piloting(TINY)
    pilot = objective.build("cpu")
    optimiser = torch.optim.Adam(pilot.parameters(), 3e-3)
    losses = []
    for batch in islice(pilot_batches(pack, kernels, 8, 24, (-4.0, 0.3), [3]), 80):
        loss, noise = objective.losses(pilot, [torch.from_numpy(part) for part in batch], torch.Generator())
        assert loss.shape == noise.shape == (8,)
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()
        losses.append(float(loss.detach().mean()))
    assert np.mean(losses[-10:]) < 0.25 * np.mean(losses[:10])
