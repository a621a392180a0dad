"""
When the PSF is known
=====================

A PSF that was measured, on stars or on beads, should be told: the image is then all that
is left to find. Here the same picture is restored blind, with the true PSF, and by
Richardson and Lucy's iterations with the true PSF.
"""

# sphinx_gallery_thumbnail_path = 'examples/pictures/known_psf.png'
import matplotlib.pyplot as plt
import numpy as np
import skimage.data
from skimage.restoration import richardson_lucy

from blinddps_sci import restore
from blinddps_sci.metrics import psnr_shift
from blinddps_sci.simulate import gaussian
from blinddps_sci.simulate.blur import blur

SIZE, PSF, NOISE = 96, 32, 0.01
rng = np.random.default_rng(3)
picture = skimage.data.camera().reshape(256, 2, 256, 2).mean(axis=(1, 3)) / 255
scene = picture[40:, 70:][: SIZE + PSF - 1, : SIZE + PSF - 1]
truth = scene[PSF // 2 - 1 :, PSF // 2 - 1 :][:SIZE, :SIZE]
psf = gaussian(PSF, 2.5, 1.0, angle=0.6)
data = blur(scene, psf) + NOISE * rng.standard_normal((SIZE, SIZE))

# %%
# ``psf_file`` takes FITS, TIFF or npy, of any size; the PSF's centre is pixel ``K // 2``.

np.save("psf.npy", psf)
options = {"noise": f"gaussian:{NOISE}", "quality": "fast"}
blind = restore(data, **options)
told = restore(data, psf_file="psf.npy", **options)

# %%
# Richardson-Lucy needs a border to be made up, here by reflection, and somebody who says
# when to stop.

wide = np.pad(data.clip(0), PSF, mode="reflect")
classical = richardson_lucy(wide, np.pad(psf, (0, 1)), num_iter=30, clip=False)[
    PSF:-PSF, PSF:-PSF
]

# %%
# Without a truth, chi-squared tells whether the data are explained: one is expected. It
# does not tell a good explanation from a bad one.

panels = {
    "blurred": data,
    "Richardson-Lucy, PSF known": classical,
    "blind": blind.image.values,
    "PSF known": told.image.values,
    "truth": truth,
    "PSF": psf,
}
inside = (slice(8, -8), slice(8, -8))
for title, image in list(panels.items())[:-2]:
    print(f"{title}: {psnr_shift(image[inside], truth[inside], 4, 1.0):.1f} dB")
print(
    f"chi-squared: blind {float(blind.chi2.mean()):.2f}, PSF known {float(told.chi2.mean()):.2f}"
)

figure, axes = plt.subplots(2, 3, figsize=(8.4, 5.8), layout="constrained")
for axis, (title, image) in zip(axes.flat, panels.items(), strict=True):
    look = {"cmap": "magma"} if title == "PSF" else {"cmap": "gray", "vmin": 0, "vmax": 1}
    axis.imshow(image, **look)
    axis.set_title(title, fontsize=11)
    axis.set_axis_off()

# %%
# .. image:: /examples/pictures/known_psf.png
#
# It printed:
#
# .. literalinclude:: /examples/pictures/known_psf.txt
#    :language: none
