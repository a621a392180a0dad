"""`bench tiles`: the change by the tile grid, in units of the posterior's deviation."""

from __future__ import annotations

import re

import pytest

from blinddps_sci.bench import tiles
from blinddps_sci.bench.tiles import run_tiles
from blinddps_sci.errors import ConfigError


@pytest.mark.slow
def test_the_change_is_none_on_the_same_grid_and_some_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "_GRIDS", ((64, 16), (64, 16), (40, 16)))
    first, same, other = run_tiles(size=64, steps=2, samples=2).splitlines()
    assert float(re.search(r"rms std ([\d.]+)$", first)[1]) > 0
    assert same == "tile 64, overlap 16: rms change 0.000 standard deviations"
    assert float(re.fullmatch(r"tile 40, overlap 16: rms change ([\d.]+) standard deviations", other)[1]) > 0


def test_a_size_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="size 64 to 4096"):
        run_tiles(size=0)
