"""The plan: units of work, tiles, windows that sum to one, and what a run costs.

NumPy only, and nothing here reads a pixel; the engine carries a plan out.
"""

from __future__ import annotations

from blinddps_sci.tiling.box import Box
from blinddps_sci.tiling.budget import (
    Budget,
    check,
    describe,
    duration,
    estimate,
    format_bytes,
    format_duration,
)
from blinddps_sci.tiling.plan import Plan, Tile, Unit
from blinddps_sci.tiling.window import ramp, window

__all__ = [
    "Box",
    "Budget",
    "Plan",
    "Tile",
    "Unit",
    "check",
    "describe",
    "duration",
    "estimate",
    "format_bytes",
    "format_duration",
    "ramp",
    "window",
]
