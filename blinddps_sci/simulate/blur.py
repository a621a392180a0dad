"""Reference blur in numpy: true convolution on the valid region, also with a varying PSF.

It makes test data without inventing a border, and the operators in torch are tested against it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import oaconvolve

from blinddps_sci.errors import InputError

__all__ = ["blur", "blur_field", "valid_origin"]

Image = npt.NDArray[np.floating[Any]]
Array = npt.NDArray[np.float64]


def valid_origin(size: int) -> int:
    """Scene coordinate of the first pixel of the valid region, ``K - 1 - K // 2``.

    Parameters
    ----------
    size : int
        Side K of the kernel in pixels.

    Returns
    -------
    int
        Pixel (i, j) of a blurred image looks at scene pixel (i + origin, j + origin).
    """
    return size - 1 - size // 2


def blur(scene: npt.ArrayLike, kernel: npt.ArrayLike) -> Image:
    """Convolve a scene with a kernel where no pixel beyond the scene is needed.

    Parameters
    ----------
    scene : array_like, (H, W)
        Flux.
    kernel : array_like, (K, K)
        Centre at ``K // 2``.

    Returns
    -------
    ndarray, (H - K + 1, W - K + 1), float32 (float64 for a float64 scene)
        Pixel (i, j) belongs to scene pixel (i + o, j + o) with o = `valid_origin` (K).

    Raises
    ------
    InputError
        If the kernel is not square or is larger than the scene.

    Notes
    -----
    True convolution, y(p) = sum_q k(q) x(p - (q - K // 2)): the kernel is flipped, and a
    point source becomes a picture of the kernel.
    """
    image, dtype = _scene(scene)
    psf = np.asarray(kernel, dtype=np.float64)
    _check_kernel(psf.shape, image.shape)
    return np.asarray(oaconvolve(image, psf, mode="valid"), dtype=dtype)


def blur_field(scene: npt.ArrayLike, kernels: npt.ArrayLike, positions: npt.ArrayLike) -> Image:
    """Blur with a PSF that varies over the field.

    Parameters
    ----------
    scene : array_like, (H, W)
        Flux.
    kernels : array_like, (ny, nx, K, K)
        PSFs at the nodes, centre at ``K // 2``.
    positions : array_like, (ny, nx, 2)
        (y, x) of the nodes in scene pixels, on a rectangular grid with increasing coordinates.

    Returns
    -------
    ndarray, (H - K + 1, W - K + 1), float32 (float64 for a float64 scene)
        As for `blur`.

    Raises
    ------
    InputError
        If shapes do not fit, or the positions are not an increasing rectangular grid.

    Notes
    -----
    y(p) = sum_n w_n(p) (k_n * x)(p) with bilinear weights w_n, constant beyond the outermost
    nodes; the weights sum to one everywhere, so flux per pixel is kept where the PSFs agree.
    """
    image, dtype = _scene(scene)
    psfs = np.asarray(kernels, dtype=np.float64)
    nodes = np.asarray(positions, dtype=np.float64)
    if psfs.ndim != 4 or nodes.shape != (*psfs.shape[:2], 2):
        msg = f"kernels {psfs.shape} with positions {nodes.shape}: give (ny, nx, K, K) and (ny, nx, 2)"
        raise InputError(msg)
    _check_kernel(psfs.shape[2:], image.shape)
    size = psfs.shape[2]
    first = valid_origin(size)
    shape = tuple(side - size + 1 for side in image.shape)
    rows = _hats(np.arange(shape[0]) + first, _axis(nodes[:, :, 0], "y"))
    columns = _hats(np.arange(shape[1]) + first, _axis(nodes[:, :, 1].T, "x"))
    result = np.zeros(shape)
    for i, j in np.ndindex(psfs.shape[:2]):
        down, across = np.flatnonzero(rows[i]), np.flatnonzero(columns[j])
        if down.size == 0 or across.size == 0:
            continue
        y0, y1, x0, x1 = down[0], down[-1] + 1, across[0], across[-1] + 1
        patch = oaconvolve(image[y0 : y1 + size - 1, x0 : x1 + size - 1], psfs[i, j], mode="valid")
        result[y0:y1, x0:x1] += rows[i, y0:y1, None] * columns[j, None, x0:x1] * patch
    return np.asarray(result, dtype=dtype)


def _scene(scene: npt.ArrayLike) -> tuple[Array, type[np.floating[Any]]]:
    """Scene in float64, and the type in which results are returned."""
    values = np.asarray(scene)
    if values.ndim != 2:
        msg = f"scene of shape {values.shape}: give one image (H, W); blur channels and frames one by one"
        raise InputError(msg)
    return values.astype(np.float64), np.float64 if values.dtype == np.float64 else np.float32


def _check_kernel(kernel: tuple[int, ...], scene: tuple[int, ...]) -> None:
    if len(kernel) != 2 or kernel[0] != kernel[1] or kernel[0] > min(scene):
        msg = f"kernel {kernel} on scene {scene}: a kernel is square, (K, K), and not larger than the scene"
        raise InputError(msg)


def _axis(grid: Array, name: str) -> Array:
    """Coordinates of a rectangular grid along its first axis."""
    line = grid[:, 0]
    if not np.array_equal(grid, np.broadcast_to(line[:, None], grid.shape)) or (np.diff(line) <= 0.0).any():
        msg = f"positions: {name} is not on a rectangular grid with increasing values; sort or resample them"
        raise InputError(msg)
    return line


def _hats(places: npt.NDArray[np.intp], nodes: Array) -> Array:
    """Piecewise linear weights (nodes, places), constant beyond the outermost nodes."""
    return np.stack([np.interp(places, nodes, row) for row in np.eye(nodes.size)])
