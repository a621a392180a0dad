"""A PSF from a file: three formats, one normalised square kernel, or one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from astropy.io import fits

from blinddps_sci.engine.known_psf import read_psf
from blinddps_sci.errors import InputError


def gaussian(height: int, width: int, sigma: float = 1.5) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.exp(-((y - height // 2) ** 2 + (x - width // 2) ** 2) / (2 * sigma**2))


def centroid(kernel: np.ndarray) -> tuple[float, float]:
    y, x = np.indices(kernel.shape) - kernel.shape[0] // 2
    return float((kernel * y).sum()), float((kernel * x).sum())


def write_npy(path: Path, values: np.ndarray) -> None:
    np.save(path, values)


def write_fits(path: Path, values: np.ndarray) -> None:
    fits.writeto(path, values)


def write_extension(path: Path, values: np.ndarray) -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(values, name="PSF")]).writeto(path)


def write_tiff(path: Path, values: np.ndarray) -> None:
    tifffile.imwrite(path, values, photometric="minisblack")


@pytest.mark.parametrize("size", [15, 16])
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("psf.npy", write_npy),
        ("psf.fits", write_fits),
        ("extension.fits", write_extension),
        ("psf.tif", write_tiff),
    ],
)
def test_every_format_gives_the_same_normalised_kernel(tmp_path, name, write, size: int) -> None:
    values = (7 * gaussian(size, size)).astype(np.float32)
    write(tmp_path / name, values)
    kernel = read_psf(str(tmp_path / name))
    assert kernel.dtype == np.float32
    assert kernel.shape == (size, size)
    np.testing.assert_allclose(kernel, values / values.sum(dtype=np.float64), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shape", [(9, 15), (16, 9), (10, 15), (15, 8)])
def test_an_oblong_psf_is_padded_about_its_centre(tmp_path, shape: tuple[int, int]) -> None:
    values = gaussian(*shape)
    np.save(tmp_path / "psf.npy", values)
    kernel = read_psf(str(tmp_path / "psf.npy"))
    side = max(shape)
    assert kernel.shape == (side, side)
    assert np.unravel_index(kernel.argmax(), kernel.shape) == (side // 2, side // 2)
    np.testing.assert_allclose(
        np.sort(kernel[kernel > 0]), np.sort((values / values.sum()).ravel()), rtol=1e-5
    )


def test_axes_of_length_one_are_dropped(tmp_path) -> None:
    np.save(tmp_path / "psf.npy", gaussian(9, 9)[None, None])
    assert read_psf(str(tmp_path / "psf.npy")).shape == (9, 9)


def test_negative_wings_are_clipped(tmp_path) -> None:
    values = gaussian(21, 21) - 0.01
    np.save(tmp_path / "psf.npy", values)
    kernel = read_psf(str(tmp_path / "psf.npy"))
    assert kernel.min() == 0.0
    assert kernel.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert np.abs(centroid(kernel)).max() < 1e-6
    assert ((kernel > 0) == (values > 0)).all()


def test_integers_are_read(tmp_path) -> None:
    np.save(tmp_path / "psf.npy", np.eye(5, dtype=np.uint16))
    np.testing.assert_allclose(read_psf(str(tmp_path / "psf.npy")), np.eye(5) / 5, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((2, 9)), "one 2-D image"),
        (np.ones((4, 9, 9)), "one 2-D image"),
        (np.ones(9), "one 2-D image"),
        (np.full((9, 9), np.nan), "not finite"),
        (np.zeros((9, 9)), "no positive value"),
        (-np.ones((9, 9)), "no positive value"),
        (np.ones((9, 9), dtype=complex), "cannot be read"),
        (np.array([["a"] * 4] * 4), "cannot be read"),
    ],
)
def test_an_array_that_is_no_psf_is_refused(tmp_path, values: np.ndarray, message: str) -> None:
    np.save(tmp_path / "psf.npy", values)
    with pytest.raises(InputError, match=message):
        read_psf(str(tmp_path / "psf.npy"))


def truncated(path: Path) -> None:
    fits.writeto(path, gaussian(64, 64))
    path.write_bytes(path.read_bytes()[:4000])


def random_bytes(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(500))


def empty(path: Path) -> None:
    path.touch()


def pickled(path: Path) -> None:
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("short.fits", truncated),
        *((f"random.{suffix}", random_bytes) for suffix in ("fits", "npy", "tif", "dat")),
        *((f"empty.{suffix}", empty) for suffix in ("fits", "npy", "tif")),
        ("object.npy", pickled),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, name: str, write) -> None:
    write(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read as FITS, TIFF or npy") as caught:
        read_psf(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_fits_file_without_an_image_is_refused(tmp_path) -> None:
    fits.PrimaryHDU().writeto(tmp_path / "none.fits")
    with pytest.raises(InputError, match="one 2-D image is needed"):
        read_psf(str(tmp_path / "none.fits"))


def test_a_missing_file_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_psf(str(tmp_path / "psf.npy"))


def test_an_exported_psf_comes_back(tmp_path) -> None:
    """STDPSF has four samples a pixel; each is of a whole pixel."""
    psf = gaussian(17, 17)
    fine = gaussian(65, 65, 6.0)[None]
    cards = fits.Header({"OVERSAMP": 4, "NXPSFS": 1, "NYPSFS": 1})
    fits.writeto(tmp_path / "std.fits", fine, cards)
    np.testing.assert_allclose(read_psf(str(tmp_path / "std.fits")), psf / psf.sum(), atol=1e-6)


def test_of_a_file_of_stpsf_the_plane_of_the_detector_counts(tmp_path) -> None:
    planes = {"DET_SAMP": 1.5, "DET_DIST": 2.0}
    primary = fits.PrimaryHDU(gaussian(64, 64, 6.0), fits.Header({"EXTNAME": "OVERSAMP", "OVERSAMP": 4}))
    others = [fits.ImageHDU(gaussian(16, 16, sigma), name=name) for name, sigma in planes.items()]
    fits.HDUList([primary, *others]).writeto(tmp_path / "stpsf.fits")
    expected = gaussian(16, 16, 2)
    np.testing.assert_allclose(read_psf(str(tmp_path / "stpsf.fits")), expected / expected.sum(), atol=1e-6)
    primary.writeto(tmp_path / "fine.fits")
    with pytest.raises(InputError, match="4 samples a pixel"):
        read_psf(str(tmp_path / "fine.fits"))
