"""The samplers of the library deepinv as methods of the comparison, for whoever has installed it.

`deepinv.sampling.DPS` and `deepinv.sampling.DiffPIR` run as they are, told the true PSF and the noise,
on the engine's image network, operator and scale. The package needs neither deepinv nor the torchvision
that deepinv imports: both are loaded when one of these methods is asked for.

References
----------
J. Tachella et al., "DeepInverse: A Python package for solving imaging inverse problems with deep
learning", arXiv:2505.20160.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from blinddps_sci.bench.cases import Case
from blinddps_sci.bench.extras import need
from blinddps_sci.engine.restore import prepare_restore
from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.operators.convolve import convolve, convolve_adjoint_image
from blinddps_sci.priors.base import Prior

__all__ = ["DEEPINV_METHODS", "deepinv_restored", "parse_deepinv"]

DEEPINV_METHODS = ("deepinv-dps-S", "deepinv-diffpir-S")
"""How the methods are called; S is the number of network evaluations."""

_NAME = re.compile(r"deepinv-(dps|diffpir)-([2-9]|[1-9][0-9]{1,4})")

_DPS: dict[str, Any] = {"guidance": "annealed", "weight": 4.0}
_DIFFPIR: dict[str, Any] = {"zeta": 1.0, "lambda_": 3.0}

_UNCOMPILED = ("torchvision::nms", "torchvision::qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def parse_deepinv(name: str) -> tuple[str, int] | None:
    """Return sampler and steps of ``deepinv-dps-S`` and ``deepinv-diffpir-S``, None of another name."""
    found = _NAME.fullmatch(name)
    return None if found is None else (found[1], int(found[2]))


def deepinv_restored(sampler: str, steps: int, case: Case, seed: int) -> np.ndarray:
    """Return deepinv's restoration (N, N) of a case, its PSF and noise being known.

    Parameters
    ----------
    sampler : 'dps' or 'diffpir'
        Class of `deepinv.sampling`.
    steps : int
        Network evaluations, at least 2.
    case : Case
        The data.
    seed : int
        Of the chain.

    Raises
    ------
    ConfigError
        If deepinv is not installed or cannot be imported.
    InputError
        If the chain leaves the finite numbers.

    Notes
    -----
    deepinv works on [0, 1], which here is the range from -1 to 1 of the engine's stretch, on the
    engine's canvas, whose margin is cut off at the end. Its defaults were changed where they fail on
    images that training left out: DPS scales the gradient of the residual's norm, of weight one, by
    the squared noise of a step, so that the data hardly count, and gets ``guidance='annealed'`` with
    a weight of 4 (with 6, chains of few steps leave the data); DiffPIR gets ``zeta=1``, its documented
    default, where the code has 0.1, and ``lambda_=3``, the lower end of the range that it recommends.
    Both cut their estimates off at 1, which costs what lies beyond the blurred image's range.
    """
    deepinv = _load()
    job = prepare_restore(
        case.data, {"prior": case.label, "noise": f"gaussian:{case.noise}", "seed": seed, "sampler": "dps"}
    )
    stretch = job.channels[0].stretch
    margin, low, scale = job.margin, stretch.low, stretch.high - stretch.low
    kernel = torch.from_numpy(case.kernel)[None, None].to(job.device)
    data = (torch.from_numpy(case.data)[None, None].to(job.device) - low) / scale
    noise = case.noise / scale
    physics = _physics(deepinv, kernel, margin, noise)
    network = _Network(job.image_prior)
    with torch.random.fork_rng([job.device] if job.device.type == "cuda" else []):
        torch.manual_seed(seed)  # DiffPIR draws from the global generator
        if sampler == "dps":
            model = deepinv.sampling.DPS(
                network,
                num_steps=steps + 1,  # of the times; the network is not evaluated at the last
                rng=torch.Generator(job.device),
                device=job.device,
                **_DPS,
            )
            canvas = (1, 1, *(side + 2 * margin for side in case.data.shape))
            found = model(data, physics, x_init=canvas, seed=seed)
        else:
            model = deepinv.sampling.DiffPIR(
                network,
                deepinv.optim.data_fidelity.L2(),
                sigma=noise,
                max_iter=steps,
                device=job.device,
                **_DIFFPIR,
            )
            found = model(data, physics, x_init=pad(data, (margin,) * 4, mode="reflect"))
    image = (low + scale * found[0, 0, margin:-margin, margin:-margin]).float().cpu().numpy()
    if not np.isfinite(image).all():
        raise InputError(f"deepinv's {sampler} of {steps} steps left the finite numbers; give more steps")
    return np.asarray(image)


def _physics(deepinv: Any, kernel: Tensor, margin: int, noise: float) -> Any:
    """Return deepinv's operator of blur by a kernel (1, 1, K, K), on a canvas, with its noise."""
    return deepinv.physics.LinearPhysics(
        A=lambda image, **_: convolve(image, kernel, margin),
        A_adjoint=lambda residual, **_: convolve_adjoint_image(residual, kernel, margin),
        noise_model=deepinv.physics.GaussianNoise(noise),
        device=kernel.device,
    )


class _Network(nn.Module):
    """A prior as a denoiser of deepinv: image and noise level on the scale of [0, 1]."""

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, x: Tensor, sigma: Tensor | float, **_: Any) -> Tensor:
        """Return the denoised estimate of ``x`` (B, C, H, W) at noise ``sigma``, one number or B."""
        level = torch.as_tensor(sigma).to(x).flatten().expand(len(x))
        return (self.prior(2 * x - 1, 2 * level) + 1) / 2


def _load() -> Any:
    """Import deepinv."""
    need("deepinv", "methods of deepinv")
    try:
        try:
            return import_module("deepinv")
        except RuntimeError as error:
            # A torchvision built for CUDA beside a torch for the CPU lacks its compiled operators and
            # fails where it describes them. Nothing here calls them: their names are enough.
            if "torchvision::" not in str(error):
                raise
            for operator in _UNCOMPILED:
                torch.library.define(operator, _SIGNATURE)
            return import_module("deepinv")
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"deepinv is installed but cannot be imported ({error}); "
            "run pip install 'blinddps-sci[bench]', with the torchvision that belongs to this torch"
        ) from None
