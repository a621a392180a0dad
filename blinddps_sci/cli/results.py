"""Commands that look at results."""

from __future__ import annotations

from pathlib import Path

from blinddps_sci.cli.base import Add
from blinddps_sci.errors import ConfigError

__all__ = ["add_results"]


def add_results(add: Add) -> None:
    """Add `info`, `report` and `export`."""
    info = add("info", _info, "Describe a result or a run that makes one, an image or a weights file.")
    info.add_argument("path", type=Path)

    report = add("report", _report, "Write one page on a result: images, PSFs, quality, timings, provenance.")
    report.add_argument("result", help="the store, or the output that it lies beside")
    report.add_argument("-o", "--output", type=Path, required=True, help="OUT.html")
    report.add_argument("--overwrite", action="store_true")

    export = add("export", _export, "Write a result store as FITS or TIFF, or its PSFs for photutils.")
    export.add_argument("store", type=Path)
    export.add_argument("-o", "--output", type=Path, help="OUT.fits or OUT.tif")
    export.add_argument("--psf", type=Path, metavar="OUT.psf.fits", help="PSF grid for GriddedPSFModel")
    export.add_argument("--overwrite", action="store_true")


def _info(path: Path) -> None:
    from blinddps_sci.engine.summary import describe_path

    print(describe_path(path))


def _report(result: str, output: Path, overwrite: bool) -> None:
    from blinddps_sci.engine.report import report

    print(report(result, output, overwrite=overwrite))


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
