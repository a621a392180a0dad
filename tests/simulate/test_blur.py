from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import convolve2d

from blinddps_sci.errors import InputError
from blinddps_sci.simulate.blur import blur, blur_field, valid_origin
from blinddps_sci.simulate.psf import gaussian, path_kernel, random_kernel


@pytest.mark.parametrize("size", [6, 7])
def test_it_is_scipys_true_convolution(size: int) -> None:
    rng = np.random.default_rng(1)
    scene, kernel = rng.random((30, 25)), rng.random((size, size))
    np.testing.assert_allclose(blur(scene, kernel), convolve2d(scene, kernel, mode="valid"), rtol=1e-10)


@pytest.mark.parametrize("size", [6, 7])
def test_it_obeys_the_formula_pixel_by_pixel(size: int) -> None:
    rng = np.random.default_rng(2)
    scene, kernel = rng.random((20, 20)), rng.random((size, size))
    result, origin = blur(scene, kernel), valid_origin(size)
    for i, j in ((0, 0), (3, 7), (20 - size, 20 - size)):
        p = (i + origin, j + origin)
        total = sum(
            kernel[a, b] * scene[p[0] - (a - size // 2), p[1] - (b - size // 2)]
            for a in range(size)
            for b in range(size)
        )
        assert result[i, j] == pytest.approx(total)


@pytest.mark.parametrize("size", [16, 17])
def test_point_source_shows_the_kernel(size: int) -> None:
    kernel = random_kernel(size, np.random.default_rng(3), "motion")
    scene = np.zeros((64, 64), dtype=np.float32)
    scene[30, 33] = 5.0
    result = blur(scene, kernel)
    top, left = 30 - size // 2 - valid_origin(size), 33 - size // 2 - valid_origin(size)
    np.testing.assert_allclose(result[top : top + size, left : left + size], 5.0 * kernel, atol=1e-6)
    assert result.dtype == np.float32
    assert result.sum() == pytest.approx(5.0, rel=1e-5)


def test_flux_of_a_flat_scene_is_kept() -> None:
    kernel = random_kernel(12, np.random.default_rng(4))
    np.testing.assert_allclose(blur(np.full((40, 40), 3.0), kernel), 3.0, rtol=1e-5)


def grid(rows: list[float], columns: list[float]) -> np.ndarray:
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)


@pytest.mark.parametrize("size", [8, 9])
def test_equal_kernels_make_the_uniform_blur(size: int) -> None:
    rng = np.random.default_rng(5)
    scene, kernel = rng.random((50, 44)), random_kernel(size, rng)
    kernels = np.broadcast_to(kernel, (3, 2, size, size))
    result = blur_field(scene, kernels, grid([5.0, 25.0, 70.0], [10.0, 30.0]))
    np.testing.assert_allclose(result, blur(scene, kernel), atol=1e-10)


def test_weights_are_bilinear_in_scene_pixels() -> None:
    rng = np.random.default_rng(6)
    scene, size = rng.random((40, 40)), 7
    kernels = np.stack([gaussian(size, s) for s in (0.5, 1.0, 1.5, 2.0)]).reshape(2, 2, size, size)
    result = blur_field(scene, kernels, grid([10.0, 30.0], [8.0, 28.0]))
    origin = valid_origin(size)
    blurred = np.stack([blur(scene, k) for k in kernels.reshape(4, size, size)]).reshape(2, 2, *result.shape)
    for y, x in ((10, 8), (15, 13), (30, 28), (4, 36)):
        a, b = np.clip((y - 10) / 20, 0, 1), np.clip((x - 8) / 20, 0, 1)
        values = blurred[:, :, y - origin, x - origin]
        expected = np.array([1 - a, a]) @ values @ np.array([1 - b, b])
        assert result[y - origin, x - origin] == pytest.approx(expected)


def test_one_node_is_enough() -> None:
    scene = np.random.default_rng(7).random((20, 20))
    kernel = path_kernel(5, [[1.0, 0.0]])
    np.testing.assert_allclose(
        blur_field(scene, kernel[None, None], grid([10.0], [10.0])), blur(scene, kernel), atol=1e-12
    )


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: blur(np.ones((4, 4)), np.ones((5, 5))), "not larger"),
        (lambda: blur(np.ones((9, 9)), np.ones((3, 5))), "square"),
        (lambda: blur(np.ones((2, 9, 9)), np.ones((3, 3))), "one image"),
        (lambda: blur_field(np.ones((9, 9)), np.ones((1, 2, 3, 3)), np.zeros((2, 1, 2))), "positions"),
        (
            lambda: blur_field(np.ones((9, 9)), np.ones((2, 1, 3, 3)), grid([5.0, 2.0], [1.0])),
            "y is not on a rectangular grid",
        ),
    ],
)
def test_wrong_input_is_explained(call: object, word: str) -> None:
    with pytest.raises(InputError, match=word):
        call()  # type: ignore[operator]
