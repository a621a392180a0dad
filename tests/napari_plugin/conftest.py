"""What the tests of napari's widgets share: a display, or the reason why they are skipped; own settings.

pytest-xvfb gives every test process a display where Xvfb is installed. A test that uses napari's or Qt's
fixtures is marked `qt` by itself, and skipped, with the reason, where it cannot run.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

import pytest

# All three are read when Qt and napari's settings are imported, which happens later.
os.environ.setdefault("LIBGL_ALWAYS_SOFTWARE", "1")
os.environ.setdefault("QT_LOGGING_RULES", "qt.qpa.*=false")
_settings = mkdtemp(prefix="napari-settings-")
atexit.register(shutil.rmtree, _settings, ignore_errors=True)
os.environ["NAPARI_CONFIG"] = str(Path(_settings, "settings.yaml"))

with suppress(ImportError):  # napari is an extra
    from napari.utils._testsupport import _clean_themes, _disable_qt_warnings  # noqa: F401

HERE = Path(__file__).resolve().parent
FIXTURES = {"qtbot", "qapp", "make_napari_viewer", "make_napari_viewer_proxy"}


def missing() -> str | None:
    """Say what the widgets' tests lack, if anything."""
    for package in ("napari", "pytestqt", "qtpy"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed: pip install -e '.[test]'"
    if os.name == "posix" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display: apt-get install xvfb, or make test as root"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a display."""
    reason = missing()
    for item in items:
        if HERE in item.path.parents and FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("qt")
        if reason is not None and item.get_closest_marker("qt"):
            item.add_marker(pytest.mark.skip(reason=reason))
