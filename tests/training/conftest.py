"""A recipe whose network trains in milliseconds."""

from __future__ import annotations

import pytest

from blinddps_sci.priors.unet import UNetConfig
from blinddps_sci.training.recipe import Recipe


@pytest.fixture
def recipe() -> Recipe:
    net = UNetConfig(1, 1, 8, (1, 2), norm_groups=4, num_head_channels=8, resblock_updown=False)
    return Recipe(net, size=8, batch=4, warmup=2, examples=6)
