"""Coarser pixels: the weights are those of known resamplers, and the adjoint is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.transform import downscale_local_mean

from blinddps_sci.errors import ConfigError
from blinddps_sci.operators import Downsample
from blinddps_sci.operators.linear import linearise_operator


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_area_is_the_mean_of_the_pixels_covered() -> None:
    image = draw(2, 3, 12, 20)
    found = Downsample(4, kind="area").forward({"image": image})
    expected = [[downscale_local_mean(plane.numpy(), (4, 4)) for plane in item] for item in image]
    np.testing.assert_allclose(found.numpy(), expected)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_is_that_of_pillow_away_from_the_border(factor: int) -> None:
    image = draw(1, 1, 20 * factor, 16 * factor).float()
    margin = Downsample(factor, 2 * factor).margin
    found = Downsample(factor, margin).forward({"image": image})[0, 0].numpy()
    whole = Image.fromarray(image[0, 0].numpy()).resize((16, 20), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(found, np.asarray(whole)[2:-2, 2:-2], atol=2e-6)


@pytest.mark.parametrize(("factor", "kind"), [(1, "bicubic"), (4, "bicubic"), (3, "bicubic"), (4, "area")])
def test_a_flat_image_stays_flat_and_the_adjoint_is_one(factor: int, kind: str) -> None:
    operator = Downsample(factor, 6, kind)
    image = draw(2, 1, 12 + 5 * factor, 12 + 3 * factor)
    assert operator.forward({"image": image}).shape == (2, 1, 5, 3)
    flat = operator.forward({"image": torch.full_like(image, 7.0)})
    torch.testing.assert_close(flat, torch.full_like(flat, 7.0))
    linear = linearise_operator(operator, {"image": image})
    residual, change = draw(2, 1, 5, 3, seed=1), draw(*image.shape, seed=2)
    back = linear.adjoint(residual, ["image"])["image"]
    torch.testing.assert_close((linear.apply({"image": change}) * residual).sum(), (change * back).sum())
    torch.testing.assert_close(linear.apply({"image": change}), operator.forward({"image": change}))


def test_a_straight_line_keeps_its_values_at_the_middles_of_the_coarse_pixels() -> None:
    line = torch.arange(44, dtype=torch.float64).expand(1, 1, 44, 44)
    found = Downsample(4, 6).forward({"image": line})
    torch.testing.assert_close(found[0, 0, 0], 6 + 1.5 + 4 * torch.arange(8, dtype=torch.float64))


def test_what_does_not_fit_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="margin of at least 6"):
        Downsample(4)
    with pytest.raises(ConfigError, match="factor of at least 1"):
        Downsample(0)
    with pytest.raises(ConfigError, match="kind 'cubic': give one of bicubic, area"):
        Downsample(2, kind="cubic")
    with pytest.raises(ConfigError, match="not a multiple of the factor 4: give 28 for instance"):
        Downsample(4, 6).forward({"image": torch.zeros(1, 1, 31, 28)})
    with pytest.raises(ConfigError, match="give 16 for instance"):
        Downsample(4, 6).forward({"image": torch.zeros(1, 1, 12, 12)})
