"""`blinddps bench real`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blinddps_sci.bench import REAL_CASES
from blinddps_sci.cli.bench_images import add_rows

__all__ = ["add_real_benchmark"]


def add_real_benchmark(kinds: Any) -> None:
    """Add the benchmark on measured data to the command `bench`."""
    real = kinds.add_parser("real", help="measured data, judged by what else was measured of the same thing")
    real.add_argument(
        "--data", type=Path, metavar="FOLDER", help="where the files are; docs/real.md lists them"
    )
    real.add_argument("--cases", default=",".join(REAL_CASES), help="comma-separated (default: %(default)s)")
    real.add_argument("--quality", default="default", help="preset: fast, default or best")
    real.add_argument("--seed", type=int, default=0)
    real.add_argument("--items", type=int, metavar="N", help="only N images of a case that has several")
    add_rows(real)
    real.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="what is found (npz), and pictures of it"
    )
    real.set_defaults(command=_bench_real)


def _bench_real(cases: str, **options: Any) -> None:
    from blinddps_sci.bench.real_truth import run_real

    print(run_real(cases=[part.strip() for part in cases.split(",") if part.strip()], **options))
