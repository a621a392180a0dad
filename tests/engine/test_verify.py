"""Verification: damage of every kind is found, named and repaired, and nothing else is touched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

from blinddps_sci.engine.restore import restore, resume, verify
from blinddps_sci.errors import InputError
from blinddps_sci.io.result import open_result


@pytest.fixture
def store(small: dict[str, Any], scene, tmp_path: Path) -> Path:
    """Return a store of three units, complete."""
    fits.writeto(tmp_path / "in.fits", scene(40, 170))
    restore(tmp_path / "in.fits", tmp_path / "out.zarr", **small)
    return tmp_path / "out.zarr"


def shard(store: Path, name: str, unit: int) -> Path:
    return store / "scale0" / name / "c" / "0" / str(unit)


def values(store: Path) -> list[np.ndarray]:
    return [open_result(store).array(f"scale0/{name}")[:] for name in ("image", "std", "dq")]


def test_a_store_as_it_was_written_is_sound(store: Path) -> None:
    assert verify(store) == {}


@pytest.mark.parametrize("name", ["image", "std", "dq"])
@pytest.mark.parametrize("damage", ["torn", "gone", "changed"])
def test_damage_is_found_and_repaired(store: Path, name: str, damage: str) -> None:
    before = values(store)
    file = shard(store, name, 1)
    if damage == "torn":
        file.write_bytes(file.read_bytes()[:-20])
    if damage == "gone":
        file.unlink()
    if damage == "changed":
        shutil.copy(shard(store, name, 0), file)
        if name == "dq":  # all flags are alike here
            array = open_result(store, "r+").array("scale0/dq")
            array[3, 70] = 2
    kept = {unit: shard(store, "image", unit).stat().st_mtime_ns for unit in (0, 2)}
    assert list(verify(store)) == [1]
    assert list(verify(store, repair=True)) == [1]
    assert verify(store) == {}
    for one, other in zip(values(store), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert kept == {unit: shard(store, "image", unit).stat().st_mtime_ns for unit in (0, 2)}
    assert open_result(store).status == "complete"


def test_a_run_that_is_not_finished_may_be_verified(small, scene, tmp_path: Path) -> None:
    fits.writeto(tmp_path / "in.fits", scene(40, 170))

    def stop(event: Any) -> None:
        if event.phase == "blend":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(tmp_path / "in.fits", tmp_path / "out.zarr", callback=stop, **small)
    assert verify(tmp_path / "out.zarr") == {}
    shard(tmp_path / "out.zarr", "image", 0).write_bytes(b"torn")
    assert list(verify(tmp_path / "out.zarr")) == [0]
    assert list(verify(tmp_path / "out.zarr", repair=True)) == [0]
    resume(tmp_path / "out.zarr")
    assert verify(tmp_path / "out.zarr") == {}


def test_a_store_without_a_run_cannot_be_verified(store: Path) -> None:
    shutil.rmtree(store.with_name("out.zarr.run"))
    with pytest.raises(InputError, match="no run to go on with"):
        verify(store)


@pytest.mark.parametrize("damage", ["torn", "changed"])
def test_a_damaged_level_of_the_pyramid_is_made_again(small, scene, tmp_path: Path, damage: str) -> None:
    np.save(tmp_path / "psf.npy", np.ones((3, 3)))
    fits.writeto(tmp_path / "in.fits", scene(40, 600))
    out = tmp_path / "out.zarr"
    restore(tmp_path / "in.fits", out, **small, psf_file=str(tmp_path / "psf.npy"))
    before = open_result(out).array("scale1/std")[:]
    file = out / "scale1" / "std" / "c" / "0" / "2"
    file.write_bytes(b"torn" if damage == "torn" else file.with_name("1").read_bytes())
    untouched = shard(out, "std", 3).stat().st_mtime_ns
    assert list(verify(out)) == ["scale1/std"]
    assert list(verify(out, repair=True)) == ["scale1/std"]
    assert verify(out) == {}
    np.testing.assert_array_equal(open_result(out).array("scale1/std")[:], before)
    assert shard(out, "std", 3).stat().st_mtime_ns == untouched
    assert open_result(out).status == "complete"


def test_what_was_made_of_an_array_in_memory_is_verified_without_it(small, scene, tmp_path: Path) -> None:
    restore(scene(40, 100), tmp_path / "out.zarr", **small)
    assert verify(tmp_path / "out.zarr") == {}
    shard(tmp_path / "out.zarr", "image", 1).write_bytes(b"torn")
    assert list(verify(tmp_path / "out.zarr")) == [1]
    with pytest.raises(InputError):
        verify(tmp_path / "out.zarr", repair=True)
    assert list(verify(tmp_path / "out.zarr")) == [1]


@pytest.mark.parametrize("axes", [("t", "c"), ("t", "z"), ("c", "z")])
def test_every_plane_is_verified_at_its_place(small, scene, tmp_path: Path, axes: tuple[str, str]) -> None:
    data = xr.DataArray(scene(2, 3, 24, 24), dims=(*axes, "y", "x"))
    restore(data, tmp_path / "out.zarr", **{**small, "steps": 2})
    assert verify(tmp_path / "out.zarr") == {}
    store = open_result(tmp_path / "out.zarr", "r+")
    store.array("scale0/std")[1, 2, 5, 6] += 1
    store.array("psf/kernel")[-1, -1, 0, 0, 4, 4] += 1
    damaged = verify(tmp_path / "out.zarr")
    assert list(damaged) == [5]
