"""How much a job has to do: which units in which phase, and what a unit weighs there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from blinddps_sci.engine.config import RestoreConfig
from blinddps_sci.engine.evidence import Evidence
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.refinement import burst_steps
from blinddps_sci.engine.run_folder import Phase
from blinddps_sci.tiling.plan import Plan

__all__ = ["Workload"]


@dataclass(frozen=True)
class Workload:
    """The work of this process, all of a run or its shard of it.

    Parameters
    ----------
    units : mapping of phase to int
        How many units go through a phase.
    calls : mapping of phase to int
        Calls of the image network for each tile of a unit; blending makes none.
    """

    units: Mapping[Phase, int]
    calls: Mapping[Phase, int]

    @classmethod
    def of(cls, job: Job) -> Workload:
        """Return the workload of a job."""
        return cls.by(job.config, job.plan, job.units, job.leading.get("c", 1))

    @classmethod
    def by(cls, config: RestoreConfig, plan: Plan, units: range, channels: int = 1) -> Workload:
        """Return the workload of some units of a plan.

        Every channel of a burst but one finds the tilts of that one before its own scene, in a draw of it.
        """
        # Of a shared PSF some units are estimated, else all or none.
        estimated = sum(map(Evidence.by(config, plan).estimates, units))
        steps = config.steps
        calls = config.draws * steps
        if config.model == "turbulence":
            calls = calls if config.sampler == "dps" else burst_steps(config, plan)
            finding = burst_steps(config.model_copy(update={"samples": 1}), plan)
            calls += finding * (channels - 1) // channels
        return cls(
            units={"estimate": estimated, "restore": len(units), "blend": len(units)},
            calls={"estimate": config.chains * steps, "restore": calls, "blend": 0},
        )

    @property
    def total(self) -> int:
        """Calls for each tile of a unit, summed over units."""
        return sum(count * self.calls[phase] for phase, count in self.units.items())

    def share(self, phase: Phase) -> float:
        """Return which part of all work a phase of one unit is."""
        return self.calls[phase] / self.total
