"""How far a run is, from its store and its folder alone, whoever is at work on it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from blinddps_sci.engine.config import make_config
from blinddps_sci.engine.places import plan_of
from blinddps_sci.engine.run_folder import PHASES, Phase, RunFolder
from blinddps_sci.engine.workload import Workload
from blinddps_sci.io.result import ResultStore
from blinddps_sci.tiling import format_duration

__all__ = ["Standing", "describe_standing", "standing_of"]


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    Parameters
    ----------
    units, done : mapping of phase to int
        How many units go through a phase, and how many have.
    quarantine : mapping of int to str
        Units that were given up, and why.
    began : float, optional
        When the run began, seconds since 1970; None if its journal is gone.
    last : float, optional
        When its journal was last written.
    ended : str
        The journal's last word if the run is not at work: ``stopped`` or ``end``.
    rate : float, optional
        Pixels of the result per second since the run began or went on; a part that is estimated counts
        with its share of the work.
    left : float, optional
        Seconds that the rest takes at this rate; None of a run that is not at work.
    """

    units: Mapping[Phase, int]
    done: Mapping[Phase, int]
    quarantine: Mapping[int, str]
    began: float | None
    last: float | None
    ended: str
    rate: float | None
    left: float | None


def standing_of(store: ResultStore) -> Standing | None:
    """Return how far the run of a store is; None if its folder is gone."""
    folder = RunFolder.beside(store.path, str(store.attrs["fingerprint"]))
    if not folder.path.is_dir():
        return None
    plan = plan_of(store)
    work = Workload.by(make_config(store.attrs["config"]), plan, range(plan.n_units))
    done = _done(folder)
    quarantine = folder.quarantine
    journal = folder.journal()
    ended = journal[-1]["event"] if journal and journal[-1]["event"] in ("stopped", "end") else ""
    pixels = math.prod(store.array("scale0/image").shape)
    rate = _rate(journal, work, pixels)
    lost = sum(work.share(phase) for phase in ("estimate", "restore")) * len(quarantine)
    part = min(sum(work.share(phase) * done[phase] for phase in PHASES) + lost, 1.0)
    return Standing(
        units=work.units,
        done=done,
        quarantine=quarantine,
        began=journal[0]["time"] if journal else None,
        last=journal[-1]["time"] if journal else None,
        ended=ended,
        rate=rate,
        left=None if ended or not rate else (1.0 - part) * pixels / rate,
    )


def describe_standing(standing: Standing) -> list[str]:
    """Return the lines that a person reads of it."""
    lines = [
        f"{phase}: {standing.done[phase]} of {standing.units[phase]} units"
        for phase in PHASES
        if standing.units[phase]
    ]
    if standing.began is not None and standing.last is not None:
        began = datetime.fromtimestamp(standing.began).astimezone().isoformat(sep=" ", timespec="seconds")
        lines.append(f"began: {began}")
        if not standing.ended:
            lines.append(f"last sign of life: {format_duration(time.time() - standing.last)} ago")
    if standing.rate:
        lines.append(f"rate: {standing.rate:,.0f} px/s")
    if standing.left is not None:
        lines.append(f"time left: about {format_duration(standing.left)}")
    if standing.ended == "stopped":
        lines.append("the run was stopped; `blinddps resume` goes on with it")
    lines += [
        f"unit {unit} is quarantined: {' '.join(why.split())}" for unit, why in standing.quarantine.items()
    ]
    return lines


def _done(folder: RunFolder) -> dict[Phase, int]:
    """Return how many units have gone through each phase, of a run that is finished or not."""
    counts: Counter[str] = Counter()
    if (folder.path / PHASES[0]).is_dir():  # to count markers is cheaper than to read them
        counts.update({phase: sum(1 for _ in folder.marked(phase)) for phase in PHASES})
    else:
        counts.update(record["phase"] for record in folder.records())
    return {phase: counts[phase] for phase in PHASES}


def _rate(journal: list[dict[str, Any]], work: Workload, pixels: int) -> float | None:
    """Return pixels per second since the run began or last went on."""
    stops = [i for i, line in enumerate(journal[:-1]) if line["event"] in ("stopped", "end")]
    tasks = [line for line in journal[stops[-1] + 1 if stops else 0 :] if line["event"] == "done"]
    if not tasks:
        return None
    seconds = tasks[-1]["time"] - min(line["time"] - line["seconds"] for line in tasks)
    return pixels * sum(work.share(line["phase"]) for line in tasks) / seconds if seconds > 0 else None
