"""The methods that `blinddps bench` compares, by name.

``split``, ``split-fast`` and ``split-best`` are the presets of the default sampler, blind;
``split-true-psf`` is told the PSF, and ``split-S-C-N`` has S steps, C chains and N samples whatever
the presets are. ``dps-S`` is the engine's `Dps` with S steps, and ``dps-S-sqrt`` and
``dps-S-constant`` are the update rules of the released code and of the paper, on the networks, the
operator and the scale of the engine. ``richardson-lucy`` and ``wiener`` are given the true PSF,
``blind-rl`` is not; ``richardson-lucy-N`` has N iterations instead of 30. ``deepinv-dps-S`` and
``deepinv-diffpir-S`` are samplers of the library deepinv, which is optional, given the true PSF.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from blinddps_sci.bench.cases import PSF_SIZE, Case
from blinddps_sci.bench.classical import (
    blind_richardson_lucy,
    residual_chi2,
    richardson_lucy_of,
    wiener_of,
)
from blinddps_sci.bench.deepinv_methods import (
    DEEPINV_METHODS,
    deepinv_restored,
    parse_deepinv,
)
from blinddps_sci.bench.extras import need
from blinddps_sci.engine.config import QUALITIES, make_config
from blinddps_sci.engine.job import ALGORITHM
from blinddps_sci.engine.restore import prepare_restore, restore
from blinddps_sci.engine.scene import HEADROOM
from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.likelihoods.gaussian import Gaussian
from blinddps_sci.operators.blur import Blur
from blinddps_sci.priors.registry import load_prior
from blinddps_sci.sampling.dps import Dps, Rule
from blinddps_sci.sampling.posterior import Progress, Status
from blinddps_sci.sampling.sample import sample
from blinddps_sci.sampling.unknown import ImageMap, KernelMap, Unknown

__all__ = ["Outcome", "Overrides", "engine_settings", "parse_methods", "published", "run_method"]

_PRESETS = {"split": "default", "split-fast": "fast", "split-best": "best", "split-true-psf": "default"}
_OTHERS = ("blurred", "richardson-lucy", "wiener", "blind-rl")
_COUNT = "(0|[1-9][0-9]{0,5})"
_SPLIT = re.compile(f"split-{_COUNT}-{_COUNT}-{_COUNT}(?:-(float32|bfloat16))?")
_LUCY = re.compile(r"richardson-lucy-([1-9][0-9]{0,4})")
_DPS = re.compile(r"dps-([1-9][0-9]{0,4})(?:-(sqrt|constant))?")

_RULES: dict[str, tuple[Rule, float]] = {"sqrt": ("sqrt-abar", 1.0), "constant": ("constant", 0.3)}
"""Rule and weight of the released code, which takes no number, and of the paper."""


@dataclass(frozen=True)
class Overrides:
    """Numbers that replace those of the presets of `split`; None keeps the preset's.

    Parameters
    ----------
    steps, chains, samples : int, optional
        As in `RestoreConfig`.
    """

    steps: int | None = None
    chains: int | None = None
    samples: int | None = None

    def options(self) -> dict[str, int]:
        """Return what is given."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method found.

    Parameters
    ----------
    image : ndarray of float32, (N, N)
        On the scale of [0, 1].
    kernel : ndarray of float32, (K, K), optional
        The estimated PSF of a blind method.
    std : ndarray of float32, (N, N), optional
        Standard deviation of the draws.
    draws : int
        How many draws it is of.
    chi2 : float, optional
        Reduced chi-squared: of the draws of a sampler, of the estimate of a classical method.
    """

    image: np.ndarray
    kernel: np.ndarray | None = None
    std: np.ndarray | None = None
    draws: int = 1
    chi2: float | None = None


def parse_methods(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list, each once.

    Raises
    ------
    ConfigError
        If one is not known, has a number that is not allowed or needs a library that is not installed,
        or there is none.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names or (text,):
        schedule = _schedule(name)
        if schedule is not None:
            try:
                make_config(schedule)
            except ConfigError as error:
                raise ConfigError(f"method {name!r}: {error}") from None
        elif parse_deepinv(name) is not None:
            need("deepinv", "methods of deepinv")
        elif name not in (*_PRESETS, *_OTHERS) and not (_DPS.fullmatch(name) or _LUCY.fullmatch(name)):
            ours = ("split-S-C-N", "dps-S", "dps-S-sqrt", "dps-S-constant", "richardson-lucy-N")
            allowed = ", ".join((*_OTHERS, *_PRESETS, *ours, *DEEPINV_METHODS))
            raise ConfigError(
                f"unknown method {name!r}; give some of {allowed} "
                "(S: steps, C: chains, N: samples or iterations)"
            )
    return names


def _schedule(name: str) -> dict[str, Any] | None:
    """Return the options of ``split-S-C-N``, with or without ``-PRECISION``; None for another name."""
    found = _SPLIT.fullmatch(name)
    if found is None:
        return None
    *counts, precision = found.groups()
    options: dict[str, Any] = dict(zip(("steps", "chains", "samples"), map(int, counts), strict=True))
    return options if precision is None else {**options, "precision": precision}


def run_method(name: str, case: Case, overrides: Overrides, seed: int) -> Outcome:
    """Run one method on one case.

    Parameters
    ----------
    name : str
        One of `parse_methods`.
    case : Case
        The data.
    overrides : Overrides
        Of the presets of `split`.
    seed : int
        Of the method's random numbers.

    Raises
    ------
    BlindDpsError
        As `restore`; in particular if a chain leaves the finite numbers.
    """
    if name == "split-true-psf":
        with tempfile.TemporaryDirectory() as folder:
            psf = Path(folder) / "psf.npy"
            np.save(psf, case.kernel)
            return _restored(case, seed, quality="default", psf_file=str(psf), **overrides.options())
    if name in _PRESETS:
        return _restored(case, seed, quality=_PRESETS[name], **overrides.options())
    schedule = _schedule(name)
    if schedule is not None:
        return _restored(case, seed, **schedule)
    peer = parse_deepinv(name)
    if peer is not None:
        image = deepinv_restored(*peer, case, seed)
        return Outcome(image, chi2=residual_chi2(case.data, image, case.kernel, case.noise))
    dps = _DPS.fullmatch(name)
    if dps is None:
        return _classical(name, case, seed)
    steps = int(dps[1])
    if dps[2] is None:
        return _restored(case, seed, sampler="dps", steps=steps, chains=1, samples=1)
    return published(case, steps, dps[2], seed)


def _classical(name: str, case: Case, seed: int) -> Outcome:
    data, kernel = case.data, case.kernel
    found, lucy = None, _LUCY.fullmatch(name)
    if lucy is not None:
        image = richardson_lucy_of(data, kernel, int(lucy[1]))
    elif name == "richardson-lucy":
        image = richardson_lucy_of(data, kernel)
    elif name == "wiener":
        image = wiener_of(data, kernel, seed)
    elif name == "blind-rl":
        image, found = blind_richardson_lucy(data, PSF_SIZE)
        kernel = found
    else:
        return Outcome(data)
    return Outcome(image, found, chi2=residual_chi2(data, image, kernel, case.noise))


def _options(case: Case, seed: int) -> dict[str, Any]:
    return {"prior": case.label, "noise": f"gaussian:{case.noise}", "seed": seed}


def _restored(case: Case, seed: int, **options: Any) -> Outcome:
    """Run `restore` as a user would."""
    result = restore(case.data, **_options(case, seed), **options)
    samples = options.get("samples", QUALITIES["split"][options.get("quality", "default")]["samples"])
    kernel = None
    if "psf_file" not in options:
        kernel = result["psf_kernel"].mean(("frame", "channel", "node_y", "node_x")).values
    return Outcome(
        image=result["image"].values,
        kernel=kernel,
        std=result["std"].values if samples > 1 else None,
        draws=samples,
        chi2=float(np.nanmean(result["chi2"].values)),
    )


def published(
    case: Case, steps: int, rule: str, seed: int, callback: Callable[[Progress], None] | None = None
) -> Outcome:
    """Run a published update rule on the engine's networks, the whole image being one tile.

    Parameters
    ----------
    case : Case
        The data.
    steps : int
        Network evaluations; the guidance of a step is scaled by 1000 / steps.
    rule : 'sqrt' or 'constant'
        Step sizes of the released code or of the paper.
    seed : int
        Of the chains.
    callback : callable, optional
        Called after every step.

    Raises
    ------
    InputError
        If a chain leaves the finite numbers.

    Notes
    -----
    The norm is scaled to the number of pixels for which the published numbers were chosen, and the
    step is not bounded by the least-squares fit, which is the engine's own addition.
    """
    job = prepare_restore(case.data, {**_options(case, seed), "sampler": "dps"})
    margin, image_map = job.margin, ImageMap(job.channels[0].stretch)
    canvas = (1, *(side + 2 * margin for side in case.data.shape))
    kernel_size = job.config.psf_size
    unknowns = {
        "image": Unknown(job.image_prior, canvas, physical=image_map, clamp=HEADROOM),
        "kernel": Unknown(
            job.kernel_prior, (1, kernel_size, kernel_size), physical=KernelMap(power=job.kernel_power)
        ),
    }
    name, weight = _RULES[rule]
    posterior = sample(
        torch.from_numpy(case.data)[None, None].to(job.device),
        Blur(margin),
        Gaussian(case.noise),
        unknowns,
        sampler=Dps(steps=steps, rule=name, weight=weight, unit=image_map.unit, bounded=False),
        seeds=[seed],
        callback=callback,
    )
    if posterior.status is not Status.COMPLETE:
        raise InputError(posterior.status.value)
    image = posterior.samples["image"][0, 0, 0, margin:-margin, margin:-margin]
    kernel = posterior.samples["kernel"][0, 0, 0]
    return Outcome(image.cpu().numpy(), kernel.cpu().numpy(), chi2=float(posterior.chi2.mean()))


def engine_settings() -> dict[str, Any]:
    """Return the number of the algorithm and the digests of the shipped networks of images and kernels.

    Rows of a file that were made with others, or with other errors of them, are not gone on from.
    """
    digests = {}
    for role in ("image", "kernel"):
        network, card = load_prior("shipped", role)
        digests[role] = card.sha256
        if network.error is not None:
            digests[f"error of {role}"] = network.error.digest
    return {"algorithm": ALGORITHM, "networks": digests}
