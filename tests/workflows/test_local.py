"""A folder of frames on this machine."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from blinddps_sci import open_result, restore

pytestmark = pytest.mark.slow


@pytest.fixture
def frames(frame: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    shutil.copy(frame, folder / "a.fits")
    (folder / "b.fits").write_text("no FITS")
    return folder


def test_a_folder_is_restored_and_one_bad_frame_does_not_end_it(
    run, frames: Path, options: Path, whole: Path, tmp_path: Path
) -> None:
    run("local.py", "frames", "restored", "--config", options)
    good, bad = csv.DictReader((tmp_path / "restored/figures.csv").read_text().splitlines())
    assert (good["file"], good["problem"], bad["file"]) == ("a.fits", "", "b.fits")
    assert float(good["chi2"]) == pytest.approx(
        np.nanmean(fits.getdata(tmp_path / "restored/a.fits", "CHI2")), abs=1e-3
    )
    assert "b.fits" in bad["problem"]
    assert bad["chi2"] == "nan"
    np.testing.assert_array_equal(
        fits.getdata(tmp_path / "restored/a.fits", "SCI"), open_result(whole).array("scale0/image")[...]
    )


def test_the_same_command_goes_on_after_a_stop(run, frames: Path, options: Path, tmp_path: Path) -> None:
    output = tmp_path / "restored" / "a.fits"
    output.parent.mkdir()

    def stop(event) -> None:
        if event.phase == "restore" and event.progress is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(frames / "a.fits", output, config=options, callback=stop)
    assert not output.exists()
    run("local.py", "frames", "restored", "--config", options)
    done = output.stat().st_mtime_ns
    run("local.py", "frames", "restored", "--config", options)
    assert output.stat().st_mtime_ns == done
    assert fits.getdata(output, "SCI").shape == (128, 192)
