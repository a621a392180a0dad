"""What the tasks of `blinddps bench tasks` are compared with: scikit-image's methods, and two of our own.

Those of our own are textbook algorithms that scikit-image does not have: Richardson-Lucy for a PSF that
varies over the field, and hybrid input-output for phase retrieval.
"""

from __future__ import annotations

import numpy as np
import torch
from skimage.restoration import inpaint_biharmonic
from skimage.transform import resize
from torch import Tensor

from blinddps_sci.bench.cases import PSF_SIZE
from blinddps_sci.bench.classical import blind_richardson_lucy, richardson_lucy_of, wiener_of
from blinddps_sci.bench.tasks_problems import Problem
from blinddps_sci.engine.registration import register
from blinddps_sci.operators.linear import linearise_operator

__all__ = [
    "bicubic",
    "biharmonic",
    "blind",
    "field_richardson_lucy",
    "hybrid_input_output",
    "lucky",
    "registered_mean",
    "richardson_lucy",
    "wiener",
]

_TINY = 1e-6
_ITERATIONS = 12
"""Of Richardson-Lucy, chosen on images held out from training: 30 lose up to 2 dB to the noise."""


def biharmonic(problem: Problem, seed: int) -> np.ndarray:
    """Return the biharmonic interpolation (N, N) of an image with missing pixels."""
    data = problem.data[0, 0].double().numpy()
    missing = np.isnan(data)
    return np.asarray(inpaint_biharmonic(np.where(missing, 0, data), missing), dtype=np.float32)


def bicubic(problem: Problem, seed: int) -> np.ndarray:
    """Return the cubic interpolation (N, N) of an image on a coarser grid."""
    coarse = problem.data[0, 0].double().numpy()
    fine = resize(coarse, problem.truth.shape, order=3, mode="edge", clip=False)
    return np.asarray(fine, dtype=np.float32)


def richardson_lucy(problem: Problem, seed: int) -> np.ndarray:
    """Return scikit-image's Richardson-Lucy restoration (N, N) with the true PSF."""
    return richardson_lucy_of(problem.data[0, 0].numpy(), _psf(problem), _ITERATIONS)


def wiener(problem: Problem, seed: int) -> np.ndarray:
    """Return scikit-image's unsupervised Wiener restoration (N, N) with the true PSF."""
    return wiener_of(problem.data[0, 0].numpy(), _psf(problem), seed)


def blind(problem: Problem, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the blind Richardson-Lucy restoration (N, N), and its kernel (K, K)."""
    return blind_richardson_lucy(problem.data[0, 0].numpy(), PSF_SIZE)


def registered_mean(problem: Problem, seed: int) -> np.ndarray:
    """Return the mean (N, N) of the frames of a burst, laid on each other by whole displacements."""
    return register(problem.data[0].numpy()).mean


def lucky(problem: Problem, seed: int) -> np.ndarray:
    """Return the registered mean (N, N) of the sharper half of the frames."""
    frames = problem.data[0].numpy()
    order = np.argsort(-register(frames).sharpness)
    return register(frames[np.sort(order[: len(frames) // 2])]).mean


def _psf(problem: Problem) -> np.ndarray:
    if problem.kernel is None:
        raise ValueError("the problem has no PSF of the whole field")
    return problem.kernel


@torch.no_grad()
def field_richardson_lucy(problem: Problem, seed: int) -> np.ndarray:
    """Return the Richardson-Lucy restoration (N, N) of any linear operator with a positive kernel.

    ``x <- x A^T(y / A x) / A^T 1`` on the whole canvas.
    """
    data, m = problem.data.double().clamp(min=0), problem.margin
    image = torch.nn.functional.pad(data, (m, m, m, m), mode="reflect").clamp(min=_TINY)
    linear = linearise_operator(problem.operator, {"image": image})

    def back(residual: Tensor) -> Tensor:
        return linear.adjoint(residual, ["image"])["image"]

    weight = back(torch.ones_like(data)).clamp(min=_TINY)
    for _ in range(_ITERATIONS):
        predicted = linear.apply({"image": image}).clamp(min=_TINY)
        image = image * back(data / predicted) / weight
    return np.asarray(image[0, 0, m:-m, m:-m].numpy(), dtype=np.float32)


def hybrid_input_output(problem: Problem, seed: int, iterations: int = 1000, last: int = 50) -> np.ndarray:
    """Return the image (N, N) that hybrid input-output finds for Fourier magnitudes.

    Four random starts, each ended by error reduction; the one whose magnitudes fit best is returned.
    Support and values between 0 and 1 are the constraints.

    References
    ----------
    J. R. Fienup, "Phase retrieval algorithms: a comparison", Appl. Opt. 21, 2758 (1982),
    doi:10.1364/AO.21.002758, with beta = 0.9.
    """
    magnitude, shape = problem.data[0, 0].double().clamp(min=0).numpy(), problem.truth.shape
    found = [_one_start(magnitude, shape, [seed, start], iterations, last) for start in range(4)]
    return min(found, key=lambda pair: pair[0])[1].astype(np.float32)


def _one_start(
    magnitude: np.ndarray, shape: tuple[int, ...], seed: list[int], iterations: int, last: int
) -> tuple[float, np.ndarray]:
    """Return the misfit of the magnitudes and the image of one random start."""
    inside = np.zeros(magnitude.shape, dtype=bool)
    inside[: shape[0], : shape[1]] = True
    field = np.where(inside, np.random.default_rng(seed).random(magnitude.shape), 0.0)
    image = field
    for number in range(iterations):
        spectrum = np.fft.fft2(field, norm="ortho")
        image = np.fft.ifft2(magnitude * np.exp(1j * np.angle(spectrum)), norm="ortho").real
        allowed = np.where(inside, np.clip(image, 0, 1), 0.0)
        last_part = number >= iterations - last
        field = np.where(image == allowed, image, allowed if last_part else field - 0.9 * (image - allowed))
    cut = np.where(inside, np.clip(image, 0, 1), 0.0)
    misfit = np.linalg.norm(np.abs(np.fft.fft2(cut, norm="ortho")) - magnitude)
    return float(misfit), cut[: shape[0], : shape[1]]
