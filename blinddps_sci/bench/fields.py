"""Fields for `blinddps bench psf-models`: one image under a space-invariant and a space-variant blur.

The PSFs are those of a telescope with third-order aberrations; between a grid of true PSFs the blur is
interpolated, so that the truth is known at every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import skimage.data

from blinddps_sci.bench.cases import PSF_SIZE
from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate import Pupil, pupil_psf
from blinddps_sci.simulate.blur import blur_field, valid_origin

__all__ = ["IMAGE", "NOISE", "Field", "Optics", "make_fields"]

IMAGE = "camera"
"""Name in `skimage.data` of the sharp image, unless another is asked for."""

NOISE = 0.01
"""Standard deviation of the noise on the scale of [0, 1]."""

_LARGEST = 512
_PUPIL = Pupil(q=2.0)

# Ranges of the aberrations, waves rms; those that grow do so up to here at half a side from the axis.
_ON_AXIS_DEFOCUS = (0.10, 0.15)
_GROWING = (0.06, 0.12)
_DECENTRE = 0.3


@dataclass(frozen=True)
class Optics:
    """A telescope's third-order aberrations, from which its PSF at any place of the field follows.

    Parameters
    ----------
    defocus : float
        On the axis, waves rms.
    curvature, astigmatism, coma : float
        Defocus, astigmatism and coma that are added at a distance of 1 from the axis, waves rms.
    axis : tuple of float
        (y, x) of the optical axis; the field extends from -1 to 1.

    Notes
    -----
    With the field vector ``h`` from the axis, coma grows as ``|h|`` and defocus and astigmatism as
    ``|h|^2``; coma points along ``h`` and astigmatism is aligned with it.

    References
    ----------
    W. T. Welford, "Aberrations of Optical Systems", Adam Hilger 1986.
    """

    defocus: float
    curvature: float
    astigmatism: float
    coma: float
    axis: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Optics:
        """Draw an instrument, its axis near the middle of the field."""
        sign = rng.choice([-1.0, 1.0], 3)
        defocus, *growing = (rng.uniform(*limits) for limits in (_ON_AXIS_DEFOCUS, *[_GROWING] * 3))
        y, x = rng.uniform(-_DECENTRE, _DECENTRE, 2)
        # The curvature adds to the defocus: a field that comes into focus somewhere has no blur there.
        return cls(
            sign[0] * defocus, sign[0] * growing[0], sign[1] * growing[1], sign[2] * growing[2], (y, x)
        )

    def psf(self, y: float, x: float) -> np.ndarray:
        """Return the PSF (K, K), float32, at a place of the field; sum one, centroid on ``K // 2``."""
        y, x = y - self.axis[0], x - self.axis[1]
        zernikes = {
            4: self.defocus + self.curvature * (y * y + x * x),
            5: self.astigmatism * 2 * y * x,
            6: self.astigmatism * (x * x - y * y),
            7: self.coma * y,
            8: self.coma * x,
        }
        return pupil_psf(PSF_SIZE, _PUPIL, zernikes, centred=True)


@dataclass(frozen=True, eq=False)
class Field:
    """An image blurred by a grid of PSFs, with noise and with its truth, on a scale of [0, 1].

    Parameters
    ----------
    name : str
        What kind of blur it is.
    truth, data : ndarray of float32, (N, N)
        The sharp image and what is restored.
    kernels : ndarray of float32, (n, n, K, K)
        True PSFs at the nodes.
    nodes : ndarray of float64, (n,)
        Places of the nodes along either axis, 0-based pixels.
    """

    name: str
    truth: np.ndarray
    data: np.ndarray
    kernels: np.ndarray
    nodes: np.ndarray

    def psf_at(self, y: float, x: float) -> np.ndarray:
        """Return the true PSF (K, K) of a pixel, interpolated between the nodes as the blur was."""
        down, across = (
            np.array([np.interp(place, self.nodes, hat) for hat in np.eye(len(self.nodes))])
            for place in (y, x)
        )
        return np.asarray(np.einsum("m,n,mnij->ij", down, across, self.kernels))


def make_fields(size: int, nodes: int, seed: int, image: str = IMAGE) -> tuple[Field, Field]:
    """Return one image blurred space-invariantly, by the PSF of the field's middle, and space-variantly.

    Parameters
    ----------
    size : int
        Side of the image in pixels, 64 to 512.
    nodes : int
        True PSFs along each axis of the varying field, 2 to 33.
    seed : int
        Of the aberrations and of the noise.
    image : str
        Name in `skimage.data` of an image of at least 512 x 512 pixels.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    """
    if not 64 <= size <= _LARGEST or not 2 <= nodes <= 33 or seed < 0:
        raise ConfigError(
            f"size {size}, nodes {nodes}, seed {seed}: size is 64 to {_LARGEST}, nodes 2 to 33, "
            "seed not negative"
        )
    scene = _scene(image, size)
    rng = np.random.default_rng(seed)
    optics = Optics.draw(rng)
    noise = NOISE * rng.standard_normal((size, size))
    line = np.linspace(-1.0, 1.0, nodes)
    invariant = optics.psf(0.0, 0.0)[None, None]
    variant = np.array([[optics.psf(y, x) for x in line] for y in line])
    return (
        _blurred("space-invariant", scene, invariant, noise),
        _blurred("space-variant", scene, variant, noise),
    )


def _scene(name: str, size: int) -> np.ndarray:
    """Return the middle of a grey image on [0, 1], with what the blur reaches around it."""
    image = np.asarray(getattr(skimage.data, name)(), dtype=np.float32) / 255
    grey = image.mean(axis=-1) if image.ndim == 3 else image
    y, x = ((side - _LARGEST) // 2 for side in grey.shape)
    # An image of that size has nothing around it: there the scene is continued by reflection.
    before, after = valid_origin(PSF_SIZE), PSF_SIZE // 2
    whole = np.pad(grey[y : y + _LARGEST, x : x + _LARGEST], (before, after), mode="reflect")
    first, side = (_LARGEST - size) // 2, size + PSF_SIZE - 1
    return whole[first : first + side, first : first + side]


def _blurred(name: str, scene: np.ndarray, kernels: np.ndarray, noise: np.ndarray) -> Field:
    """Blur a scene by PSFs whose outermost nodes are the data's corners, or by one in the middle."""
    size, count, first = len(noise), len(kernels), valid_origin(PSF_SIZE)
    nodes = np.linspace(0, size - 1, count) if count > 1 else np.array([(size - 1) / 2])
    positions = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1) + first
    data = (blur_field(scene, kernels, positions) + noise).astype(np.float32)
    return Field(name, scene[first : first + size, first : first + size], data, kernels, nodes)
