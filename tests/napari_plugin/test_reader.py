"""The napari reader: which folders it takes, and that it is light; no napari and no Qt needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import zarr

from blinddps_sci.io import open_stack
from blinddps_sci.io.result import create_result
from napari_plugin.reader import get_reader

REPOSITORY = Path(__file__).resolve().parents[2]


def test_only_results_of_this_package_are_taken(tmp_path: Path) -> None:
    template = open_stack(np.zeros((20, 30), np.float32))
    made = create_result(tmp_path / "new.zarr", template=template, node_y=[9], node_x=[9], kernel_size=8)
    reader = get_reader(str(made.path))
    assert reader is not None
    assert [layer[1]["name"] for layer in reader([str(made.path)])] == [
        "new restored",
        "new standard deviation",
        "new chi-squared",
        "new PSF nodes",
    ]
    assert get_reader([str(made.path)]) is not None
    assert get_reader([str(made.path), str(made.path)]) is None
    zarr.create_group(str(tmp_path / "other.zarr"), zarr_format=3, attributes={"ome": {}})
    zarr.create_group(str(tmp_path / "old.zarr"), zarr_format=2)
    (tmp_path / "bad.zarr").mkdir()
    (tmp_path / "bad.zarr" / "zarr.json").write_text("[1, 2")
    (tmp_path / "list.zarr").mkdir()
    (tmp_path / "list.zarr" / "zarr.json").write_text("[1, 2]")
    for name in ("other.zarr", "old.zarr", "bad.zarr", "list.zarr", "none.zarr"):
        assert get_reader(str(tmp_path / name)) is None


def test_importing_the_reader_loads_nothing_heavy() -> None:
    code = "import sys, napari_plugin.reader; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120
    )
    heavy = {"numpy", "zarr", "xarray", "dask", "torch", "astropy", "napari", "qtpy", "blinddps_sci"}
    assert "napari_plugin" in done.stdout.split()
    assert heavy.isdisjoint(done.stdout.split())
