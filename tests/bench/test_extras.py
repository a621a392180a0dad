"""What benchmarks need beside the package is asked for before they begin."""

from __future__ import annotations

import sys

import pytest

from blinddps_sci.bench.extras import need
from blinddps_sci.errors import ConfigError


@pytest.mark.parametrize("absent", ["no_such_library", "pywt"])
def test_a_missing_library_is_named_with_the_way_to_get_it(
    absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("numpy", "wavelets")  # is there
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(ConfigError, match=rf"wavelets need {absent}.*pip install 'blinddps-sci\[bench\]'"):
        need(absent, "wavelets")
