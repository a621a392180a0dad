"""Small networks with weights that are not zero, so that an output says something."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from blinddps_sci.priors.unet import UNet, UNetConfig

MakeNet = Callable[..., UNet]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def make_net() -> MakeNet:
    """Return a maker of one-channel networks of a few thousand parameters."""

    def make(out: int = 1, mult: tuple[int, ...] = (1, 2), seed: int = 0, **fields: object) -> UNet:
        torch.manual_seed(seed)
        config = UNetConfig(1, out, 8, mult, norm_groups=4, num_head_channels=8, **fields)  # type: ignore[arg-type]
        net = UNet(config)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return net.requires_grad_(False).eval()

    return make
