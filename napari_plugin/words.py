"""Numbers as people say them."""

from __future__ import annotations

__all__ = ["bytes_text", "duration_text"]


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units, such as ``2 min 5 s``."""
    whole = max(round(seconds), 0)
    for size, large, part, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            first, rest = divmod(whole, size)
            return f"{first} {large}" + (f" {rest // part} {small}" if rest // part else "")
    return f"{whole} s"


def bytes_text(number: float) -> str:
    """Return a number of bytes in decimal units, such as ``2.1 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
