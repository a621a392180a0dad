"""A Sphinx directive, `restore-options`: the fields of `RestoreConfig` as a table, from their definition."""

from __future__ import annotations

from typing import Any, get_args

from docutils import nodes
from docutils.statemachine import StringList
from pydantic.fields import FieldInfo
from sphinx.util.docutils import SphinxDirective

from blinddps_sci.engine.config import QUALITIES, TURBULENCE, RestoreConfig

__all__ = ["setup"]


class RestoreOptions(SphinxDirective):
    """Insert the table of options, or with the argument ``presets`` that of the presets."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        rows = _presets() if self.arguments else _options()
        lines = [".. list-table::", "   :header-rows: 1", ""]
        for row in rows:
            lines += [("   * - " if column == 0 else "     - ") + cell for column, cell in enumerate(row)]
        return self.parse_text_to_nodes(StringList(lines, source="RestoreConfig"))


def _options() -> list[tuple[str, ...]]:
    rows = [("option", "default", "values", "meaning")]
    for name, field in RestoreConfig.model_fields.items():
        default = "" if field.default is None else f"``{field.default}``"
        rows.append((f"``{name}``", default, _values(field), field.description or ""))
    return rows


def _values(field: FieldInfo) -> str:
    """Return what a field takes: its choices, or the name of its type."""
    choices = [argument for argument in get_args(field.annotation) if isinstance(argument, str)]
    if choices:
        return ", ".join(f"``{choice}``" for choice in choices)
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not type(None)]
    return " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)


def _presets() -> list[tuple[str, ...]]:
    tables = {f"{sampler}": presets for sampler, presets in QUALITIES.items()}
    tables["split, turbulence"] = TURBULENCE
    columns = ("steps", "chains", "samples")
    rows: list[tuple[str, ...]] = [("sampler", "quality", *columns)]
    for sampler, presets in tables.items():
        for quality, values in presets.items():
            numbers = (str(values.get(column, 1)) for column in columns)
            rows.append((f"``{sampler}``" if sampler in QUALITIES else sampler, f"``{quality}``", *numbers))
    return rows


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("restore-options", RestoreOptions)
    return {"parallel_read_safe": True}
