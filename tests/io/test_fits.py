"""Reading FITS: every number representation, every layout, and what is refused."""

from __future__ import annotations

import gzip
import json
import pickle

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, VarianceUncertainty

from blinddps_sci.errors import InputError, MisfitWarning
from blinddps_sci.io import open_stack, read_window

RNG = np.random.default_rng(0)


def write(path, *hdus):
    fits.HDUList(list(hdus)).writeto(path)
    return path


def image(height=24, width=20):
    return RNG.normal(size=(height, width)).astype("f4")


# --- number representations -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "compress"),
    [(dtype, False) for dtype in ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8")]
    + [(dtype, True) for dtype in ("u1", "i2", "u2", "i4", "u4", "f4", "f8")],
)
def test_every_representation_has_the_values_that_were_written(tmp_path, dtype, compress):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        data = RNG.normal(size=(24, 20)).astype(dtype)
    else:
        info = np.iinfo(dtype)
        data = RNG.integers(info.min, info.max, size=(24, 20), dtype=dtype, endpoint=True)
    hdu = (
        fits.CompImageHDU(data, quantize_level=0, compression_type="GZIP_2")
        if compress
        else fits.ImageHDU(data)
    )
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), hdu)
    stack = open_stack(path)
    values = stack["data"].values
    assert values.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(values, data.astype("f4"))


def test_scaled_integers_with_blank(tmp_path):
    raw = RNG.integers(-100, 100, size=(16, 16)).astype("i2")
    raw[3, 4] = -99
    raw[3, 5] = 7
    hdu = fits.PrimaryHDU(raw)
    hdu.header.update(BSCALE=0.25, BZERO=3.0, BLANK=-99)
    path = write(tmp_path / "a.fits", hdu)
    values = open_stack(path)["data"].values
    expected = raw * 0.25 + 3.0
    expected[raw == -99] = np.nan
    np.testing.assert_array_equal(values, expected.astype("f4"))
    assert np.isnan(values[3, 4])
    assert values[3, 5] == 4.75


def test_large_zero_points_are_added_in_double_precision(tmp_path):
    data = np.full((8, 8), 3_000_000_001, "u4")
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(data))
    assert open_stack(path)["data"].values[0, 0] == np.float32(3_000_000_001)


@pytest.mark.parametrize("name", ["a.fits.fz", "a.fz"])
def test_fz_has_an_empty_primary_and_a_compressed_image(tmp_path, name):
    data = RNG.integers(0, 4000, size=(70, 50)).astype("i2")
    hdu = fits.CompImageHDU(data, compression_type="RICE_1", tile_shape=(16, 16))
    hdu.header["BLANK"] = int(data[0, 0])
    path = write(tmp_path / name, fits.PrimaryHDU(), hdu)
    stack = open_stack(path)
    assert stack["data"].encoding["preferred_chunks"] == {"y": 16, "x": 16}
    expected = np.where(data == data[0, 0], np.nan, data)
    np.testing.assert_array_equal(
        stack["data"].isel(y=slice(13, 37), x=slice(5, 41)).values, expected[13:37, 5:41]
    )
    np.testing.assert_array_equal(stack["data"].isel(y=3, x=slice(None, None, 7)).values, expected[3, ::7])


def test_gzip_by_content_not_by_name(tmp_path):
    data = image()
    plain = write(tmp_path / "a.fits", fits.PrimaryHDU(data))
    for name in ("b.fits.gz", "c.fits"):
        packed = tmp_path / name
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        stack = pickle.loads(pickle.dumps(open_stack(packed)))
        np.testing.assert_array_equal(stack["data"].values, data)
        assert stack.attrs["source"] == [name]


def test_damaged_gzip_is_refused(tmp_path):
    plain = write(tmp_path / "a.fits", fits.PrimaryHDU(image()))
    packed = tmp_path / "b.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes())[:-400])
    with pytest.raises(InputError, match="cannot be unpacked"):
        open_stack(packed)


# --- choosing the image -----------------------------------------------------------------------------


@pytest.fixture
def multi(tmp_path):
    """Two chips with SCI, ERR and DQ, an empty primary, a table and an unrelated image."""
    chips = [image(16 + n, 12) for n in (0, 2)]
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update(TELESCOP="TEST", CCDGAIN=2.0, READNOIS=6.0, SATURATE=60000.0)
    hdus.append(fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])], name="CAT"))
    for ver, chip in enumerate(chips, start=1):
        dq = np.zeros(chip.shape, "i2")
        dq[ver, ver] = 64
        for name, values in (("ERR", np.full(chip.shape, 0.5 * ver, "f4")), ("SCI", chip), ("DQ", dq)):
            hdus.append(fits.ImageHDU(values, name=name, ver=ver))
    hdus.append(fits.ImageHDU(image(9, 9), name="OTHER"))
    return write(tmp_path / "m.fits", *hdus), chips


def test_the_first_science_extension_comes_with_its_error_and_quality(multi):
    path, chips = multi
    stack = open_stack(path)
    np.testing.assert_array_equal(stack["data"].values, chips[0])
    np.testing.assert_array_equal(stack["variance"].values, np.full(chips[0].shape, 0.25, "f4"))
    assert stack["mask"].dtype == bool
    assert np.argwhere(stack["mask"].values).tolist() == [[1, 1]]
    assert stack.attrs["hdu"] == "SCI,1"
    assert stack.attrs["variance_source"] == "ERR"


@pytest.mark.parametrize("hdu", ["SCI,2", "sci, 2", 6, "6"])
def test_every_science_extension_has_an_address(multi, hdu):
    path, chips = multi
    stack = open_stack(path, hdu=hdu)
    np.testing.assert_array_equal(stack["data"].values, chips[1])
    assert stack["variance"].values[0, 0] == 1.0
    assert np.argwhere(stack["mask"].values).tolist() == [[2, 2]]


def test_an_extension_outside_the_family_stands_alone(multi):
    path, _ = multi
    assert list(open_stack(path, hdu="OTHER").data_vars) == ["data"]
    assert list(open_stack(path, hdu="ERR").data_vars) == ["data"]


@pytest.mark.parametrize(
    ("hdu", "words"),
    [("SCI,3", "no extension 'SCI,3'"), (0, "holds no image"), ("CAT", "holds no image"), (99, "99")],
)
def test_wrong_extensions_are_refused_with_the_list(multi, hdu, words):
    with pytest.raises(InputError, match=words) as error:
        open_stack(multi[0], hdu=hdu)
    assert "SCI,2 (18 x 12)" in str(error.value)


def test_keywords_of_the_primary_header_are_found(multi):
    attrs = open_stack(multi[0]).attrs
    assert (attrs["gain"], attrs["read_noise"], attrs["saturation"]) == (2.0, 3.0, 60000.0)
    assert ["TELESCOP", "TEST", ""] in attrs["primary_header"]


@pytest.mark.parametrize(
    ("name", "values", "variance"),
    [("VAR", 4.0, 4.0), ("IVAR", 4.0, 0.25), ("WHT", 8.0, 0.125), ("RMS", 3.0, 9.0), ("VARIANCE", 2.0, 2.0)],
)
def test_other_names_of_the_uncertainty(tmp_path, name, values, variance):
    path = write(
        tmp_path / "a.fits",
        fits.PrimaryHDU(),
        fits.ImageHDU(image(), name="SCI"),
        fits.ImageHDU(np.full((24, 20), values, "f4"), name=name),
    )
    np.testing.assert_allclose(open_stack(path)["variance"].values, variance)


def test_weight_zero_and_error_zero_mean_unknown(tmp_path):
    weight = np.ones((24, 20), "f4")
    weight[2, 3] = 0
    for name in ("WHT", "ERR"):
        path = write(tmp_path / f"{name}.fits", fits.PrimaryHDU(image()), fits.ImageHDU(weight, name=name))
        window = read_window(open_stack(path), {}, slice(0, 8), slice(0, 8))
        assert np.argwhere(window.mask).tolist() == [[2, 3]]
        assert window.variance is not None
        assert np.isfinite(window.variance).all()


def test_tiny_fluxes_keep_a_positive_variance(tmp_path):
    err = np.full((8, 8), 1e-25, "f4")
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(image(8, 8)), fits.ImageHDU(err, name="ERR"))
    assert (open_stack(path)["variance"].values > 0).all()


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_files_that_ccddata_writes(tmp_path, kind):
    path = tmp_path / "a.fits"
    mask = np.zeros((24, 20), bool)
    mask[5, 6] = True
    CCDData(image(), unit="adu", uncertainty=kind(np.full((24, 20), 2.0)), mask=mask).write(path)
    stack = open_stack(path)
    expected = {StdDevUncertainty: 4.0, VarianceUncertainty: 2.0, InverseVariance: 0.5}[kind]
    np.testing.assert_allclose(stack["variance"].values, expected)
    np.testing.assert_array_equal(stack["mask"].values, mask)
    assert stack.attrs["unit"] == "adu"


def test_lsst_masks_keep_detected_sources(tmp_path):
    plane = fits.ImageHDU(np.zeros((24, 20), "i4"), name="MASK")
    for name, bit in (("MP_BAD", 0), ("HIERARCH MP_NO_DATA", 3), ("HIERARCH MP_DETECTED", 5)):
        plane.header[name] = bit
    plane.data[1, 1], plane.data[2, 2], plane.data[3, 3] = 1 << 5, 1 << 3, (1 << 5) + 1
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), fits.ImageHDU(image(), name="IMAGE"), plane)
    assert np.argwhere(open_stack(path)["mask"].values).tolist() == [[2, 2], [3, 3]]


def test_unsigned_quality_planes(tmp_path):
    dq = np.zeros((24, 20), "u2")
    dq[4, 4] = 40000
    path = write(
        tmp_path / "a.fits",
        fits.PrimaryHDU(),
        fits.ImageHDU(image(), name="SCI"),
        fits.ImageHDU(dq, name="DQ"),
    )
    assert np.argwhere(open_stack(path)["mask"].values).tolist() == [[4, 4]]


def test_one_quality_plane_for_a_cube(tmp_path):
    dq = np.zeros((24, 20), "i2")
    dq[4, 7] = 1
    cube = RNG.normal(size=(3, 24, 20)).astype("f4")
    path = write(
        tmp_path / "a.fits", fits.PrimaryHDU(), fits.ImageHDU(cube, name="SCI"), fits.ImageHDU(dq, name="DQ")
    )
    stack = open_stack(path)
    assert stack["mask"].dims == ("t", "y", "x")
    assert np.argwhere(stack["mask"].values).tolist() == [[n, 4, 7] for n in range(3)]
    assert stack["mask"].isel(t=1).values[4, 7]


def test_planes_of_another_shape_are_refused(tmp_path):
    path = write(
        tmp_path / "a.fits",
        fits.PrimaryHDU(),
        fits.ImageHDU(image(), name="SCI"),
        fits.ImageHDU(image(9, 9), name="ERR"),
    )
    with pytest.raises(InputError, match="does not have the shape"):
        open_stack(path)


# --- axes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "ctypes", "dims"),
    [
        ((3, 9, 10), {}, "tyx"),
        ((3, 9, 10), {3: "WAVE-LOG"}, "cyx"),
        ((3, 9, 10), {3: "FREQ"}, "cyx"),
        ((3, 9, 10), {3: "STOKES"}, "cyx"),
        ((3, 9, 10), {3: "RGB"}, "cyx"),
        ((3, 9, 10), {3: "TIME"}, "tyx"),
        ((2, 3, 9, 10), {3: "VELO-LSR", 4: "TIME"}, "tcyx"),
        ((2, 3, 9, 10), {3: "FREQ"}, "tcyx"),
        ((3, 2, 9, 10), {4: "FREQ"}, "tcyx"),
        ((1, 3, 9, 10), {3: "FREQ", 4: "STOKES"}, "cyx"),
        ((1, 5, 9, 10), {}, "tyx"),
        ((5, 1, 9, 10), {}, "tyx"),
    ],
)
def test_axes_of_cubes(tmp_path, shape, ctypes, dims):
    data = RNG.normal(size=shape).astype("f4")
    hdu = fits.PrimaryHDU(data)
    for axis, ctype in ctypes.items():
        hdu.header[f"CTYPE{axis}"] = ctype
    stack = open_stack(write(tmp_path / "a.fits", hdu))
    assert stack["data"].dims == tuple(dims)
    expected = data.transpose(1, 0, 2, 3) if ctypes == {4: "FREQ"} else data
    np.testing.assert_array_equal(stack["data"].values, expected.reshape(stack["data"].shape))


@pytest.mark.parametrize(
    ("shape", "ctypes"), [((2, 3, 9, 10), {}), ((2, 3, 9, 10), {3: "FREQ", 4: "STOKES"})]
)
def test_axes_without_a_place_are_refused(tmp_path, shape, ctypes):
    hdu = fits.PrimaryHDU(np.zeros(shape, "f4"))
    for axis, ctype in ctypes.items():
        hdu.header[f"CTYPE{axis}"] = ctype
    with pytest.raises(InputError, match=r"at most one each of t, c and z"):
        open_stack(write(tmp_path / "a.fits", hdu))


# --- attributes -------------------------------------------------------------------------------------


def test_header_is_kept_verbatim_and_attributes_are_json(tmp_path):
    hdu = fits.PrimaryHDU(image())
    hdu.header["OBSERVER"] = ("O'Neill", "who")
    hdu.header["LONGTEXT"] = "a" * 150
    hdu.header["EMPTY"] = None
    hdu.header["HIERARCH ESO DET GAIN"] = (1.5, "e-/ADU")
    hdu.header["COMMENT"] = "one"
    hdu.header["COMMENT"] = "two"
    hdu.header["HISTORY"] = "flat"
    hdu.header["BUNIT"] = "adu"
    hdu.add_checksum()
    path = write(tmp_path / "a.fits", hdu)
    attrs = open_stack(path).attrs
    assert json.loads(json.dumps(attrs, allow_nan=False)) == attrs
    rows = [[c.keyword, c.value, c.comment] for c in fits.getheader(path).cards]
    ours = [[k, v, c] for k, v, c in attrs["header"]]
    assert [r for r in ours if r[0] != "EMPTY"] == [r for r in rows if r[0] != "EMPTY"]
    assert ["EMPTY", None, ""] in ours
    assert ours[0][:2] == ["SIMPLE", True]
    assert attrs["unit"] == "adu"
    (identity,) = attrs["identity"]["files"]
    assert identity["size"] == path.stat().st_size
    assert identity["mtime_ns"] == path.stat().st_mtime_ns
    assert identity["datasum"] == hdu.header["DATASUM"]
    assert attrs["dtype_on_disk"] == ">f4"


def test_cards_off_the_standard_are_kept_as_text(tmp_path):
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(image()))
    content = bytearray(path.read_bytes())
    at = content.index(b"EXTEND ")
    content[at : at + 80] = b"BADCARD = 12 34 'x".ljust(80)
    path.write_bytes(content)
    rows = {row[0]: row[1] for row in open_stack(path).attrs["header"]}
    assert "12 34" in rows["BADCARD"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"GAIN": 1.5, "RDNOISE": 6.0}, {"gain": 1.5, "read_noise": 4.0}),
        ({"GAIN": 120, "EGAIN": 0.25}, {"gain": 0.25}),
        ({"READNOIS": 6.0}, {}),
        ({"GAIN": 2.0, "RDNOISE": 6.0, "BUNIT": "electron"}, {"gain": 1.0, "read_noise": 6.0}),
        ({"GAIN": 2.0, "RDNOISE": 6.0, "BUNIT": "e-"}, {"gain": 1.0, "read_noise": 6.0}),
        ({"GAIN": 2.0, "RDNOISE": 6.0, "BUNIT": "ELECTRONS/S"}, {}),
        ({"GAIN": 2.0, "BUNIT": "DN"}, {"gain": 2.0}),
        ({"GAIN": "high", "SATLEVEL": 65000}, {"saturation": 65000.0}),
        ({"GAIN": 0.0, "SATURATE": -1.0}, {}),
        ({"GAIN": 2.0, "SATURATE": 6e4, "BUNIT": "electron"}, {"gain": 1.0, "saturation": 1.2e5}),
        ({"GAIN": 0.5, "SATURATE": 6e4, "BUNIT": "electron"}, {"gain": 1.0, "saturation": 6e4}),
        ({"GAIN": 2.0, "SATURATE": 6e4, "BUNIT": "ADU"}, {"gain": 2.0, "saturation": 6e4}),
        ({"GAIN": 2.0, "SATURATE": 6e4, "BUNIT": "ELECTRONS/S"}, {"saturation": 6e4}),
    ],
)
def test_detector_keywords(tmp_path, keys, expected):
    hdu = fits.PrimaryHDU(image())
    hdu.header.update(keys)
    attrs = open_stack(write(tmp_path / "a.fits", hdu)).attrs
    assert {k: attrs[k] for k in ("gain", "read_noise", "saturation") if k in attrs} == expected


# --- laziness, other processes ----------------------------------------------------------------------


def test_only_touched_compressed_tiles_are_decoded(tmp_path):
    data = RNG.integers(0, 4000, size=(64, 64)).astype("i2")
    hdu = fits.CompImageHDU(data, compression_type="GZIP_1", tile_shape=(16, 16), name="SCI")
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), hdu)
    with fits.open(path, disable_image_compression=True) as hdus:
        table = hdus[1]
        end = (
            table.fileinfo()["datLoc"]
            + table.header["NAXIS1"] * table.header["NAXIS2"]
            + table.header["PCOUNT"]
        )
    content = bytearray(path.read_bytes())
    content[end - 40 : end] = b"\xff" * 40  # the last tile's stream
    path.write_bytes(content)
    stack = open_stack(path)
    np.testing.assert_array_equal(stack["data"].isel(y=slice(0, 48)).values, data[:48])
    with pytest.raises(InputError, match=r"cannot be read at"):
        stack["data"].isel(y=slice(50, 60), x=slice(50, 60)).values  # noqa: B018


def test_a_file_that_changes_is_not_read(tmp_path):
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(image()))
    stack = open_stack(path)
    write(tmp_path / "b.fits", fits.PrimaryHDU(image(40, 40))).replace(path)
    with pytest.raises(InputError, match="has changed"):
        stack["data"].values  # noqa: B018
    path.unlink()
    with pytest.raises(InputError, match="cannot be read any more"):
        stack["data"].values  # noqa: B018


# --- refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0.3, 0.9])
@pytest.mark.parametrize("compress", [False, True])
def test_truncated_files_are_refused(tmp_path, keep, compress):
    data = RNG.integers(0, 4000, size=(200, 200)).astype("i2")
    hdu = fits.CompImageHDU(data) if compress else fits.ImageHDU(data)
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), hdu)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match="truncated"):
        open_stack(path)


def test_missing_padding_is_not_truncation(tmp_path):
    data = image()
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(data))
    content = path.read_bytes()
    path.write_bytes(content[: 2880 + data.nbytes])
    np.testing.assert_array_equal(open_stack(path)["data"].values, data)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 5000, RNG.bytes(10_000), b"SIMPLE  =  ", b"SIMPLE  = x" * 600]
)
def test_bytes_that_are_not_fits_are_refused(tmp_path, content):
    path = tmp_path / "a.fits"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.fits") as error:
        open_stack(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("hdus", "words"),
    [
        ([fits.PrimaryHDU()], "no image extension"),
        ([fits.PrimaryHDU(np.zeros(100, "f4"))], "no image extension"),
        ([fits.PrimaryHDU(np.zeros((7, 30), "f4"))], "7 x 30 pixels"),
    ],
)
def test_no_usable_image(tmp_path, hdus, words):
    with pytest.raises(InputError, match=words):
        open_stack(write(tmp_path / "a.fits", *hdus))


def test_a_compressed_image_without_a_name_has_its_error_and_quality(tmp_path):
    data, quality = image(), np.zeros((24, 20), "i2")
    quality[2, 3] = 1
    path = write(
        tmp_path / "a.fits.fz",
        fits.PrimaryHDU(),
        fits.CompImageHDU(data, quantize_level=0, compression_type="GZIP_2"),
        fits.ImageHDU(np.full((24, 20), 2, "f4"), name="ERR"),
        fits.ImageHDU(quality, name="DQ"),
    )
    stack = open_stack(path)
    assert (stack.attrs["variance_source"], stack.attrs["mask_source"]) == ("ERR", "DQ")
    assert (stack["variance"].values == 4).all()
    assert np.argwhere(stack["mask"].values).tolist() == [[2, 3]]


@pytest.mark.parametrize(("telescope", "masked"), [("JWST", 1), ("HST", 2)])
def test_of_jwst_the_flag_not_to_use_a_pixel_counts(tmp_path, telescope, masked):
    quality = np.zeros((24, 20), "i4")
    quality[2, 3], quality[5, 6] = 1, 4  # DO_NOT_USE, and a jump that was mended
    primary = fits.PrimaryHDU(header=fits.Header({"TELESCOP": telescope}))
    path = write(
        tmp_path / "a.fits", primary, fits.ImageHDU(image(), name="SCI"), fits.ImageHDU(quality, name="DQ")
    )
    assert open_stack(path)["mask"].values.sum() == masked


@pytest.mark.parametrize(
    ("cards", "axis"),
    [
        ({"PROGRAM": "Siril 1.2.0"}, "c"),
        ({"COLORSPC": "RGB"}, "c"),
        ({"COLORSPC": "RGB", "CTYPE3": "TIME"}, "t"),
        ({}, "t"),
    ],
)
def test_three_planes_are_colours_if_the_header_tells_of_colours(tmp_path, cards, axis):
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(np.ones((3, 24, 20), "f4"), fits.Header(cards)))
    stack = open_stack(path)
    assert stack["data"].dims == (axis, "y", "x")
    assert stack.attrs.get("channel_names") == (["red", "green", "blue"] if axis == "c" else None)


def test_the_mosaic_of_a_colour_camera_is_told_of(tmp_path):
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(image(), fits.Header({"BAYERPAT": "RGGB"})))
    with pytest.warns(MisfitWarning, match="the mosaic of a colour camera"):
        assert open_stack(path)["data"].dims == ("y", "x")
