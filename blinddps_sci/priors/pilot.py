"""A pilot estimate of the blur from the data alone, by which chains know where to begin.

A network is not asked for the kernel but for what it can see: where edges and points were before they were
blurred. The kernel that leads from these sharp features to the data's is then least squares, whose sums over
all pixels pool what the whole image says; a second network makes a kernel of the solution. A second
stage sees the data deconvolved by the kernel of the first.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Pilot", "PilotConfig"]

_TAPER = 16
"""Pixels over which the data fall to nothing at their borders, so that they may be taken for periodic."""

_BRIGHTEST = 8.0
"""Standard deviations of the data beyond which a deconvolved pixel is cut."""

_FIRST_WIDTH = 2.5
"""Standard deviation of the kernel with which the first stage deconvolves, pixels."""

_TINY = 1e-6


@dataclass(frozen=True)
class PilotConfig:
    """Architecture of a `Pilot`.

    Parameters
    ----------
    size : int
        Side K of the kernels, pixels; a multiple of 4.
    stages : int
        How often features, kernel and deconvolution follow on each other.
    features : int
        Filters under which the data are compared with what was sharp.
    full, half, blocks : int
        Channels at the data's resolution and at lower ones, and residual blocks at each of these.
    width : int
        Channels of the network that makes a kernel of the least squares.
    """

    size: int = 32
    stages: int = 2
    features: int = 6
    full: int = 16
    half: int = 40
    blocks: int = 3
    width: int = 32

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as `PriorCard.net` holds them."""
        return asdict(self)


class Pilot(nn.Module):
    """Estimates one kernel of each image.

    Parameters
    ----------
    config : PilotConfig
        Its architecture.

    Notes
    -----
    With f_i learnt filters and x_i the features that stand for the sharp image under them, a stage solves
    ``min_k sum_i |x_i * k - f_i * y|^2 + b |k|^2`` by Fourier transforms, for two weights b; the solutions
    are cut to K pixels, and a network makes a non-negative kernel of sum one of them. The principle is that
    of C. Schuler et al., "Learning to deblur", IEEE TPAMI 38 (2016) 1439, arXiv:1406.7444.
    """

    def __init__(self, config: PilotConfig) -> None:
        super().__init__()
        self.config = config
        self.stages = nn.ModuleList(_Stage(config) for _ in range(config.stages))

    def forward(self, data: Tensor, noise: Tensor) -> list[Tensor]:
        """Return the kernels of every stage, the last one the best.

        Parameters
        ----------
        data : Tensor, (B, 1, h, w)
            Blurred images, in any unit, of at least K pixels and even sides.
        noise : Tensor, (B,)
            Standard deviation of their noise.

        Returns
        -------
        list of Tensor, (B, 1, K, K)
            Non-negative, sum one, centred as the training kernels were: by their centroid, about.
        """
        mean = data.mean(dim=(-2, -1), keepdim=True)
        unit = data.std(dim=(-2, -1), keepdim=True) + _TINY
        offsets = torch.arange(self.config.size, device=data.device) - self.config.size // 2
        line = torch.exp(-0.5 * (offsets / _FIRST_WIDTH) ** 2)
        kernel = (line[:, None] * line / line.sum() ** 2).expand(len(data), 1, -1, -1)
        kernels = []
        for stage in self.stages:
            kernel = stage((data - mean) / unit, noise.reshape(-1, 1, 1, 1) / unit, kernel)
            kernels.append(kernel)
        return kernels


class _Stage(nn.Module):
    """From the data and a kernel to a better kernel."""

    def __init__(self, config: PilotConfig) -> None:
        super().__init__()
        self.filters = nn.Conv2d(1, config.features, 7, bias=False)
        self.sharpen = _Sharpen(config)
        self.refine = _Refine(config.width)
        # Logarithms of the weights: of smoothness when deconvolving, of small kernels in the least squares.
        self.smoothness = nn.Parameter(torch.tensor([0.0, 2.0]))
        self.smallness = nn.Parameter(torch.tensor([-5.0, -2.0]))

    def forward(self, data: Tensor, noise: Tensor, kernel: Tensor) -> Tensor:
        shape, size = data.shape[-2:], kernel.shape[-1]
        window = _taper(shape, data)
        told = 0.3 * noise.log()
        sharp = [data, *self._deconvolved(data * window, noise, kernel), told.expand_as(data)]
        features = torch.fft.rfft2(window * self.sharpen(torch.cat(sharp, dim=1)))
        filters = self.filters.weight - self.filters.weight.mean(dim=(-2, -1), keepdim=True)
        filtered = F.conv2d(F.pad(data, (3,) * 4, mode="reflect"), filters)
        product = (features.conj() * torch.fft.rfft2(window * filtered)).sum(dim=1, keepdim=True)
        power = features.abs().square().sum(dim=1, keepdim=True)
        usual = power.mean(dim=(-2, -1), keepdim=True)
        solved = []
        for weight in self.smallness.exp():
            found = torch.fft.irfft2(product / (power + weight * usual + _TINY**2), s=shape)
            found = found.roll((size // 2, size // 2), (-2, -1))[..., :size, :size]
            solved.append(found / (found.abs().amax(dim=(-2, -1), keepdim=True) + _TINY))
        before = (kernel / kernel.amax(dim=(-2, -1), keepdim=True) + _TINY).sqrt()
        refined: Tensor = self.refine(torch.cat([*solved, before, told.expand_as(kernel)], dim=1))
        return refined

    def _deconvolved(self, data: Tensor, noise: Tensor, kernel: Tensor) -> list[Tensor]:
        """Return the data deconvolved by Wiener filters of little and of more smoothness."""
        height, width = data.shape[-2:]
        y = torch.fft.fftfreq(height, device=data.device)[:, None]
        x = torch.fft.rfftfreq(width, device=data.device)
        roughness = 4 * ((math.pi * y).sin() ** 2 + (math.pi * x).sin() ** 2) + 0.01
        shift = (-(kernel.shape[-2] // 2), -(kernel.shape[-1] // 2))
        padded = F.pad(kernel, (0, width - kernel.shape[-1], 0, height - kernel.shape[-2]))
        transfer = torch.fft.rfft2(padded.roll(shift, (-2, -1)))
        spectrum = transfer.conj() * torch.fft.rfft2(data)
        power = transfer.abs().square()
        return [
            torch.fft.irfft2(
                spectrum / (power + weight * noise**2 * roughness + _TINY**2), s=(height, width)
            ).clamp(-_BRIGHTEST, _BRIGHTEST)
            for weight in self.smoothness.exp()
        ]


class _Sharpen(nn.Module):
    """From the data, twice deconvolved, and the noise to sharp features, at three resolutions."""

    def __init__(self, config: PilotConfig) -> None:
        super().__init__()
        full, half = config.full, config.half
        self.first = nn.Conv2d(4, full, 5, padding=2)
        self.down = nn.Conv2d(4 * full, half, 1)
        self.body = nn.Sequential(*(_Residual(half) for _ in range(config.blocks)))
        self.lower = nn.Sequential(
            nn.Conv2d(half, half, 3, stride=2, padding=1),
            *(_Residual(half) for _ in range(config.blocks)),
            nn.Conv2d(half, half, 1),
        )
        self.up = nn.Conv2d(half, 4 * full, 1)
        self.last = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(full, full, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(full, config.features, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        full = self.first(x)
        half = self.body(self.down(F.pixel_unshuffle(F.silu(full), 2)))
        half = half + F.interpolate(self.lower(half), half.shape[-2:], mode="bilinear", align_corners=False)
        sharp: Tensor = self.last(full + F.pixel_shuffle(self.up(half), 2))
        return sharp


class _Refine(nn.Module):
    """From solutions of the least squares, the kernel before and the noise to a kernel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(4, width, 3, padding=1), _Residual(width), _Residual(width))
        self.at_half = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), _Residual(2 * width), _Residual(2 * width)
        )
        self.at_quarter = nn.Sequential(
            nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1),
            _Residual(2 * width),
            _Residual(2 * width),
            nn.Conv2d(2 * width, 2 * width, 1),
        )
        self.up = nn.Conv2d(2 * width, width, 1)
        self.last = nn.Sequential(_Residual(width), nn.SiLU(), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        full = self.first(x)
        half = self.at_half(full)
        half = half + F.interpolate(self.at_quarter(half), scale_factor=2)
        amplitude = F.softplus(self.last(full + F.interpolate(self.up(half), scale_factor=2)))
        return amplitude**2 / amplitude.square().sum(dim=(-2, -1), keepdim=True)


class _Residual(nn.Module):
    """Two convolutions, added to what they are of; nothing to begin with."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.second(F.silu(self.first(F.silu(self.norm(x)))))
        return x + changed


def _taper(shape: torch.Size, like: Tensor) -> Tensor:
    """Return weights that fall to zero at the border, (h, w)."""
    lines = []
    for side in shape:
        place = torch.arange(side, device=like.device)
        inside = torch.minimum(place, side - 1 - place).clamp(max=_TAPER) / _TAPER
        lines.append(0.5 - 0.5 * torch.cos(math.pi * inside))
    return lines[0][:, None] * lines[1]
