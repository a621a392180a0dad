"""The public face is light: importing it loads none of the heavy libraries, and quickly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SECONDS = 0.3
HEAVY = ("astropy", "dask", "distributed", "napari", "skimage", "torch", "torchvision", "xarray", "zarr")

PROBE = """
import json, sys, time
start = time.perf_counter()
import blinddps_sci
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "modules": sorted({name.split(".")[0] for name in sys.modules})}))
"""


def probe() -> dict[str, object]:
    """Import the library in a fresh interpreter; return the seconds and the packages it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True
    )
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_importing_the_library_is_quick_and_loads_nothing_heavy() -> None:
    reports = [probe() for _ in range(3)]
    assert "blinddps_sci" in reports[0]["modules"]
    assert [name for name in HEAVY if name in reports[0]["modules"]] == []
    assert min(report["seconds"] for report in reports) < SECONDS
