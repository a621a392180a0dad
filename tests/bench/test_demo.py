"""The demonstration: two restorations with their pictures, and figures on the screen."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from matplotlib import image as pictures

from blinddps_sci.bench.demo import run_demo
from blinddps_sci.errors import OutputError


@pytest.mark.slow
def test_the_demo_writes_results_and_pictures(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "demo"
    run_demo(folder, steps=2)
    assert {path.name for path in folder.iterdir()} == {
        "moon.fits", "moon_restored.fits", "hubble.fits", "hubble_restored.fits", "demo.png"
    }  # fmt: skip
    for name in ("moon", "hubble"):
        with fits.open(folder / f"{name}_restored.fits") as hdus:
            assert {"SCI", "ERR", "DQ", "PSFGRID", "CHI2"} <= {hdu.name for hdu in hdus}
            assert hdus["SCI"].data.shape == fits.getdata(folder / f"{name}.fits").shape == (128, 128)
            assert np.isfinite(hdus["SCI"].data).all()
    picture = pictures.imread(folder / "demo.png")
    assert picture.shape[1] > picture.shape[0] > 300
    assert np.ptp(picture[..., :3]) > 0.9
    said = capsys.readouterr().out
    for part in ("moon_restored.fits", "hubble_restored.fits", "PSNR", "SSIM", "MNC", "demo.png"):
        assert part in said


def test_a_folder_that_cannot_be_made_is_refused(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        run_demo(tmp_path / "file" / "demo", steps=2)
    with pytest.raises(OutputError, match="cannot be made"):
        run_demo(tmp_path / "file", steps=2)
