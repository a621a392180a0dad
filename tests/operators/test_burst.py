"""A burst: each frame is a blur of a warped scene, and the linearisation is that of autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blinddps_sci.errors import ConfigError
from blinddps_sci.operators import Burst, FieldBlur, NodeWindow, TiltGrid, Warp
from blinddps_sci.operators.linear import linearise

MARGIN, REACH, SIZE = 4, 3, 20
EXPOSURE = [1.0, 0.8, 1.3]
FRAMES = len(EXPOSURE)
ALONG = np.linspace(0, 1, SIZE)
WINDOWS = [NodeWindow(0, 0, np.ones(SIZE), ALONG), NodeWindow(0, 0, np.ones(SIZE), 1 - ALONG)]
GRID = TiltGrid([0, 14, 27], [0, 27], (SIZE + 2 * MARGIN, SIZE + 2 * MARGIN))


@pytest.fixture
def burst() -> Burst:
    return Burst(WINDOWS, MARGIN, GRID, REACH, EXPOSURE)


@pytest.fixture
def unknowns() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    side = SIZE + 2 * (MARGIN + REACH)
    return {
        "image": torch.randn(2, 1, side, side, generator=draw, dtype=torch.float64),
        "kernel": torch.rand(2, FRAMES * 2, 8, 8, generator=draw, dtype=torch.float64),
        "tilt": 0.7 * torch.randn(2, FRAMES * 2, 3, 2, generator=draw, dtype=torch.float64),
    }


def test_every_frame_is_a_blur_of_its_own_warp(burst: Burst, unknowns: dict[str, torch.Tensor]) -> None:
    frames = burst.forward(unknowns)
    assert frames.shape == (2, FRAMES, SIZE, SIZE)
    for f in range(FRAMES):
        field = GRID.apply(unknowns["tilt"][:, 2 * f : 2 * f + 2])
        warped = Warp(field[:, None], REACH).apply(unknowns["image"])
        kernel = unknowns["kernel"][:, 2 * f : 2 * f + 2]
        expected = FieldBlur(WINDOWS, MARGIN).forward({"image": warped, "kernel": kernel})
        torch.testing.assert_close(frames[:, f], EXPOSURE[f] * expected[:, 0])


def test_frames_that_take_turns_are_those_that_are_worked_on_together(
    burst: Burst, unknowns: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = burst.forward(unknowns)
    monkeypatch.setattr("blinddps_sci.operators.burst._AT_ONCE", 2)
    torch.testing.assert_close(burst.forward(unknowns), together)


def test_without_tilt_a_burst_of_one_frame_is_a_blur(unknowns: dict[str, torch.Tensor]) -> None:
    still = {
        "image": unknowns["image"],
        "kernel": unknowns["kernel"][:, :2],
        "tilt": torch.zeros(2, 2, 3, 2, dtype=torch.float64),
    }
    scene = still["image"][:, :, REACH:-REACH, REACH:-REACH]
    torch.testing.assert_close(
        Burst(WINDOWS, MARGIN, GRID, REACH, [1.0]).forward(still),
        FieldBlur(WINDOWS, MARGIN).forward({"image": scene, "kernel": still["kernel"]}),
    )


@pytest.mark.parametrize("at_once", [1, 2, FRAMES])
@pytest.mark.parametrize("names", [("image",), ("kernel",), ("tilt",), ("image", "kernel", "tilt")])
def test_linearisation_is_that_of_autograd(
    burst: Burst,
    unknowns: dict[str, torch.Tensor],
    names: tuple[str, ...],
    at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference = linearise(burst.forward, unknowns)
    monkeypatch.setattr("blinddps_sci.operators.burst._AT_ONCE", at_once)
    own = burst.linearise(unknowns)
    changes = {name: torch.randn_like(unknowns[name]) for name in names}
    torch.testing.assert_close(own.value, reference.value)
    torch.testing.assert_close(own.apply(changes), reference.apply(changes))
    residual = torch.randn_like(own.value)
    mine, other = own.adjoint(residual, names), reference.adjoint(residual, names)
    assert set(mine) == set(names)
    for name in names:
        torch.testing.assert_close(mine[name], other[name])


@pytest.mark.parametrize(("reach", "exposure"), [(1, EXPOSURE), (3, []), (3, [1.0, 0.0]), (3, [np.inf])])
def test_impossible_bursts_are_refused(reach: int, exposure: list[float]) -> None:
    with pytest.raises(ConfigError, match="give at least one exposure"):
        Burst(WINDOWS, MARGIN, GRID, reach, exposure)
