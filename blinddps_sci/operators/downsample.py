"""A coarser grid of pixels: super-resolution, and the binning of a detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from blinddps_sci.errors import ConfigError

__all__ = ["Downsample"]

Kind = Literal["bicubic", "area"]


@dataclass(frozen=True)
class Downsample:
    """Fewer, larger pixels: each is a weighted mean of those it covers, and of some about them.

    Parameters
    ----------
    factor : int
        Pixels of the image along each side of a pixel of the data.
    margin : int
        Pixels by which the image's canvas exceeds the data's field on each side; at least `reach`.
    kind : 'bicubic' or 'area'
        Cubic convolution widened by the factor, which is the usual problem of super-resolution, or the
        mean of factor x factor pixels, which is what a detector bins.

    Raises
    ------
    ConfigError
        If the factor is below one, the margin smaller than the reach, or the kind has another name.

    Notes
    -----
    ``y(i) = sum_p h(p - c_i) x(p)`` with ``c_i = factor i + (factor - 1) / 2`` along each axis and
    weights that sum to one.

    References
    ----------
    R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29, 1153
    (1981), doi:10.1109/TASSP.1981.1163711, with a = -1/2.
    """

    factor: int
    margin: int = 0
    kind: Kind = "bicubic"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"kind {self.kind!r}: give one of {', '.join(get_args(Kind))}")
        if self.factor < 1 or self.margin < self.reach:
            raise ConfigError(
                f"factor {self.factor} with margin {self.margin}: give a factor of at least 1 "
                f"and a margin of at least {self.reach}, which the weights reach"
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """``("image",)``."""
        return ("image",)

    @property
    def reach(self) -> int:
        """Pixels of the image, beyond those that a pixel of the data covers, that take part."""
        return 0 if self.kind == "area" else 3 * self.factor // 2

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """Predict the coarse image.

        Parameters
        ----------
        unknowns : mapping
            ``image`` (B, C, H, W) in the data's unit.

        Returns
        -------
        Tensor, (B, C, (H - 2 * margin) // factor, (W - 2 * margin) // factor)

        Raises
        ------
        ConfigError
            If no pixel is left, or the field is not a whole number of the data's pixels.
        """
        image = unknowns["image"]
        rows, columns = (self._weights(side).to(image) for side in image.shape[-2:])
        return rows @ image @ columns.T

    def _weights(self, side: int) -> Tensor:
        """Return what each of ``side`` pixels says to each of the data's, (n, side), float64."""
        count, rest = divmod(side - 2 * self.margin, self.factor)
        if rest or count < 1:
            raise ConfigError(
                f"a canvas of {side} pixels less twice the margin {self.margin} is not a multiple of the "
                f"factor {self.factor}: give {max(count, 1) * self.factor + 2 * self.margin} for instance"
            )
        centre = self.margin + self.factor * torch.arange(count) + (self.factor - 1) / 2
        distance = (torch.arange(side) - centre[:, None].double()).abs() / self.factor
        weights = (distance < 0.5).double() if self.kind == "area" else _keys(distance)
        return weights / weights.sum(dim=1, keepdim=True)


def _keys(t: Tensor) -> Tensor:
    """Return the weight of cubic convolution at a distance ``t`` of whole samples."""
    near = (1.5 * t - 2.5) * t**2 + 1
    far = ((2.5 - 0.5 * t) * t - 4) * t + 2
    return torch.where(t < 1, near, torch.where(t < 2, far, 0.0))
