"""Restore every FITS file of a folder on this machine, and collect the figures.

    python workflows/local.py FRAMES RESTORED

Options, the number of worker processes among them, are in local.toml. Files that are restored already are
passed over and one that was interrupted goes on, so the same command goes on after a stop.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from astropy.io import fits

from blinddps_sci import restore, resume
from blinddps_sci.errors import BlindDpsError, InputError


def restore_folder(source: Path, target: Path, config: Path) -> list[dict[str, object]]:
    """Restore all ``*.fits`` of a folder into another and return one row of figures each.

    Parameters
    ----------
    source, target : Path
        Folders; the target is made if it does not exist.
    config : Path
        TOML file of options of `blinddps_sci.restore`.
    """
    target.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for path in sorted(source.glob("*.fits")):
        output = target / path.name
        chi2, problem = float("nan"), ""
        try:
            if not output.exists():
                _restore(path, output, config)
            chi2 = float(np.nanmean(fits.getdata(output, "CHI2")))
        except BlindDpsError as error:
            # One bad frame must not end the night.
            problem = str(error)
        rows.append({"file": path.name, "chi2": round(chi2, 3), "problem": problem})
    return rows


def _restore(path: Path, output: Path, config: Path) -> None:
    try:
        resume(output)
    except InputError:  # there is no run to go on with
        restore(path, output, config=config)


def main() -> None:
    """Parse the command line, restore and write ``figures.csv`` into the target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder of FITS files")
    parser.add_argument("target", type=Path, help="folder for the restored ones")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_suffix(".toml"))
    options = parser.parse_args()
    rows = restore_folder(options.source, options.target, options.config)
    with (options.target / "figures.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=("file", "chi2", "problem"))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
