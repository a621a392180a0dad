"""`blinddps bench tasks`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blinddps_sci.bench import TASK_NAMES
from blinddps_sci.errors import ConfigError

__all__ = ["add_task_benchmark"]


def add_task_benchmark(kinds: Any) -> None:
    """Add the benchmark of the framework's tasks to the command `bench`."""
    tasks = kinds.add_parser("tasks", help="inpainting to phase retrieval, beside classical methods")
    tasks.add_argument("--tasks", default=",".join(TASK_NAMES), help="comma-separated (default: %(default)s)")
    tasks.add_argument(
        "--samplers", default="split,dps", help="comma-separated; dps takes most of the time (default: both)"
    )
    tasks.add_argument("--data", type=Path, help="folder of sharp images; scikit-image's by default")
    tasks.add_argument(
        "--held-out",
        action="store_true",
        help="only images below --data, a folder of training images, that training leaves out: to tune on",
    )
    tasks.add_argument("--images", dest="count", type=int, default=6, help="how many")
    tasks.add_argument("--size", type=int, default=64, help="side of the images, pixels")
    tasks.add_argument("--seed", type=int, default=0)
    tasks.add_argument("--json", type=Path, help="file for the numbers")
    tasks.add_argument("--resume", action="store_true", help="go on from the rows in the --json file")
    tasks.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="strips and animations of how images are sampled"
    )
    tasks.set_defaults(command=_bench_tasks)


def _bench_tasks(held_out: bool, data: Path | None, **options: Any) -> None:
    from blinddps_sci.bench.tasks import run_tasks
    from blinddps_sci.bench.tasks_table import format_tasks

    planes = None
    if held_out:
        from blinddps_sci.training.images import held_out_planes

        if data is None:
            raise ConfigError("--held-out needs --data FOLDER, a folder of training images")
        planes = held_out_planes(data)
    print(format_tasks(run_tasks(data=data, held_out=planes, **options)))
