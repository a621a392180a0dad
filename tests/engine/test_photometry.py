"""The stretch and the noise of a stack: what is chosen, how well it is measured, what has precedence."""

from __future__ import annotations

import io

import numpy as np
import pytest
import skimage.data
import torch
import xarray as xr
from imageio.v3 import imread, imwrite
from scipy import ndimage
from skimage.transform import downscale_local_mean

from blinddps_sci.engine.config import make_config
from blinddps_sci.engine.photometry import NoiseModel, choose_noise, choose_stretch, estimate_sigma
from blinddps_sci.errors import ConfigError, MisfitWarning
from blinddps_sci.io import open_stack, read_window
from blinddps_sci.likelihoods.gaussian import Gaussian
from blinddps_sci.likelihoods.poisson import Poisson
from blinddps_sci.likelihoods.poisson_gaussian import PoissonGaussian
from blinddps_sci.operators.stretch import AsinhStretch, LinearStretch


def star_field(rng: np.random.Generator, side: int = 256) -> np.ndarray:
    image = rng.normal(100, 2, (side, side))
    for y, x, flux in zip(*rng.integers(8, side - 8, (2, 40)), 10 ** rng.uniform(2, 5, 40), strict=True):
        image[y - 2 : y + 3, x - 2 : x + 3] += flux / 25
    return image


def smooth_scene(rng: np.random.Generator, side: int = 256) -> np.ndarray:
    return 300 * ndimage.gaussian_filter(rng.standard_normal((side, side)), 5)


def noise_of(values: np.ndarray, noise: str = "auto", **attrs) -> NoiseModel:
    """Return the noise model of an array in memory with extra attributes."""
    dataset = open_stack(values)
    dataset.attrs.update(attrs)
    return choose_noise(make_config({"noise": noise}), dataset, dataset["data"].values)


# --- stretch ---


@pytest.mark.parametrize("name", ["moon", "camera", "cell"])
def test_pictures_of_surfaces_are_stretched_linearly(name: str) -> None:
    image = getattr(skimage.data, name)().astype(np.float32).ravel()
    stretch = choose_stretch(image)
    assert isinstance(stretch, LinearStretch)
    np.testing.assert_allclose((stretch.low, stretch.high), np.percentile(image, [0.1, 99.9]))


def test_a_star_field_is_bent_above_its_sky(rng: np.random.Generator) -> None:
    image = star_field(rng)
    stretch = choose_stretch(image)
    assert isinstance(stretch, AsinhStretch)
    assert 3 * 2 * 0.8 < stretch.softening < 3 * 2 * 1.3
    # The sky's noise takes a visible part of [-1, 1], and no star is lost.
    assert stretch.forward(102.0) - stretch.forward(98.0) > 0.1
    assert stretch.inverse(stretch.forward(float(image.max()))) == pytest.approx(image.max(), rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 7.5, -3.0, 1e-20, 1e12])
def test_a_constant_image_has_a_stretch(value: float) -> None:
    stretch = choose_stretch(np.full(4096, value))
    assert stretch.low == value
    assert np.isfinite(stretch.forward(value))
    assert stretch.inverse(stretch.forward(value)) == pytest.approx(value, abs=1e-30)


def test_a_few_pixels_on_a_constant_sky_do_not_make_the_softening_vanish() -> None:
    image = np.zeros(10_000)
    image[:20] = 5.0
    stretch = choose_stretch(image)
    assert isinstance(stretch, AsinhStretch)
    assert stretch.softening == pytest.approx(5e-3)


@pytest.mark.parametrize("make", [star_field, smooth_scene])
@pytest.mark.parametrize("scale", [1e-6, 1e3, 1e15])
def test_the_stretch_follows_the_unit_of_flux(rng, make, scale: float) -> None:
    image = make(rng)
    one, other = choose_stretch(image), choose_stretch(image * scale)
    assert type(one) is type(other)
    for name, value in vars(one).items():
        assert getattr(other, name) == pytest.approx(scale * value, rel=1e-9)


# --- the estimate of white noise ---


@pytest.mark.parametrize("side", [64, 256])
@pytest.mark.parametrize("sigma", [1e-12, 0.02, 5.0, 3e8])
def test_white_noise_is_measured(rng, side: int, sigma: float) -> None:
    found = [estimate_sigma(100 * sigma + rng.normal(0, sigma, (side, side))) for _ in range(8)]
    assert np.mean(found) == pytest.approx(sigma, rel=0.1)


def test_noise_on_a_smooth_scene_is_measured(rng) -> None:
    scene = smooth_scene(rng)
    for sigma in (1.0, 3.0):
        assert estimate_sigma(scene + rng.normal(0, sigma, scene.shape)) == pytest.approx(sigma, rel=0.1)


def test_noise_beside_structure_is_measured(rng) -> None:
    image = rng.normal(0, 1, (256, 256))
    image[:, :128] += 50 * rng.standard_normal((256, 128))
    assert estimate_sigma(image) == pytest.approx(1, rel=0.1)


def test_masked_pixels_do_not_count(rng) -> None:
    image = rng.normal(0, 1, (128, 129))
    image[rng.random(image.shape) < 0.1] = np.nan
    image[:40] = np.nan
    assert estimate_sigma(image) == pytest.approx(1, rel=0.1)
    image[rng.random(image.shape) < 0.7] = np.nan
    assert estimate_sigma(image) == pytest.approx(1, rel=0.4)
    assert estimate_sigma(np.full((64, 64), np.nan)) == 0.0
    assert estimate_sigma(np.ones((8, 8))) == 0.0


# --- the model ---


def test_auto_takes_the_variance_plane_first(rng) -> None:
    data = rng.normal(50, 2, (32, 32)).astype(np.float32)
    variance = xr.DataArray(np.full_like(data, 4), dims=("y", "x"))
    dataset = xr.Dataset({"data": (("y", "x"), data), "variance": variance})
    stack = open_stack(dataset)
    stack.attrs.update(gain=2.0, read_noise=1.0, saturation=60.0)
    assert choose_noise(make_config({}), stack, data) == NoiseModel("variance", saturation=60.0)
    chosen = choose_noise(make_config({"noise": "gaussian:3"}), stack, data)
    assert chosen == NoiseModel("gaussian", sigma=3.0, saturation=60.0)


def test_auto_takes_gain_and_read_noise_next(rng) -> None:
    light = 50 + 40 * np.sin(np.arange(256) / 40)[:, None] * np.ones(256)
    data = (rng.poisson(2 * light) / 2 + rng.normal(0, 1.5, light.shape)).astype(np.float32)
    expected = NoiseModel("poisson-gaussian", gain=2.0, read_noise=1.5)
    assert noise_of(data, gain=2.0, read_noise=1.5) == expected
    with_gain = noise_of(data, gain=2.0)
    assert with_gain.gain == 2.0
    assert with_gain.read_noise == pytest.approx(1.5, rel=0.3)
    measured = noise_of(data, read_noise=1.5)  # without a gain the read noise, in electrons, says nothing
    assert measured.kind == "poisson-gaussian"
    assert measured.gain == pytest.approx(2.0, rel=0.15)


@pytest.mark.parametrize("level", [-100.0, 500.0])
def test_a_sky_that_was_subtracted_and_a_pedestal_are_seen(rng, level: float) -> None:
    """Gain and read noise of the header are about electrons; the level of no light is in the data."""
    light = 200 + 150 * np.sin(np.arange(256) / 40)[:, None] * np.ones(256)
    data = (rng.poisson(light) + rng.normal(0, 3, light.shape) + level).astype(np.float32)
    for options in ({"gain": 1.0, "read_noise": 3.0}, {"gain": 1.0}, {}):
        model = noise_of(data, **options)
        assert model.kind == "poisson-gaussian"
        for brightness in (60, 200, 340):
            found = (brightness + level + model.background) / model.gain + model.read_noise**2
            assert found == pytest.approx(brightness + 9, rel=0.2), (options, brightness)


def test_the_user_is_told_of_a_gain_that_the_data_contradict(rng) -> None:
    light = 2000 + 1900 * np.sin(np.arange(256) / 40)[:, None] * np.ones(256)
    data = rng.poisson(light).astype(np.float32)
    with pytest.warns(MisfitWarning, match=r"gain is 139 e-/unit, but .* that of (0\.9|1)"):
        assert noise_of(data, gain=139.0, read_noise=0.1).gain == 139.0


def test_saturated_pixels_do_not_count(rng) -> None:
    light = 500 + 490 * np.sin(np.arange(256) / 40)[:, None] * np.ones(256)
    data = np.minimum(rng.poisson(light), 700).astype(np.float32)
    model = noise_of(data, saturation=700.0)
    assert model.gain == pytest.approx(1.0, rel=0.15)


def test_blocks_of_compression_are_noise() -> None:
    scene = ndimage.gaussian_filter(skimage.data.camera().astype(float), 2)
    file = io.BytesIO()
    imwrite(file, scene.round().astype(np.uint8), extension=".jpg", quality=30)
    stored = imread(file.getvalue(), extension=".jpg")
    error = 4 * downscale_local_mean(stored - scene, (4, 4)).std()
    # Where there is much to see, which is in few blocks, the error is larger than in most.
    assert 0.5 * error < noise_of(stored.astype(np.float32)).sigma < 2 * error


def test_auto_measures_at_last(rng) -> None:
    model = noise_of(rng.normal(50, 2, (128, 128)).astype(np.float32))
    assert model.kind == "gaussian"
    assert model.sigma == pytest.approx(2, rel=0.1)
    assert model.saturation is None


def test_integers_have_at_least_the_noise_of_rounding() -> None:
    ramp = np.arange(64 * 64).reshape(64, 64) // 15
    assert noise_of(ramp.astype(np.uint16)).sigma == pytest.approx(12**-0.5)
    faint = (0.1 * ramp).astype(np.float32)
    scaled = {"dtype_on_disk": "int16", "header": [["BSCALE", 0.25, ""], ["BZERO", 3.0, ""]]}
    assert noise_of(faint, **scaled).sigma == pytest.approx(0.25 * 12**-0.5)
    assert 0 < noise_of(faint).sigma < 0.25 * 12**-0.5


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_eight_bits_have_one_per_cent_of_their_range(kind: type) -> None:
    grey = (np.add.outer(np.arange(64), np.arange(64)) * 2).astype(kind)
    assert noise_of(grey).sigma == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize("value", [0.0, -4.0, 1e6])
def test_a_constant_image_has_some_noise(value: float) -> None:
    sigma = noise_of(np.full((32, 32), value, dtype=np.float32)).sigma
    assert 0 < sigma <= 1e-5 * (abs(value) or 1)


def test_given_numbers_are_used() -> None:
    data = np.ones((16, 16), dtype=np.float32)
    assert noise_of(data, "gaussian:0.5").sigma == 0.5
    model = noise_of(data, "poisson-gaussian:2,3", gain=9.0, read_noise=9.0)
    assert (model.gain, model.read_noise, model.background) == (2.0, 3.0, 0.0)
    assert noise_of(data, "poisson-gaussian:2,3,-500").background == -500.0
    assert noise_of(data, "poisson") == NoiseModel("poisson")
    assert noise_of(data, "poisson", gain=9.0, saturation=3.0) == NoiseModel(
        "poisson", gain=9.0, saturation=3.0
    )


def test_poisson_noise_of_negative_data_is_refused() -> None:
    with pytest.raises(ConfigError, match="poisson-gaussian:GAIN,READ"):
        noise_of(np.full((16, 16), -1, dtype=np.float32), "poisson")


@pytest.mark.parametrize(
    ("model", "kind", "expected"),
    [
        (NoiseModel("gaussian", sigma=3.0), Gaussian, 3.0),
        (NoiseModel("poisson", gain=4.0), Poisson, (100 / 4) ** 0.5),
        (NoiseModel("poisson-gaussian", gain=4.0, read_noise=2.0), PoissonGaussian, (100 / 4 + 4) ** 0.5),
        (
            NoiseModel("poisson-gaussian", gain=4.0, read_noise=2.0, background=-60.0),
            PoissonGaussian,
            (40 / 4 + 4) ** 0.5,
        ),
        (NoiseModel("variance"), Gaussian, 5.0),
    ],
)
def test_the_likelihood_has_the_noise_of_the_model(model: NoiseModel, kind: type, expected: float) -> None:
    data = np.full((8, 8), 100, dtype=np.float32)
    data[0, 0] = np.nan
    dataset = xr.Dataset(
        {"data": (("y", "x"), data), "variance": (("y", "x"), np.full((8, 8), 25, dtype=np.float32))}
    )
    window = read_window(open_stack(dataset), {}, slice(0, 8), slice(0, 8))
    likelihood = model.likelihood(window, torch.device("cpu"))
    assert isinstance(likelihood, kind)
    values = torch.from_numpy(window.data)[None, None]
    precision = likelihood.precision(values, values)[0, 0]
    assert precision[0, 0] == 0
    assert precision[1:, 1:].numpy() == pytest.approx(1 / expected**2, rel=1e-5)


def test_saturated_pixels_are_lower_limits() -> None:
    window = read_window(open_stack(np.full((8, 8), 100.0)), {}, slice(0, 8), slice(0, 8))
    likelihood = NoiseModel("gaussian", sigma=1.0, saturation=100.0).likelihood(window, torch.device("cpu"))
    data = torch.from_numpy(window.data)[None, None]
    assert (likelihood.residual(data + 10, data) == 0).all()
    assert (likelihood.residual(data - 10, data) == 10).all()
