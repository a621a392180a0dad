"""Judging a burst without truth: halves that are apart, and a row for every scene."""

from __future__ import annotations

import json
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

from blinddps_sci import cli
from blinddps_sci.bench import real_bursts
from blinddps_sci.errors import InputError

SIDE, FRAMES = 128, 7


@pytest.fixture
def scene() -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(2).standard_normal((SIDE, SIDE)), 1.2)
    return 120 + 30 * smooth / smooth.std()


@pytest.fixture
def folder(tmp_path: Path, scene: np.ndarray) -> Path:
    """Write a burst of 8-bit pictures: the scene, blurred more and less, with noise."""
    rng, path = np.random.default_rng(5), tmp_path / "burst"
    path.mkdir()
    for f in range(FRAMES):
        frame = gaussian_filter(scene, 2 + 0.2 * (f % 3)) + rng.normal(0, 3, scene.shape)
        imageio.imwrite(path / f"{f}.png", np.clip(np.rint(frame), 0, 255).astype(np.uint8))
    return path


def test_the_other_half_judges(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path, scene: np.ndarray, capsys
) -> None:
    seen: list[np.ndarray] = []

    def perfect(frames: np.ndarray, **options: object) -> xr.Dataset:
        assert options == {"model": "turbulence", "quality": "fast", "noise": "auto", "prior": "generic"}
        seen.append(frames)
        return xr.Dataset({"image": (("y", "x"), scene)})

    def explained(job, image: np.ndarray) -> np.ndarray:
        m = (SIDE - job.plan.shape[0]) // 2
        frames = job.dataset["data"].values
        assert job.channels[0].noise.sigma > 1  # of 8-bit pictures, which have been displayed
        assert image[m:-m, m:-m].shape == frames.shape[1:]
        return ((frames - gaussian_filter(image, 2)[m:-m, m:-m]) ** 2).mean(axis=(1, 2))[:, None] / 9

    monkeypatch.setattr(real_bursts, "restore", perfect)
    monkeypatch.setattr(real_bursts, "explain", explained)
    arguments = ["bench", "turbulence", str(folder), "--quality", "fast", "--size", str(SIDE)]
    kept, pictures = tmp_path / "t.json", tmp_path / "p"
    assert cli.main([*arguments, "--frames", "3", "--json", str(kept), "--pictures", str(pictures)]) == 0
    assert [frames.dtype for frames in seen] == [np.uint8]
    np.testing.assert_array_equal(seen[0][1], imageio.imread(folder / "2.png"))
    assert len(seen[0]) == 3
    table = capsys.readouterr().out
    assert "| burst | registered mean |" in table
    rows = json.loads(kept.read_text())["rows"]
    mean, sharpest, ours = rows
    assert ours["held_out"] == pytest.approx(1, abs=0.5)
    assert ours["held_out"] < 0.5 * mean["held_out"]
    assert ours["frc"] > mean["frc"] > sharpest["frc"]
    assert sorted(np.load(pictures / "burst.npz")) == [
        "blinddps", "other", "registered mean", "sharpest frame",
    ]  # fmt: skip


def test_a_burst_that_cannot_be_divided_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="a burst of 2 frames cannot be divided"):
        real_bursts.judge(folder, SIDE, 1)
    with pytest.raises(InputError, match="give frames of at least 999 x 999 pixels"):
        real_bursts.judge(folder, 999, 3)
    with pytest.raises(InputError, match="lie within the margin of"):
        real_bursts.judge(folder, 40, 3, samples=1, steps=2)
