"""What a run has done counts for that run alone: whatever decides the answer makes it another one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits

from blinddps_sci.engine.driver import Event
from blinddps_sci.engine.restore import restore, resume, verify
from blinddps_sci.engine.run_folder import PHASES, RunFolder
from blinddps_sci.errors import InputError, OutputError, PriorError
from blinddps_sci.io.result import open_result
from blinddps_sci.priors.store import load_denoiser, save_denoiser

UNITS = 3


@pytest.fixture
def options(small: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Options with an image network of one's own, which may be changed."""
    own = tmp_path / "image.safetensors"
    shutil.copy(small["prior"], own)
    return {**small, "prior": str(own)}


@pytest.fixture
def frame(scene, tmp_path: Path) -> Path:
    path = tmp_path / "frame.fits"
    fits.writeto(path, scene(40, 180))
    return path


def change_option(frame: Path, options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "seed": 1}


def change_weight(frame: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Change one weight by what its file just tells apart, as a training does that goes on for a moment."""
    path = Path(options["prior"])
    network, card = load_denoiser(path)
    weight = next(network.parameters())
    first = (0,) * weight.ndim
    weight[first] = torch.nextafter(weight[first].half(), torch.tensor(torch.inf).half()).float()
    save_denoiser(path, network, card)
    return options


def change_time(frame: Path, options: dict[str, Any]) -> dict[str, Any]:
    os.utime(frame, (1.7e9, 1.7e9))
    return options


CHANGES = [change_option, change_weight, change_time]


def test_a_network_with_a_damaged_byte_is_refused(
    options: dict[str, Any], frame: Path, tmp_path: Path
) -> None:
    path = Path(options["prior"])
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)
    with pytest.raises(PriorError, match="do not match their checksum"):
        restore(frame, tmp_path / "out.zarr", **options)
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize("finished", [False, True], ids=["interrupted", "finished"])
@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_used_of_a_run_with_another_answer(
    options: dict[str, Any],
    frame: Path,
    digests: Callable[[Path], dict[str, str]],
    tmp_path: Path,
    change: Callable[[Path, dict[str, Any]], dict[str, Any]],
    finished: bool,
) -> None:
    out, runs = tmp_path / "out.zarr", tmp_path / "out.zarr.run"

    def stop(event: Event) -> None:
        if not finished and (event.phase, event.unit) == ("blend", 1):
            raise KeyboardInterrupt

    try:
        restore(frame, out, callback=stop, **options)
    except KeyboardInterrupt:
        assert any(True for _ in RunFolder(next(runs.iterdir())).marked("blend"))
    (before,) = runs.iterdir()
    changed = change(frame, options)
    kept = digests(tmp_path)

    given = {"seed": changed["seed"]} if change is change_option else {}
    if not finished:
        with pytest.raises(InputError, match="have changed since"):
            resume(out, **given)
    assert verify(out, repair=True) == {}  # what is there is what was written, whatever it was made of
    with pytest.raises(OutputError, match=r"out\.zarr exists"):
        restore(frame, out, **changed)
    assert digests(tmp_path) == kept
    assert open_result(out).status == ("complete" if finished else "running")

    done: list[tuple[str, int]] = []

    def note(event: Event) -> None:
        if event.progress is None:
            done.append((event.phase, event.unit))

    result = restore(frame, out, overwrite=True, callback=note, **changed)
    assert sorted(done) == sorted((phase, unit) for phase in PHASES for unit in range(UNITS))
    (after,) = runs.iterdir()
    assert after.name != before.name
    fresh = restore(frame, tmp_path / "fresh.zarr", **changed)
    for name in ("image", "std", "dq", "psf_kernel", "chi2"):
        np.testing.assert_array_equal(result[name], fresh[name])
