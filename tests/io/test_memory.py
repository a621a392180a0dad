"""Memory does not grow with the image: windows of files of every format, and the pyramid of a result."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from astropy.io import fits

from blinddps_sci.io import open_stack

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")

AT = 5000, 3000
"""Where all files hold the raw numbers 7 and 5, one behind the other; everywhere else they are zero."""

_PEAK = """
def peak():
    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))
"""

_WINDOWS = f"""
import pickle, sys
import numpy as np
{_PEAK}
stack = pickle.load(open(sys.argv[1], 'rb'))
y, x = int(sys.argv[2]), int(sys.argv[3])
window = stack['data'].isel(y=slice(y, y + 2), x=slice(x, x + 2)).values
before = peak()
side = stack['data'].sizes['y']
for start in range(0, side - 300, side // 20):
    stack['data'].isel(y=slice(start, start + 300), x=slice(start, start + 300)).values
print(*window[0], peak() - before, 'torch' in sys.modules)
"""

_PYRAMIDS = f"""
import sys
import numpy as np
import xarray as xr
from blinddps_sci.io.result import create_result
{_PEAK}
for side in map(int, sys.argv[2:]):
    nothing = np.broadcast_to(np.float32(0), (side, side))
    template = xr.Dataset({{'data': (('y', 'x'), nothing)}})
    nodes = {{'node_y': [1.0], 'node_x': [1.0]}}
    store = create_result(f'{{sys.argv[1]}}/{{side}}.zarr', template=template, kernel_size=4, **nodes)
    store.write_region('image', {{}}, slice(0, 1024), slice(0, 1024), np.ones((1024, 1024)))
    before = peak()
    store.build_pyramid()
print(peak() - before)
"""


def printed(code: str, *arguments: object) -> list[str]:
    """Run code in another process and return the words that it prints."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def sparse_fits(path: Path, side: int, dtype: str, **keywords: float) -> None:
    """Write an image whose zeros take no room on the disk."""
    header = fits.PrimaryHDU(np.zeros((8, 8), dtype)).header
    header["NAXIS1"] = header["NAXIS2"] = side
    header.update(keywords)
    head = header.tostring().encode()
    numbers = np.dtype(dtype).newbyteorder(">")
    with path.open("wb") as stream:
        stream.write(head)
        stream.seek(len(head) + numbers.itemsize * (AT[0] * side + AT[1]))
        stream.write(np.array([7, 5], numbers).tobytes())
        stream.truncate(len(head) + -(-numbers.itemsize * side * side // 2880) * 2880)


def big_endian_floats(path: Path) -> int:
    sparse_fits(path, 20_000, "f4")
    return 20_000


def scaled_integers(path: Path) -> int:
    sparse_fits(path, 20_000, "i2", BZERO=1.0, BSCALE=0.5, BLANK=5)
    return 20_000


def compressed(path: Path) -> int:
    data = np.zeros((6000, 6000), np.int16)
    data[AT[0], AT[1] : AT[1] + 2] = 7, 5
    fits.CompImageHDU(data, compression_type="RICE_1", tile_shape=(256, 256)).writeto(path)
    return 6000


def contiguous_tiff(path: Path) -> int:
    tifffile.imwrite(path, shape=(20_000, 20_000), dtype="u2", bigtiff=True)
    pixels = tifffile.memmap(path, mode="r+")
    pixels[AT[0], AT[1] : AT[1] + 2] = 7, 5
    return 20_000


def tiled_tiff(path: Path) -> int:
    side, tile = 8192, 512
    first = AT[0] // tile, AT[1] // tile

    def tiles() -> Iterator[np.ndarray]:
        for position in np.ndindex(side // tile, side // tile):
            values = np.zeros((tile, tile), np.uint16)
            if position == first:
                values[AT[0] % tile, AT[1] % tile : AT[1] % tile + 2] = 7, 5
            yield values

    tifffile.imwrite(
        path, tiles(), shape=(side, side), dtype="u2", tile=(tile, tile), compression="zlib", bigtiff=True
    )
    return side


def sharded_zarr(path: Path) -> int:
    side = 20_000
    array = zarr.create_array(
        str(path), shape=(side, side), dtype="u2", chunks=(256, 256), shards=(1024, 1024), fill_value=0
    )
    array[AT[0], AT[1] : AT[1] + 2] = 7, 5
    return side


@pytest.mark.parametrize(
    ("name", "make", "values"),
    [
        ("a.fits", big_endian_floats, "7.0 5.0"),
        ("a.fits", scaled_integers, "4.5 nan"),
        ("a.fits.fz", compressed, "7.0 5.0"),
        ("a.tif", contiguous_tiff, "7.0 5.0"),
        ("a.tif", tiled_tiff, "7.0 5.0"),
        ("a.zarr", sharded_zarr, "7.0 5.0"),
    ],
)
def test_windows_of_a_large_file_take_little_memory(
    tmp_path: Path, name: str, make: Callable[[Path], int], values: str
) -> None:
    side = make(tmp_path / name)
    stack = open_stack(tmp_path / name)
    assert stack["data"].shape == (side, side)
    recipe = pickle.dumps(stack)
    assert len(recipe) < 20_000
    (tmp_path / "recipe").write_bytes(recipe)
    *found, grown, torch = printed(_WINDOWS, tmp_path / "recipe", *AT)
    assert (" ".join(found), torch) == (values, "False")
    # The kernel maps some pages around those that are touched.
    assert int(grown) * 1024 < 32 * 2**20 < side**2 * 4 / 4


def test_the_pyramid_is_built_shard_by_shard(tmp_path: Path) -> None:
    side = 12_288
    (grown,) = printed(_PYRAMIDS, tmp_path, 2048, side)
    assert int(grown) * 1024 < 32 * 2**20 < side**2 * 4 / 4
