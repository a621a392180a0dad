"""The whole sentence: a FITS cube, Dask workers, a kernel for each tile, the store, and napari's layers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from skimage import data

from blinddps_sci import open_result, restore
from blinddps_sci.engine.run_folder import RunFolder, folders_of
from napari_plugin.reader import get_reader

pytestmark = pytest.mark.slow

PIXEL = 0.2  # arcsec


def test_from_a_fits_cube_to_napari(options: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cube = np.stack([data.camera()[96:224, 128:256], data.moon()[200:328, 200:328]]).astype(np.float32)
    header = fits.Header({"BUNIT": "adu", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    header.update({"CDELT1": -PIXEL / 3600, "CDELT2": PIXEL / 3600, "CRVAL1": 10.0, "CRVAL2": 20.0})
    fits.writeto(tmp_path / "cube.fits", cube, header)

    monkeypatch.chdir(tmp_path)
    restore("cube.fits", "restored.zarr", config=options, psf="per-tile", workers=2)

    (folder,) = folders_of(tmp_path / "restored.zarr").iterdir()
    records = list(RunFolder(folder).records())
    assert {record["phase"] for record in records} == {"estimate", "restore", "blend"}
    assert {record["unit"] for record in records} == set(range(8))  # two frames of four units
    assert os.getpid() not in {record["process"] for record in records}

    store = open_result("restored.zarr")
    assert store.status == "complete"
    kernels = store.psf()["kernel"].values
    rows, columns = kernels.shape[2:4]
    assert kernels.shape == (2, 1, rows, columns, 8, 8)
    assert rows * columns >= 4
    np.testing.assert_allclose(kernels.sum(axis=(-2, -1)), 1.0, atol=1e-5)
    # Each tile has a kernel of its own.
    assert len(np.unique(kernels.reshape(-1, 64), axis=0)) == 2 * rows * columns

    reader = get_reader("restored.zarr")
    assert reader is not None
    layers = {options["name"]: (data, options, kind) for data, options, kind in reader("restored.zarr")}
    assert [kind for _, _, kind in layers.values()] == ["image", "image", "image", "points"]
    image, look, _ = layers["restored restored"]
    std, _, _ = layers["restored standard deviation"]
    chi2, _, _ = layers["restored chi-squared"]
    nodes, points, _ = layers["restored PSF nodes"]
    assert look["axis_labels"][-2:] == ("y", "x")
    np.testing.assert_allclose(look["scale"][-2:], PIXEL)
    assert look["units"][-2:] == ("arcsecond", "arcsecond")
    restored, deviation = (
        np.asarray(layer[0] if isinstance(layer, list) else layer) for layer in (image, std)
    )
    assert restored.shape == deviation.shape == cube.shape
    # The frames are those of the cube, and in its order.
    alike = np.corrcoef(restored.reshape(2, -1), cube.reshape(2, -1))[:2, 2:]
    assert (np.diag(alike) > 0.5).all()
    assert (np.abs(alike[[0, 1], [1, 0]]) < 0.2).all()
    assert (deviation > 0).all()
    assert np.isfinite(np.asarray(chi2)).all()
    assert nodes.shape == (2 * rows * columns, 3)  # those of each frame
    assert np.isfinite(points["features"]["fwhm"]).all()
