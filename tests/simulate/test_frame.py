"""Simulated frames as files: the planes belong together, and nothing is written of what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from blinddps_sci.errors import BlindDpsError, ConfigError, OutputError
from blinddps_sci.simulate.blur import blur, valid_origin
from blinddps_sci.simulate.frame import describe_choices, write_frame
from blinddps_sci.simulate.psf import FAMILIES
from blinddps_sci.simulate.scenes import SCENES


def planes(path: Path) -> dict[str, np.ndarray]:
    with fits.open(path) as hdus:
        return {hdu.name: np.array(hdu.data, dtype=np.float64) for hdu in hdus[1:]}


@pytest.mark.parametrize("size", [8, 15])
def test_the_frame_is_the_truth_blurred_with_noise(tmp_path, size: int) -> None:
    path = write_frame(tmp_path / "a.fits", "stars", psf_size=size, size=96, noise=0.02, seed=3)
    found = planes(path)
    assert list(found) == ["SCI", "ERR", "TRUTH", "PSF"]
    assert found["SCI"].shape == found["ERR"].shape == found["TRUTH"].shape == (96, 96)
    assert found["PSF"].shape == (size, size)
    assert found["PSF"].sum() == pytest.approx(1, abs=1e-5)
    # Away from the border the truth alone decides.
    first = valid_origin(size)
    inside = (slice(first, first + 97 - size),) * 2
    rest = (found["SCI"][inside] - blur(found["TRUTH"], found["PSF"])) / found["ERR"][inside]
    assert rest.std() == pytest.approx(1, rel=0.1)
    assert abs(rest.mean()) < 0.1


def test_the_header_says_what_it_is(tmp_path) -> None:
    header = fits.getheader(
        write_frame(tmp_path / "a.fits", "stars", psf="motion", size=32, psf_size=9, seed=4)
    )
    assert (header["SCENE"], header["PSFKIND"], header["SEED"]) == ("stars", "motion", 4)


def test_the_seed_decides_everything(tmp_path) -> None:
    made = [
        planes(write_frame(tmp_path / f"{i}.fits", "stars", size=32, psf_size=9, seed=seed))
        for i, seed in enumerate((1, 1, 2))
    ]
    for name, values in made[0].items():
        np.testing.assert_array_equal(values, made[1][name])
    for name in ("SCI", "TRUTH", "PSF"):
        assert np.abs(made[0][name] - made[2][name]).max() > 0


@pytest.mark.parametrize("scene", SCENES)
def test_every_kind_of_scene_can_be_written(tmp_path, scene: str) -> None:
    found = planes(write_frame(tmp_path / "a.fits", scene, size=48, psf_size=9))
    assert all(np.isfinite(values).all() for values in found.values())
    assert found["ERR"].min() > 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [8, 33])
def test_every_family_of_psf_can_be_written(tmp_path, family: str, size: int) -> None:
    found = planes(write_frame(tmp_path / "a.fits", "stars", psf=family, size=48, psf_size=size))
    assert found["PSF"].shape == (size, size)
    assert found["PSF"].min() >= 0
    assert np.isfinite(found["SCI"]).all()


def test_the_choices_are_all_described() -> None:
    lines = describe_choices().splitlines()
    assert {line.split()[0] for line in lines} >= {*SCENES, *FAMILIES}
    assert len(lines) == len(SCENES) + len(FAMILIES) + 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scene": "dragons"}, ConfigError, "unknown scene 'dragons'; choose one of .*stars"),
        ({"psf": "wild"}, ConfigError, "unknown PSF family 'wild'; choose one of .*motion"),
        ({"size": 8}, ConfigError, "size is 16 to 8192"),
        ({"size": 100_000}, ConfigError, "size is 16 to 8192"),
        ({"psf_size": 7}, ConfigError, "psf-size 8 to 256"),
        ({"noise": 0.0}, ConfigError, "noise positive"),
        ({"noise": float("nan")}, ConfigError, "noise positive"),
        ({"noise": float("inf")}, ConfigError, "noise positive"),
        ({"seed": -1}, ConfigError, "seed not negative"),
        ({"path": "a.png"}, OutputError, "use .fits"),
        ({"path": "missing/a.fits"}, OutputError, "does not exist"),
        ({"path": "there.fits"}, OutputError, "--overwrite"),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    tmp_path, options: dict, error: type[BlindDpsError], message: str
) -> None:
    (tmp_path / "there.fits").touch()
    given = {"scene": "stars", "path": "a.fits", "size": 32, "psf_size": 9, **options}
    path = tmp_path / given.pop("path")
    with pytest.raises(error, match=message) as caught:
        write_frame(path, given.pop("scene"), **given)
    assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["there.fits"]
    assert (tmp_path / "there.fits").stat().st_size == 0


def test_an_existing_file_is_replaced_if_allowed(tmp_path) -> None:
    (tmp_path / "a.fits").touch()
    write_frame(tmp_path / "a.fits", "stars", size=32, psf_size=9, overwrite=True)
    assert planes(tmp_path / "a.fits")["SCI"].shape == (32, 32)
    assert [each.name for each in tmp_path.iterdir()] == ["a.fits"]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: fits.HDUList, name: Path, **options: object) -> None:
        Path(name).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(fits.HDUList, "writeto", fail)
    with pytest.raises(KeyboardInterrupt):
        write_frame(tmp_path / "a.fits", "stars", size=32, psf_size=9)
    assert list(tmp_path.iterdir()) == []
