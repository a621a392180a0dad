"""Options that benchmarks on sharp images share: which images, and the file of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blinddps_sci.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["add_images", "add_rows", "planes_of"]


def add_images(parser: Any, purpose: str) -> None:
    """Add ``--data`` and ``--held-out``, whose images serve a purpose such as ``to tune on``."""
    parser.add_argument("--data", type=Path, help="folder of sharp images; scikit-image's by default")
    parser.add_argument(
        "--held-out",
        action="store_true",
        help=f"only images below --data, a folder of training images, that training leaves out: {purpose}",
    )


def add_rows(parser: Any) -> None:
    """Add ``--json`` and ``--resume``."""
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--resume", action="store_true", help="go on from the rows in the --json file")


def planes_of(data: Path | None, held_out: bool) -> Iterator[tuple[str, np.ndarray]] | None:
    """Return domain and image of those that training leaves out; None if others are asked for.

    Raises
    ------
    ConfigError
        If there is no folder to take them from.
    """
    if not held_out:
        return None
    if data is None:
        raise ConfigError("--held-out needs --data FOLDER, a folder of training images")
    from blinddps_sci.training.images import held_out_planes

    return held_out_planes(data)
