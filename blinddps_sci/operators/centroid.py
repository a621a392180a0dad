"""The kernel's gauge: its centroid lies on the middle of pixel ``K // 2``.

A shift of the kernel and the opposite shift of the image cancel in the data. The kernel's map
to physical units removes this freedom with `recentre`, which lets gradients through. Finished
kernels are moved with `recentre_sharp`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["centroid", "recentre", "recentre_sharp"]


def centroid(kernel: Tensor) -> Tensor:
    """Return the centre of mass relative to (K // 2, L // 2).

    Parameters
    ----------
    kernel : Tensor, (..., K, L), non-negative
        The sum need not be one.

    Returns
    -------
    Tensor, (..., 2)
        (y, x) in pixels; zero for a kernel without mass.
    """
    rows, columns = kernel.sum(dim=-1), kernel.sum(dim=-2)
    total = rows.sum(dim=-1).clamp(min=torch.finfo(kernel.dtype).tiny)
    y, x = ((line * _offsets(line)).sum(dim=-1) / total for line in (rows, columns))
    return torch.stack((y, x), dim=-1)


def recentre(kernel: Tensor) -> Tensor:
    """Shift each kernel so that its centroid lies on (K // 2, L // 2), and normalise it.

    Parameters
    ----------
    kernel : Tensor, (..., K, L), non-negative, floating point
        Each of the planes is shifted on its own. The argument is not changed.

    Returns
    -------
    Tensor, (..., K, L)
        Non-negative, sum one, centroid zero to within 1e-3 pixel as long as the shift moves
        no notable mass off the grid. Differentiable.

    Notes
    -----
    Linear interpolation: of the non-negative shifts by the fraction f it is the one that blurs
    least, by f (1 - f) square pixels, and it moves the centroid by exactly f. Mass that leaves
    the grid moves the centroid again, so the shift is corrected once by the centroid that it
    leaves; the interpolation is always of the kernel that was given, never of its result.
    """
    return _recentred(kernel, _shifted)


def recentre_sharp(kernel: Tensor) -> Tensor:
    """Shift each kernel so that its centroid lies on (K // 2, L // 2) without blurring it.

    Parameters
    ----------
    kernel : Tensor, (..., K, L), floating point
        Each of the planes is shifted on its own. A noisy one may be negative where it is faint.

    Returns
    -------
    Tensor, (..., K, L)
        Sum one; the centroid is that of what is positive. Negative where the kernel was, and where it
        is sampled too coarsely for band-limited interpolation, which rings.
    """
    return _recentred(kernel, _shifted_spectrum)


def _recentred(kernel: Tensor, shifted: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    shift = -centroid(kernel.clamp(min=0))
    moved = shifted(kernel, shift)
    moved = shifted(kernel, shift - centroid(moved.clamp(min=0)))
    total = moved.sum(dim=(-2, -1), keepdim=True)
    return moved / total.clamp(min=torch.finfo(kernel.dtype).tiny)


def _shifted_spectrum(kernel: Tensor, shift: Tensor) -> Tensor:
    """Shift (..., K, L) by (..., 2) pixels by the phases of its spectrum, with zeros beyond the border."""
    rows, columns = kernel.shape[-2:]
    size = 2 * rows, 2 * columns  # so that what leaves on one side does not enter on the other
    wave_y = torch.fft.fftfreq(size[0], device=kernel.device, dtype=kernel.dtype)[:, None]
    wave_x = torch.fft.rfftfreq(size[1], device=kernel.device, dtype=kernel.dtype)
    y, x = shift[..., 0, None, None], shift[..., 1, None, None]
    phase = torch.exp(-2j * torch.pi * (wave_y * y + wave_x * x))
    moved: Tensor = torch.fft.irfft2(torch.fft.rfft2(kernel, s=size) * phase, s=size)
    return moved[..., :rows, :columns]


def _offsets(line: Tensor) -> Tensor:
    length = line.shape[-1]
    return torch.arange(length, device=line.device, dtype=line.dtype) - length // 2


def _shifted(kernel: Tensor, shift: Tensor) -> Tensor:
    """Shift (..., K, L) by (..., 2) pixels with zeros beyond the border."""
    rows = _shift_matrix(shift[..., 0], kernel.shape[-2])
    columns = _shift_matrix(shift[..., 1], kernel.shape[-1])
    return rows @ kernel @ columns.transpose(-2, -1)


def _shift_matrix(shift: Tensor, length: int) -> Tensor:
    """Return the matrices (..., length, length) of linear shifts (...)."""
    whole = shift.detach().floor()
    # Two taps instead of a hat function: their derivative is also right at whole shifts.
    fraction = (shift - whole)[..., None, None]
    index = torch.arange(length, device=shift.device, dtype=shift.dtype)
    distance = (index[:, None] - index[None, :]) - whole[..., None, None]
    return (1 - fraction) * (distance == 0) + fraction * (distance == 1)
