"""Every `blinddps` command that the documentation shows is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from blinddps_sci.cli import _parser
from blinddps_sci.cli.base import given
from blinddps_sci.engine.config import RestoreConfig, make_config
from blinddps_sci.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
BLOCK = re.compile(r"^ *```(?:bash|)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def commands(page: Path) -> Iterator[str]:
    """Yield the commands in the shell blocks of a page of which nothing is left out by dots."""
    for block in BLOCK.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.search(r"(?:^|\bdo |-I\{\} )\s*blinddps (.*?)(?: & done.*)?$", line)
            if found and "…" not in line and "..." not in line:
                yield found[1].replace("$i", "0").replace("{}", "0")


def refusal(command: str) -> str | None:
    """Return why the command line does not take a command; None if it does."""
    try:
        options = vars(_parser().parse_args(shlex.split(command, comments=True)))
        if command.split()[0] in ("restore", "plan"):
            make_config(given({k: v for k, v in options.items() if k in RestoreConfig.model_fields}))
    except ConfigError as error:
        return str(error)
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_are_understood(page: Path) -> None:
    assert {command: why for command in commands(page) if (why := refusal(command)) is not None} == {}


def test_a_command_that_is_not_understood_is_found() -> None:
    assert refusal("restore a.fits -o b.zarr --prior astro") is None
    assert "tea" in (refusal("restore a.fits -o b.zarr --tea 3") or "")


def test_commands_are_found() -> None:
    assert sum(1 for page in PAGES for _ in commands(page)) > 40
