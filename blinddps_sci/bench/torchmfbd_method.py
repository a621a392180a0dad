"""The library torchmfbd as a method of the comparison of bursts, for whoever has installed it.

It is told the telescope, the wavelength and the scale of the pixels, and stopped after as many iterations as
are best for it on a solar burst: it has no rule to stop by, and follows the noise later.

References
----------
A. Asensio Ramos et al., "torchmfbd", A&A 703, A269 (2025), arXiv:2505.10639.
"""

from __future__ import annotations

import tempfile
from contextlib import chdir
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from blinddps_sci.simulate import Telescope

__all__ = ["has_torchmfbd", "torchmfbd_restored"]

_PATCH, _STRIDE, _APODISATION = 64, 32, 6
_ITERATIONS = 60
_OPTIMISATION: dict[str, Any] = {
    "gpu": -1,
    "transform": "softplus",
    "softplus_scale": 1.0,
    "lr_obj": 0.02,
    "lr_modes": 0.08,
    "lr_prior": 0.1,
    "loss_type": "joint",
    "show_object_info": False,
}
_PRIORS = {name: {"mean": mean, "sigma": 1.0} for name, mean in (("K", 1.0), ("v0", 0.1), ("p", 2.0))}


def has_torchmfbd() -> bool:
    """Return whether torchmfbd is installed; nothing is imported."""
    return find_spec("torchmfbd") is not None


def torchmfbd_restored(frames: NDArray[np.float32], telescope: Telescope) -> NDArray[np.float32]:
    """Return the scene (h, w) that torchmfbd makes of frames (F, h, w); at the border it repeats itself.

    Parameters
    ----------
    frames : ndarray, (F, h, w)
        Finite everywhere.
    telescope : Telescope
        That took them.
    """
    # It keeps what it has computed in a folder where it runs.
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        scene = _deconvolved(frames, telescope)
    lost = [
        ((side - own) // 2, side - own - (side - own) // 2)
        for side, own in zip(frames.shape[1:], scene.shape, strict=True)
    ]
    return np.pad(scene, lost, mode="edge")


def _deconvolved(frames: NDArray[np.float32], telescope: Telescope) -> NDArray[np.float32]:
    """Return the scene of the middle of the frames."""
    mfbd = import_module("torchmfbd")
    solver = mfbd.Deconvolution(_settings(telescope))
    solver.logger.handlers = []
    patches = mfbd.Patchify4D()
    level = frames.mean(axis=(1, 2), keepdims=True)
    parts = patches.patchify(
        torch.from_numpy((frames / level).astype(np.float32))[None],
        patch_size=_PATCH,
        stride_size=_STRIDE,
        flatten_sequences=True,
    )
    solver.add_frames(parts, id_object=0, id_diversity=0, diversity=0.0)
    solver.deconvolve(
        infer_object=False,
        optimizer="adam",
        simultaneous_sequences=len(parts),
        n_iterations=_ITERATIONS,
    )
    joined = patches.unpatchify(
        solver.obj[0],
        apodization=_APODISATION,
        weight_type="cosine",
        weight_params=_STRIDE - 2 * _APODISATION,
    )
    return np.asarray(joined.cpu().numpy()[0] * level.mean(), dtype=np.float32)


def _settings(telescope: Telescope) -> dict[str, Any]:
    """Return torchmfbd's configuration; lengths are in cm, arcseconds and Angstrom."""
    diameter = 100.0 * telescope.diameter
    return {
        "telescope": {
            "diameter": diameter,
            "central_obscuration": telescope.obscuration * diameter,
            "spider": 0,
        },
        "images": {
            "n_pixel": _PATCH,
            "pix_size": telescope.pixel_scale,
            "apodization_border": _APODISATION,
        },
        "object1": {
            "wavelength": 1e10 * telescope.wavelength,
            "image_filter": "tophat",
            "cutoff": [0.75, 0.80],
            "s_u_joint": 100.0,
        },
        "optimization": dict(_OPTIMISATION),
        "regularization": {"iuwt1": {"variable": "object", "lambda": 0.0, "nbands": 5}},
        "psf": {"model": "kl", "nmax_modes": 44, "orthogonalize": False},
        "initialization": {"object": "contrast", "modes_std": 0.0},
        "annealing": {"type": "sigmoid", "start_pct": 0.0, "end_pct": 0.85},
        "priors": _PRIORS,
    }
