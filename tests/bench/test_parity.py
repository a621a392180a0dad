"""Parity: the compatibility mode follows the stored runs of the published code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blinddps_sci.bench.parity import TOLERANCE, compare
from blinddps_sci.errors import InputError

DATA = Path(__file__).resolve().parents[1] / "data"
RESULTS = {
    "blind_blur": {"norm", "traj_img", "traj_kernel", "final_img", "final_kernel"},
    "turbulence": {
        "norm",
        "traj_img",
        "traj_kernel",
        "traj_tilt",
        "final_img",
        "final_kernel",
        "final_tilt",
    },
}


def stored(name: str) -> dict[str, np.ndarray]:
    with np.load(DATA / f"{name}.npz") as file:
        return dict(file)


def rewritten(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(folder / "run.npz", **arrays)
    return folder / "run.npz"


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_every_stored_point_is_met(name: str) -> None:
    differences = compare(DATA / f"{name}.npz")
    assert set(differences) == RESULTS[name]
    assert TOLERANCE == 2e-4
    assert max(differences.values()) <= TOLERANCE


def test_results_that_differ_at_one_point_are_reported(tmp_path: Path) -> None:
    arrays = stored("turbulence")
    changed = {"norm": 1e-3, "traj_img": 2e-3, "traj_kernel": 3e-3, "final_tilt": 4e-3}
    for key, change in changed.items():
        arrays[key].flat[-1] += change
    differences = compare(rewritten(tmp_path, arrays))
    for key, difference in differences.items():
        assert difference == pytest.approx(changed.get(key, 0.0), abs=TOLERANCE)
    assert set(differences) == RESULTS["turbulence"]


@pytest.mark.parametrize("key", ["measurement", "init_kernel", "noise_img"])
def test_another_input_leads_elsewhere(tmp_path: Path, key: str) -> None:
    arrays = stored("blind_blur")
    arrays[key] = arrays[key] + np.float32(0.5)
    differences = compare(rewritten(tmp_path, arrays))
    assert differences["norm"] > TOLERANCE
    assert differences["final_img"] > TOLERANCE


def test_a_file_in_another_format_is_refused(tmp_path: Path) -> None:
    arrays = stored("blind_blur")
    for missing in ("norm", "measurement", "noise_img", "weights/img/out.2.bias"):
        fewer = {key: value for key, value in arrays.items() if key != missing}
        with pytest.raises(InputError, match="not a stored trajectory"):
            compare(rewritten(tmp_path, fewer))


@pytest.mark.parametrize("length", [0, 300, -50])
def test_a_damaged_file_is_refused(tmp_path: Path, length: int) -> None:
    whole = (DATA / "blind_blur.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:length])
    with pytest.raises(InputError, match=r"cut\.npz is not a stored trajectory"):
        compare(tmp_path / "cut.npz")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.npz is not a stored trajectory"):
        compare(tmp_path / "absent.npz")
