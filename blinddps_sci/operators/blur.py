"""Blur by point-spread functions: one over the field, or a grid of them with windows.

The image is known on a canvas that extends by a margin beyond the data, so no border is
made up; the kernels' gauge (sum one, centroid zero) belongs to the unknown's map, not here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.operators.convolve import convolve, fast_length
from blinddps_sci.operators.linear import Linear
from blinddps_sci.operators.patches import cut, paste

__all__ = ["Blur", "FieldBlur", "NodeWindow"]

_INPUTS = ("image", "kernel")


@dataclass(frozen=True)
class Blur:
    """Convolution with one kernel per item, the same over the whole field.

    Parameters
    ----------
    margin : int
        Pixels by which the image's canvas exceeds the data on each side; at least K // 2.

    Notes
    -----
    ``y(p) = sum_q k(q) x(p - (q - K // 2))``; see `convolve`.
    """

    margin: int

    @property
    def inputs(self) -> tuple[str, ...]:
        """``("image", "kernel")``."""
        return _INPUTS

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """Predict the blurred image.

        Parameters
        ----------
        unknowns : mapping
            ``image`` (B, C, H, W) in the data's unit and ``kernel`` (B, 1, K, K), or
            (B, C, K, K) for a kernel of each channel.

        Returns
        -------
        Tensor, (B, C, H - 2 * margin, W - 2 * margin)

        Raises
        ------
        ConfigError, InputError
            As `convolve`.
        """
        return convolve(unknowns["image"], unknowns["kernel"], self.margin)


@dataclass(frozen=True, eq=False)
class NodeWindow:
    """Where the kernel of one node acts, and how much: ``w(p) = wy(p_y) wx(p_x)``.

    Parameters
    ----------
    y0, x0 : int
        First pixel of the window's support, counted from the data's first pixel.
    wy, wx : ndarray, (h,) and (w,), real
        The window's factors over its support; zero elsewhere.
    """

    y0: int
    x0: int
    wy: NDArray[np.floating]
    wx: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class FieldBlur:
    """Convolution with kernels that vary over the field.

    Parameters
    ----------
    windows : sequence of NodeWindow, length N
        One per kernel. Where they sum to one, a flat image stays flat.
    margin : int
        Pixels by which the image's canvas exceeds the data on each side; at least K // 2.

    Raises
    ------
    ConfigError
        If no window is given.

    Notes
    -----
    ``y(p) = sum_n w_n(p) (k_n * x)(p)``. Each term is evaluated on its window's support plus
    half of the kernel only; supports that need FFTs of one length go through one batched FFT.

    References
    ----------
    J. G. Nagy, D. P. O'Leary, "Restoring images degraded by spatially variant blur", SIAM J. Sci.
    Comput. 19, 1063 (1998), doi:10.1137/S106482759528507X, who interpolate between kernels so.
    """

    windows: Sequence[NodeWindow]
    margin: int

    def __post_init__(self) -> None:
        if not self.windows:
            raise ConfigError("no window was given; a field has at least one node")

    @property
    def inputs(self) -> tuple[str, ...]:
        """``("image", "kernel")``."""
        return _INPUTS

    def forward(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        """Predict the blurred image.

        Parameters
        ----------
        unknowns : mapping
            ``image`` (B, C, H, W) in the data's unit and ``kernel`` (B, N, K, L), one kernel per
            window, the same for all channels.

        Returns
        -------
        Tensor, (B, C, H - 2 * margin, W - 2 * margin)

        Raises
        ------
        ConfigError
            If the margin is smaller than half of the kernel or leaves no pixel.
        InputError
            If there is not one kernel per window, or a window lies outside the data.
        """
        image, kernel = unknowns["image"], unknowns["kernel"]
        shape = self._data_shape(image, kernel)
        reach = max(kernel.shape[-2:]) // 2
        kernels = kernel.unbind(dim=1)
        offset = self.margin - reach
        total = image.new_zeros(())
        for nodes, size in _by_length(self.windows, reach):
            windows = [self.windows[n] for n in nodes]
            corners = [(window.y0, window.x0) for window in windows]
            scene = cut(image, [(y + offset, x + offset) for y, x in corners], size)
            local = torch.stack([kernels[n] for n in nodes]).unsqueeze(2)
            blurred = convolve(scene.flatten(0, 1), local.flatten(0, 1), reach)
            blurred = blurred.reshape(*scene.shape[:3], *blurred.shape[-2:])
            total = total + paste(_weigh(blurred, windows), corners, shape)
        return total

    def linearise(self, values: Mapping[str, Tensor]) -> Linear:
        """Return the linearisation, which transforms image and kernels only once.

        ``dy = sum_n w_n (k_n * dx + dk_n * x)``; see `forward` for the values and the errors.
        """
        image, kernel = values["image"], values["kernel"]
        shape = self._data_shape(image, kernel)
        reach = max(kernel.shape[-2:]) // 2
        groups = [
            _SpectralGroup(self.windows, nodes, size, image, kernel, self.margin - reach)
            for nodes, size in _by_length(self.windows, reach)
        ]
        value = sum((g.place(g.scene * g.kernels, shape) for g in groups), image.new_zeros(()))

        def apply(changes: Mapping[str, Tensor]) -> Tensor:
            total = image.new_zeros(())
            for group in groups:
                spectrum = torch.zeros((), device=image.device)
                if "image" in changes:
                    spectrum = spectrum + group.seen(changes["image"]) * group.kernels
                if "kernel" in changes:
                    spectrum = spectrum + group.scene * group.transformed(changes["kernel"])
                total = total + group.place(spectrum, shape)
            return total

        def adjoint(residual: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
            found = {name: torch.zeros_like(values[name]) for name in wanted}
            for group in groups:
                spectrum = group.spread(residual)
                if "image" in wanted:
                    found["image"] += group.returned(spectrum * group.kernels.conj(), image.shape[-2:])
                if "kernel" in wanted:
                    part = group.kernel_part(spectrum * group.scene.conj(), kernel.shape[-2:])
                    found["kernel"][:, group.nodes] = part
            return found

        return Linear(value, apply, adjoint)

    def _data_shape(self, image: Tensor, kernel: Tensor) -> tuple[int, int]:
        if image.ndim != 4 or kernel.ndim != 4 or kernel.shape[:2] != (len(image), len(self.windows)):
            raise InputError(
                f"image of shape {tuple(image.shape)} and kernel of shape {tuple(kernel.shape)}: "
                f"give (B, C, H, W) and (B, {len(self.windows)}, K, K), one kernel per window"
            )
        reach = max(kernel.shape[-2:]) // 2
        height, width = image.shape[-2] - 2 * self.margin, image.shape[-1] - 2 * self.margin
        if self.margin < reach or min(height, width) < 1:
            raise ConfigError(
                f"margin {self.margin} with a kernel of {tuple(kernel.shape[-2:])} on a canvas of "
                f"{tuple(image.shape[-2:])} pixels: give at least {reach} (half of the kernel) "
                "and a canvas that is larger than twice the margin"
            )
        for n, window in enumerate(self.windows):
            bottom, right = window.y0 + len(window.wy), window.x0 + len(window.wx)
            if min(window.y0, window.x0) < 0 or bottom > height or right > width:
                raise InputError(
                    f"window {n} covers rows {window.y0} to {bottom} and columns {window.x0} to {right} "
                    f"of data with {height} x {width} pixels; crop it to the data"
                )
        return height, width


class _SpectralGroup:
    """The nodes of a field whose FFTs have one length: spectra of their scenes and kernels.

    All arrays are (G, B, C, h, w) for G nodes; kernels have one channel.
    """

    def __init__(
        self,
        windows: Sequence[NodeWindow],
        nodes: list[int],
        size: tuple[int, int],
        image: Tensor,
        kernel: Tensor,
        offset: int,
    ) -> None:
        self.nodes, self.size = nodes, size
        self.reach = max(kernel.shape[-2:]) // 2
        own = [windows[n] for n in nodes]
        self.corners = [(window.y0, window.x0) for window in own]
        self.cuts = [(y + offset, x + offset) for y, x in self.corners]
        self.start = tuple(self.reach + side // 2 for side in kernel.shape[-2:])
        inner = tuple(length - 2 * self.reach for length in size)
        self.inner = (inner[0], inner[1])
        self.weights = _weigh(image.new_ones((len(nodes), 1, 1, *self.inner)), own)
        self.scene = self.seen(image)
        self.kernels = self.transformed(kernel)

    def seen(self, image: Tensor) -> Tensor:
        """Return the spectra of what each node sees of an image (B, C, H, W)."""
        spectrum: Tensor = torch.fft.rfft2(cut(image, self.cuts, self.size))
        return spectrum

    def transformed(self, kernel: Tensor) -> Tensor:
        """Return the spectra of this group's kernels of (B, N, K, L)."""
        own = kernel[:, self.nodes].transpose(0, 1).unsqueeze(2)
        spectrum: Tensor = torch.fft.rfft2(own, s=self.size)
        return spectrum

    def place(self, spectrum: Tensor, shape: tuple[int, int]) -> Tensor:
        """Return the weighted boxes of a spectrum, added up on the data (B, C, *shape)."""
        full = torch.fft.irfft2(spectrum, s=self.size)
        (y, x), (h, w) = self.start, self.inner
        return paste(full[..., y : y + h, x : x + w] * self.weights, self.corners, shape)

    def spread(self, residual: Tensor) -> Tensor:
        """Return the spectra of a residual on the data, weighted: the adjoint of `place`."""
        boxes = cut(residual, self.corners, self.inner) * self.weights
        (y, x), (h, w) = self.start, self.inner
        spectrum: Tensor = torch.fft.rfft2(pad(boxes, (x, self.size[1] - x - w, y, self.size[0] - y - h)))
        return spectrum

    def returned(self, spectrum: Tensor, shape: torch.Size) -> Tensor:
        """Return spectra to the canvas: the adjoint of `seen`."""
        return paste(torch.fft.irfft2(spectrum, s=self.size), self.cuts, (shape[0], shape[1]))

    def kernel_part(self, spectrum: Tensor, shape: torch.Size) -> Tensor:
        """Return spectra, summed over channels, to kernels (B, G, K, L): the adjoint of `transformed`."""
        full: Tensor = torch.fft.irfft2(spectrum.sum(dim=2), s=self.size)
        return full[..., : shape[0], : shape[1]].transpose(0, 1)


def _by_length(windows: Sequence[NodeWindow], reach: int) -> Iterator[tuple[list[int], tuple[int, int]]]:
    """Yield the nodes whose supports, with half of a kernel around, need FFTs of one size."""
    groups: dict[tuple[int, int], list[int]] = {}
    for n, window in enumerate(windows):
        size = (fast_length(len(window.wy) + 2 * reach), fast_length(len(window.wx) + 2 * reach))
        groups.setdefault(size, []).append(n)
    for size, nodes in groups.items():
        yield nodes, size


def _weigh(blurred: Tensor, windows: Sequence[NodeWindow]) -> Tensor:
    """Multiply (G, B, C, h, w) by the windows, which are zero beyond their support."""
    rows = np.zeros((len(windows), blurred.shape[-2]))
    columns = np.zeros((len(windows), blurred.shape[-1]))
    for row, column, window in zip(rows, columns, windows, strict=True):
        row[: len(window.wy)] = window.wy
        column[: len(window.wx)] = window.wx
    wy = torch.from_numpy(rows).to(blurred)[:, None, None, :, None]
    wx = torch.from_numpy(columns).to(blurred)[:, None, None, None, :]
    return blurred * wy * wx
