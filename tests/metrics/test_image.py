"""PSNR and SSIM: pinned to scikit-image, with closed forms and masks."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from blinddps_sci.errors import InputError
from blinddps_sci.metrics import psnr, ssim


@pytest.fixture
def noisy_pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = rng.gamma(2.0, 100.0, (40, 53))
    return truth + rng.normal(0, 30, truth.shape), truth


def test_psnr_is_scikit_image_s(noisy_pair) -> None:
    estimate, truth = noisy_pair
    expected = peak_signal_noise_ratio(truth, estimate, data_range=900.0)
    assert psnr(estimate, truth, 900.0) == pytest.approx(expected, abs=1e-6)


def test_psnr_of_a_constant_error_is_its_closed_form() -> None:
    truth = np.linspace(0, 1, 60).reshape(6, 10)
    assert psnr(truth + 0.01, truth, 1.0) == pytest.approx(40.0, abs=1e-9)
    assert psnr(truth, truth, 1.0) == np.inf


def test_psnr_does_not_depend_on_the_unit(noisy_pair) -> None:
    estimate, truth = noisy_pair
    counts = psnr(estimate * 7.3 + 11, truth * 7.3 + 11, 900.0 * 7.3)
    assert counts == pytest.approx(psnr(estimate, truth, 900.0), abs=1e-9)


def test_psnr_leaves_masked_pixels_out(noisy_pair) -> None:
    estimate, truth = noisy_pair
    mask = np.zeros(truth.shape, bool)
    mask[:, 20:] = True
    spoiled = np.where(mask, np.nan, estimate)
    expected = psnr(estimate[:, :20], truth[:, :20], 900.0)
    assert psnr(spoiled, truth, 900.0, mask=mask) == pytest.approx(expected, abs=1e-12)


def test_ssim_is_scikit_image_s_with_the_settings_of_wang_2004(noisy_pair) -> None:
    estimate, truth = noisy_pair
    expected = structural_similarity(
        truth, estimate, data_range=900.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert 0.3 < expected < 0.999
    assert ssim(estimate, truth, 900.0) == pytest.approx(expected, abs=1e-6)
    assert ssim(truth, truth, 900.0) == pytest.approx(1.0, abs=1e-12)


def test_ssim_of_two_constants_is_its_luminance_term() -> None:
    a, b, c1 = 0.4, 0.6, 0.01**2
    expected = (2 * a * b + c1) / (a**2 + b**2 + c1)
    assert ssim(np.full((16, 16), a), np.full((16, 16), b), 1.0) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("axis", [0, -1])
def test_ssim_of_channels_is_their_mean(noisy_pair, axis) -> None:
    estimate, truth = noisy_pair
    stacks = [np.stack([image, image[::-1] * 0.5], axis=axis) for image in (estimate, truth)]
    expected = (ssim(estimate, truth, 900.0) + ssim(estimate[::-1] * 0.5, truth[::-1] * 0.5, 900.0)) / 2
    assert ssim(*stacks, 900.0, channel_axis=axis) == pytest.approx(expected, abs=1e-9)


def test_ssim_windows_that_touch_a_masked_pixel_do_not_count(noisy_pair) -> None:
    estimate, truth = noisy_pair
    mask = np.zeros(truth.shape, bool)
    mask[:, 30:] = True
    spoiled = np.where(mask, -1e6, estimate)
    assert ssim(spoiled, truth, 900.0, mask=mask) == pytest.approx(
        ssim(estimate[:, :30], truth[:, :30], 900.0), abs=1e-9
    )


@pytest.mark.parametrize(
    ("shape", "channel_axis"), [((10, 30), None), ((30, 30, 3), None), ((30, 30), 0), ((30,), None)]
)
def test_ssim_refuses_what_its_window_does_not_fit(shape, channel_axis) -> None:
    with pytest.raises(InputError, match="SSIM was asked for"):
        ssim(np.zeros(shape), np.zeros(shape), 1.0, channel_axis=channel_axis)


def test_ssim_refuses_a_mask_that_leaves_no_window() -> None:
    mask = np.zeros((22, 22), bool)
    mask[::5, ::5] = True
    with pytest.raises(InputError, match="free of masked pixels"):
        ssim(np.zeros((22, 22)), np.zeros((22, 22)), 1.0, mask=mask)
