"""World coordinates go through a whole restoration: every pixel lies where it lay on the sky."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from blinddps_sci.engine.restore import restore
from blinddps_sci.io.export import export_fits, export_psf
from blinddps_sci.io.result import open_result

SHAPE = (70, 100)
TAN: dict[str, Any] = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.1, "CRVAL2": 2.2, "CRPIX1": 24.5,
    "CRPIX2": 32.5, "CD1_1": -4.1e-5, "CD1_2": 2.0e-6, "CD2_1": 2.1e-6, "CD2_2": 4.2e-5,
}  # fmt: skip
ZOO: dict[str, dict[str, Any]] = {
    "TAN": TAN,
    "SIP": TAN | {
        "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 3e-5,
        "A_1_1": -2e-5, "B_0_2": 4e-5, "AP_ORDER": 1, "BP_ORDER": 1, "AP_1_0": 1e-6, "BP_0_1": 1e-6,
    },
    "TPV": TAN | {
        "CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_0": 1e-5, "PV1_1": 1.01, "PV1_4": 0.3,
        "PV2_1": 0.99, "PV2_5": 0.1,
    },
    "ZPN": TAN | {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "PV2_1": 1.0, "PV2_3": 40.0},
}  # fmt: skip


@pytest.fixture
def local(small: dict[str, Any]) -> dict[str, Any]:
    """Options of a restoration with Gaussian priors in a moment."""
    quick = {"prior": "gaussian", "kernel_prior": "gaussian", "steps": 2, "chains": 1, "samples": 2}
    return small | quick | {"noise": "gaussian:2"}


def sky(header: fits.Header, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return np.array(WCS(header).celestial.all_pix2world(x, y, 0))


@pytest.mark.parametrize(("kind", "region"), [("TAN", None), *((kind, "11:65,8:72") for kind in ZOO)])
def test_a_restored_pixel_keeps_its_place(
    tmp_path: Path, local: dict[str, Any], scene: Any, kind: str, region: str | None
) -> None:
    header = fits.Header(ZOO[kind])
    fits.writeto(tmp_path / "in.fits", scene(*SHAPE), header)
    restore(tmp_path / "in.fits", tmp_path / "out.fits", region=region, **local)
    y0, x0 = (11, 8) if region else (0, 0)
    with fits.open(tmp_path / "out.fits") as hdus:
        hdus.verify("exception")
        made = hdus["SCI"].header
        height, width = hdus["SCI"].data.shape
        assert hdus["ERR"].data.shape == (height, width)
    y, x = np.mgrid[0:height:5.0, 0:width:5.0]
    np.testing.assert_allclose(sky(made, y, x), sky(header, y + y0, x + x0), rtol=0, atol=1e-11)


def test_photutils_reads_the_psfs_of_a_restoration_on_a_grid_that_is_not_square(
    tmp_path: Path, local: dict[str, Any], scene: Any
) -> None:
    """Of 3 x 5 tiles: what photutils has at a node's place is that node's kernel, not its transpose's."""
    psf = pytest.importorskip("photutils.psf")
    restore(scene(*SHAPE), tmp_path / "out.zarr", **(local | {"psf": "per-tile"}))
    store = open_result(tmp_path / "out.zarr")
    export_psf(store, tmp_path / "out.psf.fits")
    export_fits(store, tmp_path / "out.fits")
    model = psf.GriddedPSFModel.read(tmp_path / "out.psf.fits")
    kernels, places = (store.psf()[name].values for name in ("kernel", "position"))
    rows, columns, size = kernels.shape[2], kernels.shape[3], kernels.shape[-1]
    assert rows != columns
    assert min(rows, columns) > 1
    offsets = np.arange(size) - size // 2
    for i, j in np.ndindex(rows, columns):
        y, x = places[i, j]
        yy, xx = np.meshgrid(offsets + y, offsets + x, indexing="ij")
        found = model.evaluate(xx, yy, 1.0, x, y)
        np.testing.assert_allclose(found, kernels[0, 0, i, j], atol=2e-6, err_msg=f"node {i}, {j}")
    with fits.open(tmp_path / "out.fits") as hdus:
        grid, table = hdus["PSFGRID"].data, hdus["PSFPOS"].data
        assert len(table) == rows * columns == len(grid.reshape(-1, *grid.shape[-2:]))
        np.testing.assert_allclose(table["x"].reshape(rows, columns), places[..., 1])
