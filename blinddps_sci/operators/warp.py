"""Warping an image by a displacement field, and its two adjoints.

Turbulence moves what the telescope sees before blurring it: ``x'(p) = x(p + d(p))``. The image is
interpolated by cubic convolution, the field from a coarse grid of nodes by cubic splines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from blinddps_sci.errors import ConfigError, InputError

__all__ = ["TiltGrid", "Warp"]


@dataclass(frozen=True, eq=False)
class TiltGrid:
    """Interpolation of a field from nodes to the pixels of a box: smooth, exact at the nodes.

    Parameters
    ----------
    node_y, node_x : sequence of float
        Nodes along each axis, in pixels of the box, rising.
    shape : (int, int)
        Height and width of the box.

    Raises
    ------
    ConfigError
        If nodes are not rising or there are none.

    Notes
    -----
    Cubic splines with natural ends along each axis; beyond the outermost nodes the field goes on with the
    value that it has there.
    """

    node_y: Sequence[float]
    node_x: Sequence[float]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        axes = ((self.node_y, self.shape[0], "rows"), (self.node_x, self.shape[1], "columns"))
        for nodes, length, name in axes:
            if len(nodes) == 0 or (np.diff(nodes) <= 0).any():
                raise ConfigError(f"nodes {list(nodes)}: give at least one position, rising")
            weights = _spline_weights(np.asarray(nodes, dtype=np.float64), length)
            object.__setattr__(self, f"_{name}", torch.from_numpy(weights))

    @property
    def grid(self) -> tuple[int, int]:
        """Number of nodes along y and along x."""
        return len(self.node_y), len(self.node_x)

    def apply(self, nodes: Tensor) -> Tensor:
        """Return the field (..., H, W) of its values at the nodes (..., n_y, n_x)."""
        return self._of("_rows", nodes) @ nodes @ self._of("_columns", nodes).T

    def adjoint(self, field: Tensor) -> Tensor:
        """Apply the adjoint of `apply`: (..., H, W) to (..., n_y, n_x)."""
        return self._of("_rows", field).T @ field @ self._of("_columns", field)

    def _of(self, name: str, like: Tensor) -> Tensor:
        weights: Tensor = getattr(self, name)
        return weights.to(like)


def _spline_weights(nodes: np.ndarray, length: int) -> np.ndarray:
    """Return what each node says to each of ``length`` pixels, (length, n)."""
    if len(nodes) == 1:
        return np.ones((length, 1))
    pixels = np.arange(length).clip(nodes[0], nodes[-1])
    weights: np.ndarray = CubicSpline(nodes, np.eye(len(nodes)), bc_type="natural")(pixels)
    return weights


class Warp:
    """Warp of one image by F displacement fields, ``x_f(p) = x(p + d_f(p))``: linear in the image.

    Parameters
    ----------
    displacement : Tensor, (B, F, 2, h, w), floating point
        (dy, dx) in pixels at every pixel of the results.
    reach : int
        Pixels by which images extend beyond the results on each side; displacements of more than
        ``reach - 2`` see the pixels at the border.

    References
    ----------
    R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29, 1153
    (1981), doi:10.1109/TASSP.1981.1163711.
    """

    def __init__(self, displacement: Tensor, reach: int) -> None:
        batch, _, _, height, width = displacement.shape
        self.shape = (batch, 1, height + 2 * reach, width + 2 * reach)
        own = [torch.arange(n, device=displacement.device) + reach for n in (height, width)]
        y = (own[0][:, None] + displacement[:, :, 0]).clamp(1, self.shape[2] - 2.001)
        x = (own[1] + displacement[:, :, 1]).clamp(1, self.shape[3] - 2.001)
        top, left = y.detach().floor(), x.detach().floor()
        self._fraction = (y - top, x - left)
        self._weights = tuple(map(_cubic, self._fraction))
        corner = (top.long() - 1) * self.shape[3] + (left.long() - 1)
        item = torch.arange(batch, device=corner.device) * (self.shape[2] * self.shape[3])
        self._corner = (corner + item[:, None, None, None]).flatten()

    def apply(self, image: Tensor) -> Tensor:
        """Return the warped images (B, F, h, w) of images (B, 1, h + 2 * reach, w + 2 * reach).

        Raises
        ------
        InputError
            If the images are not as large.
        """
        return self._gathered(image, *self._weights)

    def gradient(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the derivatives of `apply` by dy and by dx, each (B, F, h, w)."""
        (wy, wx), (slope_y, slope_x) = self._weights, map(_cubic_slope, self._fraction)
        return self._gathered(image, slope_y, wx), self._gathered(image, wy, slope_x)

    def adjoint(self, fields: Tensor) -> Tensor:
        """Apply the adjoint of `apply`: (B, F, h, w) to (B, 1, h + 2 * reach, w + 2 * reach)."""
        flat = fields.new_zeros(math.prod(self.shape))
        wy, wx = self._weights
        for i, across in enumerate(wy):
            row = across * fields
            for j, along in enumerate(wx):
                self._at(flat, i, j).scatter_add_(0, self._corner, (along * row).flatten())
        return flat.reshape(self.shape)

    def _gathered(self, image: Tensor, wy: Sequence[Tensor], wx: Sequence[Tensor]) -> Tensor:
        if image.shape != self.shape:
            raise InputError(f"image of shape {tuple(image.shape)} for a warp of {self.shape}")
        flat, shape = image.flatten(), wy[0].shape
        total = flat.new_zeros(())
        for i, across in enumerate(wy):
            row = flat.new_zeros(())
            for j, along in enumerate(wx):
                seen = self._at(flat, i, j).index_select(0, self._corner).reshape(shape)
                row = torch.addcmul(row, along, seen)
            total = torch.addcmul(total, across, row)
        return total

    def _at(self, flat: Tensor, i: int, j: int) -> Tensor:
        """Return flattened images from row i and column j of the first pixel's neighbourhood on.

        There, `_corner` points to row i and column j of every pixel's.
        """
        return flat[i * self.shape[3] + j :]


def _cubic(f: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the weights of four samples for a place ``f`` in [0, 1] between the middle two."""
    return (
        ((1 - 0.5 * f) * f - 0.5) * f,
        (1.5 * f - 2.5) * f**2 + 1,
        ((2 - 1.5 * f) * f + 0.5) * f,
        (0.5 * f - 0.5) * f**2,
    )


def _cubic_slope(f: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the derivatives of `_cubic`."""
    return (
        (2 - 1.5 * f) * f - 0.5,
        (4.5 * f - 5) * f,
        (4 - 4.5 * f) * f + 0.5,
        (1.5 * f - 1) * f,
    )
