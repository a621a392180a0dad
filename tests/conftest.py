"""napari's pytest plugin is loaded for every test; its fixtures are for those of tests/napari_plugin only.

The two below run by themselves around each test and would load Qt for it.
"""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _clean_themes() -> None:
    """Take the place of napari's; tests/napari_plugin/conftest.py has it back."""


@pytest.fixture(autouse=True)
def _disable_qt_warnings() -> None:
    """Take the place of napari's; tests/napari_plugin/conftest.py has it back."""
