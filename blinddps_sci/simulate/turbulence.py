"""What stands between a scene and a detector: layers of turbulence and a telescope, with presets.

`blinddps_sci.simulate.burst` makes frames of them; the statistics here are the textbook's, so that what is
simulated can be checked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from blinddps_sci.errors import ConfigError
from blinddps_sci.simulate.analytic import ARCSEC
from blinddps_sci.simulate.arguments import check_between
from blinddps_sci.simulate.pupil import Pupil

__all__ = ["PRESETS", "Atmosphere", "Layer", "Setting", "Telescope"]

_REFERENCE = 500e-9
"""Wavelength of the stated r0, metres."""


@dataclass(frozen=True)
class Layer:
    """A thin layer of turbulence.

    Parameters
    ----------
    distance : float
        From the telescope along the line of sight, metres.
    share : float
        Of the turbulence, by Cn2.
    wind : (float, float)
        Speed across the line of sight, (vy, vx) in metres per second.
    """

    distance: float
    share: float
    wind: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        check_between("distance of a layer", self.distance, 0.0, unit="m")
        check_between("share of a layer", self.share, 0.0, open_low=True)


@dataclass(frozen=True)
class Atmosphere:
    """Turbulence in thin layers between the telescope and the scene.

    Parameters
    ----------
    r0 : float
        Fried's parameter at 500 nm for a plane wave through all layers, metres.
    layers : sequence of Layer
        Their shares are divided by their sum.
    outer_scale : float
        L0, metres.
    scene : float
        Distance of the scene, metres; infinity for the sky. Its waves are spherical: at a distance h
        they are narrower by ``1 - h / scene``.

    Raises
    ------
    ConfigError
        If a number is out of its range, or a layer is not before the scene.
    """

    r0: float
    layers: tuple[Layer, ...] = (Layer(0.0, 1.0),)
    outer_scale: float = 25.0
    scene: float = math.inf

    def __post_init__(self) -> None:
        check_between("r0", self.r0, 0.0, open_low=True, unit="m")
        check_between("outer_scale", self.outer_scale, 0.0, open_low=True, unit="m")
        if not self.layers or any(layer.distance >= self.scene for layer in self.layers):
            raise ConfigError("an atmosphere needs at least one layer, and all of them before the scene")

    def layer_r0(self, layer: Layer, wavelength: float) -> float:
        """Return r0 of one layer alone for a plane wave, metres: ``r0 w^(-3/5) (lambda / 500 nm)^(6/5)``."""
        share = layer.share / sum(other.share for other in self.layers)
        return float(self.r0 * share ** (-3 / 5) * (wavelength / _REFERENCE) ** (6 / 5))

    def cone(self, layer: Layer) -> float:
        """Return the diameter of the beam at a layer over that at the telescope."""
        return 1.0 - layer.distance / self.scene

    def effective_r0(self, wavelength: float) -> float:
        """Return r0 at the telescope for waves from the scene, metres."""
        parts = (
            self.layer_r0(layer, wavelength) ** (-5 / 3) * self.cone(layer) ** (5 / 3)
            for layer in self.layers
        )
        return float(sum(parts) ** (-3 / 5))

    def isoplanatic_angle(self, wavelength: float) -> float:
        """Return theta0, radians: at twice its size two directions share little but their tilt.

        ``theta0^(-5/3) = 6.88 sum_l (h_l / r0_l)^(5/3)``; infinity if all turbulence is at the pupil.
        """
        parts = (
            6.88 * (layer.distance / self.layer_r0(layer, wavelength)) ** (5 / 3) for layer in self.layers
        )
        total = float(sum(parts))
        return total ** (-3 / 5) if total > 0 else math.inf


@dataclass(frozen=True)
class Telescope:
    """A telescope and its detector's pixels.

    Parameters
    ----------
    diameter, wavelength : float
        Metres.
    pixel_scale : float
        Arcseconds per pixel.
    obscuration : float
        Diameter of the central obscuration over that of the aperture.
    """

    diameter: float
    wavelength: float
    pixel_scale: float
    obscuration: float = 0.0

    @property
    def pupil(self) -> Pupil:
        """The aperture, in units of lambda / D per pixel."""
        return Pupil.telescope(self.wavelength, self.diameter, self.pixel_scale, self.obscuration)

    @property
    def pixel(self) -> float:
        """Radians per pixel."""
        return self.pixel_scale * ARCSEC


@dataclass(frozen=True)
class Setting:
    """A telescope under an atmosphere, the time of an exposure and between exposures, seconds."""

    telescope: Telescope
    atmosphere: Atmosphere
    exposure: float = 0.0
    interval: float | None = None

    def __post_init__(self) -> None:
        check_between("exposure", self.exposure, 0.0, unit="s")
        if self.interval is not None:
            check_between("interval", self.interval, self.exposure, unit="s")

    @property
    def strength(self) -> float:
        """D / r0."""
        telescope = self.telescope
        return telescope.diameter / self.atmosphere.effective_r0(telescope.wavelength)

    def with_strength(self, strength: float) -> Setting:
        """Return the same setting under turbulence of another D / r0."""
        r0 = self.atmosphere.r0 * self.strength / check_between("D / r0", strength, 0.0, open_low=True)
        return replace(self, atmosphere=replace(self.atmosphere, r0=r0))


_NIGHT = (
    Layer(0.0, 0.5, (3.0, 5.0)),
    Layer(2000.0, 0.2, (8.0, 10.0)),
    Layer(5000.0, 0.15, (-5.0, 18.0)),
    Layer(11000.0, 0.15, (10.0, 27.0)),
)
_DAY = (Layer(50.0, 0.6, (2.0, 4.0)), Layer(3000.0, 0.25, (6.0, 9.0)), Layer(10000.0, 0.15, (12.0, 22.0)))
_GROUND = tuple(Layer(distance, 1.0, (1.0, 2.0)) for distance in (50.0, 200.0, 350.0, 500.0, 650.0, 800.0))

PRESETS: dict[str, Setting] = {
    "planetary-20cm": Setting(Telescope(0.203, 650e-9, 0.12, 0.33), Atmosphere(0.07, _NIGHT), 5e-3),
    "planetary-35cm": Setting(Telescope(0.356, 650e-9, 0.08, 0.33), Atmosphere(0.08, _NIGHT), 5e-3),
    "solar-10cm": Setting(Telescope(0.10, 656.3e-9, 0.5), Atmosphere(0.04, _DAY), 5e-3),
    "solar-1m": Setting(Telescope(1.0, 854.2e-9, 0.059), Atmosphere(0.10, _DAY), 5e-3),
    "solar-1.5m": Setting(Telescope(1.5, 430e-9, 0.028, 0.3), Atmosphere(0.12, _DAY), 5e-3),
    "lucky-2.5m": Setting(Telescope(2.5, 800e-9, 0.04, 0.3), Atmosphere(0.15, _NIGHT), 10e-3),
    "ground-1km": Setting(
        Telescope(0.10, 550e-9, 0.6), Atmosphere(0.03, _GROUND, outer_scale=2.0, scene=1000.0), 5e-3
    ),
}
"""Typical settings by name: planets, the Sun, lucky imaging, a path of 1 km over the ground."""
