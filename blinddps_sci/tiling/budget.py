"""What a plan costs, before the first byte is computed.

The engine estimates a run from its plan and refuses, with the numbers, one that does not fit
into the memory and the disk that there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from blinddps_sci.errors import BudgetError, ConfigError
from blinddps_sci.tiling.plan import Plan

__all__ = [
    "Budget",
    "check",
    "describe",
    "duration",
    "estimate",
    "format_bytes",
    "format_duration",
    "tile_pixels",
    "waiting_units",
]

_FLOAT = 4
# Copies in float32 of a canvas that live at once: of each draw's scene in a sampler's state, of
# each frame's data, variance and mask, and of each draw's prediction of each frame with its
# gradient. The last is the peak of `FieldBlur` as measured, 31 to 39 with 25 nodes.
_SCENE_COPIES = 8
_DATA_COPIES = 3
_PREDICTION_COPIES = 40
_DURATIONS = (
    (3600.0, "min", "s", 60, 1),
    (86400.0, "h", "min", 3600, 60),
    (float("inf"), "d", "h", 86400, 3600),
)
# A pyramid whose levels shrink by two in y and x adds a third.
_PYRAMID = 4 / 3


@dataclass(frozen=True)
class Budget:
    """What a run needs.

    Parameters
    ----------
    memory_bytes : int
        Peak memory of one worker.
    output_bytes : int
        Size of the result without compression.
    scratch_bytes : int
        Size of what lies beside the result at most: draws that wait to be blended.
    evaluations : int
        Calls of the image network, one tile each.
    seconds : float, optional
        Duration with all workers, if the time of a call is known.
    workers : int
        Units that are at work at once, in the memory of one machine.
    files : int, optional
        Files that are there at most, if they were counted.
    """

    memory_bytes: int
    output_bytes: int
    scratch_bytes: int
    evaluations: int
    seconds: float | None = None
    workers: int = 1
    files: int | None = None


def estimate(
    plan: Plan,
    *,
    samples: int,
    chains: int,
    steps: int,
    bytes_per_pixel: float,
    channels: int = 1,
    frames: int = 1,
    batch: int = 1,
    workers: int = 1,
) -> Budget:
    """Estimate what a plan needs.

    Parameters
    ----------
    plan : Plan
        The cut of the image.
    samples, chains : int
        Posterior samples per chain and independent chains; a unit holds all of their scenes.
    steps : int
        Network calls of each sample.
    bytes_per_pixel : float
        Activations of the image network per pixel of a tile, gradient included if one is taken.
    channels : int
        Channels of a scene that one network call restores together.
    frames : int
        Frames of data that share a scene (a burst).
    batch : int
        Tiles per network call.
    workers : int
        Units that are at work at once.

    Returns
    -------
    Budget

    Raises
    ------
    ConfigError
        If a number is out of its range.
    """
    counts = {"samples": samples, "chains": chains, "steps": steps, "channels": channels}
    for name, value in {**counts, "frames": frames, "batch": batch, "workers": workers}.items():
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} {value!r}: give a whole number of at least 1")
    if not bytes_per_pixel >= 0:
        raise ConfigError(f"bytes_per_pixel {bytes_per_pixel!r}: give zero or a positive number")
    draws = samples * chains
    return Budget(
        memory_bytes=_memory(plan, draws, channels, frames, batch * bytes_per_pixel),
        output_bytes=_output(plan, channels, frames),
        scratch_bytes=_scratch(plan, draws * channels, workers),
        evaluations=plan.n_tiles * draws * steps,
        workers=workers,
    )


def duration(seconds: float, units: int, workers: int) -> float:
    """Return how long workers take together for units of equal size, each with one at a time.

    Parameters
    ----------
    seconds : float
        One worker's time for all units.
    units, workers : int
        How many there are.
    """
    return seconds * -(-units // workers) / units


def tile_pixels(plan: Plan) -> int:
    """Return the pixels of all tiles, which exceed the image's by their overlap and the canvases' halo."""
    y, x = (
        sum(span.stop - span.start for unit in range(axis.n_units) for span in axis.spans(unit))
        for axis in plan.axes
    )
    return plan.planes * y * x


def waiting_units(plan: Plan, workers: int) -> int:
    """Return of how many units the draws lie on the disk at most.

    Units are restored row by row and two for each worker are under way. The draws of one are needed
    until the one below and right of it is blended, which needs its own neighbour below and right.
    """
    _, columns = plan.unit_grid
    return min(plan.n_units, 2 * (columns + 1) + 1 + 2 * workers)


def check(budget: Budget, memory_limit: int | None = None, disk_free: int | None = None) -> None:
    """Refuse a run that does not fit.

    Parameters
    ----------
    budget : Budget
        What it needs.
    memory_limit : int, optional
        Bytes that all workers together may use; None for no limit.
    disk_free : int, optional
        Bytes free for result and scratch; None for no limit.

    Raises
    ------
    BudgetError
        If the memory or the disk is too small; the message has both numbers.
    """
    if memory_limit is not None and budget.memory_bytes > memory_limit:
        raise BudgetError(
            f"one worker needs {format_bytes(budget.memory_bytes)} of memory and may use "
            f"{format_bytes(memory_limit)}: lower unit, tile or samples"
        )
    if memory_limit is not None and budget.workers * budget.memory_bytes > memory_limit:
        raise BudgetError(
            f"{budget.workers} workers need {format_bytes(budget.workers * budget.memory_bytes)} of memory, "
            f"{format_bytes(budget.memory_bytes)} each, and may use {format_bytes(memory_limit)}: lower "
            f"workers to {memory_limit // budget.memory_bytes}, or lower unit, tile or samples"
        )
    disk = budget.output_bytes + budget.scratch_bytes
    if disk_free is not None and disk > disk_free:
        raise BudgetError(
            f"the run needs {format_bytes(disk)} of disk ({format_bytes(budget.output_bytes)} result, "
            f"{format_bytes(budget.scratch_bytes)} scratch) and {format_bytes(disk_free)} are free: "
            "lower samples, restore a region, or choose another disk"
        )


def describe(budget: Budget) -> str:
    """Return a budget as one line for people."""
    memory = f"{format_bytes(budget.memory_bytes)} memory per worker"
    if budget.workers > 1:
        memory += f", {format_bytes(budget.workers * budget.memory_bytes)} for {budget.workers}"
    parts = [
        memory,
        f"{format_bytes(budget.output_bytes)} result",
        f"{format_bytes(budget.scratch_bytes)} scratch",
    ]
    if budget.files is not None:
        parts.append(f"{budget.files:,} files")
    parts.append(f"{budget.evaluations:,} network calls")
    if budget.seconds is not None:
        parts.append(f"about {format_duration(budget.seconds)}")
    return ", ".join(parts)


def format_bytes(number: float) -> str:
    """Return a number of bytes in decimal units, e.g. ``2.1 GB``."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.95:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} PB"


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units, e.g. ``3 h 20 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    _, large, small, each_large, each_small = next(row for row in _DURATIONS if seconds < row[0])
    first, second = divmod(round(seconds / each_small), each_large // each_small)
    return f"{first} {large} {second} {small}" if second else f"{first} {large}"


def _memory(plan: Plan, draws: int, channels: int, frames: int, network_bytes: float) -> int:
    height, width = plan.largest_canvas()
    tile_height, tile_width = plan.largest_tile()
    copies = _SCENE_COPIES * draws + _DATA_COPIES * frames + _PREDICTION_COPIES * draws * frames
    arrays = height * width * channels * copies * _FLOAT
    return round(arrays + tile_height * tile_width * network_bytes)


def _output(plan: Plan, channels: int, frames: int) -> int:
    """Image and deviation in float32 and eight flag bits, in a pyramid; kernels and theirs."""
    pixels = plan.planes * channels * plan.shape[0] * plan.shape[1]
    kernels = plan.n_tiles * frames * plan.kernel_size**2
    return round(pixels * (2 * _FLOAT + 1) * _PYRAMID) + kernels * 2 * _FLOAT


def _scratch(plan: Plan, arrays: int, workers: int) -> int:
    """Return the size of the draws that wait to be blended, over the data of each unit."""
    height, width = (side - 2 * plan.halo for side in plan.largest_canvas())
    return waiting_units(plan, workers) * height * width * arrays * _FLOAT
