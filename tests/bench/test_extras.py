"""What benchmarks need beside the package is asked for before they begin."""

from __future__ import annotations

import sys

import pytest

from blinddps_sci.bench.extras import need
from blinddps_sci.errors import ConfigError


def test_a_library_that_is_there_is_let_through() -> None:
    need("numpy", "arrays")


@pytest.mark.parametrize("absent", ["no_such_library", "pywt"])
def test_a_missing_library_is_named_with_the_way_to_get_it(
    absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(ConfigError, match=rf"wavelets need {absent}.*pip install 'blinddps-sci\[bench\]'"):
        need(absent, "wavelets")
