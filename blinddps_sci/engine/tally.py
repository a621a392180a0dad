"""How much of a run is done, counted from its events."""

from __future__ import annotations

from blinddps_sci.engine.driver import Event
from blinddps_sci.engine.job import Job
from blinddps_sci.engine.run_folder import Phase, RunFolder
from blinddps_sci.engine.workload import Workload

__all__ = ["Tally"]


class Tally:
    """Counts the work of a run in pixels of its result, of which each is done once all of its work is.

    Parameters
    ----------
    job : Job
        What is done.
    folder : RunFolder
        Of its run, which may have been at work before.

    Attributes
    ----------
    pixels : int
        Those of all units, or of the shard that the job has.
    units : int
        How many these are.
    done : float
        Pixels that are done or given up.
    restored, lost : int
        Units that are restored or given up, and how many of them are given up.
    """

    def __init__(self, job: Job, folder: RunFolder) -> None:
        height, width = job.plan.shape
        self.pixels = job.plan.planes * height * width * len(job.units) // job.plan.n_units
        self.units = len(job.units)
        self.done, self.restored, self.lost = 0.0, 0, 0
        self._job, self._folder, self._work = job, folder, Workload.of(job)
        self._evidence = job.evidence
        self._parts: dict[tuple[Phase, int], float] = {}
        for phase in ("estimate", "restore"):
            for unit in folder.marked(phase):
                self._set(phase, unit, 1.0)

    def add(self, event: Event) -> None:
        """Count what an event tells of."""
        progress = event.progress
        if progress is not None:
            part = progress.step / progress.steps
            if self._job.estimates:  # the steps of both phases are counted together
                part = 2 * part - (event.phase == "restore")
            config = self._job.config
            draws = config.chains if event.phase == "estimate" else self._job.draws
            at_work = progress.abreast * len(progress.estimates["image"])
            part = (progress.first + part * at_work) / draws
            self._set(event.phase, event.unit, part)
            return
        self._set(event.phase, event.unit, 1.0)
        lost = self._folder.quarantine
        self.lost = len(lost)
        for unit in lost:
            for phase in ("estimate", "restore"):
                self._set(phase, unit, 1.0)

    def _set(self, phase: Phase, unit: int, part: float) -> None:
        """Note which part of a phase of a unit is done; what was tried and failed is not taken back."""
        before = self._parts.get((phase, unit), 0.0)
        if part <= before or unit not in self._job.units or not self._is_work(phase, unit):
            return
        self._parts[phase, unit] = part
        self.done += (part - before) * self._work.share(phase) * self.pixels
        self.restored += phase == "restore" and part == 1.0

    def _is_work(self, phase: Phase, unit: int) -> bool:
        return phase == "restore" or (phase == "estimate" and self._evidence.estimates(unit))
