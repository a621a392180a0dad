"""Blurs: the field of kernels equals the dense sum, one node equals one kernel, no rim."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.operators import Blur, FieldBlur, NodeWindow, convolve


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def kernels(*shape: int, seed: int = 1) -> torch.Tensor:
    values = draw(*shape, seed=seed)
    return values / values.sum(dim=(-2, -1), keepdim=True)


def hats(length: int, centres: list[int]) -> list[tuple[int, np.ndarray]]:
    """Piecewise linear weights that sum to one, each on its own support."""
    dense = np.stack([np.interp(np.arange(length), centres, row) for row in np.eye(len(centres))])
    supports = [np.nonzero(row)[0] for row in dense]
    return [(int(s[0]), row[s[0] : s[-1] + 1]) for s, row in zip(supports, dense, strict=True)]


def grid(height: int, width: int) -> list[NodeWindow]:
    rows, columns = hats(height, [2, 11, 25, height - 3]), hats(width, [5, width - 4])
    return [NodeWindow(y0, x0, wy, wx) for y0, wy in rows for x0, wx in columns]


def dense(window: NodeWindow, shape: tuple[int, int]) -> torch.Tensor:
    full = torch.zeros(shape, dtype=torch.float64)
    bottom, right = window.y0 + len(window.wy), window.x0 + len(window.wx)
    full[window.y0 : bottom, window.x0 : right] = torch.from_numpy(np.outer(window.wy, window.wx))
    return full


def test_blur_is_the_convolution_on_the_data() -> None:
    image, kernel = draw(3, 2, 25, 27), kernels(3, 1, 6, 6)
    found = Blur(4).forward({"image": image, "kernel": kernel})
    assert found.shape == (3, 2, 17, 19)
    torch.testing.assert_close(found, convolve(image, kernel, 4))


@pytest.mark.parametrize("size", [(5, 5), (6, 6), (1, 1), (4, 7)])
@pytest.mark.parametrize("extra", [0, 2])
def test_a_field_is_the_sum_of_its_terms_over_the_whole_data(size: tuple[int, int], extra: int) -> None:
    height, width = 40, 33
    margin = max(size) // 2 + extra
    windows = grid(height, width)
    image = draw(2, 3, height + 2 * margin, width + 2 * margin)
    kernel = kernels(2, len(windows), *size)
    expected = sum(
        dense(window, (height, width)) * convolve(image, kernel[:, n : n + 1], margin)
        for n, window in enumerate(windows)
    )
    found = FieldBlur(windows, margin).forward({"image": image, "kernel": kernel})
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_windows_may_have_any_shape_and_gaps() -> None:
    rng = np.random.default_rng(0)
    windows = [
        NodeWindow(0, 0, rng.random(3), rng.random(30)),
        NodeWindow(17, 4, rng.random(13), rng.random(1)),
        NodeWindow(17, 4, rng.random(13), rng.random(2)),
    ]
    image, kernel = draw(1, 1, 34, 34), kernels(1, 3, 4, 4)
    expected = sum(
        dense(window, (30, 30)) * convolve(image, kernel[:, n : n + 1], 2) for n, window in enumerate(windows)
    )
    torch.testing.assert_close(FieldBlur(windows, 2).forward({"image": image, "kernel": kernel}), expected)


def test_a_field_with_one_node_is_a_blur() -> None:
    image, kernel = draw(2, 1, 26, 24), kernels(2, 1, 6, 6)
    unknowns = {"image": image, "kernel": kernel}
    one = FieldBlur([NodeWindow(0, 0, np.ones(20), np.ones(18))], 3)
    torch.testing.assert_close(one.forward(unknowns), Blur(3).forward(unknowns))


def test_a_field_of_equal_kernels_is_a_blur() -> None:
    image, kernel = draw(2, 1, 46, 39), kernels(2, 1, 6, 6)
    windows = grid(40, 33)
    field = FieldBlur(windows, 3).forward({"image": image, "kernel": kernel.expand(-1, len(windows), -1, -1)})
    torch.testing.assert_close(field, Blur(3).forward({"image": image, "kernel": kernel}))


def test_a_flat_image_stays_flat() -> None:
    windows = grid(40, 33)
    image = torch.full((1, 1, 46, 39), 7.0, dtype=torch.float64)
    field = FieldBlur(windows, 3).forward({"image": image, "kernel": kernels(1, len(windows), 6, 6)})
    torch.testing.assert_close(field, torch.full_like(field, 7.0))


def test_items_are_independent() -> None:
    windows = grid(40, 33)
    image, kernel = draw(8, 1, 46, 39), kernels(8, len(windows), 6, 6)
    operator = FieldBlur(windows, 3)
    together = operator.forward({"image": image, "kernel": kernel})
    singles = [operator.forward({"image": image[b : b + 1], "kernel": kernel[b : b + 1]}) for b in range(8)]
    torch.testing.assert_close(together, torch.cat(singles), rtol=1e-12, atol=1e-12)


# PyTorch's own forward mode compiles with what PyTorch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_gradients_of_the_field_are_right_in_both_modes() -> None:
    windows = [NodeWindow(y0, x0, wy, wx) for y0, wy in hats(6, [1, 4]) for x0, wx in hats(7, [2, 5])]
    image, kernel = draw(1, 2, 10, 11).requires_grad_(), kernels(1, 4, 4, 3).requires_grad_()
    operator = FieldBlur(windows, 2)
    assert torch.autograd.gradcheck(
        lambda x, k: operator.forward({"image": x, "kernel": k}), (image, kernel), check_forward_ad=True
    )


def test_the_field_follows_the_dtype_and_leaves_its_arguments_alone() -> None:
    windows = grid(40, 33)
    image, kernel = draw(1, 1, 46, 39).float(), kernels(1, len(windows), 6, 6).float()
    before = image.clone(), kernel.clone()
    assert FieldBlur(windows, 3).forward({"image": image, "kernel": kernel}).dtype == torch.float32
    assert torch.equal(image, before[0])
    assert torch.equal(kernel, before[1])


def test_what_does_not_fit_is_refused() -> None:
    window = NodeWindow(0, 0, np.ones(20), np.ones(20))
    image = draw(1, 1, 26, 26)
    with pytest.raises(ConfigError, match="no window"):
        FieldBlur([], 3)
    with pytest.raises(InputError, match="one kernel per window"):
        FieldBlur([window], 3).forward({"image": image, "kernel": kernels(1, 2, 6, 6)})
    with pytest.raises(ConfigError, match="give at least 4"):
        FieldBlur([window], 3).forward({"image": image, "kernel": kernels(1, 1, 8, 8)})
    outside = NodeWindow(1, 0, np.ones(20), np.ones(20))
    with pytest.raises(InputError, match="window 1 covers rows 1 to 21"):
        FieldBlur([window, outside], 3).forward({"image": image, "kernel": kernels(1, 2, 6, 6)})
