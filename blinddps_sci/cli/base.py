"""What all commands share: the parser, how a command is added to it, and exit codes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from blinddps_sci.errors import ConfigError

__all__ = ["FAILED", "INTERRUPTED", "QUARANTINED", "Add", "Parser", "given"]

FAILED, QUARANTINED, INTERRUPTED = 1, 3, 130

Add = Callable[[str, Callable[..., int | None], str], argparse.ArgumentParser]
"""Adds a command by its name, its function and what it does; returns its parser, for the options."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ours: one line, exit code 1."""

    def error(self, message: str) -> NoReturn:
        """Raise what `argparse` would print."""
        raise ConfigError(f"{message} (see `{self.prog} --help`)")


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given, without those that are None."""
    return {name: value for name, value in options.items() if value is not None}
