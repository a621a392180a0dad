"""Bursts of short exposures through moving, anisoplanatic turbulence, with their whole truth.

One phase per layer is drawn for the whole field; each direction looks through its own part of it, so that
tilts and kernels are correlated over the field and between frames as they are in nature.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.interpolate import CubicSpline
from scipy.ndimage import map_coordinates, spline_filter

from blinddps_sci.errors import ConfigError, InputError
from blinddps_sci.simulate.arguments import check_between, check_size
from blinddps_sci.simulate.blur import blur_field, valid_origin
from blinddps_sci.simulate.diffraction import Real, detect_tilted, diffract, fine_grid
from blinddps_sci.simulate.pupil import amplitude
from blinddps_sci.simulate.screens import phase_screen
from blinddps_sci.simulate.turbulence import PRESETS, Layer, Setting

__all__ = ["Burst", "Wavefronts", "simulate_burst"]

Array = npt.NDArray[np.float64]

_LARGEST = 8192
"""Samples along a side of a phase screen that memory still holds."""


@dataclass(frozen=True, eq=False)
class Burst:
    """Frames of one scene and what is true of them.

    Attributes
    ----------
    frames : ndarray, (F, h, w), float32
    scene : ndarray, (h, w), float32
        The part of the scene that the frames show where tilts are zero.
    kernels : ndarray, (F, n_y, n_x, K, K), float32
        Centred, sum one.
    tilt : ndarray, (F, 2, n_y, n_x), float32
        Pixels (dy, dx): at p a frame sees the scene's p + tilt.
    positions : ndarray, (n_y, n_x, 2), float64
        (y, x) of the nodes in pixels of the frames.
    """

    frames: npt.NDArray[np.float32]
    scene: npt.NDArray[np.float32]
    kernels: npt.NDArray[np.float32]
    tilt: npt.NDArray[np.float32]
    positions: Array


@dataclass(frozen=True)
class _Reach:
    """Samples along a side of a layer's screen, and where on it the middle of the field begins."""

    layer: Layer
    samples: int
    first: tuple[float, float]


class Wavefronts:
    """What each direction sees of a turbulent atmosphere, frame by frame.

    Parameters
    ----------
    setting : Setting
    samples : float
        Diameter of the aperture in steps of the phase's grid.
    side : int
        Samples along a side of the wavefronts returned.
    field : (float, float)
        Height and width within which directions lie, radians.
    rng : numpy.random.Generator
    frames : int
        Exposures that will be looked at. With an interval the layers are frozen and drift; without,
        every exposure has turbulence of its own.

    Raises
    ------
    ConfigError
        If a layer needs more samples than memory holds.
    """

    def __init__(
        self,
        setting: Setting,
        samples: float,
        side: int,
        field: tuple[float, float],
        rng: np.random.Generator,
        frames: int = 1,
    ) -> None:
        self._setting, self._side, self._rng = setting, side, rng
        self._step = setting.telescope.diameter / samples
        duration = setting.exposure + (setting.interval or 0.0) * (frames - 1)
        self._reaches = [self._reach(layer, field, duration) for layer in setting.atmosphere.layers]
        self._screens = self._drawn()

    def exposure(self, frame: int) -> Iterator[float]:
        """Begin a frame and yield the instants, seconds, of which its exposure is made."""
        setting = self._setting
        if setting.interval is None and frame > 0:
            self._screens = self._drawn()
        speed = max(math.hypot(*layer.wind) for layer in setting.atmosphere.layers)
        r0 = setting.atmosphere.effective_r0(setting.telescope.wavelength)
        parts = 1 + int(2 * speed * setting.exposure / r0)
        start = frame * (setting.interval or 0.0)
        for part in range(parts):
            yield start + setting.exposure * (part + 0.5) / parts

    def phase(self, direction: tuple[float, float], time: float) -> Real:
        """Return the phase over the aperture, (side, side) radians.

        Parameters
        ----------
        direction : (float, float)
            (y, x) from the middle of the field, radians.
        time : float
            Seconds, from `exposure`.
        """
        total = np.zeros((self._side, self._side))
        line = np.arange(self._side) - (self._side - 1) / 2
        for reach, screen in zip(self._reaches, self._screens, strict=True):
            layer = reach.layer
            places = [
                line * self._setting.atmosphere.cone(layer)
                + (layer.distance * angle + speed * time) / self._step
                + first
                for angle, speed, first in zip(direction, layer.wind, reach.first, strict=True)
            ]
            where = np.meshgrid(*places, indexing="ij")
            total += map_coordinates(screen, where, order=3, mode="nearest", prefilter=False)
        return np.asarray(total, dtype=np.float32)

    def _reach(self, layer: Layer, field: tuple[float, float], duration: float) -> _Reach:
        """Return how much of a layer is seen in all, and where on it the middle of the field begins."""
        travel = [speed * duration / self._step for speed in layer.wind]
        seen = [
            self._side + layer.distance * angle / self._step + abs(moved) + 4
            for angle, moved in zip(field, travel, strict=True)
        ]
        # A screen made by FFT is periodic: its statistics are right over half of its side.
        wanted = 2 * max(*seen, 2.0 * self._side)
        if wanted > _LARGEST:
            raise ConfigError(
                f"the layer at {layer.distance:g} m would need {wanted:.0f} samples of its phase; "
                "take a smaller field, or fewer frames, or no interval between them"
            )
        n = int(fft.next_fast_len(math.ceil(wanted), real=False))
        return _Reach(layer, n, ((n - 1 - travel[0]) / 2, (n - 1 - travel[1]) / 2))

    def _drawn(self) -> list[Real]:
        """Return the layers' screens as coefficients of cubic splines: linear ones would smooth them."""
        atmosphere, wavelength = self._setting.atmosphere, self._setting.telescope.wavelength
        screens = (
            phase_screen(
                reach.samples,
                self._step,
                atmosphere.layer_r0(reach.layer, wavelength),
                self._rng,
                outer_scale=atmosphere.outer_scale,
            )
            for reach in self._reaches
        )
        return [spline_filter(screen, 3, output=np.float32) for screen in screens]


def simulate_burst(
    scene: npt.ArrayLike,
    setting: Setting | str,
    frames: int,
    rng: np.random.Generator,
    *,
    size: int = 64,
    spacing: float = 32.0,
    sigma: float = 0.0,
    scintillation: float = 0.0,
) -> Burst:
    """Look at a scene through turbulence, again and again.

    Parameters
    ----------
    scene : array_like, (H, W)
        Flux. Frames are smaller by K, and by how far the tilts move things, on each side.
    setting : Setting or str
        Telescope, atmosphere, times; the name of one of `PRESETS`, or your own.
    frames : int
        F.
    rng : numpy.random.Generator
        Source of all randomness.
    size : int
        Side K of the kernels, pixels; what lies beyond is lost.
    spacing : float
        Largest distance of the nodes at which kernels and tilts are computed, pixels.
    sigma : float
        Standard deviation of white noise, in units of the scene; `expose` makes a detector's.
    scintillation : float
        Relative standard deviation of the frames' brightness.

    Returns
    -------
    Burst

    Raises
    ------
    ConfigError, InputError
        If a number is out of its range, or the scene is too small.

    Notes
    -----
    Tilt first, then blur: ``y_f(p) = sum_n w_n(p) (k_fn * x_f)(p)``, ``x_f(p) = x(p + t_f(p))``, with
    bilinear weights for the kernels, cubic splines for the tilts, and no noise but what is asked for.

    References
    ----------
    S. H. Chan 2022, doi:10.1109/LSP.2022.3200551 (the order).
    """
    setting = _setting(setting)
    flux = np.asarray(scene, dtype=np.float64)
    if flux.ndim != 2:
        raise InputError(f"scene of shape {flux.shape}: give one image (H, W)")
    size = check_size(size)
    frames = int(check_between("frames", frames, 1))
    check_between("spacing", spacing, 4.0, open_low=True, unit="pixels")
    check_between("sigma", sigma, 0.0)
    check_between("scintillation", scintillation, 0.0, 1.0)
    shape = (flux.shape[0] - 2 * size, flux.shape[1] - 2 * size)
    if min(shape) < 2:
        raise InputError(f"scene {flux.shape} for kernels of {size}: give more than {2 * size + 2} pixels")
    lines = [np.linspace(0.0, n - 1.0, max(2, math.ceil((n - 1) / spacing) + 1)) for n in shape]
    kernels, tilt = _optics(setting, lines, shape, frames, rng, size)
    positions = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)
    seen = np.stack([_seen(flux, kernels[f], tilt[f], lines, positions, shape) for f in range(frames)])
    gain = 1.0 + scintillation * rng.standard_normal((frames, 1, 1))
    noisy = gain * seen + sigma * rng.standard_normal(seen.shape)
    inner = flux[size:-size, size:-size].astype(np.float32)
    return Burst(noisy.astype(np.float32), inner, kernels, tilt, positions)


def _setting(setting: Setting | str) -> Setting:
    """Return a setting, or the preset of a name."""
    if not isinstance(setting, str):
        return setting
    if setting not in PRESETS:
        raise ConfigError(f"setting {setting!r} is unknown; it is one of {', '.join(PRESETS)}")
    return PRESETS[setting]


def _optics(
    setting: Setting,
    lines: Sequence[Array],
    shape: tuple[int, int],
    frames: int,
    rng: np.random.Generator,
    size: int,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the centred kernels and the tilts of all frames at the nodes."""
    grid = fine_grid(size, setting.telescope.pupil.q)
    mask = amplitude(setting.telescope.pupil, grid.samples)
    pixel = setting.telescope.pixel
    field = (shape[0] * pixel, shape[1] * pixel)
    waves = Wavefronts(setting, grid.samples, len(mask), field, rng, frames)
    kernels = np.empty((frames, len(lines[0]), len(lines[1]), size, size), dtype=np.float32)
    tilt = np.empty((frames, 2, len(lines[0]), len(lines[1])), dtype=np.float32)
    for f in range(frames):
        instants = list(waves.exposure(f))
        for i, y in enumerate(lines[0]):
            for j, x in enumerate(lines[1]):
                direction = ((y - (shape[0] - 1) / 2) * pixel, (x - (shape[1] - 1) / 2) * pixel)
                light = [diffract(mask, waves.phase(direction, t), grid.n) for t in instants]
                kernels[f, i, j], moved = detect_tilted(np.mean(light, axis=0), grid)
                tilt[f, :, i, j] = -np.array(moved)
    return kernels, tilt


def _seen(
    flux: Array,
    kernels: npt.NDArray[np.float32],
    tilt: npt.NDArray[np.float32],
    lines: Sequence[Array],
    positions: Array,
    shape: tuple[int, int],
) -> Array:
    """Return one frame without noise."""
    size = kernels.shape[-1]
    before = valid_origin(size)
    places = [np.arange(-before, n + size - 1 - before) for n in shape]
    dy, dx = (_between(component, lines, places) for component in tilt)
    seen_at = (places[0][:, None] + dy + size, places[1] + dx + size)
    warped = map_coordinates(spline_filter(flux, 3), seen_at, order=3, mode="nearest", prefilter=False)
    return np.asarray(blur_field(warped, kernels, positions + before), dtype=np.float64)


def _between(values: npt.NDArray[np.float32], lines: Sequence[Array], places: Sequence[Array]) -> Array:
    """Return a field between its nodes by natural cubic splines, constant beyond the outermost."""
    for axis in (0, 1):
        inside = places[axis].clip(lines[axis][0], lines[axis][-1])
        values = CubicSpline(lines[axis], values, axis=axis, bc_type="natural")(inside)
    return np.asarray(values)
