"""`bench turbulence`: scores of known errors, and a row for every method."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter, shift

from blinddps_sci import cli
from blinddps_sci.bench import turbulence
from blinddps_sci.bench.bursts import BurstCase, read_case, simulated_cases
from blinddps_sci.bench.turbulence import run_turbulence, score_burst, wiener_of_tiles
from blinddps_sci.errors import InputError


@pytest.fixture
def truth() -> np.ndarray:
    return gaussian_filter(np.random.default_rng(0).normal(size=(128, 128)), 1.5)


@pytest.fixture(scope="module")
def case() -> BurstCase:
    return next(iter(simulated_cases(96, 6, 1)))


def test_a_displacement_of_the_whole_is_no_error(truth: np.ndarray) -> None:
    found = score_burst(shift(truth, (1.5, -2.25), order=3, mode="nearest"), truth, 16)
    assert found["psnr"] > 30
    assert found["ssim"] > 0.97
    assert found["distortion"] < 0.06
    assert found["offset_y"] == pytest.approx(1.5, abs=0.1)
    assert found["offset_x"] == pytest.approx(-2.25, abs=0.1)


def test_noise_is_measured_on_the_range_of_the_truth(truth: np.ndarray) -> None:
    span = np.ptp(truth)
    noisy = truth + 0.01 * span * np.random.default_rng(1).normal(size=truth.shape)
    assert score_burst(noisy, truth, 16)["psnr"] == pytest.approx(40, abs=0.3)


def test_a_warp_is_a_distortion(truth: np.ndarray) -> None:
    warped = truth.copy()
    warped[:, 64:] = shift(truth, (2.0, 0.0), order=3, mode="nearest")[:, 64:]
    # A third of the patches are two pixels off, and the rms about the mean is 0.94; a third see both.
    assert 0.6 < score_burst(warped, truth, 16)["distortion"] < 1.0


def test_cases_are_those_of_their_seed(case: BurstCase) -> None:
    again, other = (next(iter(simulated_cases(96, 6, seed))) for seed in (1, 2))
    np.testing.assert_array_equal(case.frames, again.frames)
    assert not np.array_equal(case.frames, other.frames)
    np.testing.assert_allclose(case.psfs.sum(axis=(-2, -1)), 1, atol=0.05)


def test_the_true_psfs_explain_the_frames(case: BurstCase) -> None:
    best = max(score_burst(frame, case.truth, 16)["psnr"] for frame in case.frames)
    assert score_burst(wiener_of_tiles(case), case.truth, 16)["psnr"] > best + 1.5


def test_every_method_has_a_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: BurstCase, capsys
) -> None:
    path = tmp_path / "burst.npz"
    np.savez(path, frames=case.frames, truth=case.truth, psf=case.psfs)

    def perfect(frames: np.ndarray, **options: object) -> xr.Dataset:
        assert options == {"model": "turbulence", "quality": "fast", "noise": "auto", "prior": "generic"}
        np.testing.assert_array_equal(frames, case.frames)
        return xr.Dataset({"image": (("y", "x"), case.truth), "chi2": (("frame",), np.ones(6))})

    monkeypatch.setattr(turbulence, "restore", perfect)
    arguments = ["bench", "turbulence", str(path), "--quality", "fast"]
    assert cli.main([*arguments, "--json", str(tmp_path / "t.json"), "--pictures", str(tmp_path / "p")]) == 0
    assert "| burst | best frame |" in capsys.readouterr().out
    rows = json.loads((tmp_path / "t.json").read_text())["rows"]
    assert len(rows) == 6
    ours = rows[-1]
    assert ours["method"] == "blinddps"
    assert ours["ssim"] > 0.999
    assert ours["chi2"] == 1
    assert ours["psnr"] > max(row["psnr"] for row in rows[:-1])
    # A restoration in the scene's own geometry is off by the mean tilt, which no method can know.
    assert ours["offset"] == pytest.approx(np.hypot(*turbulence._mean_tilt(case)), abs=0.1)
    assert (tmp_path / "p" / "burst.npz").exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a burst with its truth"):
        read_case(tmp_path / "absent.npz")
    np.savez(tmp_path / "wrong.npz", frames=np.zeros((2, 8, 8)), truth=np.zeros((9, 9)), psf=np.zeros(2))
    with pytest.raises(InputError, match="do not go together"):
        read_case(tmp_path / "wrong.npz")
    np.savez(tmp_path / "other.npz", frames=np.zeros((2, 8, 8)))
    with pytest.raises(InputError, match="is not a burst with its truth"):
        run_turbulence([tmp_path / "other.npz"])
