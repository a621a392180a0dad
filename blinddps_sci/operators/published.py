"""The forward models of the released BlindDPS code, kept to compare with its results.

Cross-correlation instead of convolution, zeros beyond the border, an even kernel that shifts
the image: use them for parity with the published numbers only, and `Blur` for anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from blinddps_sci.operators.convolve import convolve

__all__ = ["PublishedBlur", "PublishedTurbulence"]


@dataclass(frozen=True)
class PublishedBlur:
    """Cross-correlation with zero padding, as ``conv2d(..., padding="same")`` does it.

    Notes
    -----
    ``y(p) = sum_q k(q) x(p + q - (K - 1) // 2)`` with x = 0 beyond the border. This is the true
    convolution with the flipped kernel and so goes through the same FFT, which for 64 x 64
    kernels takes a hundredth of the time of the direct sum.

    References
    ----------
    H. Chung, J. Kim, S. Kim, J. C. Ye, "Parallel diffusion models of operator and image for blind
    inverse problems", CVPR 2023, arXiv:2211.10656; the released code differs from the paper.
    """

    @property
    def inputs(self) -> tuple[str, ...]:
        """``("img", "kernel")``, the published names."""
        return ("img", "kernel")

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """Predict the blurred image.

        Parameters
        ----------
        unknowns : mapping
            ``img`` (B, C, H, W) on [-1, 1] and ``kernel`` (B, 1, K, K), sum one.

        Returns
        -------
        Tensor, (B, C, H, W)

        Raises
        ------
        InputError
            If the shapes do not go together.
        """
        return _correlate_same(unknowns["img"], unknowns["kernel"])


@dataclass(frozen=True)
class PublishedTurbulence:
    """A warp by a field of displacements, then `PublishedBlur`.

    Notes
    -----
    Backward warp, ``x'(p) = x(p + tilt(p))``, bilinear, zero beyond the border.

    References
    ----------
    As `PublishedBlur`, supplement E.2.
    """

    @property
    def inputs(self) -> tuple[str, ...]:
        """``("img", "kernel", "tilt")``, the published names."""
        return ("img", "kernel", "tilt")

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """Predict the warped and blurred image.

        Parameters
        ----------
        unknowns : mapping
            ``img`` (B, C, H, W) on [-1, 1], ``kernel`` (B, 1, K, K), sum one, and ``tilt``
            (B, 2, H, W) in pixels, channel 0 along x, channel 1 along y.

        Returns
        -------
        Tensor, (B, C, H, W)

        Raises
        ------
        InputError
            If the shapes do not go together.
        """
        return _correlate_same(_warp(unknowns["img"], unknowns["tilt"]), unknowns["kernel"])


def _correlate_same(image: Tensor, kernel: Tensor) -> Tensor:
    reach = max(kernel.shape[-2:]) // 2
    return convolve(pad(image, (reach, reach, reach, reach)), kernel.flip((-2, -1)), reach)


def _warp(image: Tensor, tilt: Tensor) -> Tensor:
    axes = (
        _normalised(tilt[:, 0], -1),
        _normalised(tilt[:, 1], -2),
    )
    grid = torch.stack(axes, dim=-1)
    return grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def _normalised(displacement: Tensor, axis: int) -> Tensor:
    """Return pixel positions plus displacement (B, H, W) on grid_sample's scale."""
    length = displacement.shape[axis]
    position = torch.arange(length, device=displacement.device, dtype=displacement.dtype)
    position = position if axis == -1 else position[:, None]
    # Counted from one and brought back: the published order of operations, to the last bit.
    shifted = (position + 1) + displacement
    return (shifted - 1 - (length - 1) / 2) * 2 / (length - 1)
