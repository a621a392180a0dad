"""What a restoration computes with: its device, its arithmetic and its priors."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Literal

import torch

from blinddps_sci.engine.config import RestoreConfig
from blinddps_sci.engine.tilts import TiltModel
from blinddps_sci.engine.uncertainty import Uncertainty, read_uncertainty
from blinddps_sci.errors import ConfigError, PriorError
from blinddps_sci.priors.base import Prior
from blinddps_sci.priors.card import PriorCard
from blinddps_sci.priors.registry import load_prior
from blinddps_sci.priors.uninformative import IndependentGaussianPrior, UniformPrior
from blinddps_sci.priors.wrap import Denoiser, fast_half

__all__ = ["Priors", "choose_device", "choose_precision", "load_priors"]

_UNINFORMATIVE: dict[str, Prior] = {"uniform": UniformPrior(), "gaussian": IndependentGaussianPrior()}


@dataclass(frozen=True)
class Priors:
    """The priors of every unknown, on their device.

    Parameters
    ----------
    image, kernel : Prior
        Denoisers of one tile and of one kernel.
    kernel_power : 1 or 2
        Whether the kernel prior's domain is of kernels or of their amplitudes.
    tilts : TiltModel
        What is known of the tilts of turbulence.
    weights : dict of str to str
        Digest of each network's weights.
    uncertainty : Uncertainty
        What the spread of the image's draws lacks.
    """

    image: Prior
    kernel: Prior
    kernel_power: Literal[1, 2]
    tilts: TiltModel
    weights: dict[str, str]
    uncertainty: Uncertainty


def load_priors(config: RestoreConfig, device: torch.device) -> Priors:
    """Return the priors that the options ask for.

    Raises
    ------
    PriorError
        If there is none of that name, or it is of images of several channels.
    ConfigError
        If the kernel prior is of another size than the kernels, or there is no compiler.
    """
    image, weights, uncertainty = _image_prior(config, device)
    kernel, power, kernel_weights = _kernel_prior(config, device)
    tilts, tilt_weights = _tilt_model(config, device)
    return Priors(image, kernel, power, tilts, weights | kernel_weights | tilt_weights, uncertainty)


def choose_device(config: RestoreConfig) -> torch.device:
    """Return the device on which this process computes; one whose workers compute needs no GPU.

    Raises
    ------
    ConfigError
        If a GPU is asked for and there is none.
    """
    if config.device == "cpu" or config.workers is not None or config.scheduler is not None:
        return torch.device("cpu")
    available = torch.cuda.is_available()
    if config.device == "cuda" and not available:
        raise ConfigError("device cuda was asked for, but torch sees no GPU; use --device cpu or auto")
    return torch.device("cuda" if available else "cpu")


def choose_precision(config: RestoreConfig, device: torch.device) -> Literal["float32", "bfloat16"]:
    """Return the arithmetic of the networks that the options ask for on a device.

    ``dps`` follows the gradient of its networks, which half a precision would blur.
    """
    if config.precision != "auto":
        return config.precision
    # Of GPUs that only the workers see it is taken for granted.
    native = config.device == "cuda" or fast_half(device.type) is not None
    return "bfloat16" if native and config.sampler == "split" else "float32"


def _tuned(network: Denoiser, config: RestoreConfig, device: torch.device) -> Denoiser:
    """Return a network on its device, with the arithmetic that the options ask for.

    Raises
    ------
    ConfigError
        If it should be compiled and there is no compiler.
    """
    compiler = os.environ.get("CXX", "g++")
    if config.compile and shutil.which(compiler) is None:
        raise ConfigError(f"compile needs the C++ compiler {compiler}; install one, or leave --compile out")
    autocast = torch.bfloat16 if config.precision == "bfloat16" else None
    return network.to(device).tuned(autocast, compiled=config.compile)


def _image_prior(config: RestoreConfig, device: torch.device) -> tuple[Prior, dict[str, str], Uncertainty]:
    """Return the image's prior, the digest of its weights if it has any, and what its draws lack.

    Raises
    ------
    PriorError
        If there is none of that name, or it is of images of several channels.
    """
    if config.prior == "gaussian":
        return _UNINFORMATIVE["gaussian"], {}, Uncertainty()
    network, card = load_prior(config.prior, "image")
    channels = network.net.config.in_channels
    if channels != 1:
        raise PriorError(
            f"prior {config.prior!r} is of images with {channels} channels; "
            "planes are restored one by one, so give a network of one channel"
        )
    return _tuned(network, config, device), {"image": card.sha256}, _uncertainty(card, config)


def _uncertainty(card: PriorCard, config: RestoreConfig) -> Uncertainty:
    """Return what the draws lack; measured with the split sampler and one frame, and not known of others."""
    if card.uncertainty is None or config.sampler != "split" or config.model != "blur":
        return Uncertainty()
    return read_uncertainty(card.uncertainty, "blind" if config.psf_file is None else "known")


def _kernel_prior(config: RestoreConfig, device: torch.device) -> tuple[Prior, Literal[1, 2], dict[str, str]]:
    """Return the kernels' prior, the power of its domain, and the digest of its weights if it has any.

    Raises
    ------
    PriorError
        If there is none of that name.
    ConfigError
        If it is of kernels of another size.
    """
    if config.psf_file is not None or config.kernel_prior in _UNINFORMATIVE:
        return _UNINFORMATIVE.get(config.kernel_prior, _UNINFORMATIVE["uniform"]), 1, {}
    wide = config.kernel_prior == "shipped" and config.model == "turbulence"
    network, card = load_prior("kernel-wide" if wide else config.kernel_prior, "kernel")
    if card.size != config.psf_size:
        raise ConfigError(
            f"psf_size {config.psf_size} does not fit the kernel prior, trained on {card.size} pixels; "
            f"use --psf-size {card.size}, or --kernel-prior uniform for any size"
        )
    power: Literal[1, 2] = 2 if card.domain == "amplitude" else 1
    return _tuned(network, config, device), power, {"kernel": card.sha256}


def _tilt_model(config: RestoreConfig, device: torch.device) -> tuple[TiltModel, dict[str, str]]:
    """Return the tilts' prior, and the digest of its weights if it has any.

    Raises
    ------
    PriorError
        If there is none of that name.
    """
    if config.model == "blur" or config.tilt_prior == "physical":
        return TiltModel(), {}
    if config.tilt_prior == "uniform":
        return TiltModel.uniform(config.reach, dense=config.frames == "single"), {}
    name = "tilt-published" if config.tilt_prior == "published" else config.tilt_prior
    network, card = load_prior(name, "tilt")
    relative = card.domain == "relative"
    return TiltModel.network(_tuned(network, config, device), relative), {"tilt": card.sha256}
