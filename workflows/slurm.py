"""Restore one stack on a SLURM cluster: Dask workers in jobs with one GPU each.

    python workflows/slurm.py --dry-run              # the script of a job, to be read before anything starts
    python workflows/slurm.py STACK.zarr RESTORED.zarr
    python workflows/slurm.py STACK.zarr RESTORED.zarr --resume

slurm.toml says what a job is, how many there are, and how to restore. This process only hands out units:
it may run on a login node, must run until the end, and loses nothing if it does not (--resume).
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

from dask_jobqueue import SLURMCluster

from blinddps_sci import restore, resume


def restore_on_slurm(source: str, output: str, settings: dict[str, Any], *, again: bool = False) -> None:
    """Submit jobs, restore a stack on their workers, and cancel the jobs.

    Parameters
    ----------
    source, output : str
        As of `blinddps_sci.restore`; the jobs must see the same paths.
    settings : dict
        ``jobs``, how many; ``slurm``, keywords of `dask_jobqueue.SLURMCluster`; ``restore``, options of
        `blinddps_sci.restore`.
    again : bool
        Whether to go on with a run that has ended early.
    """
    with SLURMCluster(**settings["slurm"]) as cluster:
        # A number that stays: adapting it to the units that wait would end workers in the middle of some.
        cluster.scale(jobs=settings["jobs"])
        if again:
            resume(output, scheduler=cluster.scheduler_address)
        else:
            restore(source, output, scheduler=cluster.scheduler_address, **settings["restore"])


def main() -> None:
    """Parse the command line; print the script of a job, or restore."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="?", help="FITS, OME-Zarr or TIFF")
    parser.add_argument("output", nargs="?", help="OUT.zarr, OUT.fits or OUT.tif")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_suffix(".toml"))
    parser.add_argument("--dry-run", action="store_true", help="print the script of a job, submit nothing")
    parser.add_argument("--resume", action="store_true", help="go on with a run that has ended early")
    options = parser.parse_args()
    settings = tomllib.loads(options.config.read_text())
    if options.dry_run:
        with SLURMCluster(**settings["slurm"]) as cluster:
            print(cluster.job_script())
    elif options.output is None:
        parser.error("give a source and an output, or --dry-run")
    else:
        restore_on_slurm(options.source, options.output, settings, again=options.resume)


if __name__ == "__main__":
    main()
