"""The copy of an array in memory: the same stack from it, the same run on it, and no more than it needs."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.wcs import WCS

from blinddps_sci.engine.restore import restore, resume
from blinddps_sci.engine.run_folder import folders_of
from blinddps_sci.engine.spool import open_spool, spool
from blinddps_sci.errors import InputError, OutputError
from blinddps_sci.io import check_finite, open_stack, overview, read_window
from blinddps_sci.io.result import open_result


def ccd(data: np.ndarray) -> CCDData:
    """Return an image with all that an astronomer's has."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1e-4, 1e-4]
    wcs.wcs.crval, wcs.wcs.crpix = [83.6, 22.0], [20.0, 15.0]
    mask = np.zeros(data.shape, bool)
    mask[3, 5:9] = True
    return CCDData(
        data,
        unit="adu",
        wcs=wcs,
        mask=mask,
        uncertainty=StdDevUncertainty(np.sqrt(data)),
        meta={"GAIN": 1.5, "RDNOISE": 4.0, "SATURATE": 65000.0, "OBJECT": "M 1"},
    )


def labelled(data: np.ndarray) -> xr.DataArray:
    """Return a microscope's stack, two channels on dask, NaN where there is nothing."""
    data = data.astype(np.float64)
    data[:4, :4] = np.nan
    return xr.DataArray(
        da.from_array(np.stack([data, 2 * data], axis=-1), chunks=(16, 20, 2)),
        dims=("y", "x", "channel"),
        coords={
            "channel": ["red", "far red"],
            "y": ("y", 0.2 * np.arange(data.shape[0]), {"units": "um"}),
            "x": ("x", 0.1 * np.arange(data.shape[1]), {"units": "um"}),
        },
        attrs={"units": "counts", "detector": "sCMOS"},
    )


SOURCES: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": lambda data: data,
    "integers": lambda data: data.astype(">i2"),
    "masked": lambda data: np.ma.masked_greater(data, np.quantile(data, 0.99)),
    "dask": lambda data: da.from_array(data, chunks=(13, 17)),
    "burst": lambda data: np.stack([data, data[::-1], data[:, ::-1]]),
    "xarray": labelled,
    "ccd": ccd,
}


@pytest.mark.parametrize("region", [None, "3:43,10:50"])
@pytest.mark.parametrize("kind", SOURCES)
def test_the_copy_is_the_same_stack(scene, tmp_path: Path, kind: str, region: str | None) -> None:
    stack = open_stack(SOURCES[kind](scene(48, 60)), region=region)
    spool(stack, tmp_path / "input.zarr")
    again = open_spool(tmp_path / "input.zarr")
    assert again.attrs == stack.attrs
    assert {name: (v.dims, v.dtype) for name, v in again.variables.items()} == {
        name: (v.dims, v.dtype) for name, v in stack.variables.items()
    }
    xr.testing.assert_equal(again, stack)
    assert len(pickle.dumps(again)) < 20_000


def test_files_with_variance_and_mask_too(scene, tmp_path: Path) -> None:
    data = scene(40, 30)
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(data, name="SCI"), fits.ImageHDU(data / 9, name="ERR")]
    fits.HDUList([*hdus, fits.ImageHDU((data > 230).astype("i2"), name="DQ")]).writeto(tmp_path / "a.fits")
    stack = open_stack(tmp_path / "a.fits")
    spool(stack, tmp_path / "input.zarr")
    again = open_spool(tmp_path / "input.zarr")
    assert set(again.data_vars) == {"data", "variance", "mask"}
    xr.testing.assert_identical(again, stack)


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [((64, 80), (16, 16)), ((70, 75), (16, 32)), ((5, 40, 40), (2, 40, 40)), ((40, 3000), (1, 3000))],
)
def test_every_chunk_of_a_dask_array_is_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], chunks: tuple[int, ...]
) -> None:
    computed = []

    def block(block_info: Any = None) -> np.ndarray:
        computed.append(tuple(block_info[None]["chunk-location"]))
        return np.full(block_info[None]["chunk-shape"], len(computed), np.float32)

    monkeypatch.setattr("blinddps_sci.engine.spool._SIDE", 32)
    lazy = da.map_blocks(block, chunks=da.core.normalize_chunks(chunks, shape), dtype="f4", meta=np.empty(0))
    stack = open_stack(lazy)
    assert computed == []
    spool(stack, tmp_path / "input.zarr")
    assert sorted(computed) == sorted(itertools.product(*(range(n) for n in lazy.numblocks)))


_CHILD = """
import sys
from pathlib import Path
import dask.array as da
import numpy as np
import zarr
from blinddps_sci.engine.spool import spool
from blinddps_sci.io import open_stack

def peak():
    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))

side = int(sys.argv[1])
lazy = da.random.default_rng(1).random((side, side), chunks=1024, dtype=np.float32)
spool(open_stack(lazy[:1024, :1024]), Path(sys.argv[2]) / 'first.zarr')
before = peak()
spool(open_stack(lazy), Path(sys.argv[2]) / 'input.zarr')
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_lazy_array_is_never_whole_in_memory(tmp_path: Path) -> None:
    side = 8192
    command = [sys.executable, "-W", "error", "-c", _CHILD, str(side), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    # How many chunks wait to be written depends on what else the machine has to do.
    assert int(run.stdout) * 1024 < side**2 * 4 * 3 / 4


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="removed once the run is complete"):
        open_spool(tmp_path / "input.zarr")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        spool(open_stack(np.ones((9, 9))), tmp_path / "file" / "input.zarr")


def test_a_run_measures_the_same_on_the_copy(scene, tmp_path: Path) -> None:
    stack = open_stack(ccd(scene(48, 60)))
    spool(stack, tmp_path / "input.zarr")
    again = open_spool(tmp_path / "input.zarr")
    check_finite(again)
    np.testing.assert_array_equal(np.sort(overview(again)[0]), np.sort(overview(stack)[0]))
    one, other = (read_window(s, {}, slice(0, 20), slice(2, 30)) for s in (stack, again))
    for name in ("data", "variance", "mask"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("kind", ["xarray", "ccd"])
def test_workers_restore_what_only_the_driver_has(small, scene, tmp_path: Path, kind: str) -> None:
    source = SOURCES[kind](scene(48, 130))
    alone = restore(source, tmp_path / "alone.zarr", **small)
    shared = restore(source, tmp_path / "shared.zarr", workers=2, **small)
    if kind == "ccd":
        assert isinstance(shared, CCDData)
        np.testing.assert_array_equal(shared.data, alone.data)
        np.testing.assert_array_equal(shared.mask, alone.mask)
        assert shared.wcs.to_header() == alone.wcs.to_header()
    else:
        assert not any(shared[name].variable._in_memory for name in ("image", "std", "dq"))
        xr.testing.assert_equal(shared, alone)
    one, other = (open_result(tmp_path / f"{name}.zarr") for name in ("alone", "shared"))
    assert one.attrs["fingerprint"] == other.attrs["fingerprint"]
    assert not list(folders_of(tmp_path / "shared.zarr").glob("*/input.zarr"))


@pytest.mark.parametrize("workers", [None, 2])
def test_a_run_over_an_array_goes_on(small, scene, tmp_path: Path, workers: int | None) -> None:
    data = scene(48, 190)
    whole = restore(data, **small)

    def stop(event: Any) -> None:
        if event.phase == "restore" and event.progress is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(
            da.from_array(data, chunks=40), tmp_path / "out.zarr", callback=stop, workers=workers, **small
        )
    # Both may have been moved meanwhile.
    (tmp_path / "elsewhere").mkdir()
    for name in ("out.zarr", "out.zarr.run"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    found = resume(tmp_path / "elsewhere" / "out.zarr", workers=workers)
    np.testing.assert_array_equal(found["image"], whole["image"])
    assert not list((tmp_path / "elsewhere" / "out.zarr.run").glob("*/input.zarr"))
