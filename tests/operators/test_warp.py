"""Warps: exact for shifts and plane waves, adjoints, smooth fields from nodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.operators import TiltGrid, Warp


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def constant(dy: float, dx: float, size: int = 12) -> torch.Tensor:
    return torch.tensor([dy, dx], dtype=torch.float64).view(1, 1, 2, 1, 1).expand(1, 1, 2, size, size)


def test_a_whole_shift_moves_pixels_and_changes_none() -> None:
    image = draw(1, 1, 22, 22)
    warped = Warp(constant(2.0, -3.0), 5).apply(image)
    torch.testing.assert_close(warped, image[:, :, 7:19, 2:14], rtol=0, atol=1e-14)


def test_a_smooth_scene_is_moved_by_fractions_of_a_pixel() -> None:
    place = torch.arange(40, dtype=torch.float64)
    scene = torch.sin(0.3 * place)[:, None] * torch.cos(0.2 * place)
    warped = Warp(constant(0.37, -1.21, 30), 5).apply(scene[None, None])
    inner = place[5:35]
    expected = torch.sin(0.3 * (inner + 0.37))[:, None] * torch.cos(0.2 * (inner - 1.21))
    assert (warped[0, 0] - expected).abs().max() < 2e-3


def test_each_frame_and_item_has_its_own_field() -> None:
    image, fields = draw(2, 1, 18, 16), draw(2, 3, 2, 10, 8, seed=1)
    together = Warp(fields, 4).apply(image)
    for item in range(2):
        for frame in range(3):
            alone = Warp(fields[item : item + 1, frame : frame + 1], 4).apply(image[item : item + 1])
            torch.testing.assert_close(together[item, frame], alone[0, 0])


def test_adjoint_and_gradient() -> None:
    image, fields = draw(2, 1, 18, 16), draw(2, 3, 2, 10, 8, seed=1).clamp(-1.9, 1.9)
    warp, residual = Warp(fields, 4), draw(2, 3, 10, 8, seed=2)
    torch.testing.assert_close((warp.apply(image) * residual).sum(), (warp.adjoint(residual) * image).sum())
    step = 1e-6
    for axis, slope in enumerate(warp.gradient(image)):
        moved = fields.clone()
        moved[:, :, axis] += step
        change = (Warp(moved, 4).apply(image) - warp.apply(image)) / step
        torch.testing.assert_close(slope, change, rtol=1e-4, atol=1e-4)


def test_far_displacements_see_the_border() -> None:
    image = draw(1, 1, 22, 22)
    far = Warp(constant(900.0, 0.0), 5).apply(image)
    assert torch.isfinite(far).all()
    torch.testing.assert_close(far[0, 0, 0], far[0, 0, -1])


def test_an_image_of_another_size_is_an_error() -> None:
    with pytest.raises(InputError, match="for a warp of"):
        Warp(constant(0.0, 0.0), 5).apply(draw(1, 1, 21, 22))


def test_a_grid_is_exact_at_nodes_and_for_constants_and_smooth_between() -> None:
    grid = TiltGrid([3, 20, 41, 60], [0, 31, 63], (64, 64))
    assert grid.grid == (4, 3)
    nodes = draw(5, 2, 4, 3)
    field = grid.apply(nodes)
    assert field.shape == (5, 2, 64, 64)
    torch.testing.assert_close(field[..., [3, 20, 41, 60], :][..., [0, 31, 63]], nodes)
    torch.testing.assert_close(grid.apply(torch.ones(4, 3)), torch.ones(64, 64))
    wave = torch.from_numpy(np.sin(np.array([3, 20, 41, 60]) / 20))[:, None].expand(4, 3)
    between = torch.sin(torch.arange(3, 61, dtype=torch.float64) / 20)
    assert (grid.apply(wave)[3:61, 5] - between).abs().max() < 0.02


def test_beyond_the_outermost_node_a_field_stays_what_it_is() -> None:
    field = TiltGrid([10, 20], [5], (40, 8)).apply(torch.tensor([[1.0], [3.0]]))
    torch.testing.assert_close(field[:11], torch.ones(11, 8))
    torch.testing.assert_close(field[20:], torch.full((20, 8), 3.0))


def test_the_adjoint_of_a_grid() -> None:
    grid = TiltGrid([3, 20, 41], [0, 31], (48, 40))
    nodes, field = draw(2, 3, 2), draw(2, 48, 40, seed=1)
    torch.testing.assert_close((grid.apply(nodes) * field).sum(), (grid.adjoint(field) * nodes).sum())


@pytest.mark.parametrize("nodes", [[], [5, 5], [5, 2]])
def test_nodes_have_to_rise(nodes: list[float]) -> None:
    with pytest.raises(ConfigError, match="at least one position, rising"):
        TiltGrid(nodes, [0], (8, 8))
