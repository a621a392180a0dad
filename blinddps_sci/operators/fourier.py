"""Phase retrieval: magnitudes of an oversampled Fourier transform, without the phases."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from blinddps_sci.errors import ConfigError
from blinddps_sci.operators.linear import Linear

__all__ = ["FourierMagnitude"]


@dataclass(frozen=True)
class FourierMagnitude:
    """Far-field diffraction of an isolated object: the modulus of its Fourier transform.

    Parameters
    ----------
    oversampling : float
        Side of the transform over that of the image, at least 1; beyond the image there is nothing.
        From 2 on the magnitudes hold the whole autocorrelation.

    Raises
    ------
    ConfigError
        If the oversampling is below 1.

    Notes
    -----
    ``y(q) = |sum_p x(p) exp(-2 pi i p q / M)| / M`` on M x M frequencies, zero first. An image
    and the same turned by 180 degrees have the same magnitudes; so has one moved within the zeros.
    """

    oversampling: float = 2.0

    def __post_init__(self) -> None:
        if not self.oversampling >= 1:
            raise ConfigError(f"oversampling {self.oversampling!r}: give a number of at least 1")

    @property
    def inputs(self) -> tuple[str, ...]:
        """``("image",)``."""
        return ("image",)

    def size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return the number of frequencies along each axis for an image of a shape (..., H, W)."""
        height, width = (round(self.oversampling * side) for side in shape[-2:])
        return height, width

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """Predict the magnitudes.

        Parameters
        ----------
        unknowns : mapping
            ``image`` (B, C, H, W).

        Returns
        -------
        Tensor, (B, C, oversampling * H, oversampling * W), non-negative
        """
        return self._spectrum(unknowns["image"]).abs()

    def linearise(self, values: Mapping[str, Tensor]) -> Linear:
        """Return the linearisation ``Re(exp(-i phase) F dx)``: a magnitude moves along its own phase."""
        image = values["image"]
        spectrum = self._spectrum(image)
        phase = torch.sgn(spectrum)

        def apply(changes: Mapping[str, Tensor]) -> Tensor:
            moved: Tensor = (phase.conj() * self._spectrum(changes["image"])).real
            return moved

        def adjoint(residual: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
            back = torch.fft.ifft2(phase * residual, norm="ortho").real
            return dict.fromkeys(wanted, back[..., : image.shape[-2], : image.shape[-1]])

        return Linear(spectrum.abs(), apply, adjoint)

    def _spectrum(self, image: Tensor) -> Tensor:
        spectrum: Tensor = torch.fft.fft2(image, s=self.size(image.shape), norm="ortho")
        return spectrum
