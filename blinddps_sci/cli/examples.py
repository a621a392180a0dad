"""Commands that need no image of one's own: the demonstration, and simulated frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blinddps_sci.cli.base import Add
from blinddps_sci.errors import ConfigError

__all__ = ["add_examples"]


def add_examples(add: Add) -> None:
    """Add `demo` and `simulate`."""
    demo = add("demo", _demo, "Restore two real images that come with scikit-image.")
    demo.add_argument("--output", type=Path, default=Path("demo_output"))
    demo.add_argument("--steps", type=int, help="noise levels of each phase")

    simulate = add("simulate", _simulate, "Simulate a blurred, noisy image with its truth, as FITS.")
    simulate.add_argument("scene", help="kind of scene, or 'list'")
    simulate.add_argument("-o", "--output", type=Path, help="OUT.fits")
    simulate.add_argument("--psf", default="mixture", help="PSF family")
    simulate.add_argument("--psf-size", type=int, default=32)
    simulate.add_argument("--size", type=int, default=256, help="side of the image, pixels")
    simulate.add_argument("--noise", type=float, default=0.01, help="Gaussian sigma, relative to mean flux")
    simulate.add_argument("--seed", type=int, default=0)
    simulate.add_argument("--overwrite", action="store_true")


def _demo(output: Path, steps: int | None) -> None:
    from blinddps_sci.bench.demo import run_demo

    run_demo(output, steps=steps)


def _simulate(scene: str, output: Path | None, **options: Any) -> None:
    from blinddps_sci.simulate.frame import describe_choices, write_frame

    if scene == "list":
        print(describe_choices())
        return
    if output is None:
        raise ConfigError("simulate needs -o OUT.fits")
    print(write_frame(output, scene, **options))
