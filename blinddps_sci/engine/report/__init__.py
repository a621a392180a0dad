"""`report`: a result on one page that needs nothing else, for people to look at and to keep."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from blinddps_sci.engine.report.page import page
from blinddps_sci.engine.report.sections import sections
from blinddps_sci.io.output_path import replacing
from blinddps_sci.io.result import open_result

__all__ = ["report"]


def report(
    output: str | PathLike[str], file: str | PathLike[str] = "report.html", *, overwrite: bool = False
) -> Path:
    """Write what a result looks like, how good it is and how it came about, as one HTML file.

    Parameters
    ----------
    output : path
        The result store, or the output that it lies beside. The run may still be at work.
    file : path
        The page, with its pictures inside. It appears when it is complete.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If there is no result.
    OutputError
        If the file exists or cannot be written.
    """
    with replacing(file, overwrite=overwrite) as partial:
        store = open_result(output)
        partial.write_text(page(store.path.name, sections(store)), encoding="utf-8")
    return Path(file)
