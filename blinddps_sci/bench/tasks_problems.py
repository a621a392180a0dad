"""The inverse problems of `blinddps bench tasks`: each degrades a scene by an operator, known or blind.

A scene is a sharp crop on [0, 1] that extends by the operator's margin beyond the truth, so that nothing
beyond the border is made up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from blinddps_sci.bench.cases import FAMILIES, PSF_SIZE
from blinddps_sci.bench.fields import Optics
from blinddps_sci.likelihoods.base import Likelihood
from blinddps_sci.likelihoods.gaussian import Gaussian
from blinddps_sci.likelihoods.poisson import Poisson
from blinddps_sci.operators.base import Given, Operator
from blinddps_sci.operators.blur import Blur, FieldBlur, NodeWindow
from blinddps_sci.operators.chain import Chain
from blinddps_sci.operators.direct import Direct
from blinddps_sci.operators.downsample import Downsample
from blinddps_sci.operators.fourier import FourierMagnitude
from blinddps_sci.simulate import PRESETS, gaussian, random_kernel, simulate_burst

__all__ = ["POSES", "Pose", "Problem"]

_NOISE = 0.025
"""Standard deviation of Gaussian noise on [0, 1]: the 0.05 on [-1, 1] of the DPS paper."""

_BLIND_NOISE = 0.01
"""The 0.02 on [-1, 1] of the BlindDPS paper."""

_BOX = 0.5
"""Side of the hole over that of the image."""

_MISSING = 0.92
_FACTOR = 4
_REACH = 3 * _FACTOR // 2
_GAUSSIAN_WIDTH = 3.0
_COUNTS = 255
"""Photons of a pixel of brightness one."""

_MARGIN = PSF_SIZE // 2
_NODES = 3
"""True PSFs along each axis of a field."""

_BLIND_FACTOR = 2
_BLIND_REACH = 3 * _BLIND_FACTOR // 2
_SMALL_BLUR = (0.8, 2.0)
"""Standard deviations of the Gaussian kernels of blind super-resolution, pixels of the image."""

_BURST_MARGIN = 40
"""The kernels' side, and as far as tilts reach."""

_BURST_FRAMES = 8
_BURST_STRENGTH = 2.0
"""D / r0."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Data with their truth, and what a method may know.

    Parameters
    ----------
    truth : ndarray of float32, (N, N)
        On [0, 1].
    data : Tensor, (1, 1, h, w)
        As the operator predicts them; NaN where nothing was measured.
    operator : Operator
        From the image on its canvas to the data.
    likelihood : Likelihood
        The noise.
    margin : int
        Pixels by which the canvas exceeds the truth on each side.
    kernel : ndarray of float32, (K, K), optional
        The PSF, where there is one for the whole field. If the operator is blind, it only scores.
    label : str
        Domain of the image.
    """

    truth: np.ndarray
    data: Tensor
    operator: Operator
    likelihood: Likelihood
    margin: int
    kernel: np.ndarray | None = None
    label: str = "generic"

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of the image's canvas."""
        height, width = (side + 2 * self.margin for side in self.truth.shape)
        return height, width


Pose = Callable[[np.ndarray, np.random.Generator], Problem]
"""From a scene (N + 2 * margin, ...) and random numbers to a problem."""


def _posed(
    scene: np.ndarray, operator: Operator, margin: int, rng: np.random.Generator, noise: float = _NOISE
) -> Problem:
    """Return a problem with Gaussian noise."""
    exact = _exact(scene, operator)
    data = exact + noise * torch.from_numpy(rng.standard_normal(exact.shape))
    return Problem(_truth(scene, margin), data.float(), operator, Gaussian(noise), margin)


def _exact(scene: np.ndarray, operator: Operator) -> Tensor:
    """Return the data without noise, (1, 1, h, w), float64."""
    return operator.forward({"image": torch.from_numpy(scene.astype(np.float64))[None, None]})


def _truth(scene: np.ndarray, margin: int) -> np.ndarray:
    height, width = scene.shape
    return np.asarray(scene[margin : height - margin, margin : width - margin], dtype=np.float32)


def _without(problem: Problem, missing: np.ndarray) -> Problem:
    """Return the problem without the data of some pixels (bool, (h, w))."""
    return replace(problem, data=problem.data.masked_fill(torch.from_numpy(missing), torch.nan))


def _box_inpainting(scene: np.ndarray, rng: np.random.Generator) -> Problem:
    """Pose the hole of half the image's side, anywhere but at the border."""
    side = len(scene)
    hole, border = round(_BOX * side), side // 16
    y, x = (int(rng.integers(border, side - hole - border + 1)) for _ in range(2))
    missing = np.zeros(scene.shape, dtype=bool)
    missing[y : y + hole, x : x + hole] = True
    return _without(_posed(scene, Direct(), 0, rng), missing)


def _random_inpainting(scene: np.ndarray, rng: np.random.Generator) -> Problem:
    return _without(_posed(scene, Direct(), 0, rng), rng.random(scene.shape) < _MISSING)


def _super_resolution(scene: np.ndarray, rng: np.random.Generator) -> Problem:
    return _posed(scene, Downsample(_FACTOR, _REACH), _REACH, rng)


def _blurred(scene: np.ndarray, kernel: np.ndarray, rng: np.random.Generator, noise: float) -> Problem:
    """Return the problem of a scene (N + 32, N + 32) blurred by a kernel (K, K)."""
    psf = torch.from_numpy(kernel)[None, None]
    known = Given(Blur(_MARGIN), {"kernel": psf})
    return replace(_posed(scene, known, _MARGIN, rng, noise), kernel=kernel)


def _gaussian_deblurring(scene: np.ndarray, rng: np.random.Generator) -> Problem:
    return _blurred(scene, gaussian(PSF_SIZE, _GAUSSIAN_WIDTH), rng, _NOISE)


def _motion_deblurring(scene: np.ndarray, rng: np.random.Generator) -> Problem:
    return _blurred(scene, random_kernel(PSF_SIZE, rng, "motion"), rng, _NOISE)


def _poisson_deblurring(scene: np.ndarray, rng: np.random.Generator) -> Problem:
    """Pose the Gaussian blur with photon noise."""
    kernel = gaussian(PSF_SIZE, _GAUSSIAN_WIDTH)
    operator = Given(Blur(_MARGIN), {"kernel": torch.from_numpy(kernel)[None, None]})
    counts = rng.poisson(_COUNTS * _exact(scene, operator).clamp(min=0).numpy())
    data = torch.from_numpy(counts / _COUNTS).float()
    return Problem(_truth(scene, _MARGIN), data, operator, Poisson(_COUNTS), _MARGIN, kernel)


def _non_uniform_deblurring(scene: np.ndarray, rng: np.random.Generator) -> Problem:
    """Pose the blur of a telescope whose PSF changes over the field."""
    optics, line = Optics.draw(rng), np.linspace(-1.0, 1.0, _NODES)
    kernels = np.stack([optics.psf(y, x) for y in line for x in line])
    side = len(scene) - 2 * _MARGIN
    pixels = np.linspace(-1.0, 1.0, side)
    hats = [np.interp(pixels, line, row) for row in np.eye(_NODES)]
    windows = [NodeWindow(0, 0, wy, wx) for wy in hats for wx in hats]
    operator = Given(FieldBlur(windows, _MARGIN), {"kernel": torch.from_numpy(kernels)[None]})
    return _posed(scene, operator, _MARGIN, rng)


def _phase_retrieval(scene: np.ndarray, rng: np.random.Generator) -> Problem:
    return _posed(scene, FourierMagnitude(), 0, rng)


def _blind_deblurring(scene: np.ndarray, rng: np.random.Generator) -> Problem:
    """Pose a blur of any family, with the noise of the BlindDPS paper; its kernel is left to be found."""
    kernel = random_kernel(PSF_SIZE, rng, FAMILIES[rng.integers(len(FAMILIES))])
    known = _blurred(scene, kernel, rng, _BLIND_NOISE)
    return replace(known, operator=Blur(_MARGIN))


def _blind_super_resolution(scene: np.ndarray, rng: np.random.Generator) -> Problem:
    """Pose a small blur on pixels that are twice as large; its kernel is left to be found."""
    along, across, angle = (*rng.uniform(*_SMALL_BLUR, 2), rng.uniform(0, np.pi))
    kernel = gaussian(PSF_SIZE, along, across, angle)
    detector = Downsample(_BLIND_FACTOR, _BLIND_REACH)
    chain = Chain([Blur(_MARGIN), detector])
    known = Given(chain, {"kernel": torch.from_numpy(kernel)[None, None]})
    posed = _posed(scene, known, _MARGIN + _BLIND_REACH, rng, _BLIND_NOISE)
    return replace(posed, operator=chain, kernel=kernel)


def _turbulence(scene: np.ndarray, rng: np.random.Generator) -> Problem:
    """Pose a burst of short exposures through weak turbulence; kernels and tilts are left to be found."""
    side = len(scene) - 2 * _BURST_MARGIN
    setting = PRESETS["planetary-35cm"].with_strength(_BURST_STRENGTH)
    burst = simulate_burst(scene, setting, _BURST_FRAMES, rng, size=PSF_SIZE, sigma=_BLIND_NOISE)
    top, left = ((length - side) // 2 for length in burst.scene.shape)
    middle = (slice(top, top + side), slice(left, left + side))
    frames = torch.from_numpy(burst.frames[:, *middle].astype(np.float32))[None]
    # The engine chooses its own operator for a burst.
    return Problem(burst.scene[middle].astype(np.float32), frames, Direct(), Gaussian(_BLIND_NOISE), 0)


POSES: dict[str, tuple[int, Pose]] = {
    "box-inpainting": (0, _box_inpainting),
    "random-inpainting": (0, _random_inpainting),
    "super-resolution": (_REACH, _super_resolution),
    "gaussian-deblurring": (_MARGIN, _gaussian_deblurring),
    "motion-deblurring": (_MARGIN, _motion_deblurring),
    "non-uniform-deblurring": (_MARGIN, _non_uniform_deblurring),
    "poisson-deblurring": (_MARGIN, _poisson_deblurring),
    "phase-retrieval": (0, _phase_retrieval),
    "blind-deblurring": (_MARGIN, _blind_deblurring),
    "blind-super-resolution": (_MARGIN + _BLIND_REACH, _blind_super_resolution),
    "turbulence": (_BURST_MARGIN, _turbulence),
}
"""Pixels by which the scene extends beyond the truth, and the problem, of each task."""
