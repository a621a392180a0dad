"""Images to begin with, offline: real ones out of scikit-image's wheel, and a simulated burst.

Where an image was blurred or simulated on purpose, its name says so, and the truth comes with it, hidden.
"""

from __future__ import annotations

from typing import Any

__all__ = ["burst", "hubble", "moon", "retina", "tissue"]

LayerData = tuple[Any, dict[str, Any], str]

_NOISE = 0.01
_FRAMES = 12
_SETTING = "planetary-20cm"
_KERNEL = 32
_BURST_SIDE = 128


def moon() -> list[LayerData]:
    """Open the Moon through a telescope, (512, 512): blurred by nobody knows what."""
    import skimage.data

    return [_layer(skimage.data.moon() / 255.0, "Moon")]


def retina() -> list[LayerData]:
    """Open the green light of a retina, (1411, 1411), blurred by the optics of the eye and the camera."""
    import skimage.data

    return [_layer(skimage.data.retina()[..., 1] / 255.0, "retina (green)")]


def hubble() -> list[LayerData]:
    """Blur a part of the Hubble deep field by a Moffat profile, 4 pixels wide, with 1 % noise; (512, 512)."""
    import numpy as np
    import skimage.data

    scene = skimage.data.hubble_deep_field().mean(axis=-1) / 255.0
    r2 = _squared_radius(33)
    # Full width at half maximum 4, beta 3: 2 alpha sqrt(2^(1/beta) - 1) = 4.
    alpha2 = 4.0 / (2.0 ** (1.0 / 3.0) - 1.0)
    return _blurred(scene, np.power(1.0 + r2 / alpha2, -3.0), "Hubble deep field", 512)


def tissue() -> list[LayerData]:
    """Blur a stained tissue by a Gaussian of sigma 1.5 pixels, with 1 % noise; (448, 448)."""
    import numpy as np
    import skimage.data

    kernel = np.exp(-0.5 * _squared_radius(13) / 1.5**2)
    return _blurred(skimage.data.immunohistochemistry()[..., 0] / 255.0, kernel, "tissue", 448)


def burst() -> list[LayerData]:
    """Look at the Moon through simulated turbulence, 12 frames of a 20 cm telescope; (12, 128, 128)."""
    import numpy as np
    import skimage.data

    from blinddps_sci import simulate_burst

    side = _BURST_SIDE + 2 * _KERNEL
    # The picture is not sharp at its own scale: two by two pixels become one.
    moon = skimage.data.moon().reshape(256, 2, 256, 2).mean(axis=(1, 3)) / 255.0
    scene = moon[-side:, 20 : 20 + side]
    made = simulate_burst(scene, _SETTING, _FRAMES, np.random.default_rng(7), size=_KERNEL, sigma=_NOISE)
    labels = {"axis_labels": ("t", "y", "x")}
    frames = _layer(made.frames, "Moon, simulated burst", **labels)
    return [_layer(made.scene, "Moon, truth of the burst", visible=False), frames]


def _squared_radius(size: int) -> Any:
    """Return the squared distance from the middle of a kernel, in pixels."""
    import numpy as np

    r = np.arange(size) - size // 2
    return np.add.outer(r**2, r**2)


def _blurred(scene: Any, kernel: Any, name: str, side: int) -> list[LayerData]:
    """Blur the middle of a scene, by convolution without borders, and add noise."""
    import numpy as np
    from scipy.signal import fftconvolve

    margin = kernel.shape[0] - 1
    first = [(n - side - margin) // 2 for n in scene.shape]
    y, x = (slice(start, start + side + margin) for start in first)
    wide = scene[y, x]
    seen = fftconvolve(wide, kernel / kernel.sum(), mode="valid")
    noisy = seen + _NOISE * np.random.default_rng(0).standard_normal(seen.shape)
    inside = (slice(margin // 2, margin // 2 + side),) * 2
    truth = _layer(wide[inside], f"{name}, truth", visible=False)
    return [truth, _layer(noisy, f"{name}, blurred")]


def _layer(values: Any, name: str, **options: Any) -> LayerData:
    """Return a grey layer of float32."""
    import numpy as np

    image = np.asarray(values, np.float32)
    low, high = (float(value) for value in np.percentile(image, (0.1, 99.9)))
    labels = {"axis_labels": ("y", "x")}
    look = {"name": name, "colormap": "gray", "contrast_limits": (low, high)}
    return image, {**labels, **look, **options}, "image"
