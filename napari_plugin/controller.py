"""What the restore panel does, without a window: estimates, previews, runs and goes on with runs.

It drives the engine through `blinddps_sci.restore`, as the command line does. Nothing heavy is imported
before it is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_plugin.command import Request, preview_options
from napari_plugin.layer_source import part_of, write_input
from napari_plugin.region import Region

if TYPE_CHECKING:
    import xarray as xr

    from blinddps_sci.engine.job import Job

__all__ = ["PREVIEW_LARGEST", "PREVIEW_SIDE", "Controller", "Estimate", "is_resumable"]

PREVIEW_SIDE = 192
"""Pixels of a side of a preview of the current view."""

PREVIEW_LARGEST = 512
"""Pixels that a side of a preview has at most."""


@dataclass(frozen=True)
class Estimate:
    """What a run would cost.

    Parameters
    ----------
    memory, disk : int
        Bytes at once, of all workers, and bytes of the result and what lies beside it.
    units, tiles : int
        Into how many the image is cut.
    seconds, preview : float, optional
        How long the run takes, and a preview of the region that was given, by this machine's pace; None if
        its measurement was interrupted.
    noise : str
        The noise of the data as an option, measured or as given.
    """

    memory: int
    disk: int
    units: int
    tiles: int
    seconds: float | None
    preview: float | None
    noise: str


class Controller:
    """Does what a panel asks for; keeps this machine's pace, which is measured once in a session."""

    def __init__(self) -> None:
        self._paces: dict[Any, float] = {}
        self._quiet = threading.Event()

    def estimate(self, request: Request, chosen: Mapping[str, int], region: Region) -> Estimate:
        """Return what a run would cost, and a preview of planes and a region.

        Raises
        ------
        BlindDpsError
            If it cannot be run: input, options, memory or disk.
        """
        from blinddps_sci.engine.budget import check_job
        from blinddps_sci.engine.pace import projected_seconds
        from blinddps_sci.engine.restore import prepare_restore

        part = part_of(request.layer, {}, request.region)
        job = prepare_restore(part, dict(request.options))
        folder = next(each for each in request.output.absolute().parents if each.is_dir())
        budget = check_job(job, folder, copied=request.layer.path is None)
        pace = self._pace(job)
        small = prepare_restore(*self._preview(request, chosen, region))
        return Estimate(
            memory=budget.memory_bytes * budget.workers,
            disk=budget.output_bytes + budget.scratch_bytes,
            units=job.plan.n_units,
            tiles=job.plan.n_tiles,
            seconds=None if pace is None else projected_seconds(job, pace),
            preview=None if pace is None else projected_seconds(small, pace),
            noise=_noise_option(job),
        )

    def noise(self, request: Request) -> str:
        """Return the noise of the data as an option.

        Raises
        ------
        BlindDpsError
            If there is no noise to be measured.
        """
        from blinddps_sci.engine.restore import prepare_restore

        part = part_of(request.layer, {}, request.region)
        return _noise_option(prepare_restore(part, dict(request.options)))

    def preview(
        self, request: Request, chosen: Mapping[str, int], region: Region, **watch: Any
    ) -> xr.Dataset:
        """Restore planes and a region fast, and return the result in memory.

        Parameters
        ----------
        request : Request
            What would be restored.
        chosen : mapping of str to int
            Positions along the axes before (y, x).
        region : Region
            Rows and columns.
        **watch
            ``on_start`` and ``callback`` of `blinddps_sci.restore`.
        """
        from blinddps_sci import restore

        self._quiet.set()  # what the pace is measured with would only be in the way
        part, options = self._preview(request, chosen, region)
        return cast("xr.Dataset", restore(part, None, **watch, **options))

    def run(self, request: Request, **watch: Any) -> Any:
        """Restore into a store; an array is written beside it first. See `preview`."""
        from blinddps_sci import restore
        from blinddps_sci.engine.restore import check_output

        self._quiet.set()
        request.output.parent.mkdir(parents=True, exist_ok=True)
        check_output(request.output, request.overwrite)
        self.write_input(request)
        return restore(
            str(request.input), request.output, overwrite=request.overwrite, **watch, **request.keywords
        )

    def resume(self, output: Path, options: Mapping[str, Any], **watch: Any) -> Any:
        """Do what is left of a run; of the options count those that say where. See `preview`."""
        from blinddps_sci import resume
        from blinddps_sci.engine.config import EXECUTION

        self._quiet.set()
        where = {name: value for name, value in options.items() if name in EXECUTION}
        return resume(output, **watch, **{"workers": None, "scheduler": None, **where})

    def write_input(self, request: Request) -> None:
        """Write the input of a request where its command reads it; a file is there already.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if request.layer.path is None:
            write_input(request.layer.source, request.input, request.region)

    def start_measuring(self) -> None:
        """Let estimates measure this machine's pace again."""
        self._quiet.clear()

    def stop_measuring(self) -> None:
        """Let an estimate that is made in another thread end soon, without the pace."""
        self._quiet.set()

    def _preview(
        self, request: Request, chosen: Mapping[str, int], region: Region
    ) -> tuple[Any, dict[str, Any]]:
        options = preview_options(request.options)
        if options.get("model") == "turbulence" and options.get("frames", "all") == "all":
            chosen = {dim: at for dim, at in chosen.items() if dim != "t"}  # all frames show one scene
        return part_of(request.layer, chosen, region), options

    def _pace(self, job: Job) -> float | None:
        """Return how fast this machine does such a job; None if it is not known, and there is no time."""
        from blinddps_sci.engine.pace import measured_pace

        kind = _kind(job)
        if kind not in self._paces:
            try:
                self._paces[kind] = measured_pace(job, self._unless_quiet)
            except _Interrupted:
                return None
        return self._paces[kind]

    def _unless_quiet(self, progress: Any) -> None:
        if self._quiet.is_set():
            raise _Interrupted


class _Interrupted(Exception):
    """Raised inside the measurement of the pace to end it."""


def is_resumable(output: Path) -> bool:
    """Return whether there is a run that was interrupted, or that gave up some of its units."""
    from blinddps_sci import open_result
    from blinddps_sci.engine.restore import quarantined
    from blinddps_sci.errors import BlindDpsError

    try:
        store = open_result(output)
        return store.status == "running" or bool(quarantined(output))
    except BlindDpsError:
        return False


def _kind(job: Job) -> tuple[Any, ...]:
    """Return what a pace depends on."""
    config = job.config
    here = config.workers is None and config.scheduler is None
    networks = tuple(sorted(job.weights.items()))
    return (config.sampler, config.model, config.estimates, config.precision, str(job.device), networks, here)


def _noise_option(job: Job) -> str:
    """Return the measured noise as an option; a variance plane and unlike channels have none but `auto`."""
    noise, *others = (channel.noise for channel in job.channels)
    if any(other != noise for other in others):
        return "auto"
    if noise.kind == "gaussian":
        return f"gaussian:{noise.sigma:.4g}"
    if noise.kind == "poisson":
        return "poisson"
    if noise.kind == "poisson-gaussian" and noise.read_noise > 0:
        return f"poisson-gaussian:{noise.gain:.4g},{noise.read_noise:.4g},{noise.background:.6g}"
    return "auto"
