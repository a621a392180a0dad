"""Astropy's data containers as stacks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDData,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.wcs import WCS

from blinddps_sci.errors import InputError
from blinddps_sci.io import open_stack, read_window

RNG = np.random.default_rng(4)


@pytest.mark.parametrize(
    ("uncertainty", "variance"),
    [
        (StdDevUncertainty(np.full((9, 12), 3.0)), 9.0),
        (VarianceUncertainty(np.full((9, 12), 3.0)), 3.0),
        (InverseVariance(np.full((9, 12), 4.0)), 0.25),
        (StdDevUncertainty(np.full((9, 12), 3.0), unit="electron"), 9.0),
        (StdDevUncertainty(np.full((9, 12), 3000.0), unit=1e-3 * units.electron), 9.0),
        (InverseVariance(np.full((9, 12), 4.0), unit=units.electron**-2), 0.25),
    ],
)
def test_uncertainty_becomes_variance(uncertainty, variance):
    data = RNG.normal(size=(9, 12))
    stack = open_stack(CCDData(data, unit="electron", uncertainty=uncertainty))
    np.testing.assert_allclose(stack["variance"].values, variance, rtol=1e-6)
    np.testing.assert_array_equal(stack["data"].values, data.astype("f4"))
    assert stack["variance"].dtype == np.dtype("=f4")
    assert stack.attrs["unit"] == "electron"


def test_zero_weight_is_masked():
    weight = np.ones((9, 12))
    weight[1, 2] = 0
    window = read_window(
        open_stack(NDData(np.ones((9, 12)), uncertainty=InverseVariance(weight))),
        {},
        slice(0, 9),
        slice(0, 12),
    )
    assert np.argwhere(window.mask).tolist() == [[1, 2]]


def test_mask_wcs_and_header():
    header = fits.Header()
    header.update(
        CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=10.0, CRVAL2=-5.0, CRPIX1=6.0, CRPIX2=5.0,
        CDELT1=-1 / 3600, CDELT2=1 / 3600,
    )  # fmt: skip
    wcs = WCS(header)
    mask = np.zeros((9, 12), int)
    mask[3, 3] = 4
    ccd = CCDData(
        np.ones((9, 12)),
        unit="adu",
        mask=mask,
        wcs=wcs,
        header={"EGAIN": 2.0, "RDNOISE": 5.0, "longer keyword": 1},
    )
    stack = open_stack(ccd, region="1:9,3:12")
    assert np.argwhere(stack["mask"].values).tolist() == [[2, 0]]
    assert (stack.attrs["gain"], stack.attrs["read_noise"]) == (2.0, 2.5)
    np.testing.assert_allclose(stack.attrs["pixel_scale"], [1.0, 1.0])
    assert stack.attrs["pixel_unit"] == "arcsec"
    moved = WCS(fits.Header.fromstring(stack.attrs["wcs_header"], sep="\n"))
    np.testing.assert_allclose(moved.all_pix2world(2.0, 3.0, 0), wcs.all_pix2world(5.0, 4.0, 0), atol=1e-12)
    json.dumps(stack.attrs, allow_nan=False)


def test_a_ccd_read_from_a_file_is_the_file(tmp_path):
    hdu = fits.PrimaryHDU(RNG.normal(size=(9, 12)).astype("f4"))
    hdu.header.update(BUNIT="adu", GAIN=2.0)
    hdu.writeto(tmp_path / "a.fits")
    file, ccd = open_stack(tmp_path / "a.fits"), open_stack(CCDData.read(tmp_path / "a.fits"))
    np.testing.assert_array_equal(ccd["data"].values, file["data"].values)
    assert {k: ccd.attrs[k] for k in ("unit", "gain")} == {k: file.attrs[k] for k in ("unit", "gain")}


def test_no_unit_and_no_uncertainty():
    stack = open_stack(NDData(np.ones((3, 9, 12))))
    assert stack["data"].dims == ("t", "y", "x")
    assert list(stack.data_vars) == ["data"]
    assert stack.attrs["unit"] == ""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (NDData(np.ones((9, 9)), uncertainty=UnknownUncertainty(np.ones((9, 9)))), "UnknownUncertainty"),
        (NDData(np.ones((9, 9)), uncertainty=StdDevUncertainty(np.ones((9, 8)))), "they must be the same"),
        (NDData(np.ones((9, 9)), mask=np.ones((5, 5), bool)), "they must be the same"),
        (NDData(np.ones((9, 9), complex)), "complex"),
        (NDData(np.ones((5, 9))), "5 x 9"),
    ],
)
def test_refusals(source, words):
    with pytest.raises(InputError, match=words):
        open_stack(source)
