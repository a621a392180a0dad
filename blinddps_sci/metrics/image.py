"""How close an image is to its truth: PSNR and SSIM.

Both have one documented setting each, the one of the literature on image restoration, so that
figures from different runs compare; the shift-aware forms are in `blinddps_sci.metrics.aligned`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from blinddps_sci.errors import InputError
from blinddps_sci.metrics.pair import as_pair, check_data_range

__all__ = ["SSIM_WINDOW", "psnr", "psnr_from_mse", "ssim"]

SSIM_WINDOW = 11
"""Side of the SSIM window in pixels: a Gaussian of sigma 1.5 cut at 3.5 sigma."""


def psnr_from_mse(mse: float, data_range: float) -> float:
    """Turn a mean squared error into a peak signal-to-noise ratio.

    Parameters
    ----------
    mse : float
        Mean squared error, in the data's unit squared.
    data_range : float
        Largest minus smallest value of the data's scale.

    Returns
    -------
    float
        Decibels; infinite for a zero error.

    Raises
    ------
    InputError
        If `data_range` is not positive and finite.
    """
    peak = check_data_range(data_range)
    return float("inf") if mse <= 0 else float(10.0 * np.log10(peak**2 / mse))


def psnr(estimate: ArrayLike, truth: ArrayLike, data_range: float, *, mask: ArrayLike | None = None) -> float:
    """Peak signal-to-noise ratio.

    Parameters
    ----------
    estimate, truth : array_like, real, any shape
        The restored and the true values, in one unit.
    data_range : float
        Largest minus smallest value of the data's scale, in that unit. It is required: a range
        read off the image would change the figure from image to image.
    mask : array_like of bool, the same shape, optional
        True marks an unusable pixel.

    Returns
    -------
    float
        Decibels; infinite where both agree exactly.

    Raises
    ------
    InputError
        If shapes differ, a usable value is not finite, or `data_range` is not positive.

    Notes
    -----
    ``10 log10(data_range^2 / mean((estimate - truth)^2))`` over the usable pixels.
    Equal to `skimage.metrics.peak_signal_noise_ratio` where no mask is given.
    """
    pair = as_pair(estimate, truth, mask)
    error = (pair.estimate - pair.truth)[pair.usable]
    return psnr_from_mse(float(np.mean(error**2)), data_range)


def ssim(
    estimate: ArrayLike,
    truth: ArrayLike,
    data_range: float,
    *,
    mask: ArrayLike | None = None,
    channel_axis: int | None = None,
) -> float:
    """Mean structural similarity, with the settings of its authors.

    Parameters
    ----------
    estimate, truth : array_like, real, (y, x) or with a channel axis
        The restored and the true values, in one unit. At least `SSIM_WINDOW` pixels a side.
    data_range : float
        Largest minus smallest value of the data's scale, in that unit.
    mask : array_like of bool, the same shape, optional
        True marks an unusable pixel. A window that contains one does not count.
    channel_axis : int, optional
        The axis of independent channels; their mean is returned.

    Returns
    -------
    float
        At most 1, which two equal images reach.

    Raises
    ------
    InputError
        If the images are not two-dimensional plus channels, are smaller than the window, hold
        a usable value that is not finite, or leave no window free of masked pixels.

    Notes
    -----
    Gaussian window of sigma 1.5 px, population covariances, ``K1 = 0.01``, ``K2 = 0.03`` and no
    down-sampling; the mean leaves out a border of half a window. Computed by scikit-image.

    References
    ----------
    Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", 2004, doi:10.1109/TIP.2003.819861, equations 13-17.
    """
    from skimage.metrics import structural_similarity  # 0.2 s to import: only who asks pays

    pair = as_pair(estimate, truth, mask)
    dims = pair.truth.ndim
    channels = None if channel_axis is None else channel_axis % max(dims, 1)
    spatial = [axis for axis in range(dims) if axis != channels]
    if len(spatial) != 2 or min(pair.truth.shape[axis] for axis in spatial) < SSIM_WINDOW:
        raise InputError(
            f"SSIM was asked for images of shape {pair.truth.shape} with channel_axis={channel_axis}; "
            f"give (y, x) images of at least {SSIM_WINDOW} pixels a side, or name the channel axis"
        )
    _, local = structural_similarity(
        pair.estimate,
        pair.truth,
        data_range=check_data_range(data_range),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=channels,
        full=True,
    )
    footprint = np.ones([1 if axis == channels else SSIM_WINDOW for axis in range(dims)], bool)
    counted = ~ndimage.binary_dilation(~pair.usable, footprint, border_value=1)
    if not counted.any():
        raise InputError(
            f"no window of {SSIM_WINDOW} x {SSIM_WINDOW} pixels is free of masked pixels; SSIM needs one"
        )
    return float(local[counted].mean())
