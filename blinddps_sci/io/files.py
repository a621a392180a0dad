"""The files behind a stack: their identity, and plain copies of packed ones.

Every reader of `blinddps_sci.io` names its file by a `SourceFile`, which travels to other processes
and refuses to read once the file has changed; handles are kept in `blinddps_sci.io.handles`.
"""

from __future__ import annotations

import atexit
import bz2
import gzip
import lzma
import os
import shutil
import tempfile
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from blinddps_sci.errors import InputError

__all__ = ["SourceFile", "reason", "source_file"]

_PACKERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_unpack_lock = threading.Lock()


@dataclass(frozen=True)
class SourceFile:
    """One file as it was when the stack was opened.

    Attributes
    ----------
    path : str
        Absolute path.
    size, mtime_ns : int
        Length in bytes and time of the last change in nanoseconds.
    packed : bool
        Whether the content is a gzip, bzip2 or xz stream.
    """

    path: str
    size: int
    mtime_ns: int
    packed: bool = False

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return Path(self.path).name

    def identity(self) -> dict[str, Any]:
        """Fingerprint of the file that does not depend on its folder.

        Returns
        -------
        dict
            ``name``, ``size`` and ``mtime_ns``.
        """
        return {"name": self.name, "size": self.size, "mtime_ns": self.mtime_ns}

    def local(self) -> str:
        """Path of plain content that offsets can be applied to.

        Returns
        -------
        str
            The file itself or, for a packed file, a copy unpacked into a temporary folder. It is
            made once per process and removed when the process ends.

        Raises
        ------
        InputError
            If the file has gone or changed since it was opened, or cannot be unpacked.
        """
        try:
            now = os.stat(self.path)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read any more: {error.strerror}") from error
        if (now.st_size, now.st_mtime_ns) != (self.size, self.mtime_ns):
            raise InputError(f"{self.path} has changed since it was opened; open it again")
        if not self.packed:
            return self.path
        with _unpack_lock:
            return _unpacked(self, os.getpid())


def source_file(path: str | os.PathLike[str]) -> SourceFile:
    """Identify a file.

    Parameters
    ----------
    path : str or os.PathLike
        A regular file.

    Returns
    -------
    SourceFile
        Its absolute path, size and time; `packed` is found from its first bytes, not its name.

    Raises
    ------
    InputError
        If there is no such file, it is not a regular file, or it is empty.
    """
    full = Path(path).expanduser().absolute()
    try:
        info = full.stat()
        if not full.is_file():
            raise InputError(f"{path} is not a file; give an image file or a .zarr folder")
        with full.open("rb") as stream:
            magic = stream.read(6)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not magic:
        raise InputError(f"{path} is empty (0 bytes)")
    packed = any(magic.startswith(key) for key in _PACKERS)
    return SourceFile(str(full), info.st_size, info.st_mtime_ns, packed)


def reason(error: BaseException) -> str:
    """Put another library's message on one line.

    Parameters
    ----------
    error : BaseException
        What it raised.

    Returns
    -------
    str
        The message, or the error's type if it has none.
    """
    return " ".join(str(error).split())[:300] or type(error).__name__


@lru_cache(maxsize=1)
def _scratch(pid: int) -> Path:
    """Temporary folder of the process `pid`, removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix=f"blinddps-{pid}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _unpacked(file: SourceFile, pid: int) -> str:
    """Unpack `file` into the scratch folder of this process."""
    with open(file.path, "rb") as stream:
        magic = stream.read(6)
    opener = next(make for key, make in _PACKERS.items() if magic.startswith(key))
    try:
        handle, target = tempfile.mkstemp(suffix=f"-{Path(file.name).stem}", dir=_scratch(pid))
        with opener(file.path, "rb") as packed, os.fdopen(handle, "wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise InputError(
            f"{file.path} cannot be unpacked, it is truncated or damaged: {reason(error)}"
        ) from error
    return target
