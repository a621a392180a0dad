"""The benchmark of `blinddps bench` that asks whether stated uncertainties are honest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from blinddps_sci.cli.bench_images import add_images, add_rows, planes_of
from blinddps_sci.errors import ConfigError

__all__ = ["add_calibration"]


def add_calibration(kinds: Any) -> None:
    """Add `calibration` to the command `bench`."""
    parser = kinds.add_parser("calibration", help="how often intervals hold the truth, on simulated blur")
    add_images(parser, "to fit on")
    parser.add_argument("--cases", dest="count", type=int, default=12, help="how many")
    parser.add_argument("--size", type=int, default=96, help="side of the blurred images, pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quality", default="default", help="preset: fast, default or best")
    for name in ("steps", "chains", "samples"):
        parser.add_argument(f"--{name}", type=int, help="instead of the preset's")
    add_rows(parser)
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="coverages, normal scores and ranks")
    parser.add_argument(
        "--fit",
        action="store_true",
        help="with --held-out: fit the calibration, and write it beside the shipped weights",
    )
    parser.add_argument(
        "--fit-with",
        type=Path,
        metavar="FILE.json",
        help="--fit to another run too, such as of another preset: its --json file",
    )
    parser.set_defaults(command=_calibration)


def _calibration(held_out: bool, data: Path | None, fit: bool, fit_with: Path | None, **options: Any) -> None:
    from blinddps_sci.bench.calibration import read_held_out, run_calibration
    from blinddps_sci.bench.calibration_table import format_calibration

    if fit and not held_out:
        raise ConfigError("--fit needs --held-out: what is fitted must not be reported on")
    if fit_with is not None and not fit:
        raise ConfigError("--fit-with needs --fit")
    others = [] if fit_with is None else [read_held_out(fit_with)]
    rows = run_calibration(data=data, held_out=planes_of(data, held_out), **options)
    print(format_calibration(rows))
    if fit:
        print(_fitted([(rows, options), *others]))


def _fitted(runs: list[tuple[list[dict[str, Any]], dict[str, Any]]]) -> str:
    """Fit the calibration of both kinds of restoration, write it into the notes, and say what it is."""
    from blinddps_sci.bench.calibration_fit import fit_uncertainty
    from blinddps_sci.priors.card import write_notes
    from blinddps_sci.priors.registry import find
    from blinddps_sci.priors.store import read_card

    fields: dict[str, Any] = {}
    lines = []
    for method in dict.fromkeys(row["method"] for row in runs[0][0]):
        own = [[row for row in rows if row["method"] == method] for rows, _ in runs]
        found, reached = fit_uncertainty(own)
        fields[method] = {name: round(value, 4) for name, value in asdict(found).items()}
        held = ", and ".join(f"{of_68:.1%} and {of_95:.1%}" for of_68, of_95 in reached)
        lines.append(
            f"PSF {method}: scale {found.scale:.3f}, edge {found.edge:.3f} px, tail {found.tail:.3f}; "
            f"with them, {held} of the pixels are in the intervals of 68 % and 95 %"
        )
    fields["command"] = "; together with ".join(_command(options) for _, options in runs)
    path = find("shipped", "image")[0]
    lines.append(f"written: {write_notes(read_card(path), path, uncertainty=fields)}")
    return "\n".join(lines)


def _command(options: Mapping[str, Any]) -> str:
    """Return the command that such a run is fitted by."""
    command = (
        f"blinddps bench calibration --held-out --fit --cases {options['count']} --size {options['size']} "
        f"--seed {options['seed']} --quality {options['quality']}"
    )
    more = {name: options[name] for name in ("steps", "chains", "samples") if options[name] is not None}
    return command + "".join(f" --{name} {value}" for name, value in more.items())
