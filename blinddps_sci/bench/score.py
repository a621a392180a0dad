"""How close a restoration is to the truth: the same numbers for every method."""

from __future__ import annotations

import numpy as np

from blinddps_sci.errors import InputError
from blinddps_sci.metrics import align, gaussian_coverage, kernel_width, mnc, ssim, z_scores
from blinddps_sci.metrics.image import psnr_from_mse
from blinddps_sci.metrics.kernel import otf_error

__all__ = ["score_image", "score_kernel", "score_std"]

_BORDER = 12
_MAX_SHIFT = 4


def _inside(image: np.ndarray) -> np.ndarray:
    return image[_BORDER:-_BORDER, _BORDER:-_BORDER]


def score_image(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return ``psnr`` (dB) and ``ssim`` of an image.

    Parameters
    ----------
    image, truth : ndarray, (N, N)
        On the scale of [0, 1], to which the image is clipped.

    Raises
    ------
    InputError
        If the image has values that are not finite.

    Notes
    -----
    A border of 12 pixels is left out, and the best shift of at most 4 pixels, with its fraction, is
    taken out: image and kernel of a blind method may have moved against each other.
    """
    found = align(np.clip(_inside(image), 0, 1), _inside(truth), _MAX_SHIFT)
    return {"psnr": float(psnr_from_mse(found.mse, 1.0)), "ssim": ssim(found.estimate, found.truth, 1.0)}


def score_kernel(kernel: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return ``mnc``, ``width_error`` (rms width, relative) and ``otf_error`` of a kernel.

    Parameters
    ----------
    kernel, truth : ndarray, (K, K)
        Negative values of the estimate are cut off.

    Raises
    ------
    InputError
        If a kernel is not one.
    """
    kernel = np.clip(kernel, 0, None)
    return {
        "mnc": mnc(kernel, truth),
        "width_error": kernel_width(kernel) / kernel_width(truth) - 1,
        "otf_error": otf_error(kernel, truth),
    }


def score_std(image: np.ndarray, std: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return what the stated uncertainty is worth.

    Parameters
    ----------
    image, std, truth : ndarray, (N, N)
        Restored image, its stated standard deviation, and the truth. The image is not clipped here.

    Returns
    -------
    dict
        ``std_correlation``, of the standard deviation with the absolute error (Pearson), and
        ``coverage``, the share of pixels whose 68 % interval holds the truth.

    Raises
    ------
    InputError
        If no standard deviation is positive and finite.
    """
    # The truth is moved and not the mean: interpolation would average the errors of neighbours.
    found = align(_inside(truth), _inside(image), _MAX_SHIFT)
    mean, true = found.truth, found.estimate
    margin = (len(_inside(std)) - len(mean)) // 2
    spread = _inside(std)[margin : margin + len(mean), margin : margin + len(mean)].astype(np.float64)
    bad = ~(np.isfinite(spread) & (spread > 0))
    if bad.all():
        raise InputError("no standard deviation is positive; draw at least two samples")
    z = z_scores(mean, np.where(bad, 1.0, spread), true, mask=bad)
    used, wrong = spread[~bad], np.abs(mean - true)[~bad]
    correlation = np.corrcoef(used, wrong)[0, 1] if used.std() > 0 and wrong.std() > 0 else 0.0
    return {"std_correlation": float(correlation), "coverage": gaussian_coverage(z)}
