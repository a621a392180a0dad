"""The keys of a result, counted while a run writes them: none is read, and each is written once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.storage import LocalStore

from blinddps_sci.engine.driver import run_job
from blinddps_sci.io.result import ResultStore

ARRAYS = ("scale0/image", "scale0/std", "scale0/dq", "psf/kernel", "psf/std", "quality/chi2")


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> dict[str, Counter[str]]:
    """Count what Zarr finds and what it writes, by path, from now on."""
    found: dict[str, Counter[str]] = {"read": Counter(), "written": Counter()}
    get, write = LocalStore.get, LocalStore.set

    async def counting_get(self: LocalStore, key: str, *args: Any, **options: Any) -> Any:
        value = await get(self, key, *args, **options)
        # Zarr looks for a shard before it writes one; what it does not find costs nothing.
        found["read"][str(self.root / key)] += value is not None
        return value

    async def counting_set(self: LocalStore, key: str, value: Any) -> None:
        found["written"][str(self.root / key)] += 1
        await write(self, key, value)

    monkeypatch.setattr(LocalStore, "get", counting_get)
    monkeypatch.setattr(LocalStore, "set", counting_set)
    return found


def of_units(counts: Counter[str], store: Path) -> dict[str, int]:
    """Return the counts of the keys of a store that units own; metadata and coordinates are the driver's."""
    names = {file: str(file.relative_to(store)) for file in map(Path, counts) if file.is_relative_to(store)}
    return {name: counts[str(file)] for file, name in names.items() if name.split("/c/")[0] in ARRAYS}


@pytest.mark.parametrize("twice", [False, True])
def test_a_run_writes_every_key_once_and_reads_none(
    job_of, scene, tmp_path: Path, traffic, monkeypatch: pytest.MonkeyPatch, twice: bool
) -> None:
    job = job_of(scene(2, 100, 150))
    path = tmp_path / "out.zarr"
    if twice:  # as if another worker had written everything before, and then died
        run_job(job, path)
        monkeypatch.setattr("blinddps_sci.engine.begin._create", lambda *_: ResultStore(path, "r+"))
    # At the end the pyramid is made of what was written, and chi-squared tells whether data are explained.
    monkeypatch.setattr(ResultStore, "build_pyramid", lambda self: 1)
    for counts in traffic.values():
        counts.clear()
    run_job(job, path)
    written = of_units(traffic["written"], path)
    assert set(written) == {
        str(file.relative_to(path))
        for name in ARRAYS
        for file in (path / name / "c").rglob("*")
        if file.is_file()
    }
    assert set(written.values()) == {1}
    assert len(written) == len(ARRAYS) * job.plan.n_units
    read = {key: times for key, times in of_units(traffic["read"], path).items() if times}
    assert all(key.startswith("quality/chi2/") and times == 1 for key, times in read.items())
    assert np.isfinite(ResultStore(path).array("scale0/image")[...]).all()
