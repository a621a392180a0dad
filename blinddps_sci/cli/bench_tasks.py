"""`blinddps bench tasks`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blinddps_sci.bench import TASK_NAMES
from blinddps_sci.cli.bench_images import add_images, add_rows, planes_of

__all__ = ["add_task_benchmark"]


def add_task_benchmark(kinds: Any) -> None:
    """Add the benchmark of the framework's tasks to the command `bench`."""
    tasks = kinds.add_parser("tasks", help="inpainting to phase retrieval, beside classical methods")
    tasks.add_argument("--tasks", default=",".join(TASK_NAMES), help="comma-separated (default: %(default)s)")
    tasks.add_argument(
        "--samplers", default="split,dps", help="comma-separated; dps takes most of the time (default: both)"
    )
    add_images(tasks, "to tune on")
    tasks.add_argument("--images", dest="count", type=int, default=6, help="how many")
    tasks.add_argument("--size", type=int, default=64, help="side of the images, pixels")
    tasks.add_argument("--seed", type=int, default=0)
    add_rows(tasks)
    tasks.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="strips and animations of how images are sampled"
    )
    tasks.set_defaults(command=_bench_tasks)


def _bench_tasks(held_out: bool, data: Path | None, **options: Any) -> None:
    from blinddps_sci.bench.tasks import run_tasks
    from blinddps_sci.bench.tasks_table import format_tasks

    print(format_tasks(run_tasks(data=data, held_out=planes_of(data, held_out), **options)))
