"""Networks as priors: one convention, ``prior(x, sigma) -> x0``.

A network trained in the variance-preserving scale (the published ones) and one with EDM
preconditioning (ours) are wrapped here once, so that nothing else knows how it was trained.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from blinddps_sci.errors import PriorError
from blinddps_sci.priors.base import broadcast_sigma
from blinddps_sci.priors.error import ErrorTable, Root, error_root
from blinddps_sci.priors.novelty import UNTOLD, NoveltyTable, Usual
from blinddps_sci.priors.unet import UNet

__all__ = ["Denoiser", "EDMDenoiser", "VPDenoiser", "fast_half", "linear_betas"]


def linear_betas(steps: int) -> np.ndarray:
    """Return the linear schedule of guided diffusion, (steps,), float64, scaled by 1000 / steps."""
    scale = 1000 / steps
    return np.linspace(1e-4 * scale, 2e-2 * scale, steps)


def fast_half(device: str) -> torch.dtype | None:
    """Return bfloat16 where the device computes in it natively, else None.

    A processor without it emulates it, ten times slower than single precision.
    """
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else None


class Denoiser(nn.Module):
    """A UNet wrapped as a prior; the label and the precision are part of its state.

    Parameters
    ----------
    net : UNet
        The network.
    labels : sequence of str
        Names of the labels of a conditional network, in the order of its embedding.
    """

    label: int | None = None
    autocast: torch.dtype | None = None
    """Type of the network's arithmetic; None for the type of the weights."""
    run: Callable[..., Tensor] | None = None
    """The network compiled; None for the network as it is."""
    error: ErrorTable | None = None
    """Measured error of the estimates; None if it was not measured."""
    novelty: NoveltyTable | None = None
    """Its error on held-out images, with which data are compared; None if it was not measured."""

    def __init__(self, net: UNet, labels: Sequence[str] = ()) -> None:
        super().__init__()
        self.net, self.labels = net, tuple(labels)
        if self.labels:
            self.label = len(self.labels) - 1

    def labelled(self, name: str) -> Denoiser:
        """Choose the domain label and return self.

        Raises
        ------
        PriorError
            If the network has no such label.
        """
        if name not in self.labels:
            allowed = ", ".join(self.labels) or "none: it is not conditional"
            raise PriorError(f"this prior has no label {name!r}; its labels are {allowed}")
        self.label = self.labels.index(name)
        return self

    def tuned(self, autocast: torch.dtype | None, *, compiled: bool = False) -> Denoiser:
        """Return the same network with an arithmetic of its own, compiled by ``torch.compile`` if asked for.

        The weights are shared and self is not changed. Compilation waits for the first call, of each shape.
        """
        other = copy.copy(self)
        other.autocast = autocast
        other.run = torch.compile(self.net.forward) if compiled else None
        return other

    def error_root(self, estimate: Tensor, sigma: float) -> Root:
        """Return the root of the error's covariance; see `blinddps_sci.priors.error`."""
        return error_root(None, estimate, sigma) if self.error is None else self.error.root(estimate, sigma)

    @property
    def usual(self) -> Usual | None:
        """What is usual under its label; None if that was not measured."""
        label = UNTOLD if self.label is None else self.labels[self.label]
        return None if self.novelty is None else self.novelty.under(label)

    def raw(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Run the network on ``x`` (B, C, H, W) of any size and return its output in float32."""
        if label is None and self.label is not None:
            label = torch.full((len(x),), self.label, device=x.device)
        h, w = x.shape[-2:]
        pad = (-w % self.net.config.factor, -h % self.net.config.factor)
        if any(pad):
            x = F.pad(x, (0, pad[0], 0, pad[1]), mode="reflect")
        with torch.autocast(x.device.type, self.autocast, enabled=self.autocast is not None):
            out: Tensor = (self.run or self.net)(x, t, label)
        return out[..., :h, :w].float() if self.autocast else out[..., :h, :w]


class EDMDenoiser(Denoiser):
    """A network with the preconditioning of Karras et al.

    Parameters
    ----------
    net : UNet
        Network with as many channels out as in.
    labels : sequence of str
        See `Denoiser`.
    sigma_data : float
        Standard deviation of the training data on the network's domain.

    References
    ----------
    T. Karras et al., "Elucidating the design space of diffusion-based generative models",
    arXiv:2206.00364, table 1.
    """

    def __init__(self, net: UNet, labels: Sequence[str] = (), *, sigma_data: float = 0.5) -> None:
        super().__init__(net, labels)
        self.sigma_data = sigma_data

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the denoised estimate of ``x`` (B, C, H, W) at noise levels ``sigma`` (B,)."""
        s = broadcast_sigma(sigma, x)
        total = s**2 + self.sigma_data**2
        # c_noise of the paper is log(sigma) / 4; the embedding expects times of order 1000.
        out = self.raw(x / total.sqrt(), 62.5 * sigma.log(), label)
        return self.sigma_data**2 / total * x + s * self.sigma_data / total.sqrt() * out


class VPDenoiser(Denoiser):
    """A network that predicts the noise in the variance-preserving scale (ADM, DPS, BlindDPS).

    With ``a = abar_t`` and ``sigma = sqrt((1 - a) / a)``, a variance-exploding ``x`` is
    ``x_t / sqrt(a)``, and ``x0 = x - sigma * eps(sqrt(a) x, t)``. Between the network's
    discrete noise levels, ``t`` is interpolated in ``log sigma``.

    Parameters
    ----------
    net : UNet
        Network with C channels in and C (noise) or 2 C (noise, variance) out.
    labels : sequence of str
        See `Denoiser`.
    steps : int
        Length of the linear schedule that the network was trained with.
    """

    log_sigmas: Tensor

    def __init__(self, net: UNet, labels: Sequence[str] = (), *, steps: int = 1000) -> None:
        super().__init__(net, labels)
        self.steps = steps
        abar = np.cumprod(1 - linear_betas(steps))
        self.register_buffer(
            "log_sigmas", torch.from_numpy(0.5 * np.log((1 - abar) / abar)), persistent=False
        )

    def time(self, sigma: Tensor) -> Tensor:
        """Return the (fractional) time (B,) at which the noise level is ``sigma`` (B,)."""
        log_sigma = sigma.log().to(self.log_sigmas).contiguous()
        upper = torch.searchsorted(self.log_sigmas, log_sigma).clamp(1, self.steps - 1)
        low, high = self.log_sigmas[upper - 1], self.log_sigmas[upper]
        t = upper - 1 + ((log_sigma - low) / (high - low)).clamp(0, 1)
        nearest = t.round()
        # Levels of the network's own schedule are hit exactly, whatever the float type of sigma.
        return torch.where((t - nearest).abs() < 1e-3, nearest, t).float()

    def with_variance(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return the denoised estimate and the learned variance interpolation, both like ``x``.

        Raises
        ------
        PriorError
            If the network predicts no variance.
        """
        channels = x.shape[1]
        if self.net.config.out_channels != 2 * channels:
            raise PriorError("this network predicts no variance; choose variance='small' or 'large'")
        s = broadcast_sigma(sigma, x).to(x.dtype)
        out = self.raw(x / (1 + s**2).sqrt(), self.time(sigma))
        return x - s * out[:, :channels], out[:, channels:]

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the denoised estimate of ``x`` (B, C, H, W) at noise levels ``sigma`` (B,)."""
        s = broadcast_sigma(sigma, x).to(x.dtype)
        out = self.raw(x / (1 + s**2).sqrt(), self.time(sigma), label)
        return x - s * out[:, : x.shape[1]]
