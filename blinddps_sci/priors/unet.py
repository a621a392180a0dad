"""The ADM UNet of guided diffusion, at any size.

With the published settings its state dict has exactly the published keys and shapes, so that
public checkpoints load; with a few channels and no attention it is the network this package
trains and ships.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PUBLISHED", "UNet", "UNetConfig"]


@dataclass(frozen=True)
class UNetConfig:
    """Architecture of a `UNet`.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels in and out; networks with a learned variance have twice as many out.
    model_channels : int
        Channels of the stem; must be divisible by ``norm_groups``.
    channel_mult : sequence of int
        Channel multiplier of each resolution level.
    num_res_blocks : int
        Residual blocks per level (one more on the way up).
    attention_downsample : sequence of int
        Downsampling factors (1, 2, 4, ...) at which blocks attend.
    num_head_channels : int
        Channels of one attention head.
    norm_groups : int
        Groups of every GroupNorm; 32 in the published networks.
    resblock_updown : bool
        Resample inside residual blocks (published) or by a convolution.
    middle_attention : bool
        Attention in the bottleneck (always there in the published networks).
    num_classes : int
        Number of labels of a conditional network; 0 for none.
    patch : int
        Side of the squares of pixels that enter and leave as channels: with 2 everything inside runs at
        half the resolution, in a quarter of the time.
    """

    in_channels: int
    out_channels: int
    model_channels: int
    channel_mult: Sequence[int] = (1, 2, 4)
    num_res_blocks: int = 1
    attention_downsample: Sequence[int] = ()
    num_head_channels: int = 32
    norm_groups: int = 32
    resblock_updown: bool = True
    middle_attention: bool = True
    num_classes: int = 0
    patch: int = 1

    @property
    def factor(self) -> int:
        """Sides of the input must be multiples of this."""
        return int(self.patch * 2 ** (len(self.channel_mult) - 1))

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON-able values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


_ADM_256 = {"channel_mult": (1, 1, 2, 2, 4, 4), "attention_downsample": (16,), "num_head_channels": 64}

PUBLISHED: dict[str, UNetConfig] = {
    "image": UNetConfig(3, 6, 128, **_ADM_256),  # type: ignore[arg-type]
    "kernel": UNetConfig(
        1, 2, 64, channel_mult=(1, 2, 3, 4), attention_downsample=(4,), num_head_channels=64
    ),
    "tilt": UNetConfig(2, 4, 64, **_ADM_256),  # type: ignore[arg-type]
    "imagenet": UNetConfig(
        3,
        6,
        256,
        channel_mult=(1, 1, 2, 2, 4, 4),
        num_res_blocks=2,
        attention_downsample=(8, 16, 32),
        num_head_channels=64,
    ),
}
"""Architectures of the published BlindDPS and DPS checkpoints."""


def timestep_embedding(t: Tensor, dim: int) -> Tensor:
    """Return the sinusoidal embedding (B, dim) of ``t`` (B,), cosines first."""
    half = dim // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / half)
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class GroupNorm(nn.GroupNorm):
    """Group normalisation in single precision whatever the activations' type."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (B, C, ...)."""
        return super().forward(x.float()).type(x.dtype)


def _resample(x: Tensor, direction: str) -> Tensor:
    if direction == "up":
        return F.interpolate(x, scale_factor=2.0, mode="nearest")
    return F.avg_pool2d(x, 2)


class ResBlock(nn.Module):
    """Residual block whose second normalisation is scaled and shifted by the embedding."""

    def __init__(self, config: UNetConfig, channels: int, out: int, direction: str | None = None) -> None:
        super().__init__()
        self.direction = direction
        self.in_layers = nn.Sequential(
            GroupNorm(config.norm_groups, channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(4 * config.model_channels, 2 * out))
        last = nn.Conv2d(out, out, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        # The identity holds the place of guided diffusion's dropout: the keys depend on it.
        self.out_layers = nn.Sequential(GroupNorm(config.norm_groups, out), nn.SiLU(), nn.Identity(), last)
        self.skip_connection = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map ``x`` (B, C, H, W) with the embedding ``emb`` (B, E)."""
        norm, act, conv = self.in_layers
        h = act(norm(x))
        if self.direction is not None:
            h, x = _resample(h, self.direction), _resample(x, self.direction)
        h = conv(h)
        scale, shift = self.emb_layers(emb)[:, :, None, None].type(h.dtype).chunk(2, dim=1)
        norm, *rest = self.out_layers
        h = torch.addcmul(shift, norm(h), 1 + scale)
        for layer in rest:
            h = layer(h)
        return self.skip_connection(x) + h  # type: ignore[no-any-return]


class AttentionBlock(nn.Module):
    """Self-attention over all positions, in guided diffusion's legacy channel order."""

    def __init__(self, config: UNetConfig, channels: int) -> None:
        super().__init__()
        self.heads = channels // config.num_head_channels
        self.norm = GroupNorm(config.norm_groups, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map ``x`` (B, C, H, W); the embedding is not used."""
        b, c, h, w = x.shape
        flat = x.reshape(b, c, h * w)
        qkv = self.qkv(self.norm(flat)).reshape(b, self.heads, 3 * c // self.heads, h * w)
        q, k, v = (part.transpose(2, 3) for part in qkv.chunk(3, dim=2))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(b, c, h * w)
        return (flat + self.proj_out(attended)).reshape(b, c, h, w)  # type: ignore[no-any-return]


class Resample(nn.Module):
    """Resampling by a convolution, for networks without ``resblock_updown``."""

    def __init__(self, channels: int, direction: str) -> None:
        super().__init__()
        self.direction = direction
        if direction == "down":
            self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        else:
            self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """Map ``x`` (B, C, H, W) to half or twice the sides."""
        if self.direction == "down":
            return self.op(x)  # type: ignore[no-any-return]
        return self.conv(_resample(x, "up"))  # type: ignore[no-any-return]


class Block(nn.Sequential):
    """Layers applied in turn, each given the embedding where it takes one."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:  # type: ignore[override]
        """Map ``x`` (B, C, H, W)."""
        for layer in self:
            x = layer(x) if isinstance(layer, nn.Conv2d) else layer(x, emb)
        return x


class UNet(nn.Module):
    """The network ``(x, t[, label]) -> output`` of Dhariwal and Nichol.

    Parameters
    ----------
    config : UNetConfig
        The architecture.

    References
    ----------
    P. Dhariwal, A. Nichol, "Diffusion models beat GANs on image synthesis", arXiv:2105.05233.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        base, emb = config.model_channels, 4 * config.model_channels
        self.time_embed = nn.Sequential(nn.Linear(base, emb), nn.SiLU(), nn.Linear(emb, emb))
        if config.num_classes:
            self.label_emb = nn.Embedding(config.num_classes, emb)

        channels = int(config.channel_mult[0]) * base
        stem = nn.Conv2d(config.in_channels * config.patch**2, channels, 3, padding=1)
        self.input_blocks = nn.ModuleList([Block(stem)])
        skips, ds = [channels], 1
        for level, mult in enumerate(config.channel_mult):
            for _ in range(config.num_res_blocks):
                self.input_blocks.append(self._block(channels, mult * base, ds))
                channels = mult * base
                skips.append(channels)
            if level < len(config.channel_mult) - 1:
                self.input_blocks.append(Block(self._resampler(channels, "down")))
                skips.append(channels)
                ds *= 2

        attention = [AttentionBlock(config, channels)] if config.middle_attention else []
        self.middle_block = Block(
            ResBlock(config, channels, channels), *attention, ResBlock(config, channels, channels)
        )

        self.output_blocks = nn.ModuleList()
        for level, mult in reversed(list(enumerate(config.channel_mult))):
            for i in range(config.num_res_blocks + 1):
                block = self._block(channels + skips.pop(), mult * base, ds)
                channels = mult * base
                if level and i == config.num_res_blocks:
                    block.append(self._resampler(channels, "up"))
                    ds //= 2
                self.output_blocks.append(block)
        last = nn.Conv2d(channels, config.out_channels * config.patch**2, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.out = nn.Sequential(GroupNorm(config.norm_groups, channels), nn.SiLU(), last)

    def _block(self, channels: int, out: int, ds: int) -> Block:
        block = Block(ResBlock(self.config, channels, out))
        if ds in self.config.attention_downsample:
            block.append(AttentionBlock(self.config, out))
        return block

    def _resampler(self, channels: int, direction: str) -> nn.Module:
        if self.config.resblock_updown:
            return ResBlock(self.config, channels, channels, direction)
        return Resample(channels, direction)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the network's raw output.

        Parameters
        ----------
        x : Tensor, (B, in_channels, H, W)
            Input, sides multiples of ``config.factor``.
        t : Tensor, (B,)
            Time, as the network was trained (0..999 for the published ones).
        label : Tensor of int64, (B,), optional
            Label of each item, for conditional networks.

        Returns
        -------
        Tensor, (B, out_channels, H, W)
        """
        emb = self.time_embed(timestep_embedding(t, self.config.model_channels))
        if label is not None:
            emb = emb + self.label_emb(label)
        h, skips = F.pixel_unshuffle(x, self.config.patch), []
        for block in self.input_blocks:
            h = block(h, emb)
            skips.append(h)
        h = self.middle_block(h, emb)
        for block in self.output_blocks:
            h = block(torch.cat([h, skips.pop()], dim=1), emb)
        return F.pixel_shuffle(self.out(h), self.config.patch)
