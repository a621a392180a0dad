"""Cases: the truth blurred with noise, the same for the same arguments, all combinations covered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.io import imsave

from blinddps_sci.bench import cases as module
from blinddps_sci.bench.cases import DOMAINS, FAMILIES, NOISES, cases
from blinddps_sci.bench.score import score_image
from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.simulate.blur import blur, valid_origin


def test_a_case_is_the_truth_blurred_with_noise_and_has_headroom(pictures: Path) -> None:
    for case in cases(pictures, 4, 64, seed=1):
        assert case.truth.shape == case.data.shape == (64, 64)
        assert case.kernel.shape == (32, 32)
        assert case.kernel.sum() == pytest.approx(1, abs=1e-5)
        assert 0 <= case.truth.min() < case.truth.max() <= 1
        assert 18 <= score_image(case.data, case.truth)["psnr"] <= 30
        # Away from the border the truth alone decides.
        first = valid_origin(32)
        inside = (slice(first, first + 33),) * 2
        rest = case.data[inside] - blur(case.truth, case.kernel)
        assert rest.std() == pytest.approx(case.noise, rel=0.1)
        assert abs(rest.mean()) < 0.003


def test_cases_are_the_same_for_the_same_arguments(pictures: Path) -> None:
    one, same, other = (list(cases(pictures, 3, 64, seed)) for seed in (0, 0, 1))
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        assert np.abs(a.data - c.data).max() > 0.01
    few = list(cases(pictures, 2, 64, 0))
    np.testing.assert_array_equal(few[1].data, one[1].data)


def test_every_domain_meets_every_family_at_every_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {label: [module._Source(f"{label}{i}", lambda: None) for i in range(2)] for label in DOMAINS}
    monkeypatch.setattr(module, "_sources", lambda folder: own)
    monkeypatch.setattr(module, "_sharp", lambda image, side: np.zeros((99, 99)))
    monkeypatch.setattr(module, "_blurred", lambda image, *rest: (image, image, image))
    made = list(cases(None, 24, 64, 0))
    assert {(c.label, c.family, c.noise) for c in made} == set(product(DOMAINS, FAMILIES, NOISES))
    assert {c.label for c in made[:3]} == set(DOMAINS)
    # The images of a domain take turns over the families too.
    assert len({(c.name, c.family) for c in made}) == 24


def test_folders_name_the_domain_and_colours_are_averaged(pictures: Path) -> None:
    found = list(cases(pictures, 6, 64, 0))
    assert {(c.label, c.name) for c in found} == {
        ("astro", "a"),
        ("astro", "b"),
        ("micro", "c"),
        ("generic", "colour"),
        ("generic", "plain"),
    }


def test_alpha_does_not_count_and_of_a_stack_the_first_image_is_taken() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    alpha = np.full_like(grey, 255)
    pages = np.stack([grey, *np.zeros((5, 40, 50), np.uint8)])
    colours = np.dstack([grey] * 3)
    for image in (
        grey,
        np.dstack([grey, alpha]),
        np.dstack([colours, alpha]),
        pages,
        np.stack([colours] * 2),
    ):
        np.testing.assert_array_equal(module._grey(image), grey)
    coloured = np.dstack([grey, grey // 2, alpha])
    np.testing.assert_array_equal(module._grey(coloured), coloured.mean(axis=-1))


def test_an_image_that_no_kernel_fits_makes_room_for_the_next(tmp_path, pictures: Path) -> None:
    flat = np.zeros((120, 130), dtype=np.uint8)
    flat[0, 0] = 255
    for name in ("astro/a.png", "micro/c.tif"):
        imsave(pictures / name, flat, check_contrast=False)
    found = list(cases(pictures, 3, 64, 0))
    assert [(c.number, c.name) for c in found] == [(0, "b"), (2, "colour")]


def test_own_pictures_are_there_offline_for_every_domain() -> None:
    found = list(cases(None, 3, 64, 0))
    assert [case.label for case in found] == list(DOMAINS)
    for sources in module._sources(None).values():
        for source in sources:
            assert source.load().ndim in (2, 3)


def test_held_out_images_are_named_by_domain_and_number(tmp_path) -> None:
    rng = np.random.default_rng(2)
    soft = [gaussian_filter(rng.standard_normal((120, 130)), 2.5) for _ in range(8)]
    planes = [
        (label, (s - s.min()) / np.ptp(s))
        for label, s in zip(["astro"] * 6 + ["micro"] * 2, soft, strict=True)
    ]
    found = list(cases(tmp_path, 8, 64, 0, held_out=iter([("micro", np.eye(70)), *planes])))
    assert [case.label for case in found] == ["astro", "micro"] * 4
    astro = [case.name for case in found if case.label == "astro"]
    # They are not taken in order, in which the colours of one picture are neighbours.
    assert set(astro) < {f"astro-{i}" for i in range(6)}
    assert len(set(astro)) == 4
    assert astro != sorted(astro)
    same = list(cases(tmp_path, 8, 64, 0, held_out=[("micro", np.eye(70)), *planes]))
    assert [case.name for case in same] == [case.name for case in found]
    # One that is too small keeps its number, and no other image is taken twice in its place.
    assert {case.name for case in found if case.label == "micro"} == {"micro-1", "micro-2"}


def test_a_folder_without_held_out_images_and_a_damaged_one_are_refused(tmp_path) -> None:
    def damaged() -> Iterator[tuple[str, np.ndarray]]:
        yield "astro", np.zeros((99, 99))
        raise OSError("bad.png is cut short")

    with pytest.raises(InputError, match="no image of at least 95 pixels"):
        cases(tmp_path, 1, 64, 0, held_out=[("astro", np.zeros((94, 200)))])
    with pytest.raises(InputError, match=r"cannot be read \(bad\.png is cut short"):
        cases(tmp_path, 1, 64, 0, held_out=damaged())


@pytest.mark.parametrize(
    ("count", "size", "seed", "noises"),
    [
        (0, 64, 0, (0.01,)),
        (1, 16, 0, (0.01,)),
        (1, -64, 0, (0.01,)),
        (1, 64, 0, (0.0,)),
        (1, 64, 0, (float("nan"),)),
        (1, 64, 0, ()),
        (1, 64, -1, (0.1,)),
    ],
)
def test_numbers_out_of_range_are_refused(count: int, size: int, seed: int, noises: tuple[float]) -> None:
    with pytest.raises(ConfigError, match="size 64 to 4096"):
        cases(None, count, size, seed, noises)


def test_folders_without_a_usable_picture_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="no PNG, JPEG or TIFF"):
        cases(tmp_path / "missing", 1, 64, 0)
    imsave(tmp_path / "tiny.png", np.eye(40, dtype=np.uint8), check_contrast=False)
    with pytest.raises(InputError, match="at least 95 pixels"):
        list(cases(tmp_path, 1, 64, 0))
    (tmp_path / "tiny.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be read as an image"):
        list(cases(tmp_path, 1, 64, 0))
