"""The command line: `blinddps …`.

Parses, calls the public functions and prints; nothing is computed here. Exit codes: 0 done, 1
wrong usage, input or configuration (one line on stderr), 3 finished with quarantined units,
130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from blinddps_sci.bench import QUALITY_METHODS, SPEED_METHODS
from blinddps_sci.errors import BlindDpsError, ConfigError

__all__ = ["main"]

_FAILED, _QUARANTINED, _INTERRUPTED = 1, 3, 130


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are ours: one line, exit code 1."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see `{self.prog} --help`)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Threads that spin while they wait make torch many times slower on a machine that is shared;
    # the setting is read when torch is loaded, which no command has done yet.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        options = vars(_parser().parse_args(arguments))
        command: Callable[..., int | None] = options.pop("command")
        with _terminated_as_interrupted():
            return command(**options) or 0
    except BlindDpsError as error:
        print(f"blinddps: error: {' '.join(str(error).split())}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("blinddps: interrupted; a restoration goes on with `blinddps resume OUTPUT`", file=sys.stderr)
        return _INTERRUPTED


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM, with which schedulers end a job, end a command as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(signum: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="blinddps", description="Blind restoration of scientific images.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    def add(name: str, command: Callable[..., int | None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    demo = add("demo", _demo, "Restore two real images that come with scikit-image.")
    demo.add_argument("--output", type=Path, default=Path("demo_output"))
    demo.add_argument("--steps", type=int, help="noise levels of each phase")

    restore = add("restore", _restore, "Restore an image whose blur is unknown.")
    _add_restore_options(restore)
    restore.add_argument("-o", "--output", required=True, help="OUT.zarr, OUT.fits or OUT.tif")
    restore.add_argument("--overwrite", action="store_true", help="replace an existing output")
    restore.add_argument("--quiet", action="store_true", help="no progress bar")

    resume = add("resume", _resume, "Go on with a restoration that was interrupted or gave up some units.")
    resume.add_argument("output", help="the output that was asked for, or its store")
    for name in ("workers", "scheduler"):
        resume.add_argument(f"--{name}", metavar=name.upper(), help="as of restore")
    resume.add_argument("--quiet", action="store_true", help="no progress bar")

    verify = add("verify", _verify, "Compare every shard of a result store with what was written.")
    verify.add_argument("output", help="the store, or the output that it lies beside")
    verify.add_argument("--repair", action="store_true", help="restore damaged units again")

    plan = add("plan", _plan, "Say what a restoration would do and cost; nothing is written.")
    _add_restore_options(plan)

    info = add("info", _info, "Describe a result store, an image or a weights file.")
    info.add_argument("path", type=Path)

    export = add("export", _export, "Write a result store as FITS or TIFF, or its PSFs for photutils.")
    export.add_argument("store", type=Path)
    export.add_argument("-o", "--output", type=Path, help="OUT.fits or OUT.tif")
    export.add_argument("--psf", type=Path, metavar="OUT.psf.fits", help="PSF grid for GriddedPSFModel")
    export.add_argument("--overwrite", action="store_true")

    simulate = add("simulate", _simulate, "Simulate a blurred, noisy image with its truth, as FITS.")
    simulate.add_argument("scene", help="kind of scene, or 'list'")
    simulate.add_argument("-o", "--output", type=Path, help="OUT.fits")
    simulate.add_argument("--psf", default="mixture", help="PSF family")
    simulate.add_argument("--psf-size", type=int, default=32)
    simulate.add_argument("--size", type=int, default=256, help="side of the image, pixels")
    simulate.add_argument("--noise", type=float, default=0.01, help="Gaussian sigma, relative to mean flux")
    simulate.add_argument("--seed", type=int, default=0)
    simulate.add_argument("--overwrite", action="store_true")

    train = add("train", _train, "Train a prior by denoising score matching.")
    train.add_argument("role", choices=("image", "kernel"))
    train.add_argument("--data", type=Path, help="folder of images, or a pack.npz of an earlier run")
    train.add_argument("--recipe", help="name or TOML file")
    train.add_argument("--minutes", type=float, required=True)
    train.add_argument("--output", type=Path, default=Path("runs"), help="folder of the run")
    train.add_argument("--start-from", type=Path, metavar="WEIGHTS", help="trained weights to begin with")
    train.add_argument("--resume", action="store_true")
    train.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    train.add_argument("--licence", default="not stated", help="licence of the weights, for their card")

    convert = add("convert", _convert, "Turn a public .pt checkpoint into safetensors, safely.")
    convert.add_argument("source", type=Path)
    convert.add_argument("-o", "--output", type=Path, required=True)
    convert.add_argument("--licence", default="not stated")
    convert.add_argument("--overwrite", action="store_true")

    priors = add("priors", _priors, "List the shipped priors, or show one.")
    priors.add_argument("action", nargs="?", choices=("list", "show"), default="list")
    priors.add_argument("name", nargs="?")

    _add_bench(commands.add_parser("bench", help="Benchmarks.", description="Benchmarks."))
    return parser


def _add_bench(bench: argparse.ArgumentParser) -> None:
    kinds = bench.add_subparsers(required=True, metavar="BENCHMARK", parser_class=_Parser)
    parity = kinds.add_parser("parity", help="compare with a stored run of the published code")
    parity.add_argument("file", type=Path)
    parity.set_defaults(command=_bench_parity)
    quality = kinds.add_parser("quality", help="all methods side by side on simulated blur")
    quality.add_argument(
        "--methods",
        default=QUALITY_METHODS,
        help="comma-separated; split-S-C-N has S steps, C chains and N samples (default: %(default)s)",
    )
    quality.add_argument("--data", type=Path, help="folder of sharp images; scikit-image's by default")
    quality.add_argument(
        "--held-out",
        action="store_true",
        help="only images below --data, a folder of training images, that training leaves out: to tune on",
    )
    quality.add_argument("--cases", "--images", dest="count", type=int, default=24, help="how many cases")
    quality.add_argument("--resume", action="store_true", help="go on from the rows in the --json file")
    quality.add_argument("--plot", type=Path, metavar="FILE.png", help="quality against cost")
    quality.set_defaults(command=_bench_quality)
    speed = kinds.add_parser("speed", help="time, networks' share and memory of one restoration")
    speed.add_argument("--methods", default=SPEED_METHODS, help="comma-separated (default: %(default)s)")
    speed.set_defaults(command=_bench_costs, kind="speed")
    for kind in (quality, speed):
        kind.add_argument("--size", type=int, default=128, help="side of the blurred images, pixels")
        kind.add_argument("--seed", type=int, default=0)
        kind.add_argument("--json", type=Path, help="file for the numbers")
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
    models.add_argument("--json", type=Path, help="file for the numbers")
    models.set_defaults(command=_bench_costs, kind="psf-models")


def _number_or_name(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


def _add_restore_options(parser: argparse.ArgumentParser) -> None:
    """Add one option per field of the configuration, under its name."""
    from blinddps_sci.engine.config import RestoreConfig

    parser.add_argument("input", nargs="+", help="one file, or several frames of one scene")
    parser.add_argument("--config", metavar="FILE.toml", help="options from a file; explicit ones win")
    for name, field in RestoreConfig.model_fields.items():
        option, text = f"--{name.replace('_', '-')}", f"{field.description} (default: {field.default})"
        if field.annotation is bool:
            parser.add_argument(option, action="store_true", default=argparse.SUPPRESS, help=text)
            continue
        kind = _number_or_name if name in ("hdu", "channel") else str
        parser.add_argument(option, type=kind, default=argparse.SUPPRESS, metavar=name.upper(), help=text)


def _source(paths: list[str]) -> str | list[str]:
    return paths[0] if len(paths) == 1 else paths


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _demo(output: Path, steps: int | None) -> None:
    from blinddps_sci.bench.demo import run_demo

    run_demo(output, steps=steps)


def _restore(input: list[str], output: str, overwrite: bool, quiet: bool, **options: Any) -> int:
    from blinddps_sci.engine.restore import restore

    def work(**watch: Any) -> Any:
        return restore(_source(input), output, overwrite=overwrite, **watch, **_given(options))

    return _watched(work, output, quiet)


def _resume(output: str, quiet: bool, **options: Any) -> int:
    from blinddps_sci.engine.restore import resume

    return _watched(lambda **watch: resume(output, **watch, **_given(options)), output, quiet)


def _verify(output: str, repair: bool) -> int:
    from blinddps_sci.engine.restore import verify

    damaged = verify(output, repair=repair)
    for unit, wrong in damaged.items():
        print(f"unit {unit}: {' '.join(wrong.split())}")
    end = "; they were restored again" if damaged and repair else ""
    print(f"{output}: {len(damaged)} units are damaged{end}")
    return _FAILED if damaged and not repair else 0


def _watched(work: Callable[..., Any], output: str, quiet: bool) -> int:
    """Do a restoration with a progress bar, say how it went, and return the exit code."""
    from tqdm import tqdm

    from blinddps_sci.engine.budget import cost
    from blinddps_sci.engine.driver import Event
    from blinddps_sci.engine.job import Job
    from blinddps_sci.engine.restore import quarantined
    from blinddps_sci.engine.summary import describe_job, describe_result
    from blinddps_sci.errors import QuarantineWarning
    from blinddps_sci.tiling import describe

    # The bar appears when the run starts: what is refused before that prints one line only.
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore", QuarantineWarning)
        jobs: list[Job] = []
        bars: list[Any] = []

        def announce(job: Job) -> None:
            jobs.append(job)
            if quiet:
                return
            print(f"{describe_job(job)}\nbudget: {describe(cost(job))}", file=sys.stderr)
            total = job.plan.n_units * job.steps
            bars.append(stack.enter_context(tqdm(total=total, unit="step", dynamic_ncols=True)))

        def advance(event: Event) -> None:
            for bar in bars:
                bar.set_postfix_str(f"unit {event.unit + 1}/{event.units}", refresh=False)
                bar.update(1 if event.progress is not None else jobs[-1].steps)

        result = work(on_start=announce, callback=advance)
    print(describe_result(Path(output), result))
    lost = quarantined(output)
    for unit, why in lost.items():
        print(f"blinddps: unit {unit} is quarantined: {' '.join(why.split())}", file=sys.stderr)
    return _QUARANTINED if lost else 0


def _plan(input: list[str], **options: Any) -> None:
    from blinddps_sci.engine.budget import check_job, seconds_per_evaluation
    from blinddps_sci.engine.restore import prepare_restore
    from blinddps_sci.engine.summary import describe_job
    from blinddps_sci.tiling import describe

    job = prepare_restore(_source(input), _given(options))
    budget = check_job(job, Path.cwd(), seconds=seconds_per_evaluation(job))
    print(f"{describe_job(job)}\nbudget: {describe(budget)}")


def _info(path: Path) -> None:
    from blinddps_sci.engine.summary import describe_path

    print(describe_path(path))


def _export(store: Path, output: Path | None, psf: Path | None, overwrite: bool) -> None:
    from blinddps_sci.engine.restore import exporter_for
    from blinddps_sci.io.export import export_psf
    from blinddps_sci.io.result import open_result

    if output is None and psf is None:
        raise ConfigError("export needs -o OUT.fits, -o OUT.tif or --psf OUT.psf.fits")
    opened = open_result(store)
    if output is not None:
        exporter_for(output)(opened, output, overwrite=overwrite)
        print(output)
    if psf is not None:
        export_psf(opened, psf, overwrite=overwrite)
        print(psf)


def _simulate(scene: str, output: Path | None, **options: Any) -> None:
    from blinddps_sci.simulate.frame import describe_choices, write_frame

    if scene == "list":
        print(describe_choices())
        return
    if output is None:
        raise ConfigError("simulate needs -o OUT.fits")
    print(write_frame(output, scene, **options))


def _train(role: Any, output: Path, **options: Any) -> None:
    from blinddps_sci.training.run import train

    print(train(role, output, **options))


def _convert(source: Path, output: Path, licence: str, overwrite: bool) -> None:
    from blinddps_sci.priors.convert import convert

    card = convert(source, output, licence=licence, overwrite=overwrite)
    print(f"{output}: {card.description}, sha256 {card.sha256}")


def _priors(action: str, name: str | None) -> None:
    from blinddps_sci.engine.summary import describe_priors

    if action == "show" and name is None:
        raise ConfigError("priors show needs the name of a prior; `blinddps priors` lists them")
    print(describe_priors(name))


def _bench_parity(file: Path) -> int:
    from blinddps_sci.bench.parity import TOLERANCE, compare

    differences = compare(file)
    for name, difference in differences.items():
        print(f"{name:14s} {difference:.3e}")
    worst = max(differences.values())
    print(f"largest difference {worst:.3e}, allowed {TOLERANCE:.0e}")
    return 0 if worst <= TOLERANCE else _FAILED


def _bench_quality(held_out: bool, data: Path | None, **options: Any) -> None:
    from blinddps_sci.bench.quality import run_quality
    from blinddps_sci.bench.table import format_table

    planes = None
    if held_out:
        from blinddps_sci.training.images import held_out_planes

        if data is None:
            raise ConfigError("--held-out needs --data FOLDER, a folder of training images")
        planes = held_out_planes(data)
    print(format_table(run_quality(data=data, held_out=planes, **options)))


def _bench_costs(kind: str, **options: Any) -> None:
    from blinddps_sci.bench.psf_models import run_psf_models
    from blinddps_sci.bench.speed import run_speed
    from blinddps_sci.bench.step import run_step
    from blinddps_sci.bench.tiles import run_tiles

    runs: dict[str, Callable[..., str]] = {
        "speed": run_speed, "step": run_step, "tiles": run_tiles, "psf-models": run_psf_models,
    }  # fmt: skip
    print(runs[kind](**options))
