"""Commands that restore: `restore`, what comes before it and what may come after."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from blinddps_sci.cli.base import FAILED, QUARANTINED, Add, given
from blinddps_sci.cli.progress import ProgressBar

__all__ = ["add_restoring"]


def add_restoring(add: Add) -> None:
    """Add `restore`, `resume`, `verify` and `plan`."""
    from blinddps_sci.engine.config import EXECUTION, RestoreConfig

    restore = add("restore", _restore, "Restore an image whose blur is unknown.")
    _add_source(restore)
    _add_options(restore, RestoreConfig.model_fields)
    restore.add_argument("-o", "--output", required=True, help="OUT.zarr, OUT.fits or OUT.tif")
    restore.add_argument("--overwrite", action="store_true", help="replace an existing output")
    restore.add_argument("--quiet", action="store_true", help="no progress bar")

    resume = add("resume", _resume, "Go on with a restoration that was interrupted or gave up some units.")
    resume.add_argument("output", help="the output that was asked for, or its store")
    resume.add_argument(
        "--overwrite", action="store_true", help="replace a file that was there before the run"
    )
    # What a shard leaves undone is for one process to finish.
    _add_options(resume, sorted(EXECUTION - {"shard"}))
    resume.add_argument("--quiet", action="store_true", help="no progress bar")

    verify = add("verify", _verify, "Compare every shard of a result store with what was written.")
    verify.add_argument("output", help="the store, or the output that it lies beside")
    verify.add_argument("--repair", action="store_true", help="restore damaged units again")

    plan = add("plan", _plan, "Say what a restoration would do and cost; nothing is written.")
    _add_source(plan)
    _add_options(plan, RestoreConfig.model_fields)
    plan.add_argument("-o", "--output", type=Path, help="where the result would go, for its disk")


def _number_or_name(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


def _add_source(parser: argparse.ArgumentParser) -> None:
    """Add what is restored, and a file of options."""
    parser.add_argument("input", nargs="+", help="one file, or several frames of one scene")
    parser.add_argument("--config", metavar="FILE.toml", help="options from a file; explicit ones win")


def _add_options(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Add one option per field of the configuration, under its name."""
    from blinddps_sci.engine.config import RestoreConfig

    for name in names:
        field = RestoreConfig.model_fields[name]
        option, text = f"--{name.replace('_', '-')}", f"{field.description} (default: {field.default})"
        if field.annotation is bool:
            parser.add_argument(option, action="store_true", default=argparse.SUPPRESS, help=text)
            continue
        kind = _number_or_name if name in ("hdu", "channel") else str
        parser.add_argument(option, type=kind, default=argparse.SUPPRESS, metavar=name.upper(), help=text)


def _source(paths: list[str]) -> str | list[str]:
    return paths[0] if len(paths) == 1 else paths


def _restore(input: list[str], output: str, overwrite: bool, quiet: bool, **options: Any) -> int:
    from blinddps_sci.engine.restore import restore

    def work(**watch: Any) -> Any:
        return restore(_source(input), output, overwrite=overwrite, **watch, **given(options))

    return _watched(work, output, quiet)


def _resume(output: str, overwrite: bool, quiet: bool, **options: Any) -> int:
    from blinddps_sci.engine.restore import resume

    return _watched(
        lambda **watch: resume(output, overwrite=overwrite, **watch, **given(options)), output, quiet
    )


def _verify(output: str, repair: bool) -> int:
    from blinddps_sci.engine.restore import verify

    damaged = verify(output, repair=repair)
    for part, wrong in damaged.items():
        print(f"{part if isinstance(part, str) else f'unit {part}'}: {' '.join(wrong.split())}")
    end = "; they were made again" if damaged and repair else ""
    print(f"{output}: {len(damaged)} units or levels are damaged{end}")
    return FAILED if damaged and not repair else 0


def _watched(work: Callable[..., Any], output: str, quiet: bool) -> int:
    """Do a restoration, show its progress, say how it went, and return the exit code."""
    from blinddps_sci.engine.budget import cost
    from blinddps_sci.engine.driver import Event
    from blinddps_sci.engine.job import Job
    from blinddps_sci.engine.restore import quarantined
    from blinddps_sci.engine.run_folder import RunFolder
    from blinddps_sci.engine.summary import describe_job, describe_result, describe_shard
    from blinddps_sci.engine.tally import Tally
    from blinddps_sci.errors import QuarantineWarning
    from blinddps_sci.io.result import store_path_for
    from blinddps_sci.tiling import describe

    # The bar appears when the run starts: what is refused before that prints one line only.
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore", QuarantineWarning)
        bars: list[ProgressBar] = []
        jobs: list[Job] = []

        def announce(job: Job) -> None:
            jobs.append(job)
            if quiet:
                return
            print(f"{describe_job(job)}\nbudget: {describe(cost(job))}", file=sys.stderr)
            bars.append(stack.enter_context(ProgressBar(Tally(job, folder_of(job)), sys.stderr)))

        def folder_of(job: Job) -> RunFolder:
            return RunFolder.beside(store_path_for(Path(output)), job.fingerprint)

        def advance(event: Event) -> None:
            for bar in bars:
                bar(event)

        result = work(on_start=announce, callback=advance)
    # Nothing is announced where nothing was left to do.
    shards = [job for job in jobs if job.config.shard is not None]
    print(
        describe_shard(shards[0], folder_of(shards[0])) if shards else describe_result(Path(output), result)
    )
    lost = quarantined(output)
    for unit, why in lost.items():
        print(f"blinddps: unit {unit} is quarantined: {' '.join(why.split())}", file=sys.stderr)
    return QUARANTINED if lost else 0


def _plan(input: list[str], output: Path | None, **options: Any) -> None:
    from blinddps_sci.engine.budget import check_job
    from blinddps_sci.engine.pace import projected_seconds
    from blinddps_sci.engine.restore import check_output, prepare_restore
    from blinddps_sci.engine.summary import describe_job
    from blinddps_sci.tiling import describe

    if output is not None:
        check_output(output, overwrite=True)
    job = prepare_restore(_source(input), given(options))
    budget = check_job(job, Path.cwd() if output is None else output.absolute().parent)
    print(f"{describe_job(job)}\nbudget: {describe(replace(budget, seconds=projected_seconds(job)))}")
