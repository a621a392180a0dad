"""Layers and telescopes: the textbook's numbers, and presets in their stated ranges."""

from __future__ import annotations

import math

import pytest

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.turbulence import PRESETS, Atmosphere, Layer, Setting, Telescope

GREEN = 500e-9


def test_layers_add_up_to_the_whole() -> None:
    sky = Atmosphere(0.1, (Layer(0.0, 3.0), Layer(5000.0, 1.0)))
    assert sky.effective_r0(GREEN) == pytest.approx(0.1)
    assert sky.layer_r0(sky.layers[1], GREEN) == pytest.approx(0.1 * 0.25**-0.6)
    assert sky.effective_r0(2 * GREEN) == pytest.approx(0.1 * 2**1.2)


def test_one_layer_has_the_known_isoplanatic_angle() -> None:
    sky = Atmosphere(0.1, (Layer(5000.0, 1.0),))
    assert sky.isoplanatic_angle(GREEN) == pytest.approx(0.314 * 0.1 / 5000.0, rel=0.002)
    assert Atmosphere(0.1).isoplanatic_angle(GREEN) == math.inf


def test_spherical_waves_see_less_of_what_is_far() -> None:
    # An even path: r0 of a spherical wave is (3/8)^(-3/5) = 1.80 times that of a plane wave.
    path = tuple(Layer(distance, 1.0) for distance in range(5, 1000, 10))
    ratio = Atmosphere(0.05, path, scene=1000.0).effective_r0(GREEN) / 0.05
    assert ratio == pytest.approx((3 / 8) ** -0.6, rel=0.001)


@pytest.mark.parametrize(
    ("name", "strength"), [("planetary-20cm", 2.1), ("planetary-35cm", 3.2), ("solar-10cm", 1.8),
                           ("solar-1m", 5.3), ("solar-1.5m", 15), ("lucky-2.5m", 9.5)]
)  # fmt: skip
def test_presets_have_their_strength(name: str, strength: float) -> None:
    setting = PRESETS[name]
    assert setting.strength == pytest.approx(strength, rel=0.03)
    assert setting.with_strength(3.0).strength == pytest.approx(3.0)
    assert setting.telescope.pupil.q > 1.5


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="all of them before the scene"):
        Atmosphere(0.1, (Layer(2000.0, 1.0),), scene=1000.0)
    with pytest.raises(ConfigError, match="at least one layer"):
        Atmosphere(0.1, ())
    with pytest.raises(ConfigError, match="share of a layer"):
        Layer(0.0, 0.0)
    with pytest.raises(ConfigError, match="interval"):
        Setting(Telescope(1.0, GREEN, 0.1), Atmosphere(0.1), exposure=0.1, interval=0.01)
