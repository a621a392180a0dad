"""The file of a benchmark: settings, machine and rows, from which a run that was stopped goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from blinddps_sci.errors import ConfigError, InputError, OutputError

__all__ = ["Row", "check_written", "earlier_rows", "keep_rows", "read_rows", "write_json"]

Row = dict[str, Any]


def earlier_rows(path: Path | None, resume: bool, settings: Row, needed: Collection[str]) -> list[Row]:
    """Return the rows to go on from, and refuse a file that cannot be used.

    Parameters
    ----------
    path : Path, optional
        File of settings and rows.
    resume : bool
        Whether to go on from it; a file that is there is refused otherwise.
    settings : dict
        What it has to have been made with.
    needed : collection of str
        What every row has.

    Raises
    ------
    ConfigError, InputError, OutputError
        If the file is of other settings, holds no such rows, or would be replaced.
    """
    if path is None:
        if resume:
            raise ConfigError("resume goes on from a file; give --json FILE too")
        return []
    check_written(path)
    if path.exists() and not resume:
        raise OutputError(f"{path} exists; give --resume to go on from it, or another name")
    if not path.exists():
        return []
    rows, earlier = read_rows(path, needed)
    now = {"held_out": False, **settings}
    for key in now | earlier:
        if earlier.get(key) != now.get(key):
            raise ConfigError(
                f"{path} was made with {key} {earlier.get(key)!r}, not {now.get(key)!r}; "
                "use the same options, or another --json"
            )
    return rows


def read_rows(path: Path, needed: Collection[str]) -> tuple[list[Row], Row]:
    """Return the rows of a file and its settings.

    Raises
    ------
    InputError
        If it holds no rows that have what is needed.
    """
    try:
        stored = json.loads(path.read_text())
        # Files from before there were held-out images do not name the setting.
        rows, settings = list(stored["rows"]), {"held_out": False, **stored["settings"]}
        if not all(set(needed) <= row.keys() for row in rows):
            raise ValueError("a row is not complete")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} holds no rows of a comparison ({error}); give another --json") from None
    return rows, settings


def keep_rows(path: Path | None, settings: Row, rows: list[Row], **more: Any) -> None:
    """Write settings, machine and rows, if there is a file for them.

    Parameters
    ----------
    path : Path, optional
        The file.
    settings : dict
        What `earlier_rows` asks for.
    rows : list of dict
        So far.
    **more
        Further entries, such as a summary.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    if path is not None:
        machine = {"threads": torch.get_num_threads(), "cuda": torch.cuda.is_available()}
        write_json(path, {"settings": settings, "machine": machine, **more, "rows": rows})


def check_written(path: Path | None) -> None:
    """Refuse a file whose folder does not exist.

    Raises
    ------
    OutputError
        If it does not.
    """
    if path is not None and not path.parent.is_dir():
        raise OutputError(f"folder {path.parent} does not exist; create it or choose another file")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that is complete at any moment.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(json.dumps(content, indent=1) + "\n")
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
