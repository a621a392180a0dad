"""`blinddps bench denoising`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blinddps_sci.cli.bench_images import add_images, add_rows, planes_of
from blinddps_sci.errors import ConfigError

__all__ = ["add_denoising"]


def add_denoising(kinds: Any) -> None:
    """Add the benchmark of image priors as denoisers to the command `bench`."""
    parser = kinds.add_parser("denoising", help="the image prior alone, beside classical denoisers")
    add_images(parser, "to tune on")
    parser.add_argument("--images", dest="count", type=int, default=24, help="how many, of all domains")
    parser.add_argument("--size", type=int, default=128, help="side of the images, pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prior", default="shipped", help="image network (default: the shipped one)")
    add_rows(parser)
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="keep a picture of the first image of each domain"
    )
    parser.add_argument(
        "--tune",
        action="store_true",
        help="with --held-out: choose the parameters of the classical methods anew, and print them",
    )
    parser.set_defaults(command=_denoising)


def _denoising(held_out: bool, data: Path | None, tune: bool, **options: Any) -> None:
    from blinddps_sci.bench.denoising import run_denoising, tune_classical
    from blinddps_sci.bench.denoising_table import format_denoising, format_tuned

    planes = planes_of(data, held_out)
    if not tune:
        print(format_denoising(run_denoising(data=data, held_out=planes, **options)))
    elif planes is None:
        raise ConfigError("--tune needs --held-out: what is tuned on must not be reported on")
    else:
        print(
            format_tuned(tune_classical(planes, data, **{k: options[k] for k in ("count", "size", "seed")}))
        )
