"""`blinddps bench …`: the benchmarks of the repository."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blinddps_sci.bench import NOISES, QUALITY_METHODS, SCALE_KINDS, SPEED_METHODS
from blinddps_sci.cli.base import FAILED, Parser
from blinddps_sci.cli.bench_calibration import add_calibration
from blinddps_sci.cli.bench_denoising import add_denoising
from blinddps_sci.cli.bench_detector import add_detector_benchmarks
from blinddps_sci.cli.bench_images import add_images, add_rows, planes_of
from blinddps_sci.cli.bench_real import add_real_benchmark
from blinddps_sci.cli.bench_tasks import add_task_benchmark
from blinddps_sci.errors import ConfigError

__all__ = ["add_bench"]


def add_bench(bench: argparse.ArgumentParser) -> None:
    """Add every benchmark to the command `bench`."""
    kinds = bench.add_subparsers(required=True, metavar="BENCHMARK", parser_class=Parser)
    parity = kinds.add_parser("parity", help="compare with a stored run of the published code")
    parity.add_argument("file", type=Path)
    parity.set_defaults(command=_bench_parity)
    quality = kinds.add_parser("quality", help="all methods side by side on simulated blur")
    quality.add_argument(
        "--methods",
        default=QUALITY_METHODS,
        help="comma-separated; split-S-C-N has S steps, C chains and N samples (default: %(default)s)",
    )
    add_images(quality, "to tune on")
    quality.add_argument("--cases", "--images", dest="count", type=int, default=24, help="how many cases")
    quality.add_argument(
        "--noises",
        type=_numbers,
        default=",".join(map(str, NOISES)),
        help="standard deviations of the noise on [0, 1], comma-separated (default: %(default)s)",
    )
    add_rows(quality)
    quality.add_argument("--plot", type=Path, metavar="FILE.png", help="quality against cost")
    quality.set_defaults(command=_bench_quality)
    speed = kinds.add_parser("speed", help="time, networks' share and memory of a restoration by one thread")
    speed.add_argument("--methods", default=SPEED_METHODS, help="comma-separated (default: %(default)s)")
    speed.add_argument("--json", type=Path, help="file for the numbers")
    speed.set_defaults(command=_bench_costs, kind="speed")
    for kind in (quality, speed):
        kind.add_argument("--size", type=int, default=128, help="side of the blurred images, pixels")
        kind.add_argument("--seed", type=int, default=0)
        for name in ("steps", "chains", "samples"):
            kind.add_argument(f"--{name}", type=int, help="instead of the presets' of split")
    step = kinds.add_parser("step", help="cost of a Dps step over that of its networks")
    step.add_argument("--size", type=int, default=128)
    step.add_argument("--repeats", type=int, default=7)
    step.set_defaults(command=_bench_costs, kind="step")
    tiles = kinds.add_parser("tiles", help="how much the answer depends on the tile grid")
    tiles.add_argument("--size", type=int, default=128)
    tiles.add_argument("--steps", type=int, default=200)
    tiles.add_argument("--samples", type=int, default=4)
    tiles.add_argument("--seed", type=int, default=0)
    tiles.set_defaults(command=_bench_costs, kind="tiles")
    models = kinds.add_parser("psf-models", help="--psf per-tile, smooth and shared, where the PSF varies")
    models.add_argument("--size", type=int, default=512, help="side of the image, pixels, up to 512")
    models.add_argument("--nodes", type=int, default=5, help="true PSFs along each axis")
    models.add_argument("--seed", type=int, default=0)
    models.add_argument("--quality", default="default", help="preset: fast, default or best")
    models.add_argument("--tile", type=int, default=192)
    models.add_argument("--overlap", type=int, default=64)
    add_rows(models)
    models.set_defaults(command=_bench_costs, kind="psf-models")
    _add_turbulence(kinds)
    add_detector_benchmarks(kinds)
    add_denoising(kinds)
    add_calibration(kinds)
    add_task_benchmark(kinds)
    add_real_benchmark(kinds)
    scale = kinds.add_parser("scale", help="what runs cost beside their computation, and how they grow")
    scale.add_argument("what", choices=SCALE_KINDS)
    scale.add_argument("--json", type=Path, help="file for the numbers")
    scale.add_argument("--resume", action="store_true", help="`seams`: go on from the --json file")
    scale.add_argument("--costs", type=Path, help="file of `model`, from which `project` takes its units")
    scale.set_defaults(command=_bench_scale)


def _add_turbulence(kinds: Any) -> None:
    """Add the benchmarks of turbulence: of bursts, and of the published problem."""
    burst = kinds.add_parser("turbulence", help="bursts through turbulence, beside simpler ways to use them")
    burst.add_argument(
        "files", nargs="*", type=Path, metavar="BURST",
        help="with its truth (npz), or a real one, judged by half of its frames; else two are simulated",
    )  # fmt: skip
    burst.add_argument("--size", type=int, default=192, help="side of the frames, or of their middle, pixels")
    burst.add_argument("--frames", type=int, default=12, help="frames of simulated bursts, or of each half")
    burst.add_argument("--seed", type=int, default=0)
    burst.add_argument("--quality", default="default", help="preset: fast, default or best")
    burst.add_argument("--noise", default="auto", help="noise of the frames, as of `restore`")
    burst.add_argument("--prior", default="generic", help="prior of the scene, as of `restore`")
    burst.add_argument("--json", type=Path, help="file for the numbers")
    burst.add_argument("--pictures", type=Path, metavar="FOLDER", help="keep what is found, as npz")
    burst.set_defaults(command=_bench_costs, kind="turbulence")
    single = kinds.add_parser("single-frame", help="the published problem of turbulence, with ablations")
    single.add_argument("--data", type=Path, help="folder of sharp images; scikit-image's by default")
    single.add_argument("--images", dest="count", type=int, default=8, help="how many")
    single.add_argument("--size", type=int, default=128, help="side of the frames, pixels")
    single.add_argument("--steps", type=int, default=1000)
    single.add_argument("--samples", type=int, default=1, help="draws, of which the mean is compared")
    single.add_argument("--seed", type=int, default=0)
    add_rows(single)
    single.set_defaults(command=_bench_single_frame)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give numbers with commas between them") from None


def _bench_parity(file: Path) -> int:
    from blinddps_sci.bench.parity import TOLERANCE, compare

    differences = compare(file)
    for name, difference in differences.items():
        print(f"{name:14s} {difference:.3e}")
    worst = max(differences.values())
    print(f"largest difference {worst:.3e}, allowed {TOLERANCE:.0e}")
    return 0 if worst <= TOLERANCE else FAILED


def _bench_quality(held_out: bool, data: Path | None, **options: Any) -> None:
    from blinddps_sci.bench.quality import run_quality
    from blinddps_sci.bench.table import format_comparison, format_table

    rows = run_quality(data=data, held_out=planes_of(data, held_out), **options)
    print(f"{format_table(rows)}\n\n{format_comparison(rows)}")


def _bench_single_frame(**options: Any) -> None:
    from blinddps_sci.bench.single_frame import run_single_frame
    from blinddps_sci.bench.table import format_table

    print(format_table(run_single_frame(**options)))


def _bench_scale(what: str, json: Path | None, resume: bool, costs: Path | None) -> None:
    from blinddps_sci.bench.projection import read_costs, run_projection
    from blinddps_sci.bench.row_file import check_written, write_json
    from blinddps_sci.bench.scale import run_overhead, run_plan, run_stragglers, run_strong
    from blinddps_sci.bench.scale_runs import run_memory, run_model
    from blinddps_sci.bench.seams import run_seams

    check_written(json)
    if (what == "project") != (costs is not None):
        raise ConfigError("project, and nothing else, needs --costs FILE.json, written by `model`")
    if what == "seams":  # keeps its numbers after each picture
        print(run_seams(json=json, resume=resume)[1])
        return
    if resume:
        raise ConfigError("seams, and nothing else, can --resume")
    runs: dict[str, Callable[[], tuple[Any, str]]] = {
        "memory": run_memory,
        "model": run_model,
        "overhead": run_overhead,
        "plan": run_plan,
        "stragglers": run_stragglers,
        "strong": run_strong,
    }
    rows, table = runs[what]() if costs is None else run_projection(read_costs(costs))
    if json is not None:
        write_json(json, {"what": what, "rows": rows})
    print(table)


def _bench_costs(kind: str, **options: Any) -> None:
    from blinddps_sci.bench.psf_models import run_psf_models
    from blinddps_sci.bench.speed import run_speed
    from blinddps_sci.bench.step import run_step
    from blinddps_sci.bench.tiles import run_tiles
    from blinddps_sci.bench.turbulence import run_turbulence

    runs: dict[str, Callable[..., str]] = {
        "speed": run_speed, "step": run_step, "tiles": run_tiles, "psf-models": run_psf_models,
        "turbulence": run_turbulence,
    }  # fmt: skip
    print(runs[kind](**options))
