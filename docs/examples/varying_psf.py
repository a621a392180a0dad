"""
A PSF that changes over the field
=================================

The coma of a telescope grows away from its axis. Each tile has a PSF of its own, and
``psf="smooth"``, the default, reconciles it with those around it.
"""

# sphinx_gallery_thumbnail_path = 'examples/pictures/varying_psf.png'
import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from blinddps_sci import restore
from blinddps_sci.metrics import mnc, psnr_shift
from blinddps_sci.simulate import Pupil, pupil_psf
from blinddps_sci.simulate.blur import blur_field

SIZE, PSF, NODES = 192, 32, 3
rng = np.random.default_rng(2)
picture = skimage.data.brick().astype(float) / 255
scene = picture[100:, 100:][: SIZE + PSF - 1, : SIZE + PSF - 1]
truth = scene[PSF // 2 - 1 :, PSF // 2 - 1 :][:SIZE, :SIZE]

# %%
# A grid of PSFs: coma (Noll's terms 7 and 8) grows with the distance from the middle of
# the upper left tile, and points away from it.

pupil = Pupil.telescope(wavelength=0.6e-6, diameter=0.3, pixel_scale=0.2)
place = np.linspace(0, 1, NODES)
kernels = np.array(
    [
        [
            pupil_psf(PSF, pupil, {4: 0.1, 7: 0.2 * y, 8: 0.2 * x}, centred=True)
            for x in place
        ]
        for y in place
    ]
)
positions = np.stack(np.meshgrid(*(place * (SIZE + PSF - 2),) * 2, indexing="ij"), axis=-1)
data = blur_field(scene, kernels, positions) + 0.01 * rng.standard_normal((SIZE, SIZE))

# %%
# Tiles of 96 pixels, each with a PSF: four by four of them.

result = restore(data, noise="gaussian:0.01", quality="fast", tile=96, overlap=48)
found = result.psf_kernel.values[0, 0]
restored = result.image.values
for name, image in (("blurred", data), ("restored", restored)):
    print(f"{name}: {psnr_shift(image[8:-8, 8:-8], truth[8:-8, 8:-8], 4, 1.0):.1f} dB")
print("PSFs:", found.shape[:2], "nodes; MNC in the corners", end="")
print(*(f" {mnc(found[y, x], kernels[y, x]):.2f}" for y in (0, -1) for x in (0, -1)))

# %%
# The grids show what was put in, and what was found; the root of the PSFs, so that faint parts
# are seen. Edges tell how wide a PSF is across them and little else: the shape of the coma is not
# found, and the gain is small where it is strongest.


def grid(nodes: np.ndarray) -> np.ndarray:
    """Lay a grid of PSFs side by side."""
    return np.sqrt(np.concatenate(np.concatenate(nodes.clip(0), axis=1), axis=1))


figure, axes = plt.subplots(2, 3, figsize=(8.4, 5.8), layout="constrained")
panels = {"blurred": data, "restored": restored, "truth": truth}
for axis, (title, image) in zip(axes[0], panels.items(), strict=True):
    axis.imshow(image, cmap="gray", vmin=truth.min(), vmax=truth.max())
    axis.set_title(title)
panels = {
    "chi-squared": result.chi2.values[0, 0],
    "PSFs, found": grid(found),
    "PSFs, true": grid(kernels),
}
for axis, (title, image) in zip(axes[1], panels.items(), strict=True):
    shown = axis.imshow(image, cmap="magma")
    axis.set_title(title)
    if title == "chi-squared":
        figure.colorbar(shown, ax=axis)
for axis in axes.flat:
    axis.set_axis_off()

# %%
# .. image:: /examples/pictures/varying_psf.png
#
# It printed:
#
# .. literalinclude:: /examples/pictures/varying_psf.txt
#    :language: none
