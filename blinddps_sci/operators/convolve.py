"""True linear convolution of batches by FFT, and its two adjoints.

Everything that blurs in this package goes through here, so that the centre of a kernel
(index ``K // 2`` for odd and even K) and the treatment of borders are decided once.
"""

from __future__ import annotations

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import pad

from blinddps_sci.errors import ConfigError, InputError

__all__ = ["convolve", "convolve_adjoint_image", "convolve_adjoint_kernel", "fast_length"]


def fast_length(length: int) -> int:
    """Return the smallest length, not below the given one, that real FFTs are quick at."""
    return int(next_fast_len(length, real=True))


def convolve(image: Tensor, kernel: Tensor, margin: int) -> Tensor:
    """Convolve an image that extends by a margin beyond what is asked for.

    Parameters
    ----------
    image : Tensor, (B, C, H, W), floating point
        The scene on a canvas larger than the data by ``margin`` pixels on each side.
    kernel : Tensor, (B or 1, C or 1, K, L), the same dtype
        One kernel per item, of one channel or of each. Centre at (K // 2, L // 2).
    margin : int
        Pixels to drop on each side, at least K // 2 and L // 2.

    Returns
    -------
    Tensor, (B, C, H - 2 * margin, W - 2 * margin)
        Exact up to rounding: no pixel that wraps around is kept, and none is made up.

    Raises
    ------
    ConfigError
        If the margin is smaller than half of the kernel or leaves no pixel.
    InputError
        If the shapes do not go together.

    Notes
    -----
    ``y(p) = sum_q k(q) x(p - (q - K // 2))``. The cyclic convolution over the canvas itself,
    padded only to a length that FFTs are quick at, differs from the linear one in rows below
    K - 1 alone, which the margin drops. In float32 the rounding error is about 1e-7 of the
    brightest pixels and is spread over the canvas.
    """
    _check_shapes(image, kernel)
    height, width = _inner_shape(image, kernel.shape[-2:], margin)
    size = _lengths(image)
    product = torch.fft.rfft2(image, s=size) * torch.fft.rfft2(kernel, s=size)
    full: Tensor = torch.fft.irfft2(product, s=size)
    top, left = _corner(kernel.shape[-2:], margin)
    return full[..., top : top + height, left : left + width]


def convolve_adjoint_image(residual: Tensor, kernel: Tensor, margin: int) -> Tensor:
    """Apply the adjoint of ``image -> convolve(image, kernel, margin)``.

    Parameters
    ----------
    residual : Tensor, (B, C, h, w), floating point
        On the data's grid.
    kernel : Tensor, (B or 1, C or 1, K, L)
        As in `convolve`.
    margin : int
        As in `convolve`.

    Returns
    -------
    Tensor, (B, C, h + 2 * margin, w + 2 * margin)
        On the canvas: ``sum_p k(p - r + K // 2) y(p)`` for every canvas pixel r.

    Raises
    ------
    ConfigError, InputError
        As `convolve`.
    """
    _check_shapes(residual, kernel)
    height, width = residual.shape[-2] + 2 * margin, residual.shape[-1] + 2 * margin
    size = (fast_length(height), fast_length(width))
    spread = _spread(residual, kernel.shape[-2:], margin, size)
    product = torch.fft.rfft2(spread) * torch.fft.rfft2(kernel, s=size).conj()
    full: Tensor = torch.fft.irfft2(product, s=size)
    return full[..., :height, :width]


def convolve_adjoint_kernel(
    residual: Tensor, image: Tensor, kernel_shape: tuple[int, int], margin: int
) -> Tensor:
    """Apply the adjoint of ``kernel -> convolve(image, kernel, margin)``.

    Parameters
    ----------
    residual : Tensor, (B, C, H - 2 * margin, W - 2 * margin), floating point
        On the data's grid.
    image : Tensor, (B, C, H, W)
        As in `convolve`.
    kernel_shape : tuple of int
        (K, L).
    margin : int
        As in `convolve`.

    Returns
    -------
    Tensor, (B, C, K, L)
        ``sum_p y(p) x(p - (q - K // 2))`` of every channel; a kernel that all channels share
        has the sum over them.

    Raises
    ------
    ConfigError, InputError
        As `convolve`, or if the residual does not have the shape that the margin leaves.
    """
    inner = _inner_shape(image, kernel_shape, margin)
    if residual.shape != (*image.shape[:-2], *inner):
        raise InputError(
            f"residual of shape {tuple(residual.shape)}: an image {tuple(image.shape)} "
            f"with margin {margin} predicts {(*image.shape[:-2], *inner)}"
        )
    size = _lengths(image)
    spread = _spread(residual, kernel_shape, margin, size)
    product = torch.fft.rfft2(spread) * torch.fft.rfft2(image, s=size).conj()
    full: Tensor = torch.fft.irfft2(product, s=size)
    return full[..., : kernel_shape[0], : kernel_shape[1]]


def _check_shapes(image: Tensor, kernel: Tensor) -> None:
    if image.ndim != 4 or kernel.ndim != 4:
        raise InputError(
            f"image of shape {tuple(image.shape)} and kernel of shape {tuple(kernel.shape)}: "
            "both have four axes, (item, channel, y, x)"
        )
    if any(k not in (1, n) for k, n in zip(kernel.shape[:2], image.shape[:2], strict=True)):
        raise InputError(
            f"{tuple(kernel.shape[:2])} (items, channels) of kernels for {tuple(image.shape[:2])} of images; "
            "give one kernel per item and one or all of its channels"
        )


def _inner_shape(image: Tensor, kernel_shape: tuple[int, ...], margin: int) -> tuple[int, int]:
    """Return the shape that the margin leaves."""
    height, width = image.shape[-2] - 2 * margin, image.shape[-1] - 2 * margin
    reach = max(kernel_shape) // 2
    if margin < reach or min(height, width) < 1:
        largest = (min(image.shape[-2:]) - 1) // 2
        raise ConfigError(
            f"margin {margin} with a kernel of {tuple(kernel_shape)} on a canvas of "
            f"{tuple(image.shape[-2:])} pixels: give at least {reach} (half of the kernel) "
            f"and at most {largest}, or a larger canvas"
        )
    return height, width


def _lengths(image: Tensor) -> tuple[int, int]:
    return fast_length(image.shape[-2]), fast_length(image.shape[-1])


def _corner(kernel_shape: tuple[int, ...], margin: int) -> tuple[int, int]:
    """Return where the first wanted pixel lies in the full convolution."""
    return margin + kernel_shape[0] // 2, margin + kernel_shape[1] // 2


def _spread(residual: Tensor, kernel_shape: tuple[int, ...], margin: int, size: tuple[int, int]) -> Tensor:
    """Put the residual where `convolve` cut its result out, zero elsewhere."""
    top, left = _corner(kernel_shape, margin)
    bottom = size[0] - top - residual.shape[-2]
    right = size[1] - left - residual.shape[-1]
    if min(bottom, right) < 0:
        raise ConfigError(
            f"margin {margin} with a kernel of {tuple(kernel_shape)}: "
            f"give at least {max(kernel_shape) // 2} (half of the kernel)"
        )
    return pad(residual, (left, right, top, bottom))
