"""Bursts with their truth: simulated here, or read from a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blinddps_sci.errors import InputError
from blinddps_sci.simulate import PRESETS, Telescope, random_scene, simulate_burst
from blinddps_sci.simulate.centring import shift

__all__ = ["BurstCase", "read_case", "simulated_cases"]

_SIGMA = 0.005
"""Noise of the simulated bursts, relative to the mean of the scene."""

_SETTINGS = (("granulation", "solar-1m", 6.7), ("lunar", "planetary-35cm", 3.2))
"""Scene, preset and D / r0 of each simulated burst."""

_SIZE = 64


@dataclass(frozen=True, eq=False)
class BurstCase:
    """Frames, and what is true of them.

    Parameters
    ----------
    name : str
    frames : ndarray, (F, h, w)
    truth : ndarray, (h, w)
    psfs : ndarray, (F, n_y, n_x, K, K)
        With the tilt in them.
    node_y, node_x : ndarray, (n_y,) and (n_x,)
        Pixels of the frames.
    telescope : Telescope, optional
        That took them, if it is known.
    """

    name: str
    frames: NDArray[np.float32]
    truth: NDArray[np.float32]
    psfs: NDArray[np.float32]
    node_y: NDArray[np.float64]
    node_x: NDArray[np.float64]
    telescope: Telescope | None = None


def simulated_cases(size: int, frames: int, seed: int) -> Iterator[BurstCase]:
    """Yield a solar and a lunar burst of frames (size, size), which depend on the seed alone."""
    for number, (kind, preset, strength) in enumerate(_SETTINGS):
        rng = np.random.default_rng([seed, number])
        scene = random_scene((size + 2 * _SIZE,) * 2, rng, kind)
        setting = PRESETS[preset].with_strength(strength)
        burst = simulate_burst(scene, setting, frames, rng, size=_SIZE, sigma=_SIGMA)
        moved = np.empty_like(burst.kernels)
        for f, i, j in np.ndindex(burst.kernels.shape[:3]):
            # The scene's p + tilt is seen at p: the light has moved by minus the tilt.
            moved[f, i, j] = shift(burst.kernels[f, i, j], *(-burst.tilt[f, :, i, j]))
        yield BurstCase(
            f"{preset}, {kind}, D/r0 {strength}",
            burst.frames,
            burst.scene,
            moved,
            burst.positions[:, 0, 0],
            burst.positions[0, :, 1],
            setting.telescope,
        )


def read_case(path: Path) -> BurstCase:
    """Read ``frames`` (F, h, w), ``truth`` (h, w) and ``psf`` (F, n_y, n_x, K, K) from an npz file.

    The nodes of the PSFs are taken to be spread evenly from edge to edge.

    Raises
    ------
    InputError
        If the file is not such a burst.
    """
    try:
        with np.load(path) as file:
            frames, truth, psfs = (file[name] for name in ("frames", "truth", "psf"))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not a burst with its truth: {error}") from None
    if frames.ndim != 3 or truth.shape != frames.shape[1:] or psfs.ndim != 5 or len(psfs) != len(frames):
        raise InputError(
            f"{path}: frames {frames.shape}, truth {truth.shape} and psf {psfs.shape} do not go together"
        )
    node_y, node_x = (np.linspace(0, side, n) for side, n in zip(truth.shape, psfs.shape[1:3], strict=True))
    return BurstCase(path.stem, frames, truth, psfs, node_y, node_x)
