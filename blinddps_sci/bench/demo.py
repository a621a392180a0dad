"""`blinddps demo`: two real images of scikit-image, restored blind and shown.

The Moon has a blur of its own that nobody knows; the Hubble deep field is blurred by a known
simulated PSF, so that the result can be compared with the truth. The fast preset keeps it within a minute
and a half on two cores of any kind.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import skimage.data
from astropy.io import fits
from tqdm import tqdm

from blinddps_sci.engine.driver import Event
from blinddps_sci.engine.restore import restore
from blinddps_sci.engine.workload import Workload
from blinddps_sci.errors import OutputError
from blinddps_sci.metrics import kernel_width, mnc, psnr_shift, ssim_shift
from blinddps_sci.simulate import random_kernel
from blinddps_sci.simulate.blur import blur, valid_origin

__all__ = ["run_demo"]

_SIZE = 128
_PSF = 32
_NOISE = 0.01
_MOON = (slice(40, 40 + _SIZE), slice(70, 70 + _SIZE))
_HUBBLE = (300, 420)
_PSF_FAMILY, _PSF_SEED = "aberrated", 11


def _moon() -> np.ndarray:
    moon = skimage.data.moon()
    return np.asarray(moon[_MOON])


def _hubble() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (blurred and noisy, truth, PSF) of a part of the deep field, in units of [0, 1]."""
    side = _SIZE + _PSF - 1
    y, x = _HUBBLE
    field = skimage.data.hubble_deep_field()
    scene = field[y : y + side, x : x + side].mean(axis=-1) / 255
    rng = np.random.default_rng(_PSF_SEED)
    kernel = random_kernel(_PSF, rng, _PSF_FAMILY)
    blurred = blur(scene.astype(np.float32), kernel)
    first = valid_origin(_PSF)
    data = blurred + _NOISE * rng.standard_normal(blurred.shape)
    return data.astype(np.float32), scene[first : first + _SIZE, first : first + _SIZE], kernel


def run_demo(folder: Path, *, steps: int | None = None) -> None:
    """Write, restore and show the two images; print where everything is, and the figures.

    Parameters
    ----------
    folder : Path
        Made if it does not exist; files of an earlier demo are replaced.
    steps : int, optional
        Noise levels of each phase; those of the fast preset otherwise.

    Raises
    ------
    OutputError
        If the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder {folder} cannot be made: {error.strerror}") from None
    blurred, truth, kernel = _hubble()
    fits.writeto(folder / "moon.fits", _moon(), overwrite=True)
    fits.writeto(folder / "hubble.fits", blurred, overwrite=True)
    panels = {
        "moon": _run(folder, "moon", steps, noise="auto"),
        "hubble": _run(folder, "hubble", steps, noise=f"gaussian:{_NOISE}"),
    }
    panels["hubble"] |= {"truth": truth, "psf true": kernel}
    _draw(panels, folder / "demo.png")
    for name, panel in panels.items():
        print(f"{name}: {folder / f'{name}_restored.fits'} (SCI, ERR, DQ, PSFGRID, CHI2)")
        print(
            f"  reduced chi-squared {panel['chi2']:.3f}, "
            f"PSF rms width {kernel_width(panel['psf estimate']):.2f} px"
        )
    inside = (slice(8, -8),) * 2
    for title in ("input", "restored"):
        pair = (panels["hubble"][title][inside], truth[inside], 4, 1.0)
        print(f"hubble, {title}: PSNR {psnr_shift(*pair):.2f} dB, SSIM {ssim_shift(*pair):.3f}")
    estimate = panels["hubble"]["psf estimate"]
    print(f"hubble, PSF: MNC {mnc(estimate, kernel):.3f}, true rms width {kernel_width(kernel):.2f} px")
    print(f"pictures: {folder / 'demo.png'}")


def _run(folder: Path, name: str, steps: int | None, noise: str) -> dict[str, Any]:
    options: dict[str, Any] = {} if steps is None else {"steps": steps}
    with tqdm(desc=name, unit="step", file=sys.stderr, mininterval=2) as bar:

        def advance(event: Event) -> None:
            progress = event.progress
            if progress is not None:
                bar.update(progress.abreast * len(progress.estimates["image"]))

        restore(
            folder / f"{name}.fits",
            folder / f"{name}_restored.fits",
            overwrite=True,
            prior="astro",
            noise=noise,
            quality="fast",
            on_start=lambda job: bar.reset(Workload.of(job).total),
            callback=advance,
            **options,
        )
    with fits.open(folder / f"{name}_restored.fits") as hdus:
        return {
            "input": fits.getdata(folder / f"{name}.fits").astype(np.float32),
            "restored": hdus["SCI"].data.astype(np.float32),
            "std": hdus["ERR"].data.astype(np.float32),
            "psf estimate": hdus["PSFGRID"].data.reshape(-1, *hdus["PSFGRID"].data.shape[-2:])[0],
            "chi2": float(np.nanmean(hdus["CHI2"].data)),
        }


def _draw(panels: dict[str, dict[str, Any]], path: Path) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    titles = ("input", "restored", "truth", "std", "psf estimate", "psf true")
    figure, axes = pyplot.subplots(len(panels), len(titles), figsize=(15, 5.4), layout="constrained")
    for row, (name, panel) in zip(axes, panels.items(), strict=True):
        low, high = np.percentile(panel["input"], [0.5, 99.8])
        for axis, title in zip(row, titles, strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            if title not in panel:
                axis.set_axis_off()
                continue
            if title.startswith("psf"):
                axis.imshow(panel[title], cmap="magma")
            elif title == "std":
                axis.imshow(panel[title], cmap="viridis")
            else:
                axis.imshow(panel[title], cmap="gray", vmin=low, vmax=high)
            axis.set_title(title)
        row[0].set_ylabel(name)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
