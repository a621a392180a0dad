"""Libraries that only benchmarks need: the extra ``bench``."""

from __future__ import annotations

from importlib.util import find_spec

from blinddps_sci.errors import ConfigError

__all__ = ["need"]


def need(module: str, for_what: str) -> None:
    """Refuse to go on without a library of the extra ``bench``; nothing is imported.

    Parameters
    ----------
    module : str
        Name that the library is imported by.
    for_what : str
        What needs it, in the plural, for the message.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    if find_spec(module) is None:
        raise ConfigError(
            f"{for_what} need {module}, which is not installed; run pip install 'blinddps-sci[bench]'"
        )
