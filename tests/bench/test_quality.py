"""`bench quality`: the same cases for the same arguments, every method on each, and a table."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

from blinddps_sci.bench import quality
from blinddps_sci.bench.quality import cases, format_table, run_quality
from blinddps_sci.engine.restore import restore
from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.simulate.blur import blur, valid_origin

METHODS = {"blurred", "richardson-lucy, true PSF", "unsupervised wiener, true PSF", "dps, blind"}


def write_pictures(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("astro/a.png", "astro/b.png", "micro/c.tif"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        imsave(folder / name, rng.integers(0, 255, (120, 130), dtype=np.uint8), check_contrast=False)
    imsave(folder / "colour.png", rng.integers(0, 255, (120, 130, 3), dtype=np.uint8), check_contrast=False)
    imsave(folder / "tiny.png", np.eye(40, dtype=np.uint8), check_contrast=False)
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_a_case_is_the_truth_blurred_with_noise(tmp_path) -> None:
    for case in cases(write_pictures(tmp_path), 4, 64, 0.02, seed=1):
        assert case.truth.shape == case.data.shape == (64, 64)
        assert case.kernel.shape == (32, 32)
        assert case.kernel.sum() == pytest.approx(1, abs=1e-5)
        assert 0 <= case.truth.min() < case.truth.max() <= 1
        # Away from the border the truth alone decides.
        first = valid_origin(32)
        inside = (slice(first, first + 33),) * 2
        rest = case.data[inside] - blur(case.truth, case.kernel)
        assert rest.std() == pytest.approx(0.02, rel=0.1)
        assert abs(rest.mean()) < 0.003


def test_cases_are_the_same_for_the_same_arguments(tmp_path) -> None:
    folder = write_pictures(tmp_path)
    one, same, other = (cases(folder, 3, 64, 0.01, seed) for seed in (0, 0, 1))
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        np.testing.assert_array_equal(a.truth, c.truth)
        assert np.abs(a.data - c.data).max() > 0.01
    few = cases(folder, 2, 64, 0.01, 0)
    np.testing.assert_array_equal(few[1].data, one[1].data)


def test_few_images_cover_all_folders(tmp_path) -> None:
    found = cases(write_pictures(tmp_path), 10, 64, 0.01, 0)
    assert sorted(case.name for case in found) == ["a", "b", "c", "colour"]
    assert {case.label for case in found[:3]} == {"astro", "micro", "generic"}
    assert {case.name: case.label for case in found}["b"] == "astro"
    assert len({case.family for case in found}) == 4


def test_own_pictures_are_used_without_a_folder() -> None:
    found = cases(None, 3, 64, 0.01, 0)
    assert [case.name for case in found] == ["moon", "cell", "hubble_deep_field"]
    assert [case.label for case in found] == ["astro", "micro", "astro"]


@pytest.mark.parametrize(
    ("images", "size", "noise", "seed"),
    [
        (0, 64, 0.01, 0),
        (1, 16, 0.01, 0),
        (1, -64, 0.01, 0),
        (1, 64, 0.0, 0),
        (1, 64, float("nan"), 0),
        (1, 64, 0.1, -1),
    ],
)
def test_numbers_out_of_range_are_refused(images: int, size: int, noise: float, seed: int) -> None:
    with pytest.raises(ConfigError, match="size 64 to 4096"):
        cases(None, images, size, noise, seed)


def test_folders_without_a_usable_picture_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="no PNG, JPEG or TIFF"):
        cases(tmp_path / "missing", 1, 64, 0.01, 0)
    imsave(tmp_path / "tiny.png", np.eye(40, dtype=np.uint8), check_contrast=False)
    with pytest.raises(InputError, match="at least 95 pixels"):
        cases(tmp_path, 1, 64, 0.01, 0)
    (tmp_path / "tiny.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be read as an image"):
        cases(tmp_path, 1, 64, 0.01, 0)


@pytest.mark.slow
def test_every_method_has_its_row_and_its_mean(tmp_path) -> None:
    rows = run_quality(
        data=write_pictures(tmp_path), images=2, size=64, noise=0.02, steps=2, samples=1, seed=0
    )
    assert len(rows) == 2 * len(METHODS)
    assert {row["method"] for row in rows} == METHODS
    for row in rows:
        assert np.isfinite([row["psnr"], row["ssim"]]).all()
        assert (row["mnc"] is not None) == (row["chi2"] is not None) == (row["method"] == "dps, blind")
        assert row["seconds"] >= 0
    blurred = [row["psnr"] for row in rows if row["method"] == "blurred"]
    lines = format_table(rows).splitlines()
    assert len(lines) == 2 + len(rows) + len(METHODS)
    assert len({line.count("|") for line in lines}) == 1
    mean = next(line for line in lines if "**mean**" in line and "blurred" in line)
    assert f"{np.mean(blurred):.3f}" in mean


@pytest.mark.slow
def test_images_of_several_nodes_are_scored(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine tiles, each with a PSF of its own; the score is that of their mean."""
    monkeypatch.setattr(quality, "restore", partial(restore, tile=32, overlap=8))
    rows = run_quality(
        data=write_pictures(tmp_path), images=1, size=64, noise=0.02, steps=2, samples=1, seed=0
    )
    assert np.isfinite(rows[-1]["mnc"])
