"""The demonstration: two restorations with their pictures, and figures on the screen."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from astropy.io import fits
from matplotlib import image as pictures
from tqdm import tqdm

from blinddps_sci.bench import demo
from blinddps_sci.bench.demo import run_demo
from blinddps_sci.errors import OutputError
from blinddps_sci.sampling.posterior import Progress


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


def test_the_bar_counts_draws_that_are_made_side_by_side(tmp_path, monkeypatch) -> None:
    made: list[tqdm] = []

    def keep(**options: object) -> tqdm:
        made.append(tqdm(**options, disable=False))
        return made[0]

    def restore(*paths: object, on_start: Callable, callback: Callable, **options: object) -> None:
        on_start(None)
        for step in (1, 2):
            estimates = {"image": torch.zeros(1, 1, 4, 4)}
            progress = Progress(step, 2, 0.1, estimates, {}, torch.zeros(1), abreast=3)
            callback(SimpleNamespace(progress=progress))
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "tqdm", keep)
    monkeypatch.setattr(demo, "restore", restore)
    monkeypatch.setattr(demo.Workload, "of", lambda job: SimpleNamespace(total=6))
    with pytest.raises(KeyboardInterrupt):
        demo._run(tmp_path, "moon", 2, "auto")
    assert (made[0].n, made[0].total) == (6, 6)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        run_demo(tmp_path / "file" / "demo", steps=2)
    with pytest.raises(OutputError, match="cannot be made"):
        run_demo(tmp_path / "file", steps=2)
