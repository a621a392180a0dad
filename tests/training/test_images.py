"""Training images: what is read, under which label, on which scale, and what is left out."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from skimage.io import imsave

from blinddps_sci.errors import InputError
from blinddps_sci.training.images import LABELS, Pack, held_out

SIZE = 16


def picture(height: int = 40, width: int = 36, seed: int = 0) -> np.ndarray:
    """Return a smooth 8-bit picture that uses its whole range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 10
    waves = sum(np.sin(a * y + b * x + c) for a, b, c in rng.uniform(0, 3, (4, 3)))
    return np.uint8(np.round(255 * (waves - waves.min()) / np.ptp(waves)))


def name(kept: bool, suffix: str, stem: str = "a") -> str:
    """Return a file name that is trained on, or one that is not."""
    return next(f"{stem}{n}{suffix}" for n in range(1000) if held_out(Path(f"{stem}{n}{suffix}")) is not kept)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of one image of each kind, under each kind of name."""
    root = tmp_path / "corpus"
    for part in ("astro/deep", "micro", "other", "psf", "astro/psf"):
        (root / part).mkdir(parents=True)
    grey = picture()
    colour = np.stack([picture(seed=s) for s in range(3)], axis=-1)
    imsave(root / "astro" / name(True, ".png", "colour"), colour, check_contrast=False)
    flux = fits.PrimaryHDU((1e-3 * grey).astype(np.float32))
    second = fits.ImageHDU(picture(seed=7).astype(np.float32))
    cube = fits.ImageHDU(np.zeros((2, 40, 40), np.float32))
    fits.HDUList([flux, second, cube]).writeto(root / "astro" / "deep" / name(True, ".fits", "frame"))
    imsave(root / "micro" / name(True, ".png", "cells"), colour, check_contrast=False)
    tifffile.imwrite(root / "other" / name(True, ".tif", "deep"), 100 * grey.astype(np.uint16))
    # none of these counts
    imsave(root / "other" / name(False, ".png"), grey, check_contrast=False)
    imsave(root / "other" / "moon.png", grey, check_contrast=False)
    imsave(root / "psf" / name(True, ".png"), grey, check_contrast=False)
    imsave(root / "astro" / "psf" / name(True, ".png"), grey, check_contrast=False)
    imsave(root / "other" / name(True, ".png", "small"), grey[:10], check_contrast=False)
    (root / "other" / "notes.txt").write_text("no image")
    return root


def labels(pack: Pack) -> dict[str, int]:
    """Return the number of full-size planes of each label."""
    large = [plane.shape == (40, 36) for plane in pack.planes]
    return {label: int(((pack.domains == i) & large).sum()) for i, label in enumerate(LABELS)}


def test_a_folder_is_read_by_label_and_held_out_files_are_not(folder: Path) -> None:
    pack = Pack.read(folder, size=SIZE)
    # three colours and two HDUs; the mean of three colours; one 16-bit picture
    assert labels(pack) == {"astro": 5, "micro": 1, "generic": 1, "unlabelled": 0}
    assert all(plane.dtype == np.uint8 and min(plane.shape) >= SIZE for plane in pack.planes)
    # every plane also at 0.7 and 0.5 of its size; at 0.35 it is smaller than a patch
    assert sorted({plane.shape for plane in pack.planes}) == [(20, 18), (28, 25), (40, 36)]


def test_pictures_keep_their_scale_and_other_data_are_stretched(folder: Path) -> None:
    pack = Pack.read(folder, size=SIZE)
    full = [
        (plane, LABELS[domain])
        for plane, domain in zip(pack.planes, pack.domains, strict=True)
        if plane.shape == (40, 36)
    ]
    colours = [plane for plane, label in full if label == "astro"]
    assert any(np.array_equal(plane, picture(seed=1)) for plane in colours)
    (mean,) = [plane for plane, label in full if label == "micro"]
    expected = np.mean([picture(seed=s).astype(float) for s in range(3)], axis=0)
    assert np.abs(mean - expected).max() <= 0.51
    (deep,) = [plane for plane, label in full if label == "generic"]
    # 16 bits are no display scale: taken as 8 they would be white all over
    assert np.corrcoef(deep.ravel(), picture().ravel())[0, 1] > 0.2
    assert 30 < np.median(deep) < 250


def test_folders_above_do_not_decide(folder: Path, tmp_path: Path) -> None:
    inside = tmp_path / "psf" / "astro" / "mine"
    inside.parent.mkdir(parents=True)
    (folder / "other").rename(inside)
    assert labels(Pack.read(inside, size=SIZE)) == {"astro": 0, "micro": 0, "generic": 1, "unlabelled": 0}
    assert labels(Pack.read(folder / "micro", size=SIZE))["micro"] == 1


def test_bad_pixels_do_not_spoil_a_frame(tmp_path: Path) -> None:
    flux = picture().astype(np.float32)
    flux[3, 4], flux[5, 6], flux[7, 8] = np.nan, np.inf, -np.inf
    fits.PrimaryHDU(flux).writeto(tmp_path / name(True, ".fits"))
    plane = Pack.read(tmp_path, size=SIZE).planes[0]
    assert np.corrcoef(plane.ravel(), picture().ravel())[0, 1] > 0.5


@pytest.mark.parametrize(
    ("beside", "kept"),
    [
        ([("SCI", np.float32), ("ERR", np.float32), ("DQ", np.int16), ("AREA", np.float32)], 1),
        ([("SCI", np.int16), ("SCI", np.int16), ("TRUTH", np.float32)], 2),
        ([("", np.float32), ("WHT", np.float32), ("", np.int32)], 1),
        ([("CCD1", np.int16), ("CCD2", np.int16), ("MASK", np.uint8)], 2),
        ([("RAW", np.int16)], 1),
    ],
)
def test_of_a_fits_file_the_images_are_read(
    tmp_path: Path, beside: list[tuple[str, type]], kept: int
) -> None:
    hdus = [fits.ImageHDU(picture(seed=i).astype(kind), name=name) for i, (name, kind) in enumerate(beside)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / name(True, ".fits"))
    assert labels(Pack.read(tmp_path, size=SIZE))["generic"] == kept


def test_scenes_join_under_their_own_label(tmp_path: Path) -> None:
    pack = Pack.read(tmp_path, size=SIZE, scenes=12, seed=3)
    assert [plane.shape for plane in pack.planes] == [(2 * SIZE, 2 * SIZE)] * 12
    assert {"astro", "micro"} <= {LABELS[domain] for domain in pack.domains}
    again = Pack.read(tmp_path, size=SIZE, scenes=12, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(pack.planes, again.planes, strict=True))


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image of at least 16 pixels"):
        Pack.read(tmp_path, size=SIZE)


def test_a_pack_survives_its_file(folder: Path, tmp_path: Path) -> None:
    pack = Pack.read(folder, size=SIZE)
    pack.save(tmp_path / "pack.npz")
    again = Pack.load(tmp_path / "pack.npz")
    assert len(again.planes) == len(pack.planes)
    assert all(np.array_equal(a, b) for a, b in zip(pack.planes, again.planes, strict=True))
    assert np.array_equal(again.domains, pack.domains)


def test_domains_are_drawn_alike_and_planes_by_area() -> None:
    planes = [np.zeros(shape, np.uint8) for shape in ((30, 20), (10, 20), (50, 40))]
    chances = Pack(planes, np.array([0, 0, 1])).probabilities()
    np.testing.assert_allclose(chances, [0.375, 0.125, 0.5])


def test_batches_are_patches_on_the_networks_domain(folder: Path) -> None:
    pack = Pack.read(folder, size=SIZE)
    lowest, highest = np.inf, -np.inf
    for items, told in islice(pack.batches(16, SIZE, [0, 3]), 20):
        assert (items.shape, items.dtype) == ((16, 1, SIZE, SIZE), np.float32)
        assert told.shape == (16,)
        lowest, highest = min(lowest, items.min()), max(highest, items.max())
    # black is -1; a bright patch may pass +1, so that the network knows what lies above
    assert lowest == pytest.approx(-1, abs=1e-6)
    assert 1 < highest < 1.6


def test_some_batches_are_fewer_and_larger_patches(folder: Path) -> None:
    pack = Pack.read(folder, size=SIZE)
    drawn = [items.shape for items, _ in islice(pack.batches(16, SIZE, [0, 3], large=0.5), 40)]
    assert set(drawn) == {(16, 1, SIZE, SIZE), (4, 1, 2 * SIZE, 2 * SIZE)}
    assert 8 < drawn.count((16, 1, SIZE, SIZE)) < 32
    with pytest.raises(InputError, match="no training image has a patch of 48 pixels"):
        next(pack.batches(16, 24, [0], large=0.5))


def test_several_processes_read_the_same_pack(folder: Path) -> None:
    alone = Pack.read(folder, size=SIZE, scenes=3)
    together = Pack.read(folder, size=SIZE, scenes=3, workers=2)
    assert all(np.array_equal(a, b) for a, b in zip(alone.planes, together.planes, strict=True))
    assert np.array_equal(alone.domains, together.domains)


def test_batches_follow_their_seed(folder: Path) -> None:
    pack = Pack.read(folder, size=SIZE)

    def drawn(seed: list[int]) -> list[np.ndarray]:
        return [array for batch in islice(pack.batches(4, SIZE, seed), 3) for array in batch]

    first, again, other = drawn([0, 1]), drawn([0, 1]), drawn([0, 2])
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[2])


def test_some_labels_are_withheld() -> None:
    planes = [picture() for _ in range(2)]
    pack = Pack(planes, np.array([LABELS.index("astro"), LABELS.index("micro")]))
    told = np.concatenate([labels for _, labels in islice(pack.batches(100, SIZE, [0]), 20)])
    shares = np.bincount(told, minlength=4) / len(told)
    # 0.7 of the items say what they are; half of the others 'generic', half nothing
    np.testing.assert_allclose(shares, [0.35, 0.35, 0.15, 0.15], atol=4 * np.sqrt(0.25 / 2000))
