"""The image itself, without optics: denoising, and inpainting where pixels are missing.

What was not measured needs no operator: NaN in the data, or the mask of a likelihood, says so for every
operator alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from blinddps_sci.errors import ConfigError

__all__ = ["Direct"]


@dataclass(frozen=True)
class Direct:
    """What the detector sees is the image.

    Parameters
    ----------
    margin : int
        Pixels by which the image's canvas exceeds the data on each side.

    Notes
    -----
    ``y(p) = x(p)``. Inpainting is this operator with data that are NaN in the hole.
    """

    margin: int = 0

    @property
    def inputs(self) -> tuple[str, ...]:
        """``("image",)``."""
        return ("image",)

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """Predict the data: ``image`` (B, C, H, W) without its margin.

        Raises
        ------
        ConfigError
            If the margin is negative or leaves no pixel.
        """
        image, m = unknowns["image"], self.margin
        if m < 0 or min(image.shape[-2:]) <= 2 * m:
            raise ConfigError(
                f"margin {m} on a canvas of {tuple(image.shape[-2:])} pixels: give one that is not "
                "negative and leaves some of them"
            )
        return image[..., m : image.shape[-2] - m, m : image.shape[-1] - m]
