"""What a result says of its own making: the record kept in the store, and its FITS and text forms.

`create_result` keeps the record under the attribute `blinddps`; the exporters write it as keywords,
HISTORY and a description.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from os import PathLike, fspath
from typing import Any

import numpy as np

from blinddps_sci import __version__
from blinddps_sci.errors import OutputError

__all__ = [
    "IMAGE_FACTS",
    "INPUT_FACTS",
    "RECORD",
    "history_lines",
    "interval_95",
    "keyword_cards",
    "new_record",
    "plain",
    "summary",
]

Card = tuple[str, Any, str]

RECORD = "blinddps"
"""Attribute of a result's group that holds the record of its run."""

INPUT_FACTS = (
    "source", "format", "hdu", "unit", "dtype_on_disk", "pixel_scale", "pixel_unit", "z_scale", "origin",
    "channel", "channel_names", "region", "identity", "gain", "read_noise", "saturation", "variance_source",
    "mask_source", "wcs_header", "header", "primary_header",
)  # fmt: skip
"""Attributes of `blinddps_sci.io.open_stack` that a result keeps."""

IMAGE_FACTS = (
    "unit", "pixel_scale", "pixel_unit", "z_scale", "origin", "channel", "channel_names", "region",
    "wcs_header", "header", "primary_header",
)  # fmt: skip
"""Those that are as true of the restored image: its noise is not the detector's."""

# They are cards of the exported file already.
_NOT_HISTORY = {"wcs_header", "header", "primary_header", "created", "result_format"}

_LISTED = 16
"""Of so many channels, at most, history says what was measured."""


def plain(value: Any) -> Any:
    """Reduce a value to what JSON holds.

    Parameters
    ----------
    value : object
        Mappings, sequences, sets, numpy arrays and scalars, paths, dates, numbers, text, None.

    Returns
    -------
    object
        dict, list, str, int, float, bool or None. NaN and the infinities, which JSON does not have,
        become the texts ``"nan"``, ``"inf"`` and ``"-inf"``.

    Raises
    ------
    OutputError
        If the value is of another kind.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise OutputError(
        f"an attribute of the result is a {type(value).__name__}, which cannot be stored; give numbers, "
        "text, lists and mappings"
    )


def new_record(input_attrs: Mapping[str, Any], attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Put together the record of a new result.

    Parameters
    ----------
    input_attrs : mapping
        Attributes of the stack; those of `INPUT_FACTS` are kept.
    attrs : mapping
        What the run knows of itself: `config`, `fingerprint`, `versions`, `weights` (hashes by
        prior), `seed`, `threads`, `batch`... They win over facts of the same name.

    Returns
    -------
    dict
        Plain values, with `created` (UTC, ISO 8601) and `result_format` (1).
    """
    facts = {key: input_attrs[key] for key in INPUT_FACTS if key in input_attrs}
    created = datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00")
    record = {"result_format": 1, "created": created, **facts, **attrs}
    return {key: plain(value) for key, value in record.items()}


def keyword_cards(record: Mapping[str, Any], status: str) -> list[Card]:
    """Provenance as FITS keywords.

    Parameters
    ----------
    record : mapping
        From `new_record`.
    status : str
        Of the store when it was exported.

    Returns
    -------
    list of (keyword, value, comment)
        CREATOR, DATE, BDSTATUS and, where known, BDFINGER and BDSEED.
    """
    cards: list[Card] = [
        ("CREATOR", f"blinddps-sci {__version__}", "software that restored the image"),
        ("DATE", str(record.get("created", "")), "UTC start of the restoration"),
        ("BDSTATUS", status, "of the run when this was written"),
    ]
    if record.get("fingerprint") is not None:
        cards.append(("BDFINGER", str(record["fingerprint"])[:64], "fingerprint of the run"))
    seed = _seed(record)
    if seed is not None:
        cards.append(("BDSEED", seed, "seed of the posterior samples"))
    return cards


def history_lines(record: Mapping[str, Any]) -> list[str]:
    """Provenance as lines of text.

    Parameters
    ----------
    record : mapping
        From `new_record`.

    Returns
    -------
    list of str
        ``name = value``, nested names and numbers of items joined by dots, values as JSON; without the
        original header, and of long lists of channels the first 16.
    """
    kept = {key: value for key, value in record.items() if key not in _NOT_HISTORY}
    return [f"blinddps-sci {__version__}", *(f"{name} = {value}" for name, value in _flat(kept))]


def interval_95(record: Mapping[str, Any]) -> float | None:
    """Return half the interval of 95 %, over what is stated; None if it is not known."""
    found: float | None = record.get("uncertainty", {}).get("interval_95")
    return found


def summary(record: Mapping[str, Any], status: str) -> str:
    """Provenance as one paragraph, for formats without keywords.

    Parameters
    ----------
    record : mapping
        From `new_record`.
    status : str
        Of the store when it was exported.

    Returns
    -------
    str
        Software, status, fingerprint, seed, unit and pixel size, as far as they are known.
    """
    scale = record.get("pixel_scale")
    size = f"{scale[0]:g} x {scale[1]:g} {record.get('pixel_unit', 'pixel')}" if scale else None
    facts = {
        "status": status,
        "fingerprint": record.get("fingerprint"),
        "seed": _seed(record),
        "unit": record.get("unit"),
        "pixel (y, x)": size,
    }
    known = "; ".join(f"{name}: {value}" for name, value in facts.items() if value not in (None, ""))
    return f"restored by blinddps-sci {__version__}; {known}"


def _seed(record: Mapping[str, Any]) -> int | None:
    """Find the seed beside the configuration or in it."""
    for holder in (record, record.get("configuration"), record.get("config")):
        if isinstance(holder, Mapping) and isinstance(holder.get("seed"), int):
            return int(holder["seed"])
    return None


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = dict(enumerate(value[:_LISTED]))
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)
