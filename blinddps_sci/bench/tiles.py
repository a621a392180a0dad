"""`blinddps bench tiles`: how much the answer depends on where the tiles lie.

A network sees other surroundings when the tile grid moves, so with a trained prior the answer
changes; the change is given in units of the posterior's standard deviation.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from blinddps_sci.bench.cases import cases
from blinddps_sci.engine.restore import restore
from blinddps_sci.errors import InputError

__all__ = ["run_tiles"]

_NOISE = 0.01
_GRIDS = ((128, 32), (96, 32), (64, 32))
"""Tile and overlap of each grid; the first is the reference."""


def run_tiles(*, size: int = 128, steps: int = 200, samples: int = 4, seed: int = 0) -> str:
    """Restore one image on several tile grids and return the changes, one line each.

    The PSF is known, so that its nodes, which move with the tiles, play no part.

    Parameters
    ----------
    size : int
        Side of the image, pixels.
    steps, samples, seed : int
        Of the sampler; the noise is the same for every grid.

    Raises
    ------
    ConfigError, InputError
        As `blinddps_sci.bench.cases.cases`.
    """
    case = next(cases(None, 1, size, seed, (_NOISE,)), None)
    if case is None:
        raise InputError(f"no image suits --size {size}; give another one")
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        psf = Path(folder) / "psf.npy"
        np.save(psf, case.kernel)
        for tile, overlap in _GRIDS:
            result = restore(
                case.data,
                prior=case.label,
                noise=f"gaussian:{_NOISE}",
                psf_file=str(psf),
                steps=steps,
                samples=samples,
                seed=seed,
                tile=tile,
                overlap=overlap,
            )
            answers.append((result["image"].values, result["std"].values))
    reference, std = answers[0]
    spread = float(np.sqrt(np.mean(std**2)))
    lines = [f"{case.name}, {size} px, known PSF, tile {_GRIDS[0][0]}: rms std {spread:.5f}"]
    for (tile, overlap), (image, _) in zip(_GRIDS[1:], answers[1:], strict=True):
        change = float(np.sqrt(np.mean((image - reference) ** 2)))
        lines.append(f"tile {tile}, overlap {overlap}: rms change {change / spread:.3f} standard deviations")
    return "\n".join(lines)
