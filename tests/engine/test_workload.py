"""How much a job has to do, as a share of which any progress is counted."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from blinddps_sci.engine.refinement import burst_steps
from blinddps_sci.engine.workload import Workload


def test_every_unit_is_estimated_with_its_chains_and_restored_with_its_draws(job_of, scene) -> None:
    job = job_of(scene(64, 200), chains=4, samples=3, steps=5)
    work = Workload.of(job)
    assert work.units == {"estimate": 4, "restore": 4, "blend": 4}
    assert work.calls == {"estimate": 20, "restore": 15, "blend": 0}
    assert work.total == 4 * 35
    assert sum(work.share(phase) * count for phase, count in work.units.items()) == pytest.approx(1)


def test_what_is_not_estimated_does_not_count(job_of, scene) -> None:
    shared = Workload.of(job_of(scene(64, 200), psf="shared", psf_units=2, chains=4))
    assert shared.units == {"estimate": 2, "restore": 4, "blend": 4}
    dps = Workload.of(job_of(scene(64, 200), sampler="dps", chains=3, samples=2))
    assert dps.units["estimate"] == 0
    assert dps.calls["restore"] == 3 * 2 * 3


def test_a_shard_has_its_own_units_to_do(job_of, scene) -> None:
    work = Workload.of(job_of(scene(64, 200), shard="0/2"))
    assert work.units == {"estimate": 2, "restore": 2, "blend": 2}


@pytest.mark.parametrize("sampler", [{"sampler": "split"}, {"sampler": "dps", "steps": 6}])
def test_channels_of_a_burst_find_the_tilts_of_one_of_them(job_of, scene, sampler: dict) -> None:
    mono = np.stack([scene(44, 50)] * 3)
    colour = xr.DataArray(np.stack([mono] * 3, axis=1), dims=("t", "c", "y", "x"))
    options = {"model": "turbulence", "psf": "per-tile", "reach": 4, "samples": 2, "chains": 1, **sampler}
    one, three = (job_of(source, **options) for source in (mono, colour))
    first = burst_steps(one.config.model_copy(update={"samples": 1}), one.plan)
    calls = Workload.of(one).calls["restore"]
    assert Workload.of(three).calls["restore"] == calls + first * 2 // 3 > calls
