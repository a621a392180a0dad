"""The wrappers: exact formulas of both parameterisations, sizes that do not fit, labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from blinddps_sci.errors import PriorError
from blinddps_sci.priors.base import LearnedVariancePrior, Prior
from blinddps_sci.priors.unet import UNet, UNetConfig
from blinddps_sci.priors.wrap import EDMDenoiser, VPDenoiser, linear_betas


def zero_net(out: int = 1) -> UNet:
    return UNet(UNetConfig(1, out, 8, (1, 2), norm_groups=4, num_head_channels=8)).requires_grad_(False)


def sigmas(steps: int) -> np.ndarray:
    abar = np.cumprod(1 - linear_betas(steps))
    return np.sqrt((1 - abar) / abar)


def test_edm_with_a_zero_network_is_the_best_linear_denoiser() -> None:
    x, sigma = torch.randn(3, 1, 8, 8), torch.tensor([0.01, 0.5, 40.0])
    found = EDMDenoiser(zero_net(), sigma_data=0.3)(x, sigma)
    gain = 0.3**2 / (0.3**2 + sigma**2)
    torch.testing.assert_close(found, gain[:, None, None, None] * x)


def test_edm_scales_input_time_and_output_as_karras(make_net) -> None:
    net, x = make_net(), torch.randn(2, 1, 8, 8)
    sigma, data = torch.tensor([0.2, 3.0]), 0.5
    s = sigma[:, None, None, None]
    total = s**2 + data**2
    raw = net(x / total.sqrt(), 250 * 0.25 * sigma.log())
    expected = data**2 / total * x + s * data / total.sqrt() * raw
    torch.testing.assert_close(EDMDenoiser(net, sigma_data=data)(x, sigma), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [40, 1000])
def test_vp_hits_every_time_of_its_own_schedule_exactly(steps: int, dtype: torch.dtype) -> None:
    times = VPDenoiser(zero_net(), steps=steps).time(torch.from_numpy(sigmas(steps)).to(dtype))
    assert torch.equal(times, torch.arange(steps, dtype=torch.float32))


def test_vp_time_rises_between_its_levels_and_stops_at_the_ends() -> None:
    prior, levels = VPDenoiser(zero_net()), sigmas(1000)
    between = torch.from_numpy(np.sqrt(levels[:-1] * levels[1:]))
    torch.testing.assert_close(prior.time(between), torch.arange(999) + 0.5, atol=1e-4, rtol=0)
    ends = prior.time(torch.tensor([levels[0] / 10, levels[-1] * 10]))
    assert ends.tolist() == [0.0, 999.0]


@pytest.mark.parametrize("out", [1, 2])
def test_vp_estimate_is_tweedies_formula_in_the_preserving_scale(make_net, out: int) -> None:
    net, x_t = make_net(out), torch.randn(2, 1, 8, 8)
    times = torch.tensor([3, 700])
    abar = torch.from_numpy(np.cumprod(1 - linear_betas(1000))).float()[times][:, None, None, None]
    eps = net(x_t, times.float())[:, :1]
    expected = (x_t - (1 - abar).sqrt() * eps) / abar.sqrt()
    sigma = ((1 - abar) / abar).sqrt().flatten()
    found = VPDenoiser(net)(x_t / abar.sqrt(), sigma)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_vp_gives_its_learned_variance_or_says_that_there_is_none(make_net) -> None:
    x, sigma = torch.randn(2, 1, 8, 8), torch.tensor([0.1, 5.0])
    learned = VPDenoiser(make_net(2))
    estimate, v = learned.with_variance(x, sigma)
    torch.testing.assert_close(estimate, learned(x, sigma))
    assert v.shape == x.shape
    assert (v - estimate).abs().max() > 1e-3
    with pytest.raises(PriorError, match="no variance"):
        VPDenoiser(make_net(1)).with_variance(x, sigma)


def test_wrappers_are_priors(make_net) -> None:
    assert isinstance(EDMDenoiser(make_net()), Prior)
    assert not isinstance(EDMDenoiser(make_net()), LearnedVariancePrior)
    assert isinstance(VPDenoiser(make_net(2)), LearnedVariancePrior)


@pytest.mark.parametrize("shape", [(13, 16), (16, 9), (7, 5)])
def test_odd_sizes_are_reflected_to_one_that_fits_and_cut_again(make_net, shape: tuple[int, int]) -> None:
    prior = EDMDenoiser(make_net(mult=(1, 1, 2)))
    height, width = shape
    x, sigma = torch.randn(1, 1, height, width), torch.tensor([0.4])
    grown = pad(x, (0, -width % 4, 0, -height % 4), mode="reflect")
    found = prior(x, sigma)
    assert found.shape == x.shape
    torch.testing.assert_close(found, prior(grown, sigma)[..., :height, :width])


def test_padding_keeps_translation_by_whole_blocks(make_net) -> None:
    # Far from the border, what a network of this depth says moves with the picture.
    prior, sigma = EDMDenoiser(make_net(middle_attention=False)), torch.tensor([0.4])
    scene = torch.randn(1, 1, 61, 61)
    moved = scene.roll((4, 6), (-2, -1))
    first, second = prior(scene, sigma), prior(moved, sigma)
    centre = slice(28, 34)
    # Normalisation takes its statistics over the whole field, so equality is not to the last bit.
    torch.testing.assert_close(
        first[..., centre, centre], second.roll((-4, -6), (-2, -1))[..., centre, centre], atol=0.02, rtol=0
    )
    assert (first - second).abs()[..., centre, centre].max() > 0.1


def test_labels_are_chosen_by_name(make_net) -> None:
    prior = EDMDenoiser(make_net(num_classes=3), ("astro", "micro", "untold"))
    x, sigma = torch.randn(2, 1, 8, 8), torch.tensor([0.3, 0.9])
    untold = prior(x, sigma)
    assert torch.equal(untold, prior(x, sigma, torch.tensor([2, 2])))
    astro = prior.labelled("astro")(x, sigma)
    assert torch.equal(astro, prior(x, sigma, torch.tensor([0, 0])))
    assert (astro - untold).abs().max() > 1e-4
    with pytest.raises(PriorError, match=r"no label 'radio'.*astro, micro, untold"):
        prior.labelled("radio")
    with pytest.raises(PriorError, match="not conditional"):
        EDMDenoiser(make_net()).labelled("astro")


@pytest.mark.parametrize("wrapper", [EDMDenoiser, VPDenoiser])
def test_autocast_is_near_and_answers_in_float32(make_net, wrapper: type) -> None:
    prior, x, sigma = wrapper(make_net()), torch.randn(2, 1, 8, 8), torch.tensor([0.1, 1.0])
    exact = prior(x, sigma)
    prior.autocast = torch.bfloat16
    near = prior(x, sigma)
    assert near.dtype == torch.float32
    assert 0 < (near - exact).abs().max() < 0.05 * exact.abs().max()


def test_betas_are_the_published_ones() -> None:
    betas = linear_betas(1000)
    assert (betas[0], betas[-1], len(betas)) == (1e-4, 0.02, 1000)
    np.testing.assert_allclose(linear_betas(40)[[0, -1]], [25e-4, 0.5])
