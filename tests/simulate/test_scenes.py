from __future__ import annotations

import numpy as np
import pytest

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate import scenes


@pytest.mark.parametrize("kind", scenes.SCENES)
@pytest.mark.parametrize("shape", [(48, 64), (33, 40)])
def test_every_kind_is_flux_with_mean_one(kind: str, shape: tuple[int, int]) -> None:
    images = scenes.random_scenes(8, shape, 3, kind)
    assert images.shape == (8, *shape)
    assert images.dtype == np.float32
    assert np.isfinite(images).all()
    assert images.min() >= 0.0
    np.testing.assert_allclose(images.mean(axis=(1, 2)), 1.0, rtol=1e-4)
    # Something is to be seen in each, and each is another.
    assert images.std(axis=(1, 2)).min() > 0.01
    assert len({image.tobytes() for image in images}) == 8


@pytest.mark.parametrize("kind", scenes.SCENES)
def test_scenes_can_be_held_by_the_pixel_grid(kind: str) -> None:
    images = scenes.random_scenes(6, (64, 64), 8, kind)
    window = np.hanning(64)[:, None] * np.hanning(64)[None, :]
    power = np.abs(np.fft.fft2((images - 1.0) * window)) ** 2
    f = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)[None, :])
    # Spectral density near Nyquist is below that of the middle band.
    near, middle = power[:, (f > 0.42) & (f < 0.5)].mean(), power[:, (f > 0.08) & (f < 0.2)].mean()
    assert near < 0.6 * middle


def test_seeds_reproduce_and_prefixes_agree() -> None:
    first = scenes.random_scenes(12, (32, 32), 4)
    np.testing.assert_array_equal(first, scenes.random_scenes(12, (32, 32), 4))
    np.testing.assert_array_equal(first[:3], scenes.random_scenes(3, (32, 32), 4))
    assert abs(first - scenes.random_scenes(12, (32, 32), 5)).max() > 0.1


def test_domain_labels_stand_for_their_kinds() -> None:
    assert {s.domain for s in scenes.SCENES.values()} == {"astro", "micro"}
    rng, again = np.random.default_rng(1), np.random.default_rng(1)
    micro = [name for name, s in scenes.SCENES.items() if s.domain == "micro"]
    np.testing.assert_array_equal(
        scenes.random_scene((32, 32), rng, "micro"), scenes.random_scene((32, 32), again, micro)
    )


def test_ranges_narrow_a_scene() -> None:
    few = scenes.star_field((64, 64), np.random.default_rng(1), density=(1.0, 1.0), background=(0.0, 0.0))
    many = scenes.star_field((64, 64), np.random.default_rng(1), density=(80.0, 80.0), background=(0.0, 0.0))
    assert (few > 0.0).mean() < 0.15
    assert (many > 0.0).mean() > 0.9
    calm = scenes.granulation((64, 64), np.random.default_rng(2), contrast=(0.05, 0.05), spot=0.0)
    rough = scenes.granulation((64, 64), np.random.default_rng(2), contrast=(0.35, 0.35), spot=0.0)
    assert rough.std() > 3.0 * calm.std()


def test_low_sun_casts_more_shadow() -> None:
    shares = []
    for height in (10.0, 45.0):
        images = [
            scenes.lunar((64, 64), np.random.default_rng(s), elevation=(height, height)) for s in range(6)
        ]
        shares.append(np.mean([(image < 0.1).mean() for image in images]))
    assert shares[0] > shares[1]


def test_stars_are_bright_and_sampled() -> None:
    image = scenes.star_field((64, 64), np.random.default_rng(5), density=(1.0, 1.0))
    y, x = np.unravel_index(image[2:-2, 2:-2].argmax(), (60, 60))
    peak = image[y + 2, x + 2]
    neighbours = [image[y + 1, x + 2], image[y + 3, x + 2], image[y + 2, x + 1], image[y + 2, x + 3]]
    assert max(neighbours) > 0.25 * peak
    assert peak > 20.0


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: scenes.random_scene((32, 32), np.random.default_rng(0), "cats"), "stars"),
        (lambda: scenes.random_scene((32, 32), np.random.default_rng(0), []), "empty"),
        (lambda: scenes.random_scene((32, 4), np.random.default_rng(0)), "height, width"),
        (lambda: scenes.nebula((32, 32), np.random.default_rng(0), slope=(4.0, 3.0)), "low <= high"),
        (lambda: scenes.random_scenes(-3, (32, 32), 0), "n -3"),
    ],
)
def test_wrong_requests_are_named(call: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        call()  # type: ignore[operator]
