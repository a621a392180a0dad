"""Errors that reach the user.

Every message says what was given, what is allowed and what to do next. The
command line prints the message of a `BlindDpsError` on one line and exits with
code 1; anything else is a defect of the package and keeps its traceback.
"""

from __future__ import annotations

__all__ = [
    "BlindDpsError",
    "BudgetError",
    "ConfigError",
    "InputError",
    "MisfitWarning",
    "NoveltyWarning",
    "OutputError",
    "PriorError",
    "QuarantineWarning",
]


class BlindDpsError(Exception):
    """Base class of every error that the user can mend."""


class InputError(BlindDpsError, ValueError):
    """The input is missing, unreadable or not an image that can be restored."""


class OutputError(BlindDpsError, OSError):
    """The output cannot be written, or exists and must not be overwritten."""


class ConfigError(BlindDpsError, ValueError):
    """An option has a value that is not allowed, or is not an option at all."""


class PriorError(BlindDpsError, ValueError):
    """A prior is unknown, damaged or does not fit the unknown it is asked for."""


class BudgetError(BlindDpsError, MemoryError):
    """The plan needs more memory or disk than there is."""


class QuarantineWarning(UserWarning):
    """A run has finished without some of its units, which failed again and again."""


class MisfitWarning(UserWarning):
    """What was assumed, or the restoration, does not suit the data."""


class NoveltyWarning(UserWarning):
    """The data look unlike the images that the prior was trained on, or show nothing but noise."""
