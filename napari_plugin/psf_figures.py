"""Figures of a point-spread function: width, shape, profile and encircled energy. NumPy alone, no Qt.

The layers and the panel take their numbers from here. Everything is in pixels; `Shape.scaled` and the
radii times the size of a pixel are the same in physical units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["THRESHOLD", "Profile", "Shape", "encircled_energy", "half_maximum_width", "profile", "shape_of"]

THRESHOLD = 0.1
"""Share of the peak above which second moments are taken."""

_FINE = 4
_SUBPIXELS = 5


@dataclass(frozen=True)
class Shape:
    """Size and form of a PSF.

    Attributes
    ----------
    fwhm : float
        Full width at half maximum; see `half_maximum_width`.
    ellipticity : float
        ``1 - b / a`` with the rms semi-axes a >= b: 0 is round, 1 a line.
    angle : float
        Of the major axis, degrees in (-90, 90], from +x towards +y: clockwise where y points down, as
        in napari. Meaningless for a round PSF.
    """

    fwhm: float
    ellipticity: float
    angle: float

    def scaled(self, pixel: float) -> Shape:
        """Return the same in units of which a pixel has ``pixel``."""
        return replace(self, fwhm=self.fwhm * pixel)


@dataclass(frozen=True)
class Profile:
    """Means over rings of one pixel around the centre of a PSF.

    Attributes
    ----------
    radius : ndarray, float64, (n,)
        Mean distance of the ring's pixels in pixels.
    mean, spread : ndarray, float64, (n,)
        Mean, and standard deviation within the ring: what is not round.
    std : ndarray, float64, (n,), or None
        Posterior standard deviation: the mean of the pixels', as if their errors were one. That is the
        most it can be.
    """

    radius: NDArray[Any]
    mean: NDArray[Any]
    spread: NDArray[Any]
    std: NDArray[Any] | None


def half_maximum_width(kernels: ArrayLike) -> Any:
    """Full width at half maximum.

    Parameters
    ----------
    kernels : array_like, (..., K, K)
        Non-negative.

    Returns
    -------
    float, or ndarray of float64, (...)
        Diameter in pixels of the circle with the area above half the maximum, the PSF being linear
        between pixels; NaN for a PSF that is not finite or zero.
    """
    import numpy as np

    stack = np.asarray(kernels)
    flat = stack.reshape(-1, *stack.shape[-2:])
    widths = np.array([_half_maximum_width(kernel) for kernel in flat]).reshape(stack.shape[:-2])
    return float(widths) if stack.ndim == 2 else widths


def shape_of(kernel: ArrayLike) -> Shape:
    """Measure width, ellipticity and position angle.

    Parameters
    ----------
    kernel : array_like, (K, K)
        Non-negative.

    Returns
    -------
    Shape
        In pixels; NaN for a PSF that is not finite or zero.

    Notes
    -----
    Moments have the weights ``max(k - t, 0)`` with t a tenth of the peak (`THRESHOLD`): a pedestal
    below t changes them little, where plain moments are ruled by it. Level lines of an elliptical
    PSF are ellipses of one form, so that the threshold does not change ``b / a`` or the angle.
    The isophotal moments of Bertin and Arnouts, A&AS 117, 393 (1996), doi:10.1051/aas:1996164
    (section 9.1.4: ``A``, ``B`` and ``THETA``), with the threshold as the background.
    """
    import numpy as np

    values = np.asarray(kernel, np.float64)
    if not np.isfinite(values).all() or values.max() <= 0:
        return Shape(float("nan"), float("nan"), float("nan"))
    weights, dy, dx = _above_threshold(values)
    yy, xx, yx = ((weights * product).sum() for product in (dy * dy, dx * dx, dy * dx))
    mean, difference = (xx + yy) / 2.0, np.hypot((xx - yy) / 2.0, yx)
    major, minor = mean + difference, max(mean - difference, 0.0)
    ellipticity = 1.0 - np.sqrt(minor / major) if major > 0 else 0.0
    angle = np.degrees(np.arctan2(2.0 * yx, xx - yy)) / 2.0
    return Shape(half_maximum_width(values), float(ellipticity), float(angle))


def profile(kernel: ArrayLike, std: ArrayLike | None = None) -> Profile:
    """Average a PSF over rings around its centre.

    Parameters
    ----------
    kernel : array_like, (K, K)
        Non-negative, finite, not zero.
    std : array_like, (K, K), optional
        Its posterior standard deviation.

    Returns
    -------
    Profile
        As far as rings are whole.
    """
    import numpy as np

    values = np.asarray(kernel, np.float64)
    ring, distance, last = _rings(values)
    count = np.bincount(ring, minlength=last)[:last]
    there = count > 0

    def means(of: Any) -> Any:
        total = np.bincount(ring, np.asarray(of, np.float64).ravel(), last)[:last]
        return total[there] / count[there]

    mean = means(values)
    spread = np.sqrt(np.maximum(means(values**2) - mean**2, 0.0))
    return Profile(means(distance), mean, spread, None if std is None else means(std))


def encircled_energy(kernel: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Share of the light within circles around the centre.

    Parameters
    ----------
    kernel : array_like, (K, K)
        Non-negative, finite, not zero.

    Returns
    -------
    radius, energy : ndarray, float64, (n,)
        Radii in pixels, half a pixel apart from 0 to the corner; shares from 0 to 1. The light of a pixel is
        spread evenly over it.
    """
    import numpy as np

    values = np.asarray(kernel, np.float64)
    fine = np.kron(values, np.ones((_SUBPIXELS, _SUBPIXELS)))
    y, x = _centre(values)
    rows, columns = ((np.arange(size) + 0.5) / _SUBPIXELS - 0.5 for size in fine.shape)
    distance = np.hypot(rows[:, None] - y, columns[None, :] - x).ravel()
    radius = np.arange(0.0, distance.max() + 0.5, 0.5)
    inside = np.bincount(np.searchsorted(radius, distance), fine.ravel(), len(radius))
    return radius, np.cumsum(inside) / fine.sum()


def _half_maximum_width(kernel: NDArray[Any]) -> float:
    import numpy as np

    values = np.pad(np.asarray(kernel, np.float64), 1)
    half = values.max() / 2.0
    if not np.isfinite(values).all() or half <= 0:
        return float("nan")
    rows, columns = np.nonzero(values >= half)
    # Between pixels nothing is higher than the highest of them: what lies further away does not count.
    patch = values[rows.min() - 1 : rows.max() + 2, columns.min() - 1 : columns.max() + 2]
    area = np.count_nonzero(_refined(_refined(patch).T) >= half) / _FINE**2
    return float(2.0 * np.sqrt(area / np.pi))


def _refined(values: NDArray[Any]) -> NDArray[Any]:
    """Interpolate linearly between neighbouring rows."""
    import numpy as np

    share = np.arange(_FINE)[:, None] / _FINE
    between = values[:-1, None] * (1.0 - share) + values[1:, None] * share
    return np.concatenate([between.reshape(-1, values.shape[1]), values[-1:]])


def _above_threshold(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Weights of the moments, sum one, and the distances from their centroid."""
    import numpy as np

    weights = np.maximum(values - THRESHOLD * values.max(), 0.0)
    weights /= weights.sum()
    rows, columns = np.indices(values.shape, np.float64)
    return weights, rows - (weights * rows).sum(), columns - (weights * columns).sum()


def _centre(values: NDArray[Any]) -> tuple[float, float]:
    """Centroid of what lies above the threshold, (y, x)."""
    _, dy, dx = _above_threshold(values)
    return -float(dy[0, 0]), -float(dx[0, 0])


def _rings(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], int]:
    """Ring of every pixel, its distance from the centre, and the number of whole rings."""
    import numpy as np

    y, x = _centre(values)
    rows, columns = np.indices(values.shape, np.float64)
    distance = np.hypot(rows - y, columns - x).ravel()
    height, width = values.shape
    reach = min(y, x, height - 1 - y, width - 1 - x)
    return np.rint(distance).astype(int), distance, max(int(np.floor(reach)) + 1, 1)
