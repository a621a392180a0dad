"""Benchmarks of `blinddps bench` about light as a detector counts it: the noise, and photometry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blinddps_sci.bench import SKY_KINDS, SKY_METHODS, SKY_PSFS
from blinddps_sci.cli.bench_images import add_rows

__all__ = ["add_detector_benchmarks"]


def add_detector_benchmarks(kinds: Any) -> None:
    """Add `noise` and `photometry` to the command `bench`."""
    noise = kinds.add_parser("noise", help="--noise auto beside the true noise of simulated detectors")
    noise.add_argument("--cases", dest="count", type=int, default=4, help="of each scene and detector")
    noise.add_argument("--size", type=int, default=256, help="side of the images, pixels")
    noise.add_argument("--seed", type=int, default=0)
    noise.add_argument("--json", type=Path, help="file for the numbers")
    noise.set_defaults(command=_noise)
    sky = kinds.add_parser("photometry", help="stars and galaxies before and after, as photutils sees them")
    sky.add_argument("--fields", type=int, default=1, help="of each kind and PSF")
    for name, known in (("kinds", SKY_KINDS), ("psfs", SKY_PSFS), ("methods", SKY_METHODS)):
        sky.add_argument(f"--{name}", default=",".join(known), help="comma-separated (default: %(default)s)")
    sky.add_argument("--size", type=int, default=192, help="side of the fields, pixels")
    sky.add_argument("--seed", type=int, default=0)
    add_rows(sky)
    sky.add_argument("--plot", type=Path, metavar="FILE.png", help="fluxes, sources found and shifts")
    sky.set_defaults(command=_photometry)


def _noise(**options: Any) -> None:
    from blinddps_sci.bench.noise import run_noise

    print(run_noise(**options))


def _photometry(kinds: str, psfs: str, methods: str, **options: Any) -> None:
    from blinddps_sci.bench.photometry import run_photometry

    parts = kinds.split(","), psfs.split(","), methods.split(",")
    print(run_photometry(kinds=parts[0], psfs=parts[1], methods=parts[2], **options))
