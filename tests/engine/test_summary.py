"""What people read about jobs, results, files and priors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from blinddps_sci.engine.driver import run_job
from blinddps_sci.engine.summary import chi2_of, describe_job, describe_path, describe_priors, describe_result
from blinddps_sci.errors import BlindDpsError, InputError, PriorError
from blinddps_sci.io.export import export_fits
from blinddps_sci.priors.registry import shipped


def test_a_job_is_described_by_what_was_resolved(job_of, scene, tmp_path: Path) -> None:
    text = describe_job(job_of(scene(2, 64, 100), noise="gaussian:2.5", seed=4))
    for part in (
        "t=2 x y=64 x x=100",
        "4 units",
        "PSF nodes of 8 px (unknown, smooth)",
        "LinearStretch",
        "gaussian with sigma 2.5",
        "3 steps, 2 draws, seed 4, on cpu",
    ):
        assert part in text
    np.save(tmp_path / "psf.npy", np.ones((3, 3)))
    other = job_of(scene(32, 32), noise="poisson-gaussian:2,7", psf_file=str(tmp_path / "psf.npy"))
    assert "(known)" in describe_job(other)
    assert "poisson-gaussian with gain 2, read noise 7" in describe_job(other)
    assert "sigma" not in describe_job(other)


def test_a_result_is_described_with_its_chi2(job_of, scene, tmp_path: Path) -> None:
    path = tmp_path / "out.zarr"
    store = run_job(job_of(scene(32, 32)), path)
    expected = float(store.quality()["chi2"].mean())
    assert chi2_of(path) == pytest.approx(expected, rel=1e-6)
    text = describe_path(path)
    for part in (
        "result store: y=32 x x=32",
        "status: complete",
        "fingerprint: ",
        '"steps": 3',
        "weights: ",
        "channels: ",
    ):
        assert part in text
    assert f"reduced chi-squared of the draws: {expected:.3f}" in text
    export_fits(store, tmp_path / "out.fits")
    assert chi2_of(tmp_path / "out.fits") == pytest.approx(expected, rel=1e-6)
    assert f"{expected:.3f} (expected 1)" in describe_result(tmp_path / "out.fits", None)
    assert chi2_of(tmp_path / "out.tif") is None
    assert describe_result(tmp_path / "out.tif", None) == f"written: {tmp_path / 'out.tif'}"


def test_an_image_is_described_without_its_header(tmp_path: Path) -> None:
    fits.writeto(
        tmp_path / "in.fits", np.zeros((16, 24), "f4"), fits.Header({"OBJECT": "M 31", "BUNIT": "Jy"})
    )
    text = describe_path(tmp_path / "in.fits")
    assert "image: y=16 x x=24" in text
    assert "unit: Jy" in text
    assert "M 31" not in text


def test_weights_are_described_by_their_card(networks) -> None:
    text = describe_path(Path(networks["prior"]))
    assert "role: image" in text
    assert "sha256: " in text


def test_what_is_none_of_these_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.safetensors").write_bytes(b"x" * 100)
    for name in ("missing.fits", "notes.txt", "folder", "bad.safetensors"):
        with pytest.raises(BlindDpsError) as caught:
            describe_path(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="does not exist"):
        describe_path(tmp_path / "missing.fits")


def test_shipped_priors_are_listed_and_shown() -> None:
    cards = shipped()
    assert cards
    table = describe_priors().splitlines()
    assert [line.split()[0] for line in table] == list(cards)
    for name, card in cards.items():
        assert card.sha256 in describe_priors(name)
    with pytest.raises(PriorError, match=", ".join(cards)):
        describe_priors("radio")
