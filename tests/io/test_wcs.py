"""World coordinates: what is kept, what a crop changes, how big a pixel is."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from blinddps_sci.io import open_stack
from blinddps_sci.io.wcs import pixel_scale, shift_wcs, wcs_text


def sky_header(height=64, width=48, **more):
    header = fits.PrimaryHDU(np.zeros((height, width), "f4")).header
    header.update(
        CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=150.1, CRVAL2=2.2, CRPIX1=24.5, CRPIX2=32.5,
        CD1_1=-4.1e-5, CD1_2=2.0e-6, CD2_1=2.1e-6, CD2_2=4.2e-5, CUNIT1="deg", CUNIT2="deg",
    )  # fmt: skip
    header.update(more)
    return header


SIP = {
    "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 3e-5,
    "A_1_1": -2e-5, "B_0_2": 4e-5, "AP_ORDER": 1, "BP_ORDER": 1, "AP_1_0": 1e-6, "BP_0_1": 1e-6,
}  # fmt: skip
TPV = {
    "CTYPE1": "RA---TPV",
    "CTYPE2": "DEC--TPV",
    "PV1_0": 1e-5,
    "PV1_1": 1.01,
    "PV1_4": 0.3,
    "PV2_1": 0.99,
    "PV2_5": 0.1,
}
ZPN = {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "PV2_1": 1.0, "PV2_3": 40.0}


def sky(text, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return np.array(WCS(fits.Header.fromstring(text, sep="\n")).celestial.all_pix2world(x, y, 0))


@pytest.mark.parametrize("more", [{}, SIP, TPV, ZPN], ids=["TAN", "SIP", "TPV", "ZPN"])
def test_a_crop_leaves_every_pixel_at_its_place_on_the_sky(tmp_path, more):
    header = sky_header(**more)
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((64, 48), "f4"), header).writeto(path)
    whole = open_stack(path).attrs["wcs_header"]
    part = open_stack(path, region="10:40,7:30").attrs
    x, y = np.meshgrid(np.arange(23.0), np.arange(30.0))
    np.testing.assert_allclose(sky(part["wcs_header"], x, y), sky(whole, x + 7, y + 10), rtol=0, atol=1e-11)
    reference = WCS(header).all_pix2world(x + 7, y + 10, 0)
    np.testing.assert_allclose(sky(whole, x + 7, y + 10), reference, rtol=0, atol=1e-12)
    assert part["region"] == [[10, 40], [7, 30]]


def test_crops_add_up(tmp_path):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.arange(64 * 48, dtype="f4").reshape(64, 48), sky_header()).writeto(path)
    twice = open_stack(open_stack(path, region="10:60,7:40"), region="5:25,3:20")
    once = open_stack(path, region="15:35,10:27")
    assert twice.attrs["region"] == once.attrs["region"]
    assert twice.attrs["wcs_header"] == once.attrs["wcs_header"]
    np.testing.assert_array_equal(twice["data"].values, once["data"].values)


def test_alternate_systems_move_too_and_a_missing_crpix_is_zero():
    header = sky_header(CTYPE1A="LINEAR", CTYPE2A="LINEAR", CRPIX1A=1.0, CDELT1A=2.0, CDELT2A=2.0)
    shifted = fits.Header.fromstring(shift_wcs(wcs_text(header), 10, 7), sep="\n")
    assert (shifted["CRPIX1"], shifted["CRPIX2"]) == (17.5, 22.5)
    assert (shifted["CRPIX1A"], shifted["CRPIX2A"]) == (-6.0, -10.0)


def test_only_wcs_cards_are_taken_and_lookup_tables_are_not():
    header = sky_header(
        GAIN=2.0, CPDIS1="LOOKUP", D2IMDIS1="LOOKUP", **{"MJD-OBS": 59000.5, "RADESYS": "ICRS"}
    )
    kept = fits.Header.fromstring(wcs_text(header), sep="\n")
    assert set(kept) >= {"CTYPE1", "CD2_1", "MJD-OBS", "RADESYS"}
    assert not set(kept) & {"GAIN", "CPDIS1", "D2IMDIS1", "NAXIS1", "SIMPLE"}


def test_no_wcs_gives_no_text(tmp_path):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((9, 9), "f4")).writeto(path)
    attrs = open_stack(path).attrs
    assert "wcs_header" not in attrs
    assert (attrs["pixel_scale"], attrs["pixel_unit"]) == ([1.0, 1.0], "pixel")


def test_pixel_scale_of_rectangular_pixels():
    header = sky_header(CD1_1=-1 / 3600, CD1_2=0.0, CD2_1=0.0, CD2_2=0.5 / 3600)
    scale, unit = pixel_scale(wcs_text(header))
    assert unit == "arcsec"
    np.testing.assert_allclose(scale, [0.5, 1.0])


def test_pixel_scale_of_cubes_and_solar_images():
    header = fits.PrimaryHDU(np.zeros((3, 9, 9), "f4")).header
    header.update(
        CTYPE1="HPLN-TAN", CTYPE2="HPLT-TAN", CTYPE3="WAVE", CUNIT1="arcsec", CUNIT2="arcsec", CUNIT3="nm"
    )
    header.update(CDELT1=0.6, CDELT2=0.6, CDELT3=0.1, CRPIX1=5, CRPIX2=5)
    scale, unit = pixel_scale(wcs_text(header))
    np.testing.assert_allclose(scale, [0.6, 0.6])
    assert unit == "arcsec"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"PIXSCALE": 0.4}, 0.4),
        ({"SECPIX": 0.3}, 0.3),
        ({"XPIXSZ": 3.76, "FOCALLEN": 1000.0}, 0.7755556715),
        ({"FOCALLEN": 9.0}, None),
    ],
)
def test_pixel_scale_from_keywords(keys, expected):
    scale, unit = pixel_scale("", [keys])
    if expected is None:
        assert (scale, unit) == ([1.0, 1.0], "pixel")
    else:
        np.testing.assert_allclose(scale, [expected] * 2, rtol=1e-6)
        assert unit == "arcsec"


def test_old_headers_are_read_without_warnings(tmp_path):
    header = sky_header(RADECSYS="FK5", EPOCH=2000.0, **{"DATE-OBS": "31/12/98"})
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((64, 48), "f4"), header).writeto(path)
    attrs = open_stack(path, region="0:20,0:20").attrs
    expected = (np.hypot(2.0e-6, 4.2e-5) * units.deg).to_value("arcsec")
    np.testing.assert_allclose(attrs["pixel_scale"][0], expected)


def test_a_broken_wcs_does_not_keep_the_image_closed(tmp_path):
    header = sky_header(CTYPE2="RA---TAN")
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((64, 48), "f4"), header).writeto(path)
    attrs = open_stack(path).attrs
    assert attrs["pixel_unit"] == "pixel"
    assert "CTYPE2" in attrs["wcs_header"]


@pytest.mark.parametrize(("unit", "size"), [("um", 0.25), ("nm", 250.0), ("mm", 0.00025)])
def test_lengths_of_a_microscope_are_micrometres(unit, size):
    header = fits.Header({"CUNIT1": unit, "CUNIT2": unit, "CDELT1": 2 * size, "CDELT2": size, "CRPIX1": 1.0})
    scale, word = pixel_scale(wcs_text(header))
    assert scale == pytest.approx([0.25, 0.5])
    assert word == "micrometer"


def test_an_angle_and_a_length_are_no_pixel_size():
    header = fits.Header({"CUNIT1": "arcsec", "CUNIT2": "um", "CDELT1": 1.0, "CDELT2": 1.0})
    assert pixel_scale(wcs_text(header)) == ([1.0, 1.0], "pixel")
