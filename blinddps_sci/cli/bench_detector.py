"""Benchmarks of `blinddps bench` about light as a detector counts it: the noise, and photometry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["add_detector_benchmarks"]


def add_detector_benchmarks(kinds: Any) -> None:
    """Add `noise` to the command `bench`."""
    noise = kinds.add_parser("noise", help="--noise auto beside the true noise of simulated detectors")
    noise.add_argument("--cases", dest="count", type=int, default=4, help="of each scene and detector")
    noise.add_argument("--size", type=int, default=256, help="side of the images, pixels")
    noise.add_argument("--seed", type=int, default=0)
    noise.add_argument("--json", type=Path, help="file for the numbers")
    noise.set_defaults(command=_noise)


def _noise(**options: Any) -> None:
    from blinddps_sci.bench.noise import run_noise

    print(run_noise(**options))
