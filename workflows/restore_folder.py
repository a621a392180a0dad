"""Restore every FITS file of a folder, one after the other, and collect the figures.

Run it on one machine:

    python workflows/restore_folder.py FRAMES RESTORED --prior astro --quality fast

Files that are restored already are passed over, so the same command goes on after a stop.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from astropy.io import fits

from blinddps_sci import restore
from blinddps_sci.errors import BlindDpsError


def restore_folder(source: Path, target: Path, *, prior: str, quality: str) -> list[dict[str, object]]:
    """Restore all ``*.fits`` of a folder into another and return one row of figures each.

    Parameters
    ----------
    source, target : Path
        Folders; the target is made if it does not exist.
    prior, quality : str
        As of `blinddps_sci.restore`.
    """
    target.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for path in sorted(source.glob("*.fits")):
        output = target / path.name
        problem = ""
        try:
            if not output.exists():
                restore(path, output, prior=prior, quality=quality)
            chi2 = float(np.nanmean(fits.getdata(output, "CHI2")))
        except BlindDpsError as error:
            # One bad frame must not end the night.
            chi2, problem = float("nan"), str(error)
        rows.append({"file": path.name, "chi2": round(chi2, 3), "problem": problem})
    return rows


def main() -> None:
    """Parse the command line, restore and write ``figures.csv`` into the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--prior", default="astro")
    parser.add_argument("--quality", default="default")
    options = parser.parse_args()
    rows = restore_folder(options.source, options.target, prior=options.prior, quality=options.quality)
    with (options.target / "figures.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=("file", "chi2", "problem"))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
