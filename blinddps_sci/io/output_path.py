"""Where results go: the store beside a FITS or TIFF file, and files that appear whole or not at all.

A run always writes a Zarr store; for an output of another format the store lies beside it until the
file has been exported through `replacing`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blinddps_sci.errors import BlindDpsError, OutputError

__all__ = ["new_folder", "output_kind", "output_path_for", "replacing", "store_path_for"]

_KINDS = {
    ".zarr": "zarr",
    ".fits": "fits", ".fit": "fits", ".fts": "fits",
    ".tif": "tiff", ".tiff": "tiff",
}  # fmt: skip


def output_kind(output: str | os.PathLike[str]) -> str:
    """Format that the name of an output asks for.

    Parameters
    ----------
    output : str or os.PathLike
        Such as ``out.zarr``, ``out.fits`` or ``out.tif``.

    Returns
    -------
    str
        ``"zarr"``, ``"fits"`` or ``"tiff"``.

    Raises
    ------
    OutputError
        For any other suffix.
    """
    kind = _KINDS.get(Path(output).suffix.lower())
    if kind is None:
        raise OutputError(
            f"{output} has none of the suffixes {' '.join(_KINDS)}; the suffix chooses the output's format"
        )
    return kind


def store_path_for(output: str | os.PathLike[str]) -> Path:
    """Path of the result store behind an output.

    Parameters
    ----------
    output : str or os.PathLike
        Name of the output.

    Returns
    -------
    Path
        The output itself if it is a Zarr store, else its name with ``.zarr`` behind it.

    Raises
    ------
    OutputError
        If the suffix is none of the known ones.

    Examples
    --------
    >>> store_path_for("m31.fits").name
    'm31.fits.zarr'
    """
    path = Path(output)
    return path if output_kind(path) == "zarr" else path.with_name(f"{path.name}.zarr")


def output_path_for(store: str | os.PathLike[str]) -> Path:
    """Path of the output that a store is for: the reverse of `store_path_for`.

    Parameters
    ----------
    store : str or os.PathLike
        Name of a result store.

    Returns
    -------
    Path
        ``m31.fits`` for ``m31.fits.zarr``; ``m31.zarr`` for itself.
    """
    path = Path(store)
    inner = path.with_suffix("")
    return inner if path.suffix == ".zarr" and inner.suffix.lower() in _KINDS else path


@contextmanager
def replacing(path: str | os.PathLike[str], *, overwrite: bool) -> Iterator[Path]:
    """Write a file under a temporary name, and give it its own name once it is whole.

    Parameters
    ----------
    path : str or os.PathLike
        The file wanted.
    overwrite : bool
        Whether a file of that name may be replaced.

    Yields
    ------
    Path
        A hidden name in the same folder, to be written by the body of the ``with`` statement. When
        the body raises, it is removed and whatever was at `path` is untouched.

    Raises
    ------
    OutputError
        If the folder is missing, the file exists and `overwrite` is false, or writing fails.
    """
    target = _target(path)
    if target.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file")
    if target.exists() and not overwrite:
        raise OutputError(f"{path} exists; choose another name or allow it to be overwritten (--overwrite)")
    partial = _partial(target)
    try:
        with _one_error(path):
            yield partial
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a Zarr folder under a temporary name, and give it its own name once it is whole.

    Parameters
    ----------
    path : str or os.PathLike
        The folder wanted, which does not exist: one that does may be anything, and is not replaced.

    Yields
    ------
    Path
        A hidden name beside it where nothing is, to be made by the body of the ``with`` statement. When
        the body raises, it is removed.

    Raises
    ------
    OutputError
        If the folder around it is missing, it exists, or writing fails.
    """
    target = _target(path)
    if target.exists():
        raise OutputError(
            f"{path} exists, and a Zarr folder is not replaced; choose another name, or remove it first"
        )
    partial = _partial(target)
    try:
        with _one_error(path):
            shutil.rmtree(partial, ignore_errors=True)
            yield partial
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _target(path: str | os.PathLike[str]) -> Path:
    target = Path(path).expanduser().absolute()
    if not target.parent.is_dir():
        raise OutputError(f"{path} cannot be written: the folder {target.parent} does not exist")
    return target


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


@contextmanager
def _one_error(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say of errors of the system what could not be written."""
    try:
        yield
    except BlindDpsError:
        raise
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
